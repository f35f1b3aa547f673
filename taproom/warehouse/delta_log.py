"""A table's Delta log: read with verification, and committed to.

deltalake replays the log and commits to it. What it finds is compared here with the hashes in each commit's metadata
(`log_entries`), so that a damaged log is an error and never other rows.

Beside the log, the file `_newest_commit` has a copy of the newest entry. It is written after each commit. With it, a
newest entry that was deleted is noticed, and one that is damaged can be restored.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, CommitProperties, RemoveAction, create_table_with_add_actions

from taproom.errors import DamagedFileError, DamagedLogError, StorageError, UnknownTableError
from taproom.object_store import reason
from taproom.warehouse.data_files import DataFile, paths
from taproom.warehouse.log_entries import (
    Entry,
    columns_as_json,
    files_sha256,
    now_ms,
    parse_entry,
    partition_values,
    with_hash,
)
from taproom.warehouse.storage import Storage

LOG = "_delta_log"
# The log is never cleaned up: commits are looked up by run id and read by version for as long as their files are kept.
TABLE_PROPERTIES = {"delta.logRetentionDuration": "interval 36500 days"}
# Reader and writer versions that deltalake gives tables: the first ones, and the ones that list features.
PROTOCOLS = ((1, 2), (3, 7))

_NEWEST_COMMIT = "_newest_commit"
_ENTRY_NAME = re.compile(r"(?P<version>\d{20})\.(?P<kind>json|checkpoint\..*parquet)")


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
        """The data files, by partition and position."""
        partition = [f"partition.{self.partition_column}"] if self.partition_column else []
        wanted = ["path", "size_bytes", "num_records", *partition]
        # not `pa.table`, which imports pandas to see whether it was given a frame
        added = pa.RecordBatchReader.from_stream(self.delta.get_add_actions(flatten=True)).read_all()
        columns = [column.to_pylist() for column in added.select(wanted).itercolumns()]
        files = (DataFile(*values, *([] if partition else [None])) for values in zip(*columns, strict=True))
        return tuple(sorted(files, key=lambda file: (file.partition or "", file.position)))

    def mismatch(self) -> str | None:
        """What of this version differs from its commit's metadata, in words; None where nothing does.

        Commits of older releases have no hashes, so nothing is compared.
        """
        if not self.entry.has_hash:
            return None
        metadata, protocol = self.entry.metadata, self.delta.protocol()
        if files_sha256(self.files) != metadata["files_sha256"]:
            return f"its files and rows ({sum(file.rows or 0 for file in self.files)} rows) are"
        if columns_as_json(self.schema, self.partition_column) != metadata["described"]:
            return "its columns are"
        if self.delta.metadata().configuration != TABLE_PROPERTIES:
            return "its properties are"
        if (protocol.min_reader_version, protocol.min_writer_version) not in PROTOCOLS:
            return "its protocol is"
        return None


class TableLog:
    """The log of one table."""

    def __init__(self, storage: Storage, table: str) -> None:
        """Open the log of `table`, without reading from it."""
        self.storage = storage
        self.table = table
        self.uri = storage.uri(table)

    # Reading

    def newest(self) -> int | None:
        """The newest version, None where there is none; found by file names, so a damaged log has one too."""
        copy = self.newest_entry_copy()  # first, so that a commit between the two does not look like a missing entry
        versions = [version for version, _, _ in self.entries_and_checkpoints()]
        return max([*versions, *([copy[0]] if copy else [])], default=None)

    def entries_and_checkpoints(self) -> list[tuple[int, str, str]]:
        """Version, kind (`json`, or that of a checkpoint) and file name of all entries and checkpoints."""
        names = self.storage.names(f"{self.table}/{LOG}")
        matches = (match for match in map(_ENTRY_NAME.fullmatch, names) if match)
        return [(int(match["version"]), match["kind"], match[0]) for match in matches]

    def entry(self, version: int) -> Entry:
        """The commit of a version.

        Raises:
            UnknownTableError: there is no such version yet.
            DamagedLogError: the entry is gone or damaged.
        """
        content = self.storage.read(self.entry_path(version))
        if content is not None:
            return self.parse(version, content)
        if 0 <= version <= (-1 if (newest := self.newest()) is None else newest):
            raise self.damaged(version, "is gone")
        raise UnknownTableError(f"{self.storage.root} has no commit {version} of a table {self.table!r}")

    def parse(self, version: int, content: bytes) -> Entry:
        """The commit in an entry's bytes.

        Raises:
            DamagedLogError: the bytes are not what was committed.
        """
        try:
            return parse_entry(version, content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise self.damaged(version, "is not what was committed") from error

    def snapshot(self, version: int, even_if_lost: bool = False) -> Snapshot:
        """A version, compared with its commit's metadata.

        A version that was lost in a repair has no files; it is opened only if `even_if_lost`, for a writer.

        Raises:
            DamagedLogError: they differ, or the log cannot be read.
            UnknownTableError: the version was lost in a repair.
        """
        entry = self.entry(version)
        if entry.is_lost and not even_if_lost:
            raise lost_version(self.table, version)
        try:
            found = Snapshot(entry, DeltaTable(self.uri, version=version, storage_options=self.storage.options))
            mismatch = found.mismatch()
            found.files, found.arrow_schema  # noqa: B018  so that what cannot be read raises here
        except BaseException as error:
            if isinstance(error, DamagedFileError) or not (isinstance(error, Exception) or _is_panic(error)):
                raise
            if isinstance(error, OSError) and not self.storage.is_local:
                with self.storage.errors(f"the log of {self.table} could not be read from {self.uri}"):
                    raise
            raise self.damaged(version, f"cannot be replayed ({reason(error)})") from error
        if mismatch:
            raise self.damaged(version, f"cannot be replayed: {mismatch} not what was committed")
        return found

    def damaged(self, version: int, what: str) -> DamagedLogError:
        """The error for a damaged entry: it names the table, the entry and the command that repairs it."""
        return DamagedLogError(
            f"{self.table}: {self.storage.uri(self.entry_path(version))} {what}. Nothing is read from a damaged log "
            "or written to it. Repair it: "
            f"python -m taproom.warehouse.repair {self.table} --warehouse {self.storage.root}"
        )

    def being_repaired(self, version: int) -> DamagedLogError:
        """The error for a newest version that was lost, while an older one is not yet committed again."""
        return self.damaged(version, "is being repaired, or a repair of it was interrupted")

    def entry_path(self, version: int) -> str:
        """The path of a commit's entry in the storage."""
        return f"{self.table}/{LOG}/{version:020d}.json"

    def newest_entry_copy(self) -> tuple[int, bytes] | None:
        """Version and bytes of the newest entry, from the copy beside the log; None without an undamaged copy."""
        content = self.storage.read(f"{self.table}/{_NEWEST_COMMIT}") or b""
        first_line, _, entry = content.partition(b"\n")
        version, _, sha256 = first_line.partition(b" ")
        is_sound = version.isdigit() and sha256 == _copy_sha256(version, entry)
        return (int(version), entry) if is_sound else None

    # Writing

    def commit(
        self,
        head: Snapshot | None,
        schema: Schema,
        partition_by: str | None,
        before: Sequence[DataFile],
        after: Sequence[DataFile],
        metadata: Mapping[str, Any],
        description: str = "",
    ) -> int:
        """Replace the files `before` by the files `after`, on top of `head`, in one try; give the new version.

        Files that are neither in `before` nor in `after` stay. With a `schema` other than the head's they are those of
        other partitions than the one in `metadata`, and have nulls in the columns that are new. deltalake is not to
        retry, because it would not look at what was committed meanwhile; `compare_and_swap` does.

        Raises:
            deltalake.exceptions.DeltaError: another writer has committed first, or the log cannot be written.
        """
        columns = columns_as_json(schema, partition_by)
        is_new_schema = head is None or columns != columns_as_json(head.schema, head.partition_column)
        replaced = paths(before)
        kept = [] if head is None else [file for file in head.files if file.path not in replaced]
        version = 0 if head is None else head.version + 1
        metadata = {
            **metadata,
            "version": version,
            "committed_at": datetime.now(UTC).isoformat(),
            "table_rows": sum(file.rows for file in (*kept, *after)),
            "files_sha256": files_sha256((*kept, *after)),
            "described": columns,
            "ranges": {file.path: file.ranges for file in after if file.ranges},
        }
        properties = CommitProperties(custom_metadata=with_hash(metadata), max_commit_retries=0)
        partitions = [partition_by] if partition_by else []
        old, new = set(before), set(after)
        added = [_add(partition_by, file) for file in after if is_new_schema or file not in old]
        if head is None:
            create_table_with_add_actions(
                self.uri, schema, added, mode="error", partition_by=partitions, name=self.table,
                description=description, configuration=TABLE_PROPERTIES, commit_properties=properties,
                storage_options=self.storage.options,
            )  # fmt: skip
        elif is_new_schema:
            own = [(partition_by, "=", metadata["partition"])] if partition_by and kept else None
            head.delta.create_write_transaction(
                [*added], "overwrite", schema, partitions, own, commit_properties=properties
            )
        else:
            removed = [_remove(partition_by, file) for file in before if file not in new]
            head.delta.create_write_transaction(
                [*added, *removed], "append", schema, partitions, commit_properties=properties
            )
        return version

    def confirm(self, version: int) -> None:
        """After a commit: have the disk confirm its entry, and copy it beside the log.

        A copy that cannot be written is no error: it only protects the newest entry. Nor is an entry that was damaged
        meanwhile, which is not copied: a repair would take the copy for what was committed.

        Raises:
            StorageError: the disk does not confirm the entry.
        """
        path = self.entry_path(version)
        failed = f"{self.table} version {version} was committed to {self.uri}, but is not safe there"
        with self.storage.errors(failed):
            self.storage.sync(path, is_new_folder=version == 0)
        try:
            entry = self.storage.read(path) or b""
            self.parse(version, entry)
            number = str(version).encode()
            copy = b"%s %s\n%s" % (number, _copy_sha256(number, entry), entry)
            self.storage.replace(f"{self.table}/{_NEWEST_COMMIT}", copy, is_durable=False)
        except (OSError, StorageError, DamagedLogError):
            pass


def lost_version(table: str, version: int) -> UnknownTableError:
    """The error for a version that a repair could not restore."""
    return UnknownTableError(
        f"{table}: version {version} was lost when the log was repaired. Read another version, or materialize {table} "
        "again and then what is made from it."
    )


def _add(partition_by: str | None, file: DataFile) -> AddAction:
    stats = json.dumps({"numRecords": file.rows})
    return AddAction(file.path, file.size_bytes, partition_values(partition_by, file), now_ms(), True, stats)


def _remove(partition_by: str | None, file: DataFile) -> RemoveAction:
    return RemoveAction(file.path, True, now_ms(), file.size_bytes, partition_values(partition_by, file))


def _copy_sha256(version: bytes, entry: bytes) -> bytes:
    return hashlib.sha256(version + b"\n" + entry).hexdigest().encode()


def _is_panic(error: BaseException) -> bool:
    """Whether deltalake's Rust code has panicked: pyo3 raises that as a `BaseException`."""
    return type(error).__name__ == "PanicException"
