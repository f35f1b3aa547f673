"""What each version of a table was made from, as its commit's metadata says.

A version's description is a dictionary with the keys version, time (UTC), run_id, partition, rows, content_hash,
code_version, inputs (table -> version), config, and settings (None in commits of older releases).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from taproom.errors import InputError
from taproom.warehouse.catalog import existing_head
from taproom.warehouse.delta_log import TableLog, lost_version
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.log_entries import Entry
from taproom.warehouse.storage import Storage


def history(storage: Storage, table: str) -> list[dict[str, Any]]:
    """All versions, newest first; see `Warehouse.history`."""
    return [_description(entry) for entry in entries(storage, table)]


def commit_of(storage: Storage, table: str, version: int) -> dict[str, Any]:
    """One version; see `Warehouse.commit_of`."""
    entry = TableLog(storage, table).entry(version)
    if entry.is_lost:
        raise lost_version(table, version)
    return _description(entry)


def newest_commit_of(storage: Storage, table: str, partition: str | None, version: int) -> dict[str, Any] | None:
    """The newest commit of a partition, up to a version; see `Warehouse.newest_commit_of`."""
    log = TableLog(storage, table)
    for number in range(version, -1, -1):
        entry = log.entry(number)
        if not entry.is_lost and partition in (None, entry.metadata.get("partition")):
            return _description(entry)
    return None


def key_of(storage: Storage, table: str, version: int) -> tuple[str, ...] | None:
    """The columns that identify a row of a version; None where it was committed by a release that did not keep them."""
    contract = TableLog(storage, table).entry(version).metadata.get("contract")
    return tuple(contract["key"]) if contract else None


def foreign_keys_of(storage: Storage, table: str, version: int) -> tuple[ForeignKey, ...]:
    """The foreign keys of a version; none where it was committed by a release that did not keep them."""
    recorded = TableLog(storage, table).entry(version).metadata.get("contract", {}).get("foreign_keys", ())
    return tuple(ForeignKey(tuple(each["columns"]), each["table"], tuple(each["key"])) for each in recorded)


def entries(storage: Storage, table: str) -> list[Entry]:
    """The log entries of all versions, newest first, without those that a repair has lost.

    Raises:
        UnknownTableError: there is no such table.
        DamagedLogError: an entry is damaged.
    """
    log = TableLog(storage, table)
    found = map(log.entry, range(existing_head(storage, table), -1, -1))
    return [entry for entry in found if not entry.is_lost]


def recorded_inputs(commit: Mapping[str, Any], table: str, wanted: Sequence[str]) -> dict[str, int]:
    """The versions of its inputs that a version of `table` was made from.

    Args:
        commit: a description of the version, as `Warehouse.commit_of` gives it.
        table: the table's name.
        wanted: inputs that must be among them.

    Raises:
        InputError: one of `wanted` is missing.

    >>> recorded_inputs({"version": 3, "inputs": {"terms": 1, "documents": 0}}, "topics", ["terms"])
    {'terms': 1, 'documents': 0}
    """
    if missing := [name for name in wanted if name not in commit["inputs"]]:
        raise InputError(
            f"Version {commit['version']} of {table} does not say which version of {', '.join(missing)} it was made "
            f"from, so nothing new can be asked of it. Make {table}, and what it is made from, again (`make run`)."
        )
    return commit["inputs"]


def _description(entry: Entry) -> dict[str, Any]:
    names = ("run_id", "partition", "rows", "content_hash", "code_version")
    return {
        "version": entry.version,
        "time": entry.time,
        **{name: entry.metadata.get(name) for name in (*names, "settings")},
        "inputs": entry.metadata.get("inputs", {}),
        "config": entry.metadata.get("config", {}),
    }
