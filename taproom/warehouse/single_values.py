"""Columns that have one value in a whole table, in all its partitions and versions (`Contract.single_valued`).

The values are part of each commit's metadata, so that a writer of one partition need not read the others.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from taproom.errors import CollectionError
from taproom.warehouse.contracts import Contract
from taproom.warehouse.delta_log import Snapshot
from taproom.warehouse.storage import WAREHOUSE_VARIABLE


def committed_values(contract: Contract, snapshot: Snapshot | None) -> dict[str, Any]:
    """The single values of a table version, by column; empty where nothing was written yet."""
    if snapshot is None or not contract.single_valued:
        return {}
    return dict(snapshot.entry.metadata.get("single_values", {}))


def check_batch(contract: Contract, batch: pa.RecordBatch, known: dict[str, Any], root: str) -> None:
    """Compare a batch with the values `known` of the table at `root`; add those of columns that had none.

    Raises:
        CollectionError: a column has another value in the batch.
    """
    for name in contract.single_valued:
        check_values(contract, ((name, value) for value in batch[name].unique().to_pylist()), known, root)


def check_values(contract: Contract, values: Iterable[tuple[str, Any]], known: dict[str, Any], root: str) -> None:
    """As `check_batch`, for pairs of column and value."""
    for name, value in values:
        if value != known.setdefault(name, value):
            raise CollectionError(
                f"{root} holds the {name} {known[name]!r}, and {value!r} was to be written to {contract.table}. "
                f"A warehouse holds one {name}: set {WAREHOUSE_VARIABLE} to another folder for this one."
            )
