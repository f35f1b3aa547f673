"""Commits by compare-and-swap: a table's files are swapped only if the table still is what the writer knew.

Here belongs what happens when two writers meet. deltalake's own writers retry a lost race, which would mix the rows of
two first writes. So each try here is against one exact version, and after a lost race the table is looked at again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import Schema
from deltalake.exceptions import DeltaError

from taproom.errors import ContractError, StorageError, WriteConflictError
from taproom.warehouse.catalog import head
from taproom.warehouse.contracts import Contract, column_type
from taproom.warehouse.data_files import DataFile, paths
from taproom.warehouse.delta_log import Snapshot, TableLog
from taproom.warehouse.single_values import check_values, committed_values
from taproom.warehouse.storage import WAREHOUSE_VARIABLE, Storage

MAX_TRIES = 100


@dataclass(frozen=True)
class Swap:
    """One change of a table: the files `before` of version `since` are to be replaced by the files `after`.

    `partition` is the partition that the files belong to (None: the whole table), and `since` is None where there was
    no table. An unchanged set of files is committed only if `always_commit`.
    """

    contract: Contract
    partition: str | None
    since: int | None
    before: Sequence[DataFile]
    after: Sequence[DataFile]
    metadata: Mapping[str, Any]
    always_commit: bool = False


def commit(storage: Storage, swap: Swap) -> tuple[int, bool]:
    """Commit a swap; gives the version that has the files `after`, and whether it is a new one.

    A change of a whole table is refused as soon as anyone else has committed. A change of a partition is refused only
    if that partition has changed, so writers of different partitions both succeed.

    Raises:
        WriteConflictError: another run has changed the table (the partition), or `MAX_TRIES` races were lost.
        CollectionError: another run has committed another value of a single-valued column.
        StorageError: a file that was written for this commit is gone or has another size.
        deltalake.exceptions.DeltaError: the log could not be written, although nobody else has committed.
    """
    contract, table = swap.contract, swap.contract.table
    log = TableLog(storage, table)
    for _ in range(MAX_TRIES):
        newest = newest_for_writing(storage, table)
        version = newest.version if newest else None
        if _is_overtaken(swap, newest):
            raise _conflict(swap, version)
        single_values = committed_values(contract, newest)
        check_values(contract, swap.metadata["single_values"].items(), single_values, storage.root)
        has_new_schema = schema_changed(contract, newest)
        is_unchanged = paths(swap.before) == paths(swap.after) and not has_new_schema
        if newest and not newest.entry.is_lost and is_unchanged and not swap.always_commit:
            return newest.version, False
        _check_files_exist(storage, table, swap.after)
        schema = newest.schema if newest and not has_new_schema else Schema.from_arrow(contract.schema)
        metadata = {**swap.metadata, "single_values": single_values}
        try:
            committed = log.commit(
                newest, schema, contract.partition, swap.before, swap.after, metadata, contract.grain
            )
        except DeltaError:
            if head(storage, table) == version:
                raise  # nobody else has committed, so this is no lost race
        else:
            return committed, True
    raise WriteConflictError(
        f"{table}: {MAX_TRIES} commits in a row were overtaken by other runs. Nothing was written; "
        "run the step again, with fewer runs at a time."
    )


def newest_for_writing(storage: Storage, table: str) -> Snapshot | None:
    """The newest version, which the next commit follows; None where there is no table yet.

    Raises:
        DamagedLogError: the log is damaged, or is being repaired: the lost version has no files yet that a commit of a
            partition could keep.
    """
    if (version := head(storage, table)) is None:
        return None
    log = TableLog(storage, table)
    newest = log.snapshot(version, even_if_lost=True)
    if newest.entry.is_being_restored:
        raise log.being_repaired(version)
    return newest


def files_of(snapshot: Snapshot | None, partition: str | None) -> list[DataFile]:
    """The files of a version that belong to a partition (None: all files)."""
    files = snapshot.files if snapshot else ()
    return [file for file in files if partition is None or file.partition == partition]


def schema_changed(contract: Contract, snapshot: Snapshot | None) -> bool:
    """Whether the contract's columns differ from those of a version of the table; descriptions do not count.

    A partitioned table may get further columns, which are null in the partitions that were written without them.

    Raises:
        ContractError: they differ otherwise and the table is partitioned, so its other partitions would keep the old
            columns.
    """
    wanted = pa.schema(Schema.from_arrow(contract.schema).to_arrow())
    if snapshot is None or snapshot.arrow_schema.equals(wanted):
        return False
    if contract.partition and snapshot.files and (changes := _changes(snapshot.arrow_schema, contract.schema, wanted)):
        raise ContractError(
            f"{contract.table}: its columns have changed since the table was made, and the other partitions still "
            f"have the old ones: {'; '.join(changes)}. Only columns that may be null can be added. Make the table in "
            f"another warehouse ({WAREHOUSE_VARIABLE})."
        )
    return True


def _changes(stored: pa.Schema, given: pa.Schema, wanted: pa.Schema) -> list[str]:
    """How columns differ from the stored ones, in words; new ones that may be null do not count.

    `given` are the contract's, `wanted` the same as Delta has them: without a type of Delta's, nulls would have another
    type than the values in later files.
    """
    changes = [f"{name} is not in the contract" for name in stored.names if name not in given.names]
    for column, own in zip(wanted, given, strict=True):
        is_new = column.name not in stored.names
        if is_new and not (column.nullable and column.type.equals(own.type)):
            changes.append(f"{column.name} is new and {column_type(own)}")
        elif not is_new and not stored.field(column.name).equals(column):
            changes.append(f"{column.name} was {column_type(stored.field(column.name))}, now {column_type(column)}")
    return changes


def _is_overtaken(swap: Swap, newest: Snapshot | None) -> bool:
    if swap.partition is None:
        return (newest.version if newest else None) != swap.since
    return paths(files_of(newest, swap.partition)) != paths(swap.before)


def _conflict(swap: Swap, version: int | None) -> WriteConflictError:
    contract, partition = swap.contract, swap.partition
    target = contract.table if partition is None else f"{contract.table}, {contract.partition}={partition}"
    return WriteConflictError(
        f"{target} was version {swap.since} when this step began and is version {version} now: another run wrote "
        "it meanwhile. Nothing was written; run the step again to take the newest into account."
    )


def _check_files_exist(storage: Storage, table: str, files: Iterable[DataFile]) -> None:
    """A commit must name only files that exist, or the table could not be read."""
    for file in files:
        size = storage.size(f"{table}/{file.path}")
        if size != file.size_bytes:
            found = "is gone" if size is None else f"has {size} bytes instead of {file.size_bytes}"
            raise StorageError(
                f"{storage.uri(table)}/{file.path} was written for this commit and {found}: something else deletes or "
                "changes files there. Nothing was committed and the last version is as it was; run the step again."
            )
