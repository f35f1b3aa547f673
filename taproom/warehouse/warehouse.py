"""The warehouse: versioned tables in Delta Lake, written by compare-and-swap and verified on every read.

Why a layer over `deltalake` at all:

- its writers retry a lost race by default, which mixes the rows of two first writes; here every commit is tried against
  one exact version, and what is done about a lost race is decided here;
- a flipped byte in a data file would read as a wrong number; here a file's SHA-256 is part of its name, and it is
  compared whenever the file is read;
- a table that has not changed gets no new version;
- a damaged log would read as other rows; here each commit carries hashes of itself and of the version that it made,
  which `taproom/warehouse/delta_log.py` compares before anything is read or written.

A data file is called `<place>-<sha256>-<random>.parquet`: its place in the table's row order, the hash of its bytes,
and enough chance that no two writers ever share a file. Partition columns lie in the Delta log alone, as the protocol
has it. What made a commit (run, content hash, versions of the inputs, configuration) is in the commit's own metadata.

Nothing here knows of Dagster; `pipelines/io_manager.py` joins the two.
"""

import hashlib
import io
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import Schema
from deltalake.exceptions import DeltaError

from taproom.errors import (
    CollectionError,
    ContractError,
    DamagedFileError,
    StorageError,
    UnknownTableError,
    WriteConflictError,
)
from taproom.warehouse.content_hash import ContentHash
from taproom.warehouse.contracts import Contract
from taproom.warehouse.delta_log import DataFile, Entry, Snapshot, TableLog, lost_version
from taproom.warehouse.log_repair import Checked, Repaired, check, repair
from taproom.warehouse.storage import Storage, reason

WAREHOUSE_VARIABLE = "TAPROOM_WAREHOUSE"
DEFAULT_WAREHOUSE = Path(__file__).resolve().parents[2] / "data" / "warehouse"

_BYTES_PER_FILE = 64 * 2**20
_LOST_RACES = 100
_FIGURES = "_figures"
_FIGURE_PATH = re.compile(rf"{_FIGURES}/\w+/[0-9a-f]{{64}}\.png")
# A file that no commit names may be one that a run is about to commit. The longest run (`max_runtime_seconds` in
# dagster.yaml) takes 4 hours.
UNCOMMITTED_FILES_ARE_KEPT = timedelta(hours=24)
_PARTITION_VALUE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?")


@dataclass(frozen=True)
class Origin:
    """What a commit remembers of how it came to be.

    `config` has the values of all parameters, `settings` those that a person has set.
    """

    run_id: str = ""
    code_version: str = ""
    inputs: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """What `Warehouse.publish` did: the version that now holds the rows, and whether it had to be made."""

    table: str
    version: int
    changed: bool
    rows: int
    size_bytes: int
    content_hash: str


def default_root() -> str:
    """`$TAPROOM_WAREHOUSE`, or `data/warehouse` in the repo."""
    return os.environ.get(WAREHOUSE_VARIABLE) or str(DEFAULT_WAREHOUSE)


