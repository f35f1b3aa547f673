"""Free disk space, of which runs need some."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from taproom.warehouse.warehouse import Warehouse

LEAST_FREE_BYTES = 2 * 2**30


_NAMES = {"warehouse": "the warehouse", "records": "Dagster's records"}


def free_bytes(instance: dg.DagsterInstance, warehouse: Warehouse) -> dict[str, int]:
    """Free bytes on the disks of the `warehouse` and of Dagster's `records`.

    A warehouse in an object store and records in memory are left out.
    """
    folders = {
        "warehouse": warehouse.root if warehouse.storage.is_local else None,
        "records": None if instance.is_ephemeral else instance.root_directory,
    }
    return {
        store: shutil.disk_usage(folder).free for store, folder in folders.items() if folder and Path(folder).is_dir()
    }


def little_disk_space(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """What is on a disk that the next run may fill up, and how much space is left there, as words."""
    for store, free in free_bytes(instance, warehouse).items():
        if free < LEAST_FREE_BYTES:
            yield _NAMES[store], f"{free / 2**30:.1f} GB left; {LEAST_FREE_BYTES / 2**30:.0f} GB are wanted"
