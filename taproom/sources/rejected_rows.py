"""Rows of a file that are rejected: the reasons, how many there are of each, and the first of them as a table.

Here belongs what is kept of a rejected row. How a row is found to be bad belongs to the module that reads or checks it.
"""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

MAX_REJECTED_ROWS = 100_000

REJECTED_SCHEMA = pa.schema(
    [
        pa.field("batch", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("review_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)


class Reason(StrEnum):
    """Why a row was rejected."""

    UNREADABLE = "unreadable"
    WRONG_ENCODING = "wrong_encoding"
    NUL_BYTE = "nul_byte"
    TOO_LONG = "too_long"
    EMPTY_TEXT = "empty_text"
    NO_ITEM = "no_item"
    BAD_SCORE = "bad_score"
    BAD_TIME = "bad_time"
    DUPLICATE_REVIEW_ID = "duplicate_review_id"


# Takes the line a row starts on, the reason, and what was found in the row.
RejectRow = Callable[[int, Reason, str], None]


class BadRowError(Exception):
    """A row cannot be read. Whoever reads the rows catches it, rejects the row and goes on to the next one."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class RejectedRow(NamedTuple):
    """The line a rejected row starts on, its review's id if it is known, the reason, and what was found in it."""

    line: int
    review_id: str | None
    reason: Reason
    detail: str


class RejectedRows:
    """Counts all rejected rows of a file, and keeps the first 100,000 of them.

    >>> rejected = RejectedRows()
    >>> rejected.add(3, Reason.BAD_SCORE, "overall is 'good'")
    >>> rejected.counts["bad_score"], rejected.counts["bad_time"]
    (1, 0)
    >>> rejected.first
    RejectedRow(line=3, review_id=None, reason=<Reason.BAD_SCORE: 'bad_score'>, detail="overall is 'good'")
    """

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()
        self._rows: list[RejectedRow] = []

    def add(self, line: int, reason: Reason, detail: str, review_id: str | None = None) -> None:
        """Count a row, and keep it if it is among the first."""
        self._counts[reason] += 1
        if len(self._rows) < MAX_REJECTED_ROWS:
            self._rows.append(RejectedRow(line, review_id, reason, detail))

    @property
    def counts(self) -> dict[str, int]:
        """The number of rejected rows for each reason; every reason is a key."""
        return {str(reason): self._counts[reason] for reason in Reason}

    @property
    def first(self) -> RejectedRow | None:
        """The kept row with the lowest line number; None if no row was rejected."""
        return min(self._rows, key=lambda row: row.line, default=None)

    def table(self, batch: str, file: str) -> pa.Table:
        """The kept rows in `REJECTED_SCHEMA`, sorted by line, with the name of their batch and file."""
        rows = sorted(self._rows, key=lambda row: row.line)
        return pa.Table.from_pylist([{"batch": batch, "file": file, **row._asdict()} for row in rows], REJECTED_SCHEMA)
