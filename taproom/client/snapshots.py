"""Snapshots: versions of tables that belong together, so that an analysis can be repeated.

Each commit records which versions its inputs had. A snapshot starts with the tables that no other is made from, at
their newest versions, and follows these records, so it has of each table the version that the others were made from.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path

from taproom.errors import InputError, UnknownTableError, did_you_mean
from taproom.html import html_table
from taproom.warehouse.catalog import heads, open_version
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.history import entries
from taproom.warehouse.storage import Storage

_FORMAT = 1


@dataclass(frozen=True)
class PinnedVersion:
    """A version, and the hash over the names of its files (None in commits of older releases).

    A warehouse that was deleted and made again has the same number with other files.
    """

    version: int
    files_sha256: str | None


@dataclass(frozen=True)
class Snapshot:
    """Versions of tables that belong together.

    Attributes:
        tables: the version of each table.
        disagreements: tables that were used in several versions, with the versions by the table made from them. The
            newest of these is in `tables`; make the others again to get a snapshot without disagreements.
    """

    tables: Mapping[str, PinnedVersion]
    disagreements: Mapping[str, Mapping[str, int]]

    @property
    def versions(self) -> dict[str, int]:
        """The version of each table."""
        return {table: pinned.version for table, pinned in self.tables.items()}

    def save(self, path: str | Path) -> None:
        """Write the snapshot as a lock file (JSON), to be kept with an analysis.

        Raises:
            OSError: the file cannot be written.
        """
        Path(path).write_text(self.as_json() + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: str | Path) -> "Snapshot":
        """Read a lock file.

        Raises:
            InputError: the file is missing, or was not written by `save`.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["taproom_snapshot"] != _FORMAT:
                raise ValueError(f"format {content['taproom_snapshot']!r}")
            tables = {
                name: PinnedVersion(int(pinned["version"]), pinned["files_sha256"])
                for name, pinned in content["tables"].items()
            }
            return cls(tables, content["disagreements"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is not a lock file that `Snapshot.save` wrote: {error!r}") from error

    def as_json(self) -> str:
        """The content of the lock file."""
        tables = {
            name: {"version": pinned.version, "files_sha256": pinned.files_sha256}
            for name, pinned in sorted(self.tables.items())
        }
        content = {"taproom_snapshot": _FORMAT, "tables": tables, "disagreements": self.disagreements}
        return json.dumps(content, indent=2)

    def version_of(self, storage: Storage, table: str) -> int:
        """The version of a table, after a look that the warehouse still has that very version.

        Raises:
            UnknownTableError: the snapshot has no such table, or the warehouse has other rows at this version.
        """
        if (pinned := self.tables.get(table)) is None:
            raise UnknownTableError(
                f"The snapshot has no table {table!r}{did_you_mean(table, self.tables)}; "
                f"it has: {', '.join(self.tables) or 'none'}"
            )
        found = TableLog(storage, table).entry(pinned.version).metadata.get("files_sha256")
        if found != pinned.files_sha256:
            raise UnknownTableError(
                f"{table}: version {pinned.version} in {storage.root} is not the one of the snapshot; the warehouse "
                "was made again, or it is another one. Use the warehouse that the snapshot was made from."
            )
        return pinned.version

    def __str__(self) -> str:
        lines = [f"{table}@{version}" for table, version in self.versions.items()]
        return "\n".join([*lines, *self._warnings()])

    def _repr_html_(self) -> str:
        rows = ((table, version, self._used(table)) for table, version in self.versions.items())
        return html_table(f"snapshot of {len(self.tables)} tables", ("table", "version", "also used"), rows)

    def _used(self, table: str) -> str:
        used = self.disagreements.get(table, {})
        return ", ".join(f"version {version} for {user}" for user, version in used.items())

    def _warnings(self) -> list[str]:
        return [f"{table} was used in several versions: {self._used(table)}" for table in self.disagreements]


def snapshot_of(storage: Storage, starts: Mapping[str, int]) -> Snapshot:
    """The versions that belong together, none of them newer than those of `starts`.

    Raises:
        DamagedLogError: a log is damaged.
    """

    @cache
    def recorded(table: str, version: int) -> dict[str, dict[str, int]]:
        return _recorded_inputs(storage, table, version)

    versions = dict(starts)
    used: dict[str, dict[str, int]] = {}
    for _ in starts:  # each round settles at least one more level of tables
        used = {}
        for table, version in versions.items():
            for user, inputs in recorded(table, version).items():
                for name, number in inputs.items():
                    if name != table and number <= starts.get(name, -1):
                        used.setdefault(name, {})[user] = number
        settled = {table: max(used[table].values()) if table in used else start for table, start in starts.items()}
        if settled == versions:
            break
        versions = settled
    several = {table: by_user for table, by_user in sorted(used.items()) if len(set(by_user.values())) > 1}
    return Snapshot(_pinned(storage, versions), several)


def snapshot_at(storage: Storage, moment: str | date | datetime) -> Snapshot:
    """The newest version that each table had at a time. They need not belong together.

    Args:
        storage: the warehouse.
        moment: ISO 8601 or a date or time; UTC, if it has no time zone. A date is the end of that day.

    Raises:
        InputError: it is no time, or no table was there yet.
        DamagedLogError: a log is damaged.
    """
    latest = _end(moment)
    versions = {}
    for table in heads(storage):
        version = next((entry.version for entry in entries(storage, table) if entry.time <= latest), None)
        if version is not None:
            versions[table] = version
    if not versions:
        raise InputError(f"{storage.root} had no table at {latest.isoformat()}. Give a later time.")
    return Snapshot(_pinned(storage, versions), {})


def _recorded_inputs(storage: Storage, table: str, version: int) -> dict[str, dict[str, int]]:
    """The inputs of a version by what was made from them: the table, or each of its partitions."""
    snapshot = open_version(storage, table, version)
    if snapshot.partition_column is None:
        return {table: snapshot.entry.metadata.get("inputs", {})}
    missing = {file.partition for file in snapshot.files}
    found = {}
    for number in range(version, -1, -1):
        if not missing:
            break
        metadata = TableLog(storage, table).entry(number).metadata
        if (partition := metadata.get("partition")) in missing:
            missing.remove(partition)
            found[f"{table}/{partition}"] = metadata.get("inputs", {})
    return found


def _pinned(storage: Storage, versions: Mapping[str, int]) -> dict[str, PinnedVersion]:
    hashes = {
        table: TableLog(storage, table).entry(version).metadata.get("files_sha256")
        for table, version in versions.items()
    }
    return {table: PinnedVersion(version, hashes[table]) for table, version in versions.items()}


def _end(moment: str | date | datetime) -> datetime:
    try:
        if isinstance(moment, str):
            is_date = len(moment) <= len("2026-11-28")
            moment = date.fromisoformat(moment) if is_date else datetime.fromisoformat(moment)
        given = moment if isinstance(moment, datetime) else datetime.combine(moment, time.max)
    except (ValueError, TypeError) as error:
        raise InputError(f"{moment!r} is no time. Wanted: ISO 8601, such as 2026-11-28 or 2026-11-28T12:00.") from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)
