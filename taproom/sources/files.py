"""Files and folders that people give: which files there are, that a file has content, and hashes of content.

Here belongs what a reader needs to know of files before it opens one. Inboxes, and which files in a folder hold data,
belong to `taproom.sources.inbox`; opening files to `taproom.sources.packed`.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from taproom.errors import SourceError
from taproom.sources.inbox import data_files, file_sha256


def check_has_content(path: Path, wanted: str) -> None:
    """Raise `SourceError` unless there is a file at the path with at least a byte in it; `wanted` says what should be.

    >>> check_has_content(Path("no/such.csv"), "a file of reviews")
    Traceback (most recent call last):
    ...
    taproom.errors.SourceError: no/such.csv is not there, or is not a file. Wanted: a file of reviews; check the path.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not there, or is not a file. Wanted: {wanted}; check the path.")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty (0 bytes). Wanted: {wanted}; was it copied whole?")


def files_in(folder: Path) -> Iterator[Path]:
    """The data files in a folder and its subfolders, sorted by path. Raises `SourceError` if one may not be listed."""
    try:
        yield from data_files(folder)
    except OSError as error:
        raise SourceError(f"{error.filename} cannot be opened ({error.strerror}). Check that it may be read.") from None


def fingerprint(path: Path) -> str:
    """Hash a file's content, or the paths and content of all files in a folder: SHA-256, 64 hex digits.

    Raises `SourceError` if there is nothing at the path, or an empty file.
    """
    path = Path(path)
    if path.is_dir():
        files = [(file.relative_to(path).as_posix(), file_sha256(file)) for file in files_in(path)]
        return sha256(repr(files).encode()).hexdigest()
    check_has_content(path, "a file, or a folder of files")
    return file_sha256(path)
