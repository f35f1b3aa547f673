"""Files that may be packed by gzip or bzip2, opened as if they were not, and what to say of one that is damaged.

Here belongs what every reader of people's files needs before it looks into them, and how much may come out of how
little: a file of a few KB can be made to unpack to gigabytes, each byte of which costs a reader more than unpacking it.
Text shrinks 3- to 30-fold, one line again and again 300-fold (gzip) or 2,500-fold (bzip2), zeros 1,030-fold or
650,000-fold. Downloads are `taproom.sources.fetching`'.
"""

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from taproom.errors import SourceError

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import FileMetaData

# What reading from `open_unpacked` raises, beside `SourceError`, when the file is not what it should be.
UNREADABLE = (EOFError, OSError, zlib.error)
# So many bytes may come out of however few; more than that, out of so many times fewer.
SMALL_BYTES, EXPANSION = 8 * 2**20, 400

_OPENERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.open,
}
# Read at a time of what is packed: even of zeros, all of it is unpacked before more is read.
_BLOCK = 2**12


def is_packed(path: Path) -> bool:
    """Whether the file's name says that it is packed."""
    return path.suffix.lower() in _OPENERS


def unpacked_suffix(path: Path) -> str:
    """Give a file's suffix in lower case, without the .gz or .bz2 after it."""
    return (path.with_suffix("") if is_packed(path) else path).suffix.lower()


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file to read its bytes, as they were before gzip or bzip2.

    Raises `SourceError` when it cannot be opened. Reading raises it, too, before it gives anything of 8 MiB that come
    out of less than a 400th of that.
    """
    try:
        return io.BufferedReader(_Unpacked(path), 2**18) if is_packed(path) else path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}). Check that it may be read.") from None


def check_expansion(path: Path, unpacked_bytes: int) -> None:
    """Raise `SourceError` where so many bytes are more than 8 MiB and more than 400 times those of the file."""
    packed_bytes = path.stat().st_size
    if unpacked_bytes > max(SMALL_BYTES, EXPANSION * packed_bytes):
        raise _bomb(f"{path} holds", unpacked_bytes, packed_bytes)


def check_footer(path: Path, footer: "FileMetaData") -> None:
    """Raise `SourceError` as `check_expansion` does, by what the footer of a Parquet file says.

    A value counts for a byte: encoded, a column of one value a billion times takes a few.
    """
    groups = [footer.row_group(place) for place in range(footer.num_row_groups)]
    values = footer.num_columns * sum(group.num_rows for group in groups)
    check_expansion(path, max(values, sum(group.total_byte_size for group in groups)))


def checked_batches(path: Path, batches: Iterable["RecordBatch"]) -> "Iterator[RecordBatch]":
    """Give the batches of a Parquet file, as long as `check_expansion` holds for all so far.

    The footer does not say how long values are that are encoded as places in a dictionary.
    """
    unpacked_bytes = 0
    for batch in batches:
        unpacked_bytes += batch.nbytes
        check_expansion(path, unpacked_bytes)
        yield batch


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


class _Unpacked(io.RawIOBase):
    """A packed file's content, unpacked some megabytes ahead of whoever reads it, and so refused before it is read."""

    def __init__(self, path: Path) -> None:
        self._path, self._packed = path, _InBlocks(path)
        self._unpacked = _OPENERS[path.suffix.lower()](self._packed)
        self._ahead, self._unpacked_bytes = memoryview(b""), 0
        self._damage: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        if not self._ahead:
            if self._damage:
                raise self._damage
            self._ahead = memoryview(self._next())
        count = min(len(buffer), len(self._ahead))
        buffer[:count], self._ahead = self._ahead[:count], self._ahead[count:]
        return count

    def close(self) -> None:
        self._unpacked.close()
        self._packed.close()
        super().close()

    def _next(self) -> bytes:
        """Unpack what is next; where it is damaged, what is before that, which is the reader's to have first."""
        start, chunks, size_bytes = self._packed.tell(), [], 0
        try:
            while size_bytes < SMALL_BYTES and (chunk := self._unpacked.read1(SMALL_BYTES)):
                chunks.append(chunk)
                size_bytes += len(chunk)
        except UNREADABLE as error:
            if not chunks:
                raise
            self._damage = error
        packed_bytes = self._packed.tell() - start
        self._unpacked_bytes += size_bytes
        if size_bytes >= SMALL_BYTES and size_bytes > EXPANSION * packed_bytes:
            raise _bomb(f"{self._path}, up to byte {self._unpacked_bytes:,}, holds", size_bytes, packed_bytes)
        return b"".join(chunks)


class _InBlocks(io.FileIO):
    """A file that is read a block at a time, so that its position says how much of it has been unpacked."""

    def read(self, size: int) -> bytes:
        return super().read(min(size, _BLOCK))


def _bomb(found: str, unpacked_bytes: int, packed_bytes: int) -> SourceError:
    return SourceError(
        f"{found} {unpacked_bytes:,} bytes packed in {packed_bytes:,}, which looks like a decompression bomb. "
        f"Wanted: at most {EXPANSION} times as many as they are packed in. If it is right, give the file unpacked."
    )
