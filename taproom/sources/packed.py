"""Files that may be packed by gzip, bzip2, xz, Zstandard or zip: opening them, errors for damaged ones, and bombs.

Here belongs what every reader needs to get at the bytes of a file. It includes a limit on how much a file may unpack
to, because a file of a few KB can be made to unpack to gigabytes, and a reader needs more time for each byte than
unpacking does. Text shrinks 3- to 30-fold, a repeated line 300-fold (gzip) or 2,500-fold (bzip2), zeros 1,030-fold
(gzip), 32,000-fold (Zstandard) or 650,000-fold (bzip2). A zip file has to hold one file. Downloads belong to
`taproom.sources.fetching`.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from taproom.errors import SourceError

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import FileMetaData

# What reading from `open_unpacked` raises, besides `SourceError`, if the file is damaged; see `damage`.
UNREADABLE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
# A file may unpack to SMALL_BYTES whatever its size, and to more only up to EXPANSION times its size.
SMALL_BYTES, EXPANSION = 8 * 2**20, 400

# What systems add to an archive.
_NO_MEMBERS = ("__MACOSX/", ".DS_Store")
# Packed bytes are read in blocks so small that a block of zeros, too, is unpacked before the next one is read.
_BLOCK = 2**12
# Unpacked in pieces, so that what is before damage is not lost with it.
_PIECE = 2**16


def _member(file: io.FileIO, path: Path) -> IO[bytes]:
    """The content of a zip file, which holds one file."""
    archive = zipfile.ZipFile(file)
    name = _only_member(archive, path)
    try:
        return archive.open(name)
    except (RuntimeError, NotImplementedError) as error:
        raise SourceError(f"{path} cannot be unpacked ({error}). Unpack it, and give the file in it.") from None


def _only_member(archive: zipfile.ZipFile, path: Path) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith(_NO_MEMBERS)]
    if len(names) != 1:
        raise SourceError(f"{path} holds {len(names)} files. Wanted: one; unpack it, and give one of the files in it.")
    return names[0]


def _zstandard(file: io.FileIO, path: Path) -> Any:
    import pyarrow as pa  # the standard library has no Zstandard before Python 3.14

    return pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")


_OPENERS: dict[str, Callable[[io.FileIO, Path], Any]] = {
    ".gz": lambda file, _: gzip.GzipFile(fileobj=file),
    ".bz2": lambda file, _: bz2.BZ2File(file),
    ".xz": lambda file, _: lzma.LZMAFile(file),  # noqa: SIM115 (closed with `_Unpacked`)
    ".zst": _zstandard,
    ".zip": _member,
}


def is_packed(path: Path) -> bool:
    """Whether the file is packed, by its suffix.

    >>> is_packed(Path("beers.csv.GZ")), is_packed(Path("beers.csv"))
    (True, False)
    """
    return path.suffix.lower() in _OPENERS


def unpacked_suffix(path: Path) -> str:
    """The suffix of a file in lower case, without the .gz, .bz2, .xz or .zst after it; of a zip file, that of the file
    in it.

    >>> unpacked_suffix(Path("beers.CSV.gz"))
    '.csv'
    """
    if path.suffix.lower() == ".zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return Path(_only_member(archive, path)).suffix.lower()
    return (path.with_suffix("") if is_packed(path) else path).suffix.lower()


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unpacked if its suffix is .gz, .bz2, .xz, .zst or .zip.

    Raises `SourceError` if it cannot be opened. Reading raises `SourceError`, too, before it gives any of 8 MiB that
    are packed in less than a 400th of that.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "beers.txt.gz")
    >>> _ = path.write_bytes(gzip.compress(b"Two Hearted Ale"))
    >>> with open_unpacked(path) as file:
    ...     file.read()
    b'Two Hearted Ale'
    """
    try:
        return io.BufferedReader(_Unpacked(path), 2**18) if is_packed(path) else path.open("rb")
    except zipfile.BadZipFile as error:
        raise damage(path, error, "its start", at_start=True) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}). Check that it may be read.") from None


def check_expansion(path: Path, unpacked_bytes: int) -> None:
    """Raise `SourceError` if the unpacked bytes are more than 8 MiB and more than 400 times the size of the file."""
    packed_bytes = path.stat().st_size
    if unpacked_bytes > max(SMALL_BYTES, EXPANSION * packed_bytes):
        raise _bomb(f"{path} holds", unpacked_bytes, packed_bytes)


def check_footer(path: Path, footer: "FileMetaData") -> None:
    """Raise `SourceError` as `check_expansion` does, for the sizes in the footer of a Parquet file.

    Each value counts at least as a byte: encoded, a column that repeats one value a billion times takes a few bytes.
    """
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    values = footer.num_columns * sum(group.num_rows for group in groups)
    check_expansion(path, max(values, sum(group.total_byte_size for group in groups)))


def checked_batches(path: Path, batches: Iterable["RecordBatch"]) -> "Iterator[RecordBatch]":
    """The batches of a Parquet file; raises `SourceError` as `check_expansion` does, for all batches so far.

    This is needed besides `check_footer`: the footer does not have the size of values that are encoded by a dictionary.
    """
    unpacked_bytes = 0
    for batch in batches:
        unpacked_bytes += batch.nbytes
        check_expansion(path, unpacked_bytes)
        yield batch


def damage(path: Path, error: Exception, place: str, at_start: bool) -> SourceError:
    """The error for a file whose reading raised one of `UNREADABLE`.

    Args:
        path: the file.
        error: what reading it raised.
        place: where, for the message, such as "line 17".
        at_start: whether nothing had been read before; a packed file is then not of the format that its suffix says.

    >>> str(damage(Path("beers.csv"), OSError("Input/output error"), "line 17", at_start=False))
    'beers.csv is damaged near line 17 (Input/output error). Fetch or copy it again.'
    """
    if isinstance(error, EOFError):
        return SourceError(
            f"{path} is cut off near {place}: its compressed data has no end. "
            "Wanted: the whole file; fetch or copy it again."
        )
    if at_start and is_packed(path):
        return SourceError(
            f"{path} is not a {path.suffix} file, although its name says so ({error}). "
            "Rename it, or fetch or copy it again."
        )
    return SourceError(f"{path} is damaged near {place} ({error}). Fetch or copy it again.")


class _Unpacked(io.RawIOBase):
    """A packed file's content, unpacked some megabytes ahead, so that a bomb is refused before any of it is read."""

    def __init__(self, path: Path) -> None:
        self._path, self._packed = path, _InBlocks(path)
        self._unpacked = _OPENERS[path.suffix.lower()](self._packed, path)
        self._ahead, self._unpacked_bytes = memoryview(b""), 0
        self._damage: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # only BufferedReader calls it
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
        """Unpack the next megabytes; before damage give what is before it, and raise it on the next call."""
        start, chunks, size_bytes = self._packed.tell(), [], 0
        try:
            while size_bytes < SMALL_BYTES and (chunk := self._unpacked.read1(_PIECE)):
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
    """A file that is read in small blocks, so that its position is how much of it has been unpacked."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size if size is None else min(size, _BLOCK))


def _bomb(found: str, unpacked_bytes: int, packed_bytes: int) -> SourceError:
    return SourceError(
        f"{found} {unpacked_bytes:,} bytes packed in {packed_bytes:,}, which looks like a decompression bomb. "
        f"Wanted: at most {EXPANSION} times the packed size. If the file is right, give it unpacked."
    )
