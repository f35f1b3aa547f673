"""The warehouse: versioned tables in Delta Lake, written by compare-and-swap and verified on every read.

Why a layer over `deltalake` at all:

- its writers retry a lost race by default, which mixes the rows of two first writes; here every commit is tried against
  one exact version, and what is done about a lost race is decided here;
- a flipped byte in a data file would read as a wrong number; here a file's SHA-256 is part of its name, and it is
  compared whenever the file is read;
- a table that has not changed gets no new version.

A data file is called `<place>-<sha256>-<random>.parquet`: its place in the table's row order, the hash of its bytes,
and enough chance that no two writers ever share a file. Partition columns lie in the Delta log alone, as the protocol
has it. What made a commit (run, content hash, versions of the inputs, configuration) is in the commit's own metadata.

Nothing here knows of Dagster; `pipelines/tables.py` joins the two.
"""

import hashlib
import io
import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, CommitProperties, RemoveAction, create_table_with_add_actions

from taproom.content import ContentHash
from taproom.contracts import Contract
from taproom.errors import (
    CollectionError,
    ContractError,
    DamagedFileError,
    StorageError,
    UnknownTableError,
    WriteConflictError,
)

WAREHOUSE_VARIABLE = "TAPROOM_WAREHOUSE"
DEFAULT_WAREHOUSE = Path(__file__).resolve().parents[1] / "data" / "warehouse"

# Commits are found again by run id and read by version for as long as their files are kept, so the log outlives them.
_TABLE_PROPERTIES = {"delta.logRetentionDuration": "interval 36500 days"}
_BYTES_PER_FILE = 64 * 2**20
_LOST_RACES = 100
_FILE_NAME = re.compile(r"(?P<place>\d{5})-(?P<sha256>[0-9a-f]{64})-[0-9a-f]{8}\.parquet$")
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


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table version."""

    path: str
    size_bytes: int
    rows: int
    partition: str | None

    @property
    def place(self) -> int:
        """Position of the file's rows in the order of the table (or partition)."""
        return int(self._name["place"])

    @property
    def sha256(self) -> str:
        """SHA-256 that the file's bytes had when they were committed."""
        return self._name["sha256"]

    @property
    def _name(self) -> re.Match[str]:
        if not (match := _FILE_NAME.search(self.path)):
            raise DamagedFileError(
                f"{self.path} was not written by Taproom: its name holds no SHA-256, so its bytes cannot be verified. "
                "Write tables through Taproom, or keep this one outside its warehouse."
            )
        return match


def default_root() -> str:
    """`$TAPROOM_WAREHOUSE`, or `data/warehouse` in the repo."""
    return os.environ.get(WAREHOUSE_VARIABLE) or str(DEFAULT_WAREHOUSE)


