"""The lines of a text file, decoded, and which of them make up a record: a row that may span several lines.

Here belongs what CSV, JSON lines and beer reviews have in common: decoding, line numbers, and limits on what a damaged
record can cost. What a record says belongs to `taproom.sources.text_rows`.
"""

import codecs
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from taproom.sources.packed import UNREADABLE, damage
from taproom.sources.rejected_rows import BadRowError, Reason
from taproom.sources.review_rows import MAX_RECORD_BYTES


class RecordLines(Iterator[str]):
    r"""The decoded lines of a stream, and those of them that belong to the record that is being read.

    Bytes that cannot be decoded become surrogates. A line that is too long raises `BadRowError`, and so does a record
    that is too long; both leave the stream at the start of the next line. Raises `SourceError` where the file is
    damaged.

    Args:
        stream: the bytes of the file, unpacked.
        path: the file, for messages.
        encoding: one in which ASCII is ASCII.
        quoted: whether a record spans lines because they are inside quotes (CSV, TSV); if not, it ends at a blank line.

    >>> import io
    >>> lines = RecordLines(io.BytesIO(b'item_id,text\n1,"two\nlines"\n'), Path("beers.csv"), "utf-8", quoted=True)
    >>> next(lines)
    'item_id,text\n'
    >>> lines.start_record()
    >>> next(lines), next(lines)
    ('1,"two\n', 'lines"\n')
    >>> lines.number, lines.record_line
    (3, 2)
    """

    def __init__(self, stream: BinaryIO, path: Path, encoding: str, quoted: bool):
        self.encoding = encoding
        self.number = 0  # of the line that was read last, from 1
        self.characters = 0  # so far, those of lines that were read again included
        self._stream, self._path, self._quoted = stream, path, quoted
        self._record: list[str | None] = []
        self._record_start = 0
        self._again: deque[str | None] = deque()
        self._reread = 0

    def __next__(self) -> str:
        """The next line, with its line end."""
        line = self._again.popleft() if self._again else self._decoded()
        self.number += 1
        self._record.append(line)
        if line is None:
            raise BadRowError(Reason.TOO_LONG, f"line {self.number:,} is longer than {MAX_RECORD_BYTES:,} bytes")
        self.characters += len(line)
        if self.characters - self._record_start > MAX_RECORD_BYTES:
            cause = "a quote is opened and not closed" if self._quoted else "no blank line follows"
            raise BadRowError(Reason.TOO_LONG, f"has no end within {MAX_RECORD_BYTES:,} characters: {cause}")
        return line

    @property
    def record_line(self) -> int:
        """The number of the line that the record starts on."""
        return self.number - len(self._record) + 1

    @property
    def continued(self) -> list[str | None]:
        """The lines of the record after its first; none for most records."""
        return self._record[1:]

    @property
    def spans_lines(self) -> bool:
        """Whether the record has more than one line."""
        return len(self._record) > 1

    def start_record(self) -> None:
        """Begin a new record with the next line."""
        self._record.clear()
        self._record_start = self.characters

    def rewind(self) -> bool:
        """Go back to the second line of the record, if that is possible; returns whether the record loses no line.

        A stray quote then costs its own line and not those that follow it. Lines are read again only in proportion to
        those read once, or a file full of quotes would take quadratic time. A record without quotes is lost as a whole:
        its other lines are no records of their own.
        """
        again = self._record[1:]
        if again and not self._quoted:
            return False
        if self._reread + len(again) > 4 * self.number + 100_000:
            return False
        self._reread += len(again)
        self._again.extendleft(reversed(again))
        self.number -= len(again)
        return True

    def _decoded(self) -> str | None:
        """The next line of the stream; None for one that is too long, which is skipped piece by piece."""
        line = self._read()
        if not line:
            raise StopIteration
        if len(line) > MAX_RECORD_BYTES:
            while line and not line.endswith(b"\n"):
                line = self._read()
            return None
        # Files that were put together have one in the middle too.
        return line.removeprefix(codecs.BOM_UTF8).decode(self.encoding, "surrogateescape")

    def _read(self) -> bytes:
        try:
            return self._stream.readline(MAX_RECORD_BYTES + 1)
        except UNREADABLE as error:
            raise damage(self._path, error, f"line {self.number + 1:,}", at_start=not self.number) from None
