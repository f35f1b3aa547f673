"""Verify a table in full, and write a damaged log anew from the versions that verify.

Here belongs what an operator asks after damage: `check` only looks, `repair` writes. Both replay the entries one after
the other, since deltalake stops at the first one that it cannot read.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deltalake import Schema
from deltalake.exceptions import DeltaError

from taproom.errors import DamagedFileError, DamagedLogError, TaproomError, UnknownTableError, WriteConflictError
from taproom.warehouse.delta_log import (
    LOG,
    PROTOCOLS,
    TABLE_PROPERTIES,
    DataFile,
    Entry,
    Snapshot,
    TableLog,
    described,
    files_sha256,
    now_ms,
    partition_values,
    sealed,
)

DAMAGED_LOGS = "_damaged_logs"

# What a restored version keeps of the commit that made it; the rest is the new commit's own.
_KEPT = (
    "run_id", "code_version", "content_hash", "rows", "partition", "single_values", "inputs", "config", "settings",
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """What `check` found: the newest version, what is wrong (nothing, where all verifies), which versions read."""

    table: str
    version: int
    problems: tuple[str, ...]
    readable: tuple[int, ...]


@dataclass(frozen=True)
class Repaired:
    """What `repair` did.

    `version` is the newest version now and `restored` the one whose rows it has (None: no version verifies, so the
    table has to be made again). `lost` are the numbers that can never be read again, `copy` is where the damaged log is
    kept (None: the log was sound). Where nothing was wrong, `problems` is empty and nothing was written.
    """

    table: str
    version: int
    restored: int | None
    lost: tuple[int, ...]
    copy: str | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Version:
    """What a version verifiably is: its commit, its files by path, and its columns as `described` gives them."""

    entry: Entry
    files: Mapping[str, DataFile]
    columns: Mapping[str, Any]


# An entry, where it can be read, and the files that the log as it is gives after it.
_Found = tuple[Entry | None, dict[str, DataFile]]


@dataclass
class _Plan:
    """What a sound log would have: versions that verify (None: lost), entries to write, checkpoints to delete."""

    versions: list[_Version | None]
    entries: dict[int, bytes]
    checkpoints: list[str]
    problems: list[str]


def check(log: TableLog, verify: Callable[[DataFile], object]) -> Checked:
    """Verify the newest version in full and the log of all; list what is wrong by name.

    `verify` raises `DamagedFileError` for a file of the table that is not what was committed. Older versions count as
    readable where their log verifies and their files are there; those that were swept are no problem.

    Raises `UnknownTableError` where there is no such table, `StorageError` where the storage fails.
    """
    plan = _plan(log)
    newest = plan.versions[-1]
    problems = [*plan.problems, *_damage(newest.files.values() if newest else (), verify)]
    if newest is None and not problems:
        problems = [
            f"{log.table}: version {len(plan.versions) - 1}, the newest, was lost in a repair. Materialize it again."
        ]
    there = {
        log.storage.relative(info, log.table): info.size for info in log.storage.listing(log.table, recursive=True)
    }
    readable = [
        number
        for number, version in enumerate(plan.versions)
        if version is not None
        and all(there.get(path) == file.size_bytes for path, file in version.files.items())
        and (not plan.problems or _opens(log, version))
    ]
    return Checked(log.table, len(plan.versions) - 1, tuple(problems), tuple(readable))


def repair(log: TableLog, verify: Callable[[DataFile], object]) -> Repaired:
    """Make the newest version that verifies completely the newest again, under a number that was never used.

    The log is written anew where it is damaged, from the versions that verify; a copy of it as it was is kept under
    `_damaged_logs/` of the table. The versions that do not verify are lost: their numbers stay refused by name. If the
    newest version itself verifies, nothing is lost and it keeps its number. A table without damage is left alone.

    Raises `UnknownTableError` where there is no such table, `DamagedLogError` where not even the columns are known any
    more, `WriteConflictError` where a run has committed meanwhile (then repair again), `StorageError` where the storage
    fails.
    """
    plan = _plan(log)
    newest = plan.versions[-1]
    damage = _damage(newest.files.values() if newest else (), verify)
    problems = (*plan.problems, *damage)
    head = len(plan.versions) - 1
    if newest and not problems:
        return Repaired(log.table, head, head, (), None, ())
    lost = tuple(number for number, version in enumerate(plan.versions) if version is None)
    copy = _write_anew(log, plan) if plan.problems else None
    if newest and not damage:
        return Repaired(log.table, head, head, lost, copy, problems)
    candidates = (version for version in reversed(plan.versions) if version is not None)
    good = next((version for version in candidates if not _damage(version.files.values(), verify)), None)
    if good is None:
        return Repaired(log.table, head, None, lost, copy, problems)
    version = _restore(log, log.snapshot(head, even_if_lost=True), good)
    return Repaired(log.table, version, good.entry.version, lost, copy, problems)


def _restore(log: TableLog, head: Snapshot, good: _Version) -> int:
    """Commit the rows of a version on top of the head: what made it is what made them."""
    metadata = {name: good.entry.metadata[name] for name in _KEPT if name in good.entry.metadata}
    schema = Schema.from_json(json.dumps({"type": "struct", "fields": good.columns["columns"]}))
    metadata["restored_from"] = good.entry.version
    try:
        version = log.commit(
            head, schema, good.columns["partition_by"], head.files, tuple(good.files.values()), metadata
        )
    except DeltaError as error:
        raise WriteConflictError(
            f"{log.table}: a run has committed while the log was repaired. Check it, and repair it again if need be."
        ) from error
    log.settle(version)
    return version


def _damage(files: Iterable[DataFile], verify: Callable[[DataFile], object]) -> list[str]:
    problems = []
    for file in files:
        try:
            verify(file)
        except DamagedFileError as error:
            problems.append(str(error))
    return problems


def _opens(log: TableLog, version: _Version) -> bool:
    """Whether deltalake, too, finds the version as it is."""
    try:
        found = log.snapshot(version.entry.version)
    except TaproomError:
        return False
    return {file.path: file for file in found.files} == version.files


# What the log says, entry by entry


def _plan(log: TableLog) -> _Plan:
    head = log.newest()
    if head is None:
        raise UnknownTableError(f"{log.storage.root} has no table {log.table!r}")
    numbered = log.numbered()
    checkpoints = [(number, name) for number, kind, name in numbered if kind != "json"]
    versions, found, problems = _replay(log, head, bool(checkpoints))
    plan = _Plan(versions, {}, [], problems)
    _plan_entries(log, plan, found)
    if plan.entries and not plan.problems:
        plan.problems.append(str(log.damaged(min(plan.entries), "is not what was committed")))
    for number, name in checkpoints:
        if (version := plan.versions[number]) is None or not _opens(log, version):
            plan.checkpoints.append(name)
            plan.problems.append(str(log.damaged(number, f"has a checkpoint that is not what was written, {name}")))
    if not plan.problems and plan.versions[-1] and not _opens(log, plan.versions[-1]):
        _plan_entries(log, plan, found, anew=True)
        plan.checkpoints = [name for _, name in checkpoints]
        plan.problems.append(str(log.damaged(head, "cannot be replayed")))
    return plan


def _replay(log: TableLog, head: int, has_checkpoints: bool) -> tuple[list[_Version | None], list[_Found], list[str]]:
    """Versions that verify, what each entry gave (itself, where it can be read, and the files after it), and problems.

    A commit without a hash counts as long as every entry before it could be read.
    """
    versions: list[_Version | None] = []
    found: list[_Found] = []
    problems = []
    files: dict[str, DataFile] = {}
    columns: Mapping[str, Any] | None = None
    is_whole = True
    noted = log.noted()
    for number in range(head + 1):
        entry = present = None
        try:
            entry = present = log.entry(number)
        except DamagedLogError as error:
            problems.append(str(error))
        if noted and noted[0] == number and log.storage.read(log.entry_path(number)) != noted[1]:
            if present is not None:
                problems.append(str(log.damaged(number, "is not what was committed")))
            entry, present = log.parsed(number, noted[1]), None
        is_whole = is_whole and entry is not None
        if entry is not None:
            files = {path: file for path, file in files.items() if path not in entry.removed}
            files |= {file.path: file for file in entry.added}
            columns = _columns(entry, columns)
        version = None
        if entry is not None and not entry.is_lost and columns is not None:
            sets = [files, _replaced(entry, files)]
            if entry.is_sealed:
                sets = [each for each in sets if files_sha256(each.values()) == entry.metadata["files_sha256"]]
            if sets and (entry.is_sealed or is_whole):
                version = _Version(entry, sets[0], columns)
            elif entry.is_sealed and has_checkpoints:
                version = _from_checkpoint(log, entry)
            if version is None:
                problems.append(str(log.damaged(number, "gives other files and rows than were committed")))
            else:
                files = dict(version.files)
        versions.append(version)
        found.append((present, files))
    return versions, found, problems


def _replaced(entry: Entry, files: Mapping[str, DataFile]) -> dict[str, DataFile]:
    """The files after a commit that left none of its table (its partition) but what it added itself.

    That is what most commits do, so a version need not be lost with the one before it.
    """
    partition = entry.metadata.get("partition")
    others = {path: file for path, file in files.items() if partition is not None and file.partition != partition}
    return others | {file.path: file for file in entry.added}


def _columns(entry: Entry, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A version's columns: as sealed, or else as the entry or those before it have declared them."""
    if entry.is_sealed:
        return entry.metadata["described"]
    return _declared(entry) or before


