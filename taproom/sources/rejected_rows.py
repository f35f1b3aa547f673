"""Rows of a file that are rejected, and values that are left out: the reasons, how many there are, and the first ones.

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
    REPEATED_HEADER = "repeated_header"
    DUPLICATE = "duplicate"
    REPLACED = "replaced"


# Rows that say nothing that is not said elsewhere in the file.
REPEATED = (Reason.REPEATED_HEADER, Reason.DUPLICATE, Reason.REPLACED)


class ValueReason(StrEnum):
    """Why a value was left out, while its row counts."""

    BAD_SCORE = "bad_score"
    BAD_TIME = "bad_time"
    AMBIGUOUS_TIME = "ambiguous_time"
    ROUNDED_ID = "rounded_id"
    NOT_ONE_VALUE = "not_one_value"
    WRONG_ENCODING = "value_in_wrong_encoding"
    NUL_BYTE = "value_with_nul_byte"


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
    >>> rejected.add(3, Reason.EMPTY_TEXT, "text is blank")
    >>> rejected.counts["empty_text"], rejected.counts["no_item"]
    (1, 0)
    >>> rejected.first
    [RejectedRow(line=3, review_id=None, reason=<Reason.EMPTY_TEXT: 'empty_text'>, detail='text is blank')]
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
    def bad_rows(self) -> int:
        """How many rows were rejected because something is wrong with them, not because they are repeated."""
        return sum(count for reason, count in self._counts.items() if reason not in REPEATED)

    @property
    def first(self) -> list[RejectedRow]:
        """The first three rows with something wrong, by line; repeated rows only where there are no others."""
        return sorted(self._rows, key=lambda row: (row.reason in REPEATED, row.line))[:3]

    def table(self, batch: str, file: str) -> pa.Table:
        """The kept rows in `REJECTED_SCHEMA`, sorted by line, with the name of their batch and file."""
        rows = sorted(self._rows, key=lambda row: row.line)
        return pa.Table.from_pylist([{"batch": batch, "file": file, **row._asdict()} for row in rows], REJECTED_SCHEMA)


class LeftOutValues:
    """Counts the values of a file that were left out while their rows count, and keeps the first of each reason.

    >>> values = LeftOutValues()
    >>> values.add(3, ValueReason.BAD_SCORE, "overall is 'good'")
    >>> values.counts["bad_score"], values.notes
    (1, ["1 value was left out as bad_score (line 3: overall is 'good')"])
    """

    def __init__(self) -> None:
        self._counts: Counter[ValueReason] = Counter()
        self._first: dict[ValueReason, str] = {}

    def add(self, line: int, reason: ValueReason, detail: str) -> None:
        """Count a value."""
        self._counts[reason] += 1
        self._first.setdefault(reason, f"line {line:,}: {detail}")

    @property
    def counts(self) -> dict[str, int]:
        """The number of values that were left out for each reason; every reason is a key."""
        return {str(reason): self._counts[reason] for reason in ValueReason}

    @property
    def notes(self) -> list[str]:
        """A line for each reason: how many values were left out, and the first of them."""
        return [
            f"{count:,} value{'s were' if count > 1 else ' was'} left out as {reason} ({self._first[reason]})"
            for reason, count in self._counts.items()
        ]
