"""A table's Delta log, with proof: each commit carries hashes of its own metadata and of the version that it made.

Here belongs what a log entry says and whether it is what was committed. deltalake replays the log and commits to it;
what it finds is compared with the hashes before anybody reads or writes by it. Rows and contracts do not belong here.

An entry's `commitInfo` has the metadata as one text (`taproom`) and its SHA-256 (`taproom_sha256`): a text, since
deltalake rounds numbers, and a hash needs the very same characters. Among the metadata is the SHA-256 over all files of
the version, its schema and its partition column. Entries that older releases wrote have neither; they are read as they
are.

Beside the log, `_newest_commit` has a copy of the newest entry. It is written after each commit, so a newest entry that
is deleted is missed, and one that is damaged can be restored.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, CommitProperties, RemoveAction, create_table_with_add_actions

from taproom.errors import DamagedFileError, DamagedLogError, StorageError, UnknownTableError
from taproom.warehouse.storage import Storage, reason

LOG = "_delta_log"
# Commits are found again by run id and read by version for as long as their files are kept, so the log outlives them.
TABLE_PROPERTIES = {"delta.logRetentionDuration": "interval 36500 days"}

_NEWEST_COMMIT = "_newest_commit"
_NUMBERED = re.compile(r"(?P<version>\d{20})\.(?P<kind>json|checkpoint\..*parquet)")
_FILE_NAME = re.compile(r"(?P<place>\d{5})-(?P<sha256>[0-9a-f]{64})-[0-9a-f]{8}\.parquet$")
# Reader and writer versions that deltalake gives tables: the first ones, and the ones that list features.
PROTOCOLS = ((1, 2), (3, 7))


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


@dataclass(frozen=True)
class Entry:
    """One commit, as its log entry has it; `metadata` is verified where `is_sealed`.

    `declared` has the Delta actions `protocol` and `metaData`, where there are any, and `info` the whole `commitInfo`.
    """

    version: int
    time: datetime
    metadata: Mapping[str, Any]
    is_sealed: bool
    added: tuple[DataFile, ...]
    removed: frozenset[str]
    declared: Mapping[str, Any]
    info: Mapping[str, Any]

    @property
    def is_lost(self) -> bool:
        """Whether a repair has put this entry in place of a commit that could not be restored."""
        return bool(self.metadata.get("lost"))


@dataclass(frozen=True)
class Snapshot:
    """A version of a table: its commit, its schema and its files, in row order."""

    entry: Entry
    delta: DeltaTable

    @property
    def version(self) -> int:
        """The version's number."""
        return self.entry.version

    @cached_property
    def schema(self) -> Schema:
        """The columns, as Delta has them."""
        return self.delta.schema()

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The columns, as pyarrow has them."""
        return pa.schema(self.schema.to_arrow())

    @cached_property
    def partition_column(self) -> str | None:
        """The column that the table is partitioned by."""
        return next(iter(self.delta.metadata().partition_columns), None)

    @cached_property
    def files(self) -> tuple[DataFile, ...]:
        """The data files, by partition and place."""
        column = f"partition.{self.partition_column}" if self.partition_column else None
        wanted = ["path", "size_bytes", "num_records", *([column] if column else [])]
        columns = [
            added.to_pylist()
            for added in pa.table(self.delta.get_add_actions(flatten=True)).select(wanted).itercolumns()
        ]
        files = (DataFile(*values, *([] if column else [None])) for values in zip(*columns, strict=True))
        return tuple(sorted(files, key=lambda file: (file.partition or "", file.place)))

    def contradicts(self, metadata: Mapping[str, Any]) -> str | None:
        """What of this version is not what its commit has sealed; None where all is."""
        protocol = self.delta.protocol()
        if files_sha256(self.files) != metadata["files_sha256"]:
            return f"its files and rows ({sum(file.rows or 0 for file in self.files)} rows) are"
        if described(self.schema, self.partition_column) != metadata["described"]:
            return "its columns are"
        if self.delta.metadata().configuration != TABLE_PROPERTIES:
            return "its properties are"
        if (protocol.min_reader_version, protocol.min_writer_version) not in PROTOCOLS:
            return "its protocol is"
        return None


class TableLog:
    """The log of one table."""

    def __init__(self, storage: Storage, table: str) -> None:
        """Nothing is read yet."""
        self.storage = storage
        self.table = table
        self.uri = storage.uri(table)

    # Reading

    def newest(self) -> int | None:
        """The greatest number that a commit of the table has had; None where there has been none.

        It is found by names alone, so a damaged log has one, too.
        """
        noted = self.noted()  # first: a commit between the two is then no entry that is missing
        numbers = [version for version, _, _ in self.numbered()]
        return max([*numbers, *([noted[0]] if noted else [])], default=None)

    def numbered(self) -> list[tuple[int, str, str]]:
        """Version, kind (`json` or the checkpoint's) and name of all entries and checkpoints."""
        matches = (match for match in map(_NUMBERED.fullmatch, self.storage.names(f"{self.table}/{LOG}")) if match)
        return [(int(match["version"]), match["kind"], match[0]) for match in matches]

    def entry(self, version: int) -> Entry:
        """A commit. Raises `UnknownTableError` where there is none yet, `DamagedLogError` where it is damaged."""
        content = self.storage.read(self.entry_path(version))
        if content is not None:
            return self.parsed(version, content)
        if 0 <= version <= (-1 if (newest := self.newest()) is None else newest):
            raise self.damaged(version, "is gone")
        raise UnknownTableError(f"{self.storage.root} has no commit {version} of a table {self.table!r}")

    def parsed(self, version: int, content: bytes) -> Entry:
        """The commit that an entry's bytes say. Raises `DamagedLogError` where they are not what was committed."""
        try:
            return _parsed(version, content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise self.damaged(version, "is not what was committed") from error

    def snapshot(self, version: int, even_if_lost: bool = False) -> Snapshot:
        """A version, compared with what its commit has sealed.

        Raises `DamagedLogError` where they differ or the log cannot be read, `UnknownTableError` where the version was
        lost in a repair (unless `even_if_lost`, for a writer: it has no files then).
        """
        entry = self.entry(version)
        if entry.is_lost and not even_if_lost:
            raise lost_version(self.table, version)
        try:
            found = Snapshot(entry, DeltaTable(self.uri, version=version, storage_options=self.storage.options))
            contradiction = found.contradicts(entry.metadata) if entry.is_sealed else None
            found.files, found.arrow_schema  # noqa: B018  whatever cannot be read is found here
        except BaseException as error:
            if isinstance(error, DamagedFileError) or not (isinstance(error, Exception) or _is_panic(error)):
                raise
            if isinstance(error, OSError) and not self.storage.is_local:
                with self.storage.errors(f"the log of {self.table} could not be read from {self.uri}"):
                    raise
            raise self.damaged(version, f"cannot be replayed ({reason(error)})") from error
        if contradiction:
            raise self.damaged(version, f"cannot be replayed: {contradiction} not what was committed")
        return found

    def damaged(self, version: int, what: str) -> DamagedLogError:
        """An error that names the table, the entry and the way out."""
        return DamagedLogError(
            f"{self.table}: {self.storage.uri(self.entry_path(version))} {what}. Nothing is read from a damaged log "
            "or written to it. Repair it: "
            f"python -m taproom.warehouse.repair {self.table} --warehouse {self.storage.root}"
        )

    def entry_path(self, version: int) -> str:
        """Where a commit's entry lies in the storage."""
        return f"{self.table}/{LOG}/{version:020d}.json"

    def noted(self) -> tuple[int, bytes] | None:
        """Number and bytes of the newest entry, as noted after its commit; None where nothing sound is noted."""
        content = self.storage.read(f"{self.table}/{_NEWEST_COMMIT}") or b""
        head, _, entry = content.partition(b"\n")
        version, _, sha256 = head.partition(b" ")
        is_sound = version.isdigit() and sha256 == _note_sha256(version, entry)
        return (int(version), entry) if is_sound else None

    # Writing

    def commit(
        self,
        head: Snapshot | None,
        schema: Schema,
        partition_by: str | None,
        before: Sequence[DataFile],
        now: Sequence[DataFile],
        metadata: Mapping[str, Any],
        description: str = "",
    ) -> int:
        """Swap the files `before` for the files `now` on top of `head`, in one try; give the new version.

        A `schema` other than the head's replaces all files. Raises deltalake's error where the try is lost: a retry
        inside deltalake would not look at what has been committed meanwhile. `Warehouse.publish` looks and tries again,
        or refuses.
        """
        columns = described(schema, partition_by)
        is_new_schema = head is None or columns != described(head.schema, head.partition_column)
        kept = () if is_new_schema else [file for file in head.files if file.path not in {f.path for f in before}]
        version = 0 if head is None else head.version + 1
        metadata = {
            **metadata,
            "version": version,
            "committed_at": datetime.now(UTC).isoformat(),
            "table_rows": sum(file.rows for file in (*kept, *now)),
            "files_sha256": files_sha256((*kept, *now)),
            "described": columns,
        }
        properties = CommitProperties(custom_metadata=sealed(metadata), max_commit_retries=0)
        partitions = [partition_by] if partition_by else []
        old, new = set(before), set(now)
        added = [_add(partition_by, file) for file in now if is_new_schema or file not in old]
        if head is None:
            create_table_with_add_actions(
                self.uri, schema, added, mode="error", partition_by=partitions, name=self.table,
                description=description, configuration=TABLE_PROPERTIES, commit_properties=properties,
                storage_options=self.storage.options,
            )  # fmt: skip
        elif is_new_schema:
            head.delta.create_write_transaction(added, "overwrite", schema, partitions, commit_properties=properties)
        else:
            removed = [_remove(partition_by, file) for file in before if file not in new]
            head.delta.create_write_transaction(
                [*added, *removed], "append", schema, partitions, commit_properties=properties
            )
        return version

    def settle(self, version: int) -> None:
        """After a commit: have the disk confirm its entry, and note it beside the log.

        Raises `StorageError` where the disk does not confirm it. That it cannot be noted costs a protection, no commit.
        """
        path = self.entry_path(version)
        failed = f"{self.table} version {version} was committed to {self.uri}, but is not safe there"
        with self.storage.errors(failed):
            self.storage.sync(path, is_new_folder=version == 0)
        try:
            entry = self.storage.read(path) or b""
            number = str(version).encode()
            note = b"%s %s\n%s" % (number, _note_sha256(number, entry), entry)
            self.storage.replace(f"{self.table}/{_NEWEST_COMMIT}", note, is_durable=False)
        except (OSError, StorageError):
            pass


def lost_version(table: str, version: int) -> UnknownTableError:
    """An error that names a version which a repair could not restore."""
    return UnknownTableError(
        f"{table}: version {version} was lost when the log was repaired. Read another version, or materialize {table} "
        "again and then what is made from it."
    )


def sealed(metadata: Mapping[str, Any]) -> dict[str, str]:
    """A commit's metadata and its hash, as they stand in the entry."""
    text = json.dumps(metadata, sort_keys=True)
    return {"taproom": text, "taproom_sha256": hashlib.sha256(text.encode()).hexdigest()}


def files_sha256(files: Iterable[DataFile]) -> str:
    """SHA-256 over path, size, rows and partition of all files of a version, in whatever order they come."""
    lines = sorted(f"{file.path}\t{file.size_bytes}\t{file.rows}\t{file.partition}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def described(schema: Schema, partition_by: str | None) -> dict[str, Any]:
    """A schema and a partition column, as JSON has them."""
    return {"columns": json.loads(schema.to_json())["fields"], "partition_by": partition_by}


def _parsed(version: int, content: bytes) -> Entry:
    actions = [json.loads(line) for line in content.splitlines()]
    (info,) = [action["commitInfo"] for action in actions if "commitInfo" in action]
    metadata = info
    if is_sealed := bool({"taproom", "taproom_sha256"} & info.keys()):
        text = info["taproom"]
        if hashlib.sha256(text.encode()).hexdigest() != info["taproom_sha256"]:
            raise ValueError("the metadata's hash")
        metadata = json.loads(text)
        if metadata["version"] != version:
            raise ValueError("the metadata's version")
        at = datetime.fromisoformat(metadata["committed_at"])
    else:
        at = datetime.fromtimestamp(info["timestamp"] / 1000, tz=UTC)
    return Entry(
        version,
        at,
        metadata,
        is_sealed,
        tuple(_data_file(action["add"]) for action in actions if "add" in action),
        frozenset(_removed(action["remove"]) for action in actions if "remove" in action),
        {name: action[name] for name in ("protocol", "metaData") for action in actions if name in action},
        info,
    )


def _data_file(add: Mapping[str, Any]) -> DataFile:
    stats = json.loads(add.get("stats") or "{}")
    return DataFile(
        add["path"], add["size"], stats.get("numRecords"), next(iter(add["partitionValues"].values()), None)
    )


def _removed(remove: Mapping[str, Any]) -> str:
    remove["dataChange"]
    return remove["path"]


def _add(partition_by: str | None, file: DataFile) -> AddAction:
    stats = json.dumps({"numRecords": file.rows})
    return AddAction(file.path, file.size_bytes, partition_values(partition_by, file), now_ms(), True, stats)


def _remove(partition_by: str | None, file: DataFile) -> RemoveAction:
    return RemoveAction(file.path, True, now_ms(), file.size_bytes, partition_values(partition_by, file))


def partition_values(partition_by: str | None, file: DataFile) -> dict[str, str | None]:
    """A file's partition, as the log's actions have it."""
    return {partition_by: file.partition} if partition_by else {}


def now_ms() -> int:
    """The time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _note_sha256(version: bytes, entry: bytes) -> bytes:
    return hashlib.sha256(version + b"\n" + entry).hexdigest().encode()


def _is_panic(error: BaseException) -> bool:
    """Whether deltalake's Rust code has panicked, which pyo3 raises past `Exception`."""
    return type(error).__name__ == "PanicException"
