"""A stream of text as UTF-8 with line feeds, whatever its encoding and its line ends.

Here belongs what a reader of lines cannot do: encodings in which a line feed is more than one byte (UTF-16), and lines
that end with CR alone. All other encodings are decoded line by line.
"""

import codecs
import io
from pathlib import Path
from typing import BinaryIO

from taproom.errors import SourceError

_CHUNK = 2**18
_ASCII = bytes(range(128))
_UNDECODABLE = "taproom_undecodable"

# As `surrogateescape` does for encodings that have bytes: what cannot be decoded becomes a byte that is not UTF-8.
codecs.register_error(_UNDECODABLE, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]  # UnicodeError


def keeps_ascii(encoding: str) -> bool:
    """Whether text in ASCII is the same bytes in this encoding.

    >>> keeps_ascii("cp1252"), keeps_ascii("utf-16")
    (True, False)
    """
    try:
        return _ASCII.decode(encoding) == _ASCII.decode("ascii")
    except UnicodeError:
        return False


class Recoded(io.RawIOBase):
    r"""The bytes of a stream recoded to UTF-8, each CR (or CR and LF) become LF. Wrap it in `io.BufferedReader`.

    >>> stream = io.BytesIO("item,text\r1,Früli\r".encode("utf-16"))
    >>> io.BufferedReader(Recoded(stream, Path("beers.csv"), "utf-16")).readlines()
    [b'item,text\n', b'1,Fr\xc3\xbcli\n']
    """

    def __init__(self, stream: BinaryIO, path: Path, encoding: str):
        self._stream, self._path, self._encoding = stream, path, encoding
        decoder = codecs.getincrementaldecoder(encoding)(_UNDECODABLE)
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._ahead = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # only BufferedReader calls it
        while not self._ahead:
            chunk = self._stream.read(_CHUNK)
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                raise SourceError(f"{self._path} is not {self._encoding} ({error}). Set another `encoding`.") from None
            self._ahead = memoryview(text.encode("utf-8", "surrogateescape"))
            if not chunk:
                break
        count = min(len(buffer), len(self._ahead))
        buffer[:count], self._ahead = self._ahead[:count], self._ahead[count:]
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
