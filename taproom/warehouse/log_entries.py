"""What an entry of a Delta log says, and whether it is what was committed.

Each commit has its metadata in `commitInfo` as one text (`taproom`) with its SHA-256 (`taproom_sha256`). It is a text
because deltalake rounds numbers, and a hash needs the exact characters. Part of the metadata are the SHA-256 over all
files of the version, its schema and its partition column. Entries of older releases have neither text nor hash; they
are read as they are.

Here belongs what needs no storage: parsing, hashing and building parts of entries. `delta_log` reads and writes them.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deltalake import Schema

from taproom.warehouse.data_files import DataFile


@dataclass(frozen=True)
class Entry:
    """One commit, as its log entry has it; `metadata` is verified where `has_hash`.

    `declared` has the Delta actions `protocol` and `metaData`, where there are any, and `info` the whole `commitInfo`.
    """

    version: int
    time: datetime
    metadata: Mapping[str, Any]
    has_hash: bool
    added: tuple[DataFile, ...]
    removed: frozenset[str]
    declared: Mapping[str, Any]
    info: Mapping[str, Any]

    @property
    def is_lost(self) -> bool:
        """Whether a repair has written this entry in place of a commit that could not be restored."""
        return bool(self.metadata.get("lost"))

    @property
    def is_being_restored(self) -> bool:
        """Whether this entry is lost, and the repair that wrote it is about to commit the rows of an older version."""
        return bool(self.metadata.get("restoring"))


def parse_entry(version: int, content: bytes) -> Entry:
    """The commit in the bytes of a log entry.

    Raises:
        ValueError: the metadata's hash or version is wrong, or the bytes are no JSON.
        KeyError, TypeError, AttributeError, RecursionError, OverflowError: the JSON is no log entry.
    """
    actions = [json.loads(line) for line in content.splitlines()]
    (info,) = [action["commitInfo"] for action in actions if "commitInfo" in action]
    metadata = info
    if has_hash := bool({"taproom", "taproom_sha256"} & info.keys()):
        text = info["taproom"]
        if hashlib.sha256(text.encode()).hexdigest() != info["taproom_sha256"]:
            raise ValueError("the metadata's hash")
        metadata = json.loads(text)
        if metadata["version"] != version:
            raise ValueError("the metadata's version")
        committed_at = datetime.fromisoformat(metadata["committed_at"])
    else:
        committed_at = datetime.fromtimestamp(info["timestamp"] / 1000, tz=UTC)
    return Entry(
        version,
        committed_at,
        metadata,
        has_hash,
        tuple(_added(action["add"]) for action in actions if "add" in action),
        frozenset(_removed(action["remove"]) for action in actions if "remove" in action),
        {name: action[name] for name in ("protocol", "metaData") for action in actions if name in action},
        info,
    )


def with_hash(metadata: Mapping[str, Any]) -> dict[str, str]:
    """A commit's metadata as text, and its hash: the two keys of `commitInfo`.

    >>> with_hash({"rows": 3})["taproom"]
    '{"rows": 3}'
    """
    text = json.dumps(metadata, sort_keys=True)
    return {"taproom": text, "taproom_sha256": hashlib.sha256(text.encode()).hexdigest()}


def files_sha256(files: Iterable[DataFile]) -> str:
    """SHA-256 over path, size, rows and partition of all files of a version, in any order."""
    lines = sorted(f"{file.path}\t{file.size_bytes}\t{file.rows}\t{file.partition}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def columns_as_json(schema: Schema, partition_by: str | None) -> dict[str, Any]:
    """A schema and a partition column as the commit's metadata has them, under the key `described`."""
    return {"columns": json.loads(schema.to_json())["fields"], "partition_by": partition_by}


def partition_values(partition_by: str | None, file: DataFile) -> dict[str, str | None]:
    """A file's partition, as the log's actions have it."""
    return {partition_by: file.partition} if partition_by else {}


def now_ms() -> int:
    """The time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _added(add: Mapping[str, Any]) -> DataFile:
    stats = json.loads(add.get("stats") or "{}")
    return DataFile(
        add["path"], add["size"], stats.get("numRecords"), next(iter(add["partitionValues"].values()), None)
    )


def _removed(remove: Mapping[str, Any]) -> str:
    remove["dataChange"]  # an action without it is damaged
    return remove["path"]
