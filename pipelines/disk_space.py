"""Free disk space, of which runs need some."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from taproom.warehouse.warehouse import Warehouse

LEAST_FREE_BYTES = 2 * 2**30


def little_disk_space(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """What is on a disk that the next run may fill up, and how much space is left there, as words.

    A warehouse in an object store and records in memory are left out.
    """
    folders = {
        "the warehouse": warehouse.root if warehouse.storage.is_local else None,
        "Dagster's records": None if instance.is_ephemeral else instance.root_directory,
    }
    for name, folder in folders.items():
        if folder is not None and Path(folder).is_dir():
            free = shutil.disk_usage(folder).free
            if free < LEAST_FREE_BYTES:
                yield name, f"{free / 2**30:.1f} GB left; {LEAST_FREE_BYTES / 2**30:.0f} GB are wanted"
