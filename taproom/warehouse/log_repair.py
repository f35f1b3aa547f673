"""Verify a table completely, and rewrite a damaged log from the versions that verify.

Here belongs what an operator needs after damage: `check` only reads, `repair` writes (`repair.py` is the command). Both
replay the entries one after the other, since deltalake stops at the first one that it cannot read.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deltalake import Schema
from deltalake.exceptions import DeltaError

from taproom.errors import DamagedFileError, DamagedLogError, TaproomError, UnknownTableError, WriteConflictError
from taproom.warehouse.data_files import DataFile
from taproom.warehouse.delta_log import LOG, PROTOCOLS, TABLE_PROPERTIES, Snapshot, TableLog
from taproom.warehouse.log_entries import (
    Entry,
    columns_as_json,
    files_sha256,
    now_ms,
    partition_values,
    with_hash,
)

DAMAGED_LOGS = "_damaged_logs"

# The metadata that a restored version takes over from its first commit.
_RESTORED_METADATA = (
    "run_id", "code_version", "content_hash", "rows", "partition", "single_values", "inputs", "config", "settings",
    "contract",
)  # fmt: skip


@dataclass(frozen=True)
class CheckReport:
    """What `check` found: the newest version, the problems (none if all verifies), and which versions can be read."""

    table: str
    version: int
    problems: tuple[str, ...]
    readable: tuple[int, ...]


@dataclass(frozen=True)
class RepairReport:
    """What `repair` did.

    `version` is the newest version now and `restored` the one whose rows it has (None: no version verifies, so the
    table has to be made again). `lost` are versions that can never be read again, `copy` is the address of the copy of
    the damaged log (None: the log was undamaged). Where nothing was wrong, `problems` is empty and nothing was written.
    """

    table: str
    version: int
    restored: int | None
    lost: tuple[int, ...]
    copy: str | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _VerifiedVersion:
    """A version that verifies: its commit, its files by path, and its columns as `columns_as_json` gives them."""

    entry: Entry
    files: Mapping[str, DataFile]
    columns: Mapping[str, Any]


# An entry (None: it cannot be read) and the files that the unrepaired log gives after it.
_Replayed = tuple[Entry | None, dict[str, DataFile]]


@dataclass
class _Plan:
    """How to repair a log: versions that verify (None: lost), what was replayed, and what to write and to delete.

    `is_restored` says that an older version is to be committed on top of the newest, which is lost.
    """

    versions: list[_VerifiedVersion | None]
    replayed: list[_Replayed]
    problems: list[str]
    entries: dict[int, bytes] = field(default_factory=dict)
    checkpoints: list[str] = field(default_factory=list)
    is_restored: bool = False


def check(log: TableLog, verify: Callable[[DataFile], object]) -> CheckReport:
    """Verify the files of the newest version and the log of all versions; list what is wrong.

    An older version counts as readable if its log verifies and its files exist with the right size. Versions that were
    swept are no problem.

    Args:
        log: the table's log.
        verify: raises `DamagedFileError` for a file that is not what was committed.

    Raises:
        UnknownTableError: there is no such table.
        StorageError: the storage fails.
    """
    plan = _plan(log)
    problems = _problems(log, plan, _damage(plan.versions[-1], verify))
    sizes = {
        log.storage.relative(info, log.table): info.size for info in log.storage.listing(log.table, recursive=True)
    }
    readable = [
        number
        for number, version in enumerate(plan.versions)
        if version is not None
        and all(sizes.get(path) == file.size_bytes for path, file in version.files.items())
        and (not plan.problems or _opens(log, plan, number))
    ]
    return CheckReport(log.table, len(plan.versions) - 1, problems, tuple(readable))


def repair(log: TableLog, verify: Callable[[DataFile], object]) -> RepairReport:
    """Commit the newest version that verifies completely as a new version.

    A damaged log is rewritten from the versions that verify; a copy of the damaged one is kept under `_damaged_logs/`
    of the table. The versions that do not verify are lost: reading them raises `UnknownTableError` from then on. If the
    newest version itself verifies, it keeps its number. A table without damage is not changed.

    Args:
        log: the table's log.
        verify: raises `DamagedFileError` for a file that is not what was committed.

    Raises:
        UnknownTableError: there is no such table.
        DamagedLogError: not even the table's columns can be read from the log.
        WriteConflictError: a run has committed meanwhile; repair again.
        StorageError: the storage fails, or does not take the commit.
    """
    plan = _plan(log)
    newest = plan.versions[-1]
    damage = _damage(newest, verify)
    problems = _problems(log, plan, damage)
    head = len(plan.versions) - 1
    if not problems:
        return RepairReport(log.table, head, head, (), None, ())
    lost = tuple(number for number, version in enumerate(plan.versions) if version is None)
    candidates = (version for version in reversed(plan.versions[:head]) if version is not None)
    undamaged = (version for version in candidates if not _damage(version, verify))
    good = newest if newest and not damage else next(undamaged, None)
    plan.is_restored = newest is None and good is not None
    if plan.is_restored:
        _plan_entries(log, plan)
    # Files were read meanwhile, and deltalake replays some logs that do not verify: a run may have committed to one.
    if log.newest() != head:
        raise _overtaken(log)
    copy = _rewrite_log(log, plan) if plan.problems or plan.entries else None
    if newest and good is newest:
        return RepairReport(log.table, head, head, lost, copy, problems)
    if good is None:
        return RepairReport(log.table, head, None, lost, copy, problems)
    version = _restore(log, log.snapshot(head, even_if_lost=True), good)
    return RepairReport(log.table, version, good.entry.version, lost, copy, problems)


def _restore(log: TableLog, head: Snapshot, good: _VerifiedVersion) -> int:
    """Commit the rows of a version on top of the head, with that version's metadata."""
    metadata = {name: good.entry.metadata[name] for name in _RESTORED_METADATA if name in good.entry.metadata}
    schema = Schema.from_json(json.dumps({"type": "struct", "fields": good.columns["columns"]}))
    metadata["restored_from"] = good.entry.version
    with log.storage.write_errors(log.table, "repair it again"):
        try:
            version = log.commit(
                head, schema, good.columns["partition_by"], head.files, tuple(good.files.values()), metadata
            )
        except DeltaError as error:
            if log.newest() == head.version:
                raise  # nobody else has committed
            raise _overtaken(log) from error
    log.confirm(version)
    return version


