"""Files that may be packed by gzip or bzip2, opened as if they were not, and what to say of one that is damaged.

Here belongs what every reader of people's files needs before it looks into them; downloads are `taproom.sources`'.
"""

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from taproom.errors import SourceError

# What reading from `open_unpacked` raises when the file is not what it should be.
UNREADABLE = (EOFError, OSError, zlib.error)
_OPENERS: dict[str, Callable[[Path], BinaryIO]] = {".gz": gzip.open, ".bz2": bz2.open}


def is_packed(path: Path) -> bool:
    """Whether the file's name says that it is packed."""
    return path.suffix.lower() in _OPENERS


def unpacked_suffix(path: Path) -> str:
    """Give a file's suffix in lower case, without the .gz or .bz2 after it."""
    return (path.with_suffix("") if is_packed(path) else path).suffix.lower()


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file to read its bytes, as they were before gzip or bzip2; SourceError when it cannot be opened."""
    try:
        return _OPENERS.get(path.suffix.lower(), Path.open)(path, "rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}). Check that it may be read.") from None


def damage(path: Path, error: Exception, place: str, at_start: bool) -> SourceError:
    """Say what is wrong with a file whose reading raised one of `UNREADABLE` near `place`."""
    if isinstance(error, EOFError):
        return SourceError(
            f"{path} is cut off near {place}: its compressed data has no end. "
            "Wanted: the whole file; fetch or copy it again."
        )
    if at_start and is_packed(path):
        return SourceError(
            f"{path} is not a {path.suffix} file, whatever its name says ({error}). "
            "Rename it, or fetch or copy it again."
        )
    return SourceError(f"{path} is damaged near {place} ({error}). Fetch or copy it again.")
