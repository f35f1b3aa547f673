"""A local copy of an inbox that is a prefix of an object store, so that its files are read like those of a folder.

Objects are compared by size and time of modification, in seconds; what has changed is fetched, and what is gone is
deleted from the copy. Each machine that runs sensors or steps has a copy of its own, under the cache folder.
"""

import os
import uuid
from pathlib import Path, PurePosixPath

import pyarrow.fs as pafs

from taproom.errors import SourceError, StorageError
from taproom.object_store import CHECK_THE_SERVER, bucket_and_path, reason, s3_files

CHUNK_BYTES = 2**20


def update_copy(url: str, folder: Path) -> None:
    """Make `folder` a copy of the objects under `url`, without hidden ones and those whose names lead out of it.

    One listing, and a request for each new or changed object.

    Raises:
        SourceError: the store cannot be read, or the copy cannot be written.
    """
    try:
        base = bucket_and_path(url, "The inbox's URL")
        files = s3_files()
        found = files.get_file_info(pafs.FileSelector(base, allow_not_found=True, recursive=True))
        objects = {info.path[len(base) + 1 :]: info for info in found if info.type == pafs.FileType.File}
        wanted = {name: info for name, info in objects.items() if _is_safe(name)}
        # First, since a new object may be below the name of one that is gone.
        for path in [path for path in folder.rglob("*") if path.is_file() and not _is_being_fetched(path)]:
            if path.relative_to(folder).as_posix() not in wanted:
                path.unlink(missing_ok=True)
        for name, info in wanted.items():
            if not _is_current(folder / name, info):
                _fetch(files, info, folder / name)
    except StorageError as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        raise SourceError(f"The inbox {url} could not be read: {reason(error)}. {CHECK_THE_SERVER}") from error


def move_object(url: str, name: str, target: str) -> None:
    """Move an object under `url` to another name under it.

    Raises:
        SourceError: the store refuses.
    """
    base, files = bucket_and_path(url, "The inbox's URL"), s3_files()
    try:
        files.move(f"{base}/{name}", f"{base}/{target}")
    except OSError as error:
        what = f"{url}/{name} could not be moved to {target}"
        raise SourceError(f"{what}: {reason(error)}. {CHECK_THE_SERVER}") from error


def _is_safe(name: str) -> bool:
    """Whether a name is a path below the copy's folder, of names that are not hidden.

    >>> _is_safe("plates/A01.fcs"), _is_safe("../A01.fcs"), _is_safe(".removed/A01.fcs"), _is_safe("a//b")
    (True, False, False, False)
    >>> _is_safe("A01.fcs" + chr(0)), _is_safe("A01" + chr(92) + "0.fcs")  # a null character, a backslash
    (False, True)
    """
    parts = name.split("/")
    return all(part and not part.startswith(".") and "\0" not in part for part in parts) and (
        PurePosixPath(name).as_posix() == name
    )


def _is_current(path: Path, info: pafs.FileInfo) -> bool:
    if not path.is_file():
        return False
    status = path.stat()
    return (status.st_size, status.st_mtime_ns) == (info.size, info.mtime_ns)


def _is_being_fetched(path: Path) -> bool:
    """Whether this is a file that `_fetch` writes to, in this process or another."""
    return path.name.startswith(".") and path.name.endswith(".part")


def _fetch(files: pafs.FileSystem, info: pafs.FileInfo, target: Path) -> None:
    """Fetch an object to a file, which appears when it is complete and has the object's time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        _remove_empty(target)
    part = target.with_name(f".{uuid.uuid4().hex[:8]}.part")
    try:
        with files.open_input_stream(info.path) as source, part.open("wb") as output:
            while chunk := source.read(CHUNK_BYTES):
                output.write(chunk)
        os.utime(part, ns=(info.mtime_ns, info.mtime_ns))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    """Remove a folder that holds at most empty folders. Raises `OSError` if it holds a file."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()