def _overtaken(log: TableLog) -> WriteConflictError:
    return WriteConflictError(
        f"{log.table}: a run has committed while the log was repaired. Check it, and repair it again if necessary."
    )


def _problems(log: TableLog, plan: _Plan, damage: list[str]) -> tuple[str, ...]:
    """What is wrong with a log, and with the rows of its newest version, which have the `damage`."""
    if plan.problems or damage or plan.versions[-1]:
        return (*plan.problems, *damage)
    return (f"{log.table}: version {len(plan.versions) - 1}, the newest, was lost in a repair. Materialize it again.",)


def _damage(version: _VerifiedVersion | None, verify: Callable[[DataFile], object]) -> list[str]:
    """What is wrong with the files of a version; nothing where it was lost."""
    problems = []
    for file in version.files.values() if version else ():
        try:
            verify(file)
        except DamagedFileError as error:
            problems.append(str(error))
    return problems


def _opens(log: TableLog, plan: _Plan, number: int) -> bool:
    """Whether deltalake finds the same files for a version; none, where it was lost."""
    version = plan.versions[number]
    try:
        found = log.snapshot(number, even_if_lost=version is None)
    except TaproomError:
        return False
    return {file.path: file for file in found.files} == (version.files if version else {})


# Replaying the log, entry by entry


def _plan(log: TableLog) -> _Plan:
    head = log.newest()
    if head is None:
        raise UnknownTableError(f"{log.storage.root} has no table {log.table!r}")
    checkpoints = _checkpoints(log)
    versions, replayed, problems = _replay(log, head, bool(checkpoints))
    plan = _Plan(versions, replayed, problems)
    _plan_entries(log, plan)
    if plan.entries and not plan.problems:
        first = min(plan.entries)
        entry = replayed[first][0]
        is_interrupted = entry is not None and entry.is_being_restored
        plan.problems.append(
            str(log.being_repaired(first) if is_interrupted else log.damaged(first, "is not what was committed"))
        )
    for number, name in checkpoints:
        if plan.versions[number] is None or not _opens(log, plan, number):
            plan.checkpoints.append(name)
            plan.problems.append(str(log.damaged(number, f"has a checkpoint that is not what was written, {name}")))
    if not plan.problems and not _opens(log, plan, head):
        plan.problems.append(str(log.damaged(head, "cannot be replayed")))
    return plan


def _checkpoints(log: TableLog) -> list[tuple[int, str]]:
    """Version and file name of all checkpoints."""
    return [(number, name) for number, kind, name in log.entries_and_checkpoints() if kind != "json"]


