"""Publishing: rows that keep their contract become the new version of a table or of a partition.

Here belongs what a writer does from the first row to the commit: check, hash, write files, and describe the commit.
What happens when two writers meet is in `compare_and_swap`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from taproom.errors import ContractError, UnknownTableError
from taproom.warehouse.catalog import open_version
from taproom.warehouse.compare_and_swap import Swap, commit, files_of, schema_changed
from taproom.warehouse.conditional_writes import check_conditional_writes
from taproom.warehouse.content_hash import ContentHash
from taproom.warehouse.contracts import Contract
from taproom.warehouse.data_files import bounded_batches, write_files
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.foreign_keys import ForeignKey, checked_references
from taproom.warehouse.reading import stream
from taproom.warehouse.single_values import check_batch, committed_values
from taproom.warehouse.storage import Storage

_PARTITION_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")


@dataclass(frozen=True)
class Origin:
    """How the rows of a commit came to be; it is kept in the commit's metadata.

    `inputs` has the version of each table that was read, `config` the values of all parameters, `settings` those that
    a person has set.
    """

    run_id: str = ""
    code_version: str = ""
    inputs: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """The version of a table that has the published rows.

    `changed` is False where an earlier commit had made it. `rows_before` and `bytes_before` are those of the rows that
    they replace, and `since` the version that had these (None: there was no table).
    """

    table: str
    version: int
    changed: bool
    rows: int
    size_bytes: int
    content_hash: str
    since: int | None = None
    rows_before: int = 0
    bytes_before: int = 0


def publish(
    storage: Storage,
    contract: Contract,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    since: int | None,
    partition: str | None = None,
    origin: Origin | None = None,
    always_commit: bool = False,
    references: Mapping[str, int] | None = None,
) -> Published:
    """Publish `rows`; see `Warehouse.publish`."""
    _check_partition(contract, partition)
    check_conditional_writes(storage)
    contract.check_schema(rows.schema)  # a stream without batches has one too
    known = open_version(storage, contract.table, since, even_if_lost=True) if since is not None else None
    before = files_of(known, partition)
    content = ContentHash(contract.schema, contract.volatile)
    single_values = committed_values(contract, known)

    def checked() -> Iterator[pa.RecordBatch]:
        given = rows.to_batches() if isinstance(rows, pa.Table) else rows
        batches = contract.checked(bounded_batches(given))
        for batch in _with_checked_references(storage, contract, partition, references or {}, batches):
            _check_rows_of_partition(contract, partition, batch)
            check_batch(contract, batch, single_values, storage.root)
            content.update(batch)
            yield batch

    reusable = [] if schema_changed(contract, known) else before
    after = write_files(storage, contract, checked(), partition, reusable)
    metadata = _commit_metadata(contract, partition, content, single_values, origin or Origin())
    version, changed = _commit(storage, Swap(contract, partition, since, before, after, metadata, always_commit))
    size = sum(file.size_bytes for file in after)
    replaced = sum(file.rows for file in before), sum(file.size_bytes for file in before)
    return Published(contract.table, version, changed, content.rows, size, metadata["content_hash"], since, *replaced)


def remove(storage: Storage, contract: Contract, partition: str, *, since: int, origin: Origin) -> Published:
    """Publish a table without one of its partitions; see `Warehouse.remove`."""
    check_conditional_writes(storage)
    before = files_of(open_version(storage, contract.table, since), partition)
    if not before:
        raise UnknownTableError(f"{contract.table} has no {contract.partition} {partition!r} in version {since}")
    content = ContentHash(contract.schema, contract.volatile)
    metadata = _commit_metadata(contract, partition, content, {}, origin)
    version, changed = _commit(storage, Swap(contract, partition, since, before, (), metadata))
    replaced = sum(file.rows for file in before), sum(file.size_bytes for file in before)
    return Published(contract.table, version, changed, 0, 0, metadata["content_hash"], since, *replaced)


def _commit(storage: Storage, swap: Swap) -> tuple[int, bool]:
    """Commit, and have the disk confirm it; gives the version and whether it is new."""
    table = swap.contract.table
    with storage.write_errors(table):
        version, changed = commit(storage, swap)
    if changed:
        TableLog(storage, table).confirm(version)
    return version, changed


def _commit_metadata(
    contract: Contract,
    partition: str | None,
    content: ContentHash,
    single_values: Mapping[str, Any],
    origin: Origin,
) -> dict[str, Any]:
    return {
        "run_id": origin.run_id,
        "code_version": origin.code_version,
        "content_hash": content.hexdigest(),
        "rows": content.rows,
        "partition": partition,
        "single_values": dict(single_values),
        "inputs": dict(origin.inputs),
        "config": dict(origin.config),
        "settings": dict(origin.settings),
        # For readers, who have the warehouse and not the code.
        "contract": {
            "version": contract.version,
            "grain": contract.grain,
            "key": list(contract.row_key),
            "foreign_keys": [asdict(foreign_key) for foreign_key in contract.foreign_keys],
            "rules": contract.rules,
            "limits": list(contract.limits),
            "made_from": {column.name: column.made_from for column in contract.columns if column.made_from},
        },
    }


def _with_checked_references(
    storage: Storage,
    contract: Contract,
    partition: str | None,
    versions: Mapping[str, int],
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """The batches, checked against the tables that they refer to; of these, the columns of each key are read once."""

    @cache
    def keys_of(table: str, key: tuple[str, ...], partitions: tuple[str, ...] | None) -> pa.Table:
        return stream(storage, table, versions[table], partitions=partitions, columns=key).read_all()

    for foreign_key in contract.foreign_keys:
        if (table := foreign_key.table) in versions:
            partitions = _referenced_partitions(storage, contract, partition, foreign_key, versions[table])
            keys = keys_of(table, foreign_key.key, partitions)
            batches = checked_references(contract.table, foreign_key, keys, versions[table], batches)
    return batches


def _referenced_partitions(
    storage: Storage, contract: Contract, partition: str | None, foreign_key: ForeignKey, version: int
) -> tuple[str, ...] | None:
    """The partitions that rows of `partition` can refer to in another table; None: all.

    Where the partition column refers to the partition column of the other table, it is the partition of the same name.
    """
    if partition is None or contract.partition not in foreign_key.columns:
        return None
    referenced = foreign_key.key[foreign_key.columns.index(contract.partition)]
    is_partition = open_version(storage, foreign_key.table, version).partition_column == referenced
    return (partition,) if is_partition else None


def _check_partition(contract: Contract, partition: str | None) -> None:
    if (partition is None) != (contract.partition is None):
        wanted = f"one {contract.partition} at a time" if contract.partition else "as a whole"
        raise ContractError(f"{contract.table} is written {wanted}; the partition {partition!r} was given")
    if partition is not None and (not _PARTITION_NAME.fullmatch(partition) or ".." in partition):
        raise ContractError(
            f"{contract.table}: {partition!r} cannot name a {contract.partition}. Wanted: letters, digits, '.', '_' "
            "and '-', beginning with a letter or digit, without '..'"
        )


def _check_rows_of_partition(contract: Contract, partition: str | None, batch: pa.RecordBatch) -> None:
    if partition is not None and any(value != partition for value in batch[contract.partition].unique().to_pylist()):
        raise ContractError(f"{contract.table}: rows of another {contract.partition} than {partition!r} were given")