def _declared(entry: Entry) -> Mapping[str, Any] | None:
    """The columns that an entry itself declares to readers; None where it declares none, or what cannot be read."""
    declared = entry.declared.get("metaData", {})
    try:
        schema = Schema.from_json(declared["schemaString"])
        return described(schema, next(iter(declared["partitionColumns"]), None))
    except Exception:  # whatever deltalake makes of damaged bytes
        return None


def _from_checkpoint(log: TableLog, entry: Entry) -> _Version | None:
    """A version whose earlier entries are damaged, if a checkpoint still has it."""
    try:
        snapshot = log.snapshot(entry.version)
    except TaproomError:
        return None
    return _Version(entry, {file.path: file for file in snapshot.files}, entry.metadata["described"])


# A sound log


def _plan_entries(log: TableLog, plan: _Plan, found: list[_Found], anew: bool = False) -> None:
    """Which entries to write (all, if `anew`), so that each version that verifies follows from the one before it.

    After a lost version a table has no files. Its number is readable by nobody then, also by other readers of Delta.
    """
    now: dict[str, DataFile] = {}
    columns: Mapping[str, Any] | None = None
    known = [version.columns for version in plan.versions if version is not None]
    for number, version in enumerate(plan.versions):
        entry = None if anew else found[number][0]
        wanted = dict(version.files) if version else {}
        wanted_columns = version.columns if version else columns or _any_columns(found, known)
        if wanted_columns is None:
            raise DamagedLogError(
                f"{log.table}: nothing in the log under {log.uri} can be read, not even the columns. Move that folder "
                "elsewhere, and the folders of what was made from it, and materialize those tables again."
            )
        if entry is None or not _gives(entry, version, now, wanted, columns, wanted_columns):
            strays = found[number - 1][1] if number else ()
            plan.entries[number] = _written(number, version, now, strays, columns, wanted_columns)
        now, columns = wanted, wanted_columns