def _replay(
    log: TableLog, head: int, has_checkpoints: bool
) -> tuple[list[_VerifiedVersion | None], list[_Replayed], list[str]]:
    """Versions that verify (None: lost), the replayed entries, and problems.

    A commit without a hash counts as verified as long as every entry before it could be read.
    """
    versions: list[_VerifiedVersion | None] = []
    replayed: list[_Replayed] = []
    problems = []
    files: dict[str, DataFile] = {}
    columns: Mapping[str, Any] | None = None
    all_read = True
    copy = log.newest_entry_copy()
    for number in range(head + 1):
        entry = present = None
        try:
            entry = present = log.entry(number)
        except DamagedLogError as error:
            problems.append(str(error))
        if copy and copy[0] == number and log.storage.read(log.entry_path(number)) != copy[1]:
            if present is not None:
                problems.append(str(log.damaged(number, "is not what was committed")))
            entry, present = log.parse(number, copy[1]), None
        all_read = all_read and entry is not None
        if entry is not None:
            files = {path: file for path, file in files.items() if path not in entry.removed}
            files |= {file.path: file for file in entry.added}
            columns = _columns(entry, columns)
        version = None
        if entry is not None and not entry.is_lost and columns is not None:
            candidates = [files, _files_if_replaced(entry, files)]
            if entry.has_hash:
                expected = entry.metadata["files_sha256"]
                candidates = [each for each in candidates if files_sha256(each.values()) == expected]
            if candidates and (entry.has_hash or all_read):
                version = _VerifiedVersion(entry, candidates[0], columns)
            elif entry.has_hash and has_checkpoints:
                version = _from_checkpoint(log, entry)
            if version is None:
                problems.append(str(log.damaged(number, "gives other files and rows than were committed")))
            else:
                files = dict(version.files)
        versions.append(version)
        replayed.append((present, files))
    return versions, replayed, problems


def _files_if_replaced(entry: Entry, files: Mapping[str, DataFile]) -> dict[str, DataFile]:
    """The files after a commit, if it replaced all files of its table (its partition) by those that it added.

    Most commits do, so such a version can be verified although the one before it is lost.
    """
    partition = entry.metadata.get("partition")
    others = {path: file for path, file in files.items() if partition is not None and file.partition != partition}
    return others | {file.path: file for file in entry.added}