class Warehouse:
    """A folder (or an object-store URL) of Delta tables, one folder a table."""

    def __init__(self, root: str | os.PathLike | None = None) -> None:
        """Open the warehouse at `root`, by default the one that `default_root` names. Nothing is created yet."""
        root = str(root or default_root())
        if "://" in root:
            self._files, self._base = pafs.FileSystem.from_uri(root)
            self.root = root.rstrip("/")
        else:
            self._files, self._base = pafs.LocalFileSystem(), str(Path(root).resolve())
            self.root = self._base

    def uri(self, table: str) -> str:
        """Where the table lies, as deltalake, pandas and DuckDB take it."""
        return f"{self.root}/{table}"

    def tables(self) -> list[str]:
        """Names of the tables that exist, sorted."""
        entries = self._files.get_file_info(pafs.FileSelector(self._base, allow_not_found=True))
        folders = [entry.base_name for entry in entries if entry.type == pafs.FileType.Directory]
        return sorted(name for name in folders if DeltaTable.is_deltatable(self.uri(name)))

    def head(self, table: str) -> int | None:
        """The newest version of a table, or None where there is no such table."""
        return delta.version() if (delta := self._newest(table)) else None

    def heads(self) -> dict[str, int]:
        """The newest version of every table."""
        return {table: self.head(table) for table in self.tables()}

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
        another value in the table, `WriteConflictError` when the table (the partition) has changed since `since`, and
        `StorageError` when the storage refuses. In each case the table is as it was.
        """
        _check_partition(contract, partition)
        contract.check_schema(rows.schema)  # a stream without batches has one too
        began = self._at(contract.table, since) if since is not None else None
        known = self._files_of(began, partition)
        replaced = [] if _schema_changed(contract, began) else known
        content = ContentHash(contract.schema, contract.volatile)
        single_values: dict[str, Any] = self._single_values(contract, since)
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
        size = sum(file.size_bytes for file in now)
        return Published(contract.table, version, changed, content.rows, size, metadata["content_hash"])

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
            version = head.version() if head else None
            moved = version != since if partition is None else _paths(self._files_of(head, partition)) != _paths(known)
            if moved:
                place = contract.table if partition is None else f"{contract.table}, {contract.partition}={partition}"
                raise WriteConflictError(
                    f"{place} was version {since} when this step began and is version {version} now: another run wrote "
                    "it meanwhile. Nothing was written; run the step again to take the newest into account."
                )
            metadata = {**metadata, "single_values": self._agreed(contract, version, metadata["single_values"])}
            same = head is not None and _paths(known) == _paths(now) and not _schema_changed(contract, head)
            if same and not anew:
                return version, False
            try:
                return self._swap(contract, head, known, now, metadata), True
            except DeltaError:
                if self.head(contract.table) == version:
                    raise  # nobody else committed: this is no lost race
        raise WriteConflictError(
            f"{contract.table}: {_LOST_RACES} commits in a row were overtaken by other runs. Nothing was written; "
            "run the step again, with fewer runs at a time."
        )

    def _swap(
        self,
        contract: Contract,
        head: DeltaTable | None,
        known: Sequence[DataFile],
        now: Sequence[DataFile],
        metadata: Mapping[str, Any],
    ) -> int:
        schema = Schema.from_arrow(contract.schema)
        partition_by = [contract.partition] if contract.partition else []
        # One try: a retry inside deltalake would not look whether the partition is still the one that was known.
        properties = CommitProperties(custom_metadata=dict(metadata), max_commit_retries=0)
        if head is None:
            create_table_with_add_actions(
                self.uri(contract.table), schema, [_add(contract, file) for file in now], mode="error",
                partition_by=partition_by, name=contract.table, description=contract.grain,
                configuration=_TABLE_PROPERTIES, commit_properties=properties,
            )  # fmt: skip
            return 0
        added = [_add(contract, file) for file in now if file not in known]
        if _schema_changed(contract, head):
            head.create_write_transaction(added, "overwrite", schema, partition_by, commit_properties=properties)
        else:
            removed = [_remove(contract, file) for file in known if file not in now]
            head.create_write_transaction(
                [*added, *removed], "append", schema, partition_by, commit_properties=properties
            )
        return head.version() + 1

    def _agreed(self, contract: Contract, version: int | None, written: Mapping[str, Any]) -> dict[str, Any]:
        """The table's single values with those just written, which another first write may have contradicted."""
        agreed = self._single_values(contract, version)
        for name, value in written.items():
            _check_single_value(contract, name, value, agreed, self.root)
        return agreed

    def _single_values(self, contract: Contract, version: int | None) -> dict[str, Any]:
        if version is None or not contract.single_valued:
            return {}
        return dict(self._commit_info(contract.table, version).get("single_values", {}))

    def _put(self, table: str, path: str, content: bytes) -> None:
        full = f"{self._base}/{table}/{path}"
        with self._storage_errors(table):
            self._files.create_dir(full.rpartition("/")[0], recursive=True)
            try:
                with self._files.open_output_stream(full) as stream:
                    stream.write(content)
            except OSError:
                with suppress(OSError):
                    self._files.delete_file(full)  # or what was written of it would keep a full disk full
                raise

    @contextmanager
    def _storage_errors(self, table: str) -> Iterator[None]:
        try:
            yield
        except (OSError, DeltaError) as error:
            raise StorageError(
                f"{table} could not be written to {self.uri(table)}: {error}. "
                "Free room or mend the permissions and run again; the last version is as it was."
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
        delta = self._at(table, version)
        schema = _arrow_schema(delta.schema())
        files = self._files_of(delta)
        if partitions is not None:
            wanted = set(partitions)
            files = [file for file in files if file.partition in wanted]
        contents = (self._verified(table, file) for file in files)
        if files:
            first = next(contents)
            schema = _exact_schema(first, schema)
            contents = chain([first], contents)  # a file is read and verified once
        partition_column = next(iter(delta.metadata().partition_columns), None)
        schema = pa.schema([schema.field(name) for name in columns]) if columns is not None else schema

        def batches() -> Iterator[pa.RecordBatch]:
            stored = [name for name in schema.names if name != partition_column]
            for file, content in zip(files, contents, strict=True):
                for batch in pq.ParquetFile(pa.BufferReader(content)).iter_batches(columns=stored):
                    yield _with_partition(batch, schema, partition_column, file.partition)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def partitions(self, table: str, version: int | None = None) -> list[str]:
        """The partitions that a version of a table holds, sorted; none where there is no table."""
        delta = self._newest(table) if version is None else self._at(table, version)
        return sorted({file.partition for file in self._files_of(delta) if file.partition is not None})

    def files(self, table: str, version: int | None = None) -> list[DataFile]:
        """The data files of a table version, in row order."""
        return self._files_of(self._at(table, version))

    def history(self, table: str) -> list[dict[str, Any]]:
        """What each version was made from, newest first.

        Keys: version, time (UTC), run_id, partition, rows, content_hash, code_version, inputs (table -> version),
        config, settings (None in commits that are older than these).
        """
        newest = self._at(table, None).version()
        return [self.commit_of(table, version) for version in range(newest, -1, -1)]

    def find_run(self, table: str, run_id: str) -> list[dict[str, Any]]:
        """The versions that a run committed, newest first, even if nothing else remembers that run."""
        return [entry for entry in self.history(table) if entry["run_id"] == run_id]

    def commit_of(self, table: str, version: int) -> dict[str, Any]:
        """What the given version was made from: one entry of `history`."""
        return _as_history(version, self._commit_info(table, version))

    def newest_commit_of(self, table: str, partition: str | None, version: int) -> dict[str, Any] | None:
        """What the partition was made from as of a version of its table; without one, what the table was.

        None where no commit up to that version is of the partition.
        """
        for at in range(version, -1, -1):
            commit = self.commit_of(table, at)
            if partition is None or commit["partition"] == partition:
                return commit
        return None

    def _commit_info(self, table: str, version: int) -> dict[str, Any]:
        return next(action["commitInfo"] for action in self._log_entry(table, version) if "commitInfo" in action)

    def _log_entry(self, table: str, version: int) -> list[dict[str, Any]]:
        """What the log itself says: `DeltaTable.history` counts back from the newest commit, whichever that is."""
        try:
            with self._files.open_input_file(f"{self._base}/{table}/_delta_log/{version:020d}.json") as log:
                return [json.loads(line) for line in log.read().splitlines()]
        except FileNotFoundError as error:
            raise UnknownTableError(f"{self.root} has no commit {version} of a table {table!r}") from error

    def _newest(self, table: str) -> DeltaTable | None:
        try:
            return DeltaTable(self.uri(table))
        except TableNotFoundError:
            return None

    def _at(self, table: str, version: int | None) -> DeltaTable:
        newest = self._newest(table)
        if newest is None:
            known = ", ".join(self.tables()) or "none yet: `make run` makes them"
            raise UnknownTableError(f"{self.root} has no table {table!r}; it has: {known}")
        if version is None or version == newest.version():
            return newest
        if not 0 <= version <= newest.version():
            raise UnknownTableError(f"{table} has versions 0 to {newest.version()}; version {version} was wanted")
        return DeltaTable(self.uri(table), version=version)

    def _files_of(self, delta: DeltaTable | None, partition: str | None = None) -> list[DataFile]:
        if delta is None:
            return []
        column = next(iter(delta.metadata().partition_columns), None)
        actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
        files = [
            DataFile(add["path"], add["size_bytes"], add["num_records"], add[f"partition.{column}"] if column else None)
            for add in actions
        ]
        chosen = [file for file in files if partition is None or file.partition == partition]
        return sorted(chosen, key=lambda file: (file.partition or "", file.place))

    def _verified(self, table: str, file: DataFile) -> bytes:
        path = f"{self._base}/{table}/{file.path}"
        try:
            with self._files.open_input_file(path) as stream:
                content = stream.read()
        except FileNotFoundError as error:
            raise DamagedFileError(
                f"{table}: {path} is gone. Either it was vacuumed with the old version it belonged to (read a newer "
                "one), or it was deleted by hand (materialize the table again)."
            ) from error
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
                inputs = dict(self.commit_of(table, version)["inputs"])
                if (continued := inputs.pop(table, None)) is not None:
                    pinned[table].add(continued)
                waiting.extend((name, at) for name, at in inputs.items() if at <= heads.get(name, -1))
        return pinned

    def sweep(self, *, keep_newest: int = 10, keep_younger_than: timedelta = timedelta(days=7)) -> dict[str, list[str]]:
        """Delete data files that no kept version uses; give their paths by table.

        Kept are all pinned versions, the `keep_newest` newest of each table, and those committed within
        `keep_younger_than`. That age also protects files which a writer has not committed yet. The log stays whole:
        only the rows of versions that are not kept are gone. deltalake's own vacuum is not used, because it commits
        (and so moves the head under every writer) and leaves files that were never committed.
        """
        pinned = self.pinned_versions()
        oldest = datetime.now(UTC) - keep_younger_than
        return {table: self._sweep_table(table, pinned[table], keep_newest, oldest) for table in self.tables()}

    def _sweep_table(self, table: str, pinned: set[int], keep_newest: int, oldest: datetime) -> list[str]:
        history = self.history(table)
        young = [entry["version"] for entry in history if entry["time"] >= oldest]
        # What young versions use was in use when the window began, or one of them added it. There may be thousands of
        # them, so they are not opened one by one.
        when_it_began = [entry["version"] for entry in history if entry["time"] < oldest][:1]
        kept = pinned | {entry["version"] for entry in history[:keep_newest]} | set(when_it_began if young else [])
        used = {file.path for version in kept for file in self.files(table, version)}
        used |= {path for version in young for path in self._added(table, version)}
        base = f"{self._base}/{table}/"
        swept = []
        for entry in self._files.get_file_info(pafs.FileSelector(base, recursive=True)):
            path = entry.path.removeprefix(base)
            is_data = entry.type == pafs.FileType.File and not path.startswith("_delta_log/")
            if is_data and path not in used and entry.mtime < oldest:
                self._files.delete_file(entry.path)
                swept.append(path)
        return sorted(swept)

    def _added(self, table: str, version: int) -> Iterator[str]:
        """Paths of the files that a commit added."""
        return (action["add"]["path"] for action in self._log_entry(table, version) if "add" in action)

    def put_figure(self, name: str, content: bytes) -> str:
        """Store a picture under `_figures/` of the warehouse, in place of the last of its name; give its address."""
        self._put("_figures", name, content)
        return f"{self.root}/_figures/{name}"


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


def _partition_values(contract: Contract, file: DataFile) -> dict[str, str | None]:
    return {contract.partition: file.partition} if contract.partition else {}


def _schema_changed(contract: Contract, delta: DeltaTable | None) -> bool:
    """Whether the contract's columns differ from the table's. A partitioned table cannot change them."""
    if delta is None or _arrow_schema(delta.schema()).equals(_arrow_schema(Schema.from_arrow(contract.schema))):
        return False  # whatever the descriptions say
    if contract.partition:
        raise ContractError(
            f"{contract.table}: its columns have changed since the table was made, and the other partitions still "
            f"have the old ones. Make the table anew in another warehouse ({WAREHOUSE_VARIABLE})."
        )
    return True


def _add(contract: Contract, file: DataFile) -> AddAction:
    stats = json.dumps({"numRecords": file.rows})
    return AddAction(file.path, file.size_bytes, _partition_values(contract, file), _now_ms(), True, stats)


def _remove(contract: Contract, file: DataFile) -> RemoveAction:
    return RemoveAction(file.path, True, _now_ms(), file.size_bytes, _partition_values(contract, file))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


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


def _as_history(version: int, info: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: info.get(name) for name in ("run_id", "partition", "rows", "content_hash", "code_version")}
    at = datetime.fromtimestamp(info["timestamp"] / 1000, tz=UTC)
    return {
        "version": version,
        "time": at,
        **kept,
        "inputs": info.get("inputs", {}),
        "config": info.get("config", {}),
        "settings": info.get("settings"),
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


def _arrow_schema(schema: Schema) -> pa.Schema:
    return pa.schema(schema.to_arrow())


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