def _any_columns(found: list[_Found], known: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    read = (_columns(entry, None) for entry, _ in found if entry is not None)
    return next(iter([*known, *(columns for columns in read if columns)]), None)


def _gives(
    entry: Entry,
    version: _Version | None,
    before: Mapping[str, DataFile],
    wanted: Mapping[str, DataFile],
    columns: Mapping[str, Any] | None,
    wanted_columns: Mapping[str, Any],
) -> bool:
    """Whether an entry that is there leads from the version before it to the one that is wanted."""
    after = {path: file for path, file in before.items() if path not in entry.removed}
    after |= {file.path: file for file in entry.added}
    return entry.is_lost == (version is None) and after == wanted and _declares(entry, columns, wanted_columns)


def _declares(entry: Entry, columns: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether readers have the wanted columns after an entry, where they had `columns` before (None: nothing yet)."""
    if "metaData" in entry.declared:
        properties = entry.declared["metaData"].get("configuration")
        is_declared = _declared(entry) == wanted and (properties == TABLE_PROPERTIES or not entry.is_sealed)
    else:
        is_declared = columns == wanted
    if not entry.is_sealed or ("protocol" not in entry.declared and columns is not None):
        return is_declared
    protocol = entry.declared.get("protocol", {})
    return is_declared and (protocol.get("minReaderVersion"), protocol.get("minWriterVersion")) in PROTOCOLS


def _written(
    number: int,
    version: _Version | None,
    before: Mapping[str, DataFile],
    strays: Iterable[str],
    columns: Mapping[str, Any] | None,
    wanted_columns: Mapping[str, Any],
) -> bytes:
    """An entry that leads to a version that verifies, with the commit's own metadata; or that marks a lost one.

    `strays` are paths of files that a damaged log before it may have given.
    """
    wanted = version.files if version else {}
    partition_by = wanted_columns["partition_by"]
    lost = {
        "version": number,
        "committed_at": datetime.now(UTC).isoformat(),
        "lost": True,
        "files_sha256": files_sha256(()),
        "described": wanted_columns,
    }
    actions = [{"commitInfo": version.entry.info if version else {"timestamp": now_ms(), **sealed(lost)}}]
    if columns != wanted_columns:
        actions += _declaration(wanted_columns)
    actions += [
        {"remove": {"path": path, "dataChange": True, "deletionTimestamp": now_ms()}}
        for path in sorted({*before, *strays} - {*wanted})
    ]
    actions += [
        {
            "add": {
                "path": file.path,
                "partitionValues": partition_values(partition_by, file),
                "size": file.size_bytes,
                "modificationTime": now_ms(),
                "dataChange": True,
                "stats": json.dumps({"numRecords": file.rows}),
            }
        }
        for path, file in wanted.items()
        if before.get(path) != file
    ]
    return "".join(f"{json.dumps(action)}\n" for action in actions).encode()


def _declaration(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    schema = json.dumps({"type": "struct", "fields": columns["columns"]})
    protocol: dict[str, Any] = {"minReaderVersion": 1, "minWriterVersion": 2}
    if "timestamp_ntz" in schema:
        features = {"readerFeatures": ["timestampNtz"], "writerFeatures": ["timestampNtz"]}
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
    declared = {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema,
        "partitionColumns": [columns["partition_by"]] if columns["partition_by"] else [],
        "configuration": TABLE_PROPERTIES,
        "createdTime": now_ms(),
    }
    return [{"protocol": protocol}, {"metaData": declared}]


def _write_anew(log: TableLog, plan: _Plan) -> str:
    """Keep a copy of the log, then write what is planned; give where the copy is.

    From the last entry to the first: what is written leads to its version from what the damaged log before it gives,
    too, so a repair that is killed can be done again.
    """
    storage = log.storage
    copy = f"{log.table}/{DAMAGED_LOGS}/{datetime.now(UTC):%Y-%m-%dT%H%M%S}-{uuid.uuid4().hex[:4]}"
    failed = f"the log of {log.table} could not be written anew to {log.uri}"
    with storage.errors(failed):
        names = storage.names(f"{log.table}/{LOG}")
        for name in names:
            storage.write(f"{copy}/{name}", storage.read(f"{log.table}/{LOG}/{name}") or b"")
        for number in sorted(plan.entries, reverse=True):
            storage.replace(log.entry_path(number), plan.entries[number])
        for name in {*plan.checkpoints, "_last_checkpoint"} & set(names):
            storage.delete(f"{log.table}/{LOG}/{name}")
    log.settle(len(plan.versions) - 1)
    return storage.uri(copy)
