"""Rows of a file of reviews as columns of values, and how large a row and a batch of rows may be.

Here belongs what every format's reader gives and every check takes. How rows are read from a format belongs to
`taproom.sources.text_rows` and `taproom.sources.parquet_rows`, what their values mean to
`taproom.sources.review_fields`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

# The largest row of a file. It is also the csv module's default limit of a field; a larger one would mean raising that
# limit, which is global to the process.
MAX_RECORD_BYTES = 128 * 1024
BATCH_BYTES = 16 * 2**20


class NestedValue(str):
    """Stands for an object or a list, where a field takes one value; the text says what was found.

    A NUL makes it a value that no table can hold, so that it is found with all others of these.
    """

    __slots__ = ()

    def __new__(cls, found: str) -> "NestedValue":
        """Of what was found."""
        return super().__new__(cls, f"{found}\0")

    def strip(self, chars: str | None = None, /) -> "NestedValue":
        """The same value."""
        return self


# Takes the names of a file's columns, and whether these are all of them; gives those to read.
ChooseColumns = Callable[[Sequence[str], bool], list[str]]


@dataclass(frozen=True)
class Rows:
    """Some rows as columns of equal length, by the names of the file's columns or of the fields of a review.

    `lines` are the lines that the rows start on, in a Parquet file the numbers of the rows; both count from 1.

    >>> rows = Rows([2, 3], {"text": ["Hoppy", "Sweet"]}).having({"overall": ["15", "x"]})
    >>> rows.where([True, False])
    Rows(lines=[2], columns={'text': ['Hoppy'], 'overall': ['15']})
    """

    lines: Sequence[int]
    columns: dict[str, Sequence[Any]]

    def having(self, columns: Mapping[str, Sequence[Any]]) -> "Rows":
        """The same rows with some columns added or replaced."""
        return Rows(self.lines, {**self.columns, **columns})

    def where(self, mask: Sequence[bool]) -> "Rows":
        """The rows for which the mask, of the same length, is true."""
        if all(mask):
            return self
        return Rows(
            list(compress(self.lines, mask)),
            {name: list(compress(values, mask)) for name, values in self.columns.items()},
        )