class Warehouse:
    """A folder (or an object-store URL) of Delta tables, one folder a table."""

    def __init__(self, root: str | os.PathLike | None = None) -> None:
        """Open the warehouse at `root`, by default the one that `default_root` names. Nothing is created yet."""
        self._storage = Storage(str(root or default_root()))
        self.root = self._storage.root

    def uri(self, table: str) -> str:
        """Where the table lies, as deltalake, pandas and DuckDB take it."""
        return self._storage.uri(table)

    def tables(self) -> list[str]:
        """Names of the tables that exist, sorted. Raises `StorageError` where the storage cannot be reached."""
        return sorted(self.heads())

    def head(self, table: str) -> int | None:
        """The newest version of a table, or None where there is no such table.

        This and `heads` go by names in the log: a damaged table has a newest version, too, that cannot be read.
        """
        return self._log(table).newest()

    def heads(self) -> dict[str, int]:
        """The newest version of every table. None is opened, so a damaged one keeps nobody from the others."""
        folders = [info.base_name for info in self._storage.listing() if info.type == pafs.FileType.Directory]
        newest = {table: self.head(table) for table in sorted(folders)}
        return {table: version for table, version in newest.items() if version is not None}

    def _log(self, table: str) -> TableLog:
        return TableLog(self._storage, table)

    # Writing

    def publish(
        self,
        contract: Contract,
        rows: pa.Table | pa.RecordBatchReader,
        *,
        since: int | None,
        partition: str | None = None,
        origin: Origin | None = None,
        anew: bool = False,
    ) -> Published:
        """Make `rows` the whole table (or the whole partition) that `contract` describes.

        `since` is the version that the writer knew when it began (None: there was no table). The contract is checked
        while the rows are written to files that nobody reads yet; only then are they committed, in one step. Unchanged
        rows are committed only if they are to be `anew`, because `origin` says something that has to be remembered.

        Raises `ContractError` when the rows break the contract, `CollectionError` when a single-valued column has
        another value in the table, `WriteConflictError` when the table (the partition) has changed since `since`,
        `DamagedLogError` when the table's log is damaged, and `StorageError` when the storage refuses or a file that
        was just written is gone. In each case the table is as it was.
        """
        _check_partition(contract, partition)
        contract.check_schema(rows.schema)  # a stream without batches has one too
        began = self._at(contract.table, since, even_if_lost=True) if since is not None else None
        known = _files_of(began, partition)
        replaced = [] if _schema_changed(contract, began) else known
        content = ContentHash(contract.schema, contract.volatile)
        single_values = _single_values(contract, began)
        batches = rows.to_batches() if isinstance(rows, pa.Table) else rows

        def observed() -> Iterator[pa.RecordBatch]:
            for batch in contract.checked(batches):
                _check_single_values(contract, partition, batch, single_values, self.root)
                content.update(batch)
                yield batch

        now = self._write_files(contract, observed(), partition, replaced)
        metadata = _commit_metadata(contract, partition, content, single_values, origin or Origin())
        with self._storage_errors(contract.table):
            version, changed = self._commit(contract, known, now, since, partition, metadata, anew)
        if changed:
            self._log(contract.table).settle(version)
        size = sum(file.size_bytes for file in now)
        return Published(contract.table, version, changed, content.rows, size, metadata["content_hash"])

    def remove(self, contract: Contract, partition: str, *, since: int, origin: Origin) -> Published:
        """Publish a table without one of its partitions; older versions keep it.

        Raises `UnknownTableError` when version `since` has no such partition, `WriteConflictError` when the partition
        has changed since, and `StorageError` when the storage refuses. In each case the table is as it was.
        """
        known = _files_of(self._at(contract.table, since), partition)
        if not known:
            raise UnknownTableError(f"{contract.table} has no {contract.partition} {partition!r} in version {since}")
        content = ContentHash(contract.schema, contract.volatile)
        metadata = _commit_metadata(contract, partition, content, {}, origin)
        with self._storage_errors(contract.table):
            version, changed = self._commit(contract, known, [], since, partition, metadata, anew=False)
        self._log(contract.table).settle(version)
        return Published(contract.table, version, changed, 0, 0, metadata["content_hash"])

    def _write_files(
        self, contract: Contract, batches: Iterable[pa.RecordBatch], partition: str | None, known: Sequence[DataFile]
    ) -> list[DataFile]:
        """Write the batches to Parquet files; a file that is there already, byte for byte, is kept in its stead."""
        kept = {(file.place, file.sha256): file for file in known}
        columns = [name for name in contract.schema.names if name != contract.partition]
        files = []
        for place, block in enumerate(_blocks(batches)):
            # the rows may come with other descriptions or names of list entries, which Parquet keeps in its bytes
            content = _parquet_bytes(block.cast(contract.schema).select(columns))
            sha256 = hashlib.sha256(content).hexdigest()
            file = kept.get((place, sha256))
            if file is None or not self._is_intact(contract.table, file):
                folder = f"{contract.partition}={partition}/" if partition else ""
                path = f"{folder}{place:05d}-{sha256}-{uuid.uuid4().hex[:8]}.parquet"
                self._put(contract.table, path, content)
                file = DataFile(path, len(content), block.num_rows, partition)
            files.append(file)
        return files

    def _commit(
        self,
        contract: Contract,
        known: Sequence[DataFile],
        now: Sequence[DataFile],
        since: int | None,
        partition: str | None,
        metadata: Mapping[str, Any],
        anew: bool,
    ) -> tuple[int, bool]:
        """Swap the files `known` for the files `now`, if the table still is what the writer knew.

        Gives the version that holds `now`, and whether it had to be made.

        Each try is against one exact version. A whole table is refused as soon as anyone else has committed; a
        partition only if somebody changed that partition, so that writers of disjoint partitions both land.
        """
        for _ in range(_LOST_RACES):
            head = self._newest(contract.table)
            version = head.version if head else None
            moved = version != since if partition is None else _paths(_files_of(head, partition)) != _paths(known)
            if moved:
                place = contract.table if partition is None else f"{contract.table}, {contract.partition}={partition}"
                raise WriteConflictError(
                    f"{place} was version {since} when this step began and is version {version} now: another run wrote "
                    "it meanwhile. Nothing was written; run the step again to take the newest into account."
                )
            metadata = {**metadata, "single_values": self._agreed(contract, head, metadata["single_values"])}
            is_new_schema = _schema_changed(contract, head)
            is_there = head is not None and not head.entry.is_lost and not is_new_schema
            if is_there and _paths(known) == _paths(now) and not anew:
                return version, False
            self._check_files(contract.table, now)
            schema = Schema.from_arrow(contract.schema) if head is None or is_new_schema else head.schema
            try:
                log = self._log(contract.table)
                return log.commit(head, schema, contract.partition, known, now, metadata, contract.grain), True
            except DeltaError:
                if self.head(contract.table) == version:
                    raise  # nobody else committed: this is no lost race
        raise WriteConflictError(
            f"{contract.table}: {_LOST_RACES} commits in a row were overtaken by other runs. Nothing was written; "
            "run the step again, with fewer runs at a time."
        )

    def _check_files(self, table: str, files: Iterable[DataFile]) -> None:
        """A commit names only files that are there: whatever took one, the table must stay readable."""
        for file in files:
            size = self._storage.size(f"{table}/{file.path}")
            if size != file.size_bytes:
                found = "is gone" if size is None else f"has {size} bytes instead of {file.size_bytes}"
                raise StorageError(
                    f"{self.uri(table)}/{file.path} was written for this commit and {found}: something else deletes or "
                    "changes files there. Nothing was committed and the last version is as it was; run the step again."
                )

    def _agreed(self, contract: Contract, head: Snapshot | None, written: Mapping[str, Any]) -> dict[str, Any]:
        """The table's single values with those just written, which another first write may have contradicted."""
        agreed = _single_values(contract, head)
        for name, value in written.items():
            _check_single_value(contract, name, value, agreed, self.root)
        return agreed

    def _put(self, table: str, path: str, content: bytes) -> None:
        with self._storage_errors(table):
            self._storage.write(f"{table}/{path}", content)

    @contextmanager
    def _storage_errors(self, table: str) -> Iterator[None]:
        try:
            yield
        except (OSError, DeltaError) as error:
            raise StorageError(
                f"{table} could not be written to {self.uri(table)}: {reason(error)}. "
                f"{self._storage.what_to_check} The last version is as it was; run the step again."
            ) from error

    # Reading

    def read(
        self,
        table: str,
        version: int | None = None,
        *,
        partitions: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The rows of a table version (None: the newest), every file verified.

        Raises `UnknownTableError` where there is no such table or version, `DamagedFileError` where a file's bytes are
        not those that were committed.
        """
        reader = self.stream(table, version, partitions=partitions, columns=columns)
        return pa.Table.from_batches(list(reader), schema=reader.schema)

    def stream(
        self,
        table: str,
        version: int | None = None,
        *,
        partitions: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.RecordBatchReader:
        """As `read`, but one file at a time: memory is bounded by the largest file (about 64 MB of rows)."""
        snapshot = self._at(table, version)
        schema = snapshot.arrow_schema
        files = list(snapshot.files)
        if partitions is not None:
            wanted = set(partitions)
            files = [file for file in files if file.partition in wanted]
        contents = (self._verified(table, file) for file in files)
        if files:
            first = next(contents)
            schema = _exact_schema(first, schema)
            contents = chain([first], contents)  # a file is read and verified once
        partition_column = snapshot.partition_column
        schema = pa.schema([schema.field(name) for name in columns]) if columns is not None else schema

        def batches() -> Iterator[pa.RecordBatch]:
            stored = [name for name in schema.names if name != partition_column]
            for file, content in zip(files, contents, strict=True):
                for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(columns=stored):
                    yield _with_partition(batch, schema, partition_column, file.partition)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def partitions(self, table: str, version: int | None = None) -> list[str]:
        """The partitions that a version of a table holds, sorted; none where there is no table."""
        if version is None and self.head(table) is None:
            return []
        return sorted({file.partition for file in self._at(table, version).files if file.partition is not None})

    def files(self, table: str, version: int | None = None) -> list[DataFile]:
        """The data files of a table version, in row order."""
        return list(self._at(table, version).files)

    def history(self, table: str) -> list[dict[str, Any]]:
        """What each version was made from, newest first.

        Keys: version, time (UTC), run_id, partition, rows, content_hash, code_version, inputs (table -> version),
        config, settings (None in commits that are older than these). Versions that were lost in a repair are left out.

        Raises `DamagedLogError` where a commit is not what it was.
        """
        return [_as_history(entry) for entry in self._entries(table)]

    def find_run(self, table: str, run_id: str) -> list[dict[str, Any]]:
        """The versions that a run committed, newest first, even if nothing else remembers that run."""
        return [entry for entry in self.history(table) if entry["run_id"] == run_id]

    def commit_of(self, table: str, version: int) -> dict[str, Any]:
        """What the given version was made from: one entry of `history`.

        Raises `UnknownTableError` where there is no such version or a repair has lost it, `DamagedLogError` where its
        commit is not what it was.
        """
        entry = self._log(table).entry(version)
        if entry.is_lost:
            raise lost_version(table, version)
        return _as_history(entry)

    def newest_commit_of(self, table: str, partition: str | None, version: int) -> dict[str, Any] | None:
        """What the partition was made from as of a version of its table; without one, what the table was.

        None where no commit up to that version is of the partition.
        """
        for at in range(version, -1, -1):
            entry = self._log(table).entry(at)
            if not entry.is_lost and partition in (None, entry.metadata.get("partition")):
                return _as_history(entry)
        return None

    def _entries(self, table: str) -> list[Entry]:
        """All commits but lost ones, newest first."""
        entries = map(self._log(table).entry, range(self._known_head(table), -1, -1))
        return [entry for entry in entries if not entry.is_lost]

    def _newest(self, table: str) -> Snapshot | None:
        """What a writer commits on top of."""
        version = self.head(table)
        return None if version is None else self._log(table).snapshot(version, even_if_lost=True)

    def _at(self, table: str, version: int | None, even_if_lost: bool = False) -> Snapshot:
        newest = self._known_head(table)
        if version is not None and not 0 <= version <= newest:
            raise UnknownTableError(f"{table} has versions 0 to {newest}; version {version} was wanted")
        return self._log(table).snapshot(newest if version is None else version, even_if_lost)

    def _existing(self, table: str) -> TableLog:
        self._known_head(table)
        return self._log(table)

    def _known_head(self, table: str) -> int:
        if (newest := self.head(table)) is None:
            known = ", ".join(self.tables()) or "none yet: `make run` makes them"
            raise UnknownTableError(f"{self.root} has no table {table!r}; it has: {known}")
        return newest

    def _verified(self, table: str, file: DataFile) -> bytes:
        path = f"{self.uri(table)}/{file.path}"
        content = self._storage.read(f"{table}/{file.path}")
        if content is None:
            raise DamagedFileError(
                f"{table}: {path} is gone. Either it was vacuumed with the old version it belonged to (read a newer "
                "one), or it was deleted by hand (materialize the table again)."
            )
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise DamagedFileError(
                f"{table}: the bytes of {path} are not those that were committed (SHA-256 {file.sha256[:12]}... was "
                "wanted). Materialize the table again, or read an earlier version."
            )
        return content

    def _is_intact(self, table: str, file: DataFile) -> bool:
        try:
            self._verified(table, file)
        except DamagedFileError:
            return False
        return True

    # Maintenance

    def pinned_versions(self) -> dict[str, set[int]]:
        """The versions that the newest version of some table was made from, however far back, and all heads.

        A table that continues itself (the map) pins the version that it continues, but not what that was made from:
        else nothing that ever led to it could be swept.
        """
        pinned: dict[str, set[int]] = {}
        heads = self.heads()
        waiting = list(heads.items())
        while waiting:
            table, version = waiting.pop()
            if version not in pinned.setdefault(table, set()):
                pinned[table].add(version)
                entry = self._log(table).entry(version)
                inputs = dict(entry.metadata.get("inputs", {}))  # those of a lost version are lost
                if (continued := inputs.pop(table, None)) is not None:
                    pinned[table].add(continued)
                waiting.extend((name, at) for name, at in inputs.items() if at <= heads.get(name, -1))
        return pinned

    def sweep(self, *, keep_newest: int = 10, keep_younger_than: timedelta = timedelta(days=7)) -> dict[str, list[str]]:
        """Delete data files that no kept version uses, and such versions' figures; give the files' paths by table.

        Kept are all pinned versions, the `keep_newest` newest of each table, and those committed within
        `keep_younger_than`. Files that no commit has named are kept for `UNCOMMITTED_FILES_ARE_KEPT` at least: a writer
        may be about to commit them. The log stays whole: only the rows of versions that are not kept are gone.
        deltalake's own vacuum is not used, because it commits (and so moves the head under every writer) and leaves
        files that were never committed.

        Raises `DamagedLogError` where a table's log is damaged, before anything is deleted: what that table was made
        from cannot be known.
        """
        pinned = self.pinned_versions()
        oldest = datetime.now(UTC) - keep_younger_than
        entries = {table: self._entries(table) for table in self.tables()}
        kept = {table: _kept(entries[table], pinned[table], keep_newest) for table in entries}
        unused = {table: self._unused(table, entries[table], kept[table], oldest) for table in entries}
        files = [f"{table}/{path}" for table, paths in unused.items() for path in paths]
        for table in entries:
            files += self._unused_figures(table, entries[table], kept[table], oldest)
        for path in files:
            with self._storage.errors(f"{path} could not be deleted from {self.root}"):
                self._storage.delete(path)
        return unused

    def _unused(self, table: str, entries: Sequence[Entry], kept: Sequence[Entry], oldest: datetime) -> list[str]:
        """Data files, older than `oldest`, of none of the commits `kept` (of all `entries`) and of no young version."""
        young = [entry for entry in entries if entry.time >= oldest]
        # What young versions use was in use when the window began, or one of them added it. There may be thousands of
        # them, so they are not opened one by one.
        when_it_began = [entry.version for entry in entries if entry.time < oldest][:1]
        versions = {entry.version for entry in kept} | set(when_it_began if young else [])
        used = {file.path for version in versions for file in self.files(table, version)}
        used |= {file.path for entry in young for file in entry.added}
        committed = {file.path for entry in entries for file in entry.added}
        uncommitted = min(oldest, datetime.now(UTC) - UNCOMMITTED_FILES_ARE_KEPT)
        unused = []
        for info in self._storage.listing(table, recursive=True):
            path = self._storage.relative(info, table)
            is_data = info.type == pafs.FileType.File and not path.startswith("_")
            if is_data and path not in used and info.mtime < (oldest if path in committed else uncommitted):
                unused.append(path)
        return sorted(unused)

    def _unused_figures(
        self, table: str, entries: Sequence[Entry], kept: Sequence[Entry], oldest: datetime
    ) -> list[str]:
        """Figures older than `oldest`, but for those of the commits `kept` and of the newest of each partition."""
        newest = {entry.metadata.get("partition"): entry for entry in reversed(entries)}
        used = {_figure(table, entry.metadata.get("content_hash")) for entry in (*newest.values(), *kept)}
        found = self._storage.listing(f"{_FIGURES}/{table}")
        return sorted({f"{_FIGURES}/{table}/{info.base_name}" for info in found if info.mtime < oldest} - used)

    def check(self, table: str) -> Checked:
        """Verify a table's newest version in full and the log of all, and list what is wrong without raising it.

        Raises `UnknownTableError` where there is no such table, `StorageError` where the storage fails.
        """
        return check(self._existing(table), partial(self._verified, table))

    def repair(self, table: str) -> Repaired:
        """Make the newest version that verifies completely the newest again; see `taproom.warehouse.log_repair.repair`.

        Raises what that raises.
        """
        return repair(self._existing(table), partial(self._verified, table))

    # Figures

    def put_figure(self, of: Published, content: bytes, part: str | None = None) -> str:
        """Store the figure (PNG) of rows that were published, and as the newest one of the table or of a part of it.

        Gives the address of the latter, `_figures/<table>.png` or `_figures/<table>-<part>.png`. Raises `StorageError`.
        """
        newest = f"{_FIGURES}/{of.table}{f'-{part}' if part else ''}.png"
        for path in (_figure(of.table, of.content_hash), newest):
            with self._storage.errors(f"{path} could not be written to {self.root}"):
                self._storage.replace(path, content, is_durable=False)
        return self._storage.uri(newest)

    def figure(self, table: str, content_hash: str) -> bytes | None:
        """The figure (PNG) of the rows of a table that have this hash; None where they have none, or it was swept."""
        path = _figure(table, content_hash)
        return self._storage.read(path) if _FIGURE_PATH.fullmatch(path) else None


def _kept(entries: Sequence[Entry], pinned: set[int], keep_newest: int) -> list[Entry]:
    """Of all commits, newest first: the `keep_newest` newest, and those of pinned versions."""
    return [entry for place, entry in enumerate(entries) if place < keep_newest or entry.version in pinned]


def _figure(table: str, content_hash: str) -> str:
    return f"{_FIGURES}/{table}/{content_hash}.png"


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join batches to tables of about `_BYTES_PER_FILE`, so that a stream becomes files of a bounded size.

    The chunks are combined because Parquet's pages follow them: the same rows must give the same bytes.
    """
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        waiting.append(batch)
        size += batch.nbytes
        if size >= _BYTES_PER_FILE:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting, size = [], 0
    if any(batch.num_rows for batch in waiting):
        yield pa.Table.from_batches(waiting).combine_chunks()


def _parquet_bytes(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()


def _paths(files: Iterable[DataFile]) -> set[str]:
    return {file.path for file in files}


def _files_of(snapshot: Snapshot | None, partition: str | None) -> list[DataFile]:
    files = snapshot.files if snapshot else ()
    return [file for file in files if partition is None or file.partition == partition]


def _single_values(contract: Contract, snapshot: Snapshot | None) -> dict[str, Any]:
    known = snapshot.entry.metadata.get("single_values", {}) if snapshot and contract.single_valued else {}
    return dict(known)


def _schema_changed(contract: Contract, snapshot: Snapshot | None) -> bool:
    """Whether the contract's columns differ from the table's. A partitioned table cannot change them."""
    wanted = pa.schema(Schema.from_arrow(contract.schema).to_arrow())
    if snapshot is None or snapshot.arrow_schema.equals(wanted):
        return False  # whatever the descriptions say
    if contract.partition and snapshot.files:
        raise ContractError(
            f"{contract.table}: its columns have changed since the table was made, and the other partitions still "
            f"have the old ones. Make the table anew in another warehouse ({WAREHOUSE_VARIABLE})."
        )
    return True


def _commit_metadata(
    contract: Contract, partition: str | None, content: ContentHash, single_values: Mapping[str, Any], origin: Origin
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
    }


def _as_history(entry: Entry) -> dict[str, Any]:
    names = ("run_id", "partition", "rows", "content_hash", "code_version")
    return {
        "version": entry.version,
        "time": entry.time,
        **{name: entry.metadata.get(name) for name in (*names, "settings")},
        "inputs": entry.metadata.get("inputs", {}),
        "config": entry.metadata.get("config", {}),
    }


def _check_partition(contract: Contract, partition: str | None) -> None:
    if (partition is None) != (contract.partition is None):
        wanted = f"one {contract.partition} at a time" if contract.partition else "as a whole"
        raise ContractError(f"{contract.table} is written {wanted}; the partition {partition!r} was given")
    if partition is not None and (not _PARTITION_VALUE.fullmatch(partition) or ".." in partition):
        raise ContractError(
            f"{contract.table}: {partition!r} cannot name a {contract.partition}. Wanted: letters, digits, '.', '_' "
            "and '-', beginning with a letter or digit, without '..'"
        )


def _check_single_values(
    contract: Contract, partition: str | None, batch: pa.RecordBatch, known: dict[str, Any], root: str
) -> None:
    """Hold the batch to the values that the whole table has, and learn them where it has none yet."""
    if partition is not None and any(value != partition for value in batch[contract.partition].unique().to_pylist()):
        raise ContractError(f"{contract.table}: rows of another {contract.partition} than {partition!r} were given")
    for name in contract.single_valued:
        for value in batch[name].unique().to_pylist():
            _check_single_value(contract, name, value, known, root)


def _check_single_value(contract: Contract, name: str, value: Any, known: dict[str, Any], root: str) -> None:
    if value != known.setdefault(name, value):
        raise CollectionError(
            f"{root} holds the {name} {known[name]!r}, and {value!r} was to be written to {contract.table}. "
            f"A warehouse holds one {name}: set {WAREHOUSE_VARIABLE} to another folder for this one."
        )


def _exact_schema(content: bytes, schema: pa.Schema) -> pa.Schema:
    """A file's own Arrow schema, which keeps what Delta's types cannot say, plus partition columns."""
    stored = pq.read_schema(pa.BufferReader(content))
    return pa.schema([stored.field(wanted.name) if wanted.name in stored.names else wanted for wanted in schema])


def _with_partition(
    batch: pa.RecordBatch, schema: pa.Schema, column: str | None, partition: str | None
) -> pa.RecordBatch:
    values = [
        pa.repeat(pa.scalar(partition, schema.field(name).type), batch.num_rows)
        if name == column
        else batch.column(name)
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(values, schema=schema)