def _columns(entry: Entry, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A version's columns: from the hashed metadata, else as the entry or those before it have declared them."""
    if entry.has_hash:
        return entry.metadata["described"]
    return _declared(entry) or before


def _declared(entry: Entry) -> Mapping[str, Any] | None:
    """The columns in an entry's Delta action `metaData`; None where there is none or it cannot be read."""
    declared = entry.declared.get("metaData", {})
    try:
        schema = Schema.from_json(declared["schemaString"])
        return columns_as_json(schema, next(iter(declared["partitionColumns"]), None))
    except Exception:  # of any kind: the bytes may be damaged
        return None


def _from_checkpoint(log: TableLog, entry: Entry) -> _VerifiedVersion | None:
    """A version whose earlier entries are damaged, if a checkpoint has it; else None."""
    try:
        snapshot = log.snapshot(entry.version)
    except TaproomError:
        return None
    return _VerifiedVersion(entry, {file.path: file for file in snapshot.files}, entry.metadata["described"])


# Rewriting the log


def _plan_entries(log: TableLog, plan: _Plan, all_entries: bool = False) -> None:
    """Plan which entries to write (or `all_entries`), so that each verified version follows from the one before it.

    A lost version gets an entry that removes all files, so that no other reader of Delta finds rows in it either. If an
    older version `is_restored` on top of it, the entry says so, since a run that commits a partition before that would
    leave the others without rows.
    """
    replayed, head = plan.replayed, len(plan.versions) - 1
    plan.entries.clear()
    now: dict[str, DataFile] = {}
    columns: Mapping[str, Any] | None = None
    known = [version.columns for version in plan.versions if version is not None]
    for number, version in enumerate(plan.versions):
        entry = None if all_entries else replayed[number][0]
        wanted = dict(version.files) if version else {}
        wanted_columns = version.columns if version else columns or _any_columns(replayed, known)
        if wanted_columns is None:
            raise DamagedLogError(
                f"{log.table}: nothing in the log under {log.uri} can be read, not even the columns. Move that folder "
                "elsewhere, and the folders of tables made from it, and materialize those tables again."
            )
        says_so = number < head or (entry is not None and entry.is_being_restored == plan.is_restored)
        if entry is None or not says_so or not _leads_to(entry, version, now, wanted, columns, wanted_columns):
            strays = replayed[number - 1][1] if number else ()
            more = {"restoring": True} if plan.is_restored and number == head else {}
            plan.entries[number] = _new_entry(number, version, now, strays, columns, wanted_columns, more)
        now, columns = wanted, wanted_columns


def _any_columns(replayed: list[_Replayed], known: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    read = (_columns(entry, None) for entry, _ in replayed if entry is not None)
    return next(iter([*known, *(columns for columns in read if columns)]), None)


def _leads_to(
    entry: Entry,
    version: _VerifiedVersion | None,
    before: Mapping[str, DataFile],
    wanted: Mapping[str, DataFile],
    columns: Mapping[str, Any] | None,
    wanted_columns: Mapping[str, Any],
) -> bool:
    """Whether an existing entry leads from the files and columns before it to those that are wanted."""
    after = {path: file for path, file in before.items() if path not in entry.removed}
    after |= {file.path: file for file in entry.added}
    return entry.is_lost == (version is None) and after == wanted and _declares(entry, columns, wanted_columns)


def _declares(entry: Entry, columns: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether readers find the wanted columns after an entry, given `columns` before it (None: none yet)."""
    if "metaData" in entry.declared:
        properties = entry.declared["metaData"].get("configuration")
        is_declared = _declared(entry) == wanted and (properties == TABLE_PROPERTIES or not entry.has_hash)
    else:
        is_declared = columns == wanted
    if not entry.has_hash or ("protocol" not in entry.declared and columns is not None):
        return is_declared
    protocol = entry.declared.get("protocol", {})
    return is_declared and (protocol.get("minReaderVersion"), protocol.get("minWriterVersion")) in PROTOCOLS


def _new_entry(
    number: int,
    version: _VerifiedVersion | None,
    before: Mapping[str, DataFile],
    strays: Iterable[str],
    columns: Mapping[str, Any] | None,
    wanted_columns: Mapping[str, Any],
    of_lost: Mapping[str, Any],
) -> bytes:
    """The bytes of an entry that leads to a verified version, with its own metadata, or that marks a lost one (None).

    `strays` are paths of files that the damaged log may have before it, `of_lost` is further metadata of a lost one.
    """
    wanted = version.files if version else {}
    partition_by = wanted_columns["partition_by"]
    lost = {
        "version": number,
        "committed_at": datetime.now(UTC).isoformat(),
        "lost": True,
        "files_sha256": files_sha256(()),
        "described": wanted_columns,
        **of_lost,
    }
    actions = [{"commitInfo": version.entry.info if version else {"timestamp": now_ms(), **with_hash(lost)}}]
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


def _rewrite_log(log: TableLog, plan: _Plan) -> str:
    """Copy the damaged log, then write what is planned; give the address of the copy."""
    head = len(plan.versions) - 1
    with _rewriting(log):
        copy = _copy_log(log)
        _write_entries(log, plan)
    try:
        log.snapshot(head, even_if_lost=True)
    except DamagedLogError:  # deltalake reads more of an entry than its hash covers
        _plan_entries(log, plan, all_entries=True)
        plan.checkpoints = [name for _, name in _checkpoints(log)]
        with _rewriting(log):
            _write_entries(log, plan)
    log.confirm(head)
    return log.storage.uri(copy)


def _rewriting(log: TableLog) -> AbstractContextManager[None]:
    return log.storage.errors(f"the log of {log.table} could not be rewritten in {log.uri}")


def _copy_log(log: TableLog) -> str:
    """Copy the damaged log; give the path of the copy."""
    copy = f"{log.table}/{DAMAGED_LOGS}/{datetime.now(UTC):%Y-%m-%dT%H%M%S}-{uuid.uuid4().hex[:4]}"
    for name in log.storage.names(f"{log.table}/{LOG}"):
        log.storage.write(f"{copy}/{name}", log.storage.read(f"{log.table}/{LOG}/{name}") or b"")
    return copy


def _write_entries(log: TableLog, plan: _Plan) -> None:
    """Write the planned entries, and delete checkpoints.

    Entries are written from the last to the first: each also removes what the damaged log before it has (`strays`), so
    a repair that is killed can be repeated.
    """
    for number in sorted(plan.entries, reverse=True):
        log.storage.replace(log.entry_path(number), plan.entries[number])
    for name in {*plan.checkpoints, "_last_checkpoint"} & set(log.storage.names(f"{log.table}/{LOG}")):
        log.storage.delete(f"{log.table}/{LOG}/{name}")
