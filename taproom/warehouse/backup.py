"""Copies of a warehouse, made while runs go on: a backup, and its restoration.

    python -m taproom.warehouse.backup TARGET [--warehouse ROOT]

Copies the warehouse to another root, a folder or an object store's URL. A later copy to the same target adds what is
new or was written again. A warehouse that was made again needs a new target, or its log and the old one would be mixed.
To restore, copy the other way, to a root without tables.

The copy is of one moment although others write meanwhile: log entries that are younger than the beginning are left out,
so a version is there with all that it was made from. What was committed before the beginning is in the copy, even if
the clock of the store is some seconds ahead: a copy of an object store begins after ten seconds of waiting. The clock
of a folder is that of this machine. Entries are copied after the files that they name. Two files of a
log are left out because every commit writes them anew: `_newest_commit` and `_last_checkpoint`; the next commit to the
copy does so there. Maintenance should not run meanwhile, since it deletes files of old versions.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow.fs as pafs

from taproom.errors import StorageError, TaproomError
from taproom.warehouse.delta_log import LOG
from taproom.warehouse.scratch import FOLDER as SCRATCH
from taproom.warehouse.storage import Storage, default_root

# How far the clocks of this machine and of a store may be apart. The times of local files are some milliseconds late.
CLOCKS_DIFFER = timedelta(seconds=5)
FILE_TIMES_DIFFER = timedelta(milliseconds=20)
WRITTEN_ANEW = ("_newest_commit", "_last_checkpoint")


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy, and print how much; the exit status is 1 if that failed."""
    parser = argparse.ArgumentParser(
        prog="python -m taproom.warehouse.backup", description="Copy a warehouse, also while runs go on."
    )
    parser.add_argument("target", help="where to: a folder, or an object store's URL")
    parser.add_argument("--warehouse", help="the warehouse to copy (default: $TAPROOM_WAREHOUSE, or data/warehouse)")
    given = parser.parse_args(arguments)
    try:
        source, target = Storage(given.warehouse or default_root()), Storage(given.target)
        copied = copy_warehouse(source, target)
    except TaproomError as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    print(f"{copied} files were copied from {source.root} to {target.root}")
    return 0


def copy_warehouse(source: Storage, target: Storage) -> int:
    """Copy all tables, figures and pages; gives the number of files copied.

    A file that the target has is copied again if it has another size there or is older, since the repair of a log
    writes entries again. Figures and pages are always copied.

    Raises:
        StorageError: a storage fails, or both are the same.
    """
    if source.root == target.root:
        raise StorageError(f"{source.root} cannot be copied to itself. Name another root.")
    began = _moment(source)
    entries = {path: info for path, info in _files(source).items() if f"/{LOG}/" in path and info.mtime <= began}
    data = {path: info for path, info in _files(source).items() if f"/{LOG}/" not in path}  # later: all that they name
    present, tolerance = _files(target), max(_clocks_differ(source), _clocks_differ(target))
    copied = 0
    for path, info in (*data.items(), *sorted(entries.items())):  # in order, so that a log has no gap if this fails
        if path.rpartition("/")[2] in WRITTEN_ANEW or (
            not path.startswith("_") and _is_current(present.get(path), info, tolerance)
        ):
            continue
        if (content := source.read(path)) is not None:  # else it was deleted since it was listed
            _write(target, path, content)
            copied += 1
    return copied


def _moment(source: Storage) -> datetime:
    """A moment of the store's clock, after all that was committed before this call. It has passed when this returns.

    Were the latest moments left out instead, a backup that is restored at once would be restored without its log.
    """
    moment = datetime.now(UTC) + _clocks_differ(source)
    time.sleep(2 * _clocks_differ(source).total_seconds())
    return moment


def _clocks_differ(storage: Storage) -> timedelta:
    return FILE_TIMES_DIFFER if storage.is_local else CLOCKS_DIFFER


def _files(storage: Storage) -> dict[str, pafs.FileInfo]:
    """All files but scratch files, by path."""
    found = storage.listing(recursive=True)
    files = {storage.relative(info, ""): info for info in found if info.type == pafs.FileType.File}
    return {path: info for path, info in files.items() if not path.startswith(f"{SCRATCH}/")}


def _is_current(copy: pafs.FileInfo | None, original: pafs.FileInfo, tolerance: timedelta) -> bool:
    return copy is not None and copy.size == original.size and copy.mtime >= original.mtime + tolerance


def _write(target: Storage, path: str, content: bytes) -> None:
    with target.errors(f"{path} could not be written to {target.root}"):
        target.replace(path, content)


if __name__ == "__main__":
    sys.exit(main())
