"""The sweep: data files and figures that no kept version uses are deleted, and old scratch files.

deltalake's own vacuum is not used, because it commits (and so moves the head under every writer) and leaves files that
were never committed. The log stays complete: only the rows of versions that are not kept are gone.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow.fs as pafs

from taproom.warehouse.catalog import heads, open_version
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.figures import other_figures
from taproom.warehouse.history import entries
from taproom.warehouse.log_entries import Entry
from taproom.warehouse.scratch import FOLDER as SCRATCH
from taproom.warehouse.storage import Storage

# A file that no commit names may be one that a run is about to commit. The longest run (`max_runtime_seconds` in
# dagster.yaml) takes 4 hours.
UNCOMMITTED_FILES_ARE_KEPT = timedelta(hours=24)


def pinned_versions(storage: Storage) -> dict[str, set[int]]:
    """All newest versions and the versions that they were made from; see `Warehouse.pinned_versions`."""
    pinned: dict[str, set[int]] = {}
    newest = heads(storage)
    waiting = list(newest.items())
    while waiting:
        table, version = waiting.pop()
        if version not in pinned.setdefault(table, set()):
            pinned[table].add(version)
            log = TableLog(storage, table)
            entry = log.entry(version)
            if entry.is_being_restored and version == newest[table]:  # what the older version was made from is in use
                raise log.being_repaired(version)
            inputs = dict(entry.metadata.get("inputs", {}))  # a version that a repair has lost has none
            if (previous := inputs.pop(table, None)) is not None:
                pinned[table].add(previous)
            waiting.extend((name, number) for name, number in inputs.items() if number <= newest.get(name, -1))
    return pinned


def sweep(storage: Storage, *, keep_newest: int, keep_younger_than: timedelta) -> dict[str, list[str]]:
    """Delete what no kept version uses; see `Warehouse.sweep`."""
    oldest = datetime.now(UTC) - keep_younger_than  # first: a commit that comes meanwhile then counts as young
    unused: dict[str, list[str]] = {}
    figures: list[str] = []
    for table, pinned in sorted(pinned_versions(storage).items()):
        commits = entries(storage, table)
        kept = [entry for number, entry in enumerate(commits) if number < keep_newest or entry.version in pinned]
        unused[table] = _unused_files(storage, table, commits, kept, oldest)
        figures += _unused_figures(storage, table, commits, kept, oldest)
    # Only after this loop, so that a damaged log is noticed before anything is deleted.
    files = [f"{table}/{path}" for table, paths in unused.items() for path in paths]
    for path in files + figures + _unused_scratch(storage, oldest):
        with storage.errors(f"{path} could not be deleted from {storage.root}"):
            storage.delete(path)
    return unused


def _unused_files(
    storage: Storage, table: str, commits: Sequence[Entry], kept: Sequence[Entry], oldest: datetime
) -> list[str]:
    """Data files, older than `oldest`, that neither the commits `kept` nor any younger version uses.

    `commits` are all commits of the table, newest first.
    """
    young = [entry for entry in commits if entry.time >= oldest]
    # A file that a young version uses was either in use at `oldest` or added since. So only the last version before
    # `oldest` is opened, instead of all young ones: there may be thousands.
    versions = {entry.version for entry in kept}
    if young:
        versions.update([entry.version for entry in commits if entry.time < oldest][:1])
    used = {file.path for version in versions for file in open_version(storage, table, version).files}
    used |= {file.path for entry in young for file in entry.added}
    committed = {file.path for entry in commits for file in entry.added}
    oldest_uncommitted = _oldest_uncommitted(oldest)
    unused = []
    for info in storage.listing(table, recursive=True):
        path = storage.relative(info, table)
        is_data = info.type == pafs.FileType.File and not path.startswith("_")
        if is_data and path not in used and info.mtime < (oldest if path in committed else oldest_uncommitted):
            unused.append(path)
    return sorted(unused)


def _unused_figures(
    storage: Storage, table: str, commits: Sequence[Entry], kept: Sequence[Entry], oldest: datetime
) -> list[str]:
    """Figures older than `oldest`, except those of the commits `kept` and of the newest commit of each partition."""
    newest = {entry.metadata.get("partition"): entry for entry in reversed(commits)}
    used = [entry.metadata.get("content_hash") for entry in (*newest.values(), *kept)]
    return sorted(path for path, info in other_figures(storage, table, used).items() if info.mtime < oldest)


def _unused_scratch(storage: Storage, oldest: datetime) -> list[str]:
    """Scratch files of steps that were killed."""
    oldest = _oldest_uncommitted(oldest)
    return sorted(
        f"{SCRATCH}/{storage.relative(info, SCRATCH)}"
        for info in storage.listing(SCRATCH, recursive=True)
        if info.type == pafs.FileType.File and info.mtime < oldest
    )


def _oldest_uncommitted(oldest: datetime) -> datetime:
    """The time since when a file that no commit names may be one of a run that goes on."""
    return min(oldest, datetime.now(UTC) - UNCOMMITTED_FILES_ARE_KEPT)
