"""The fields of a review: their names, and how they are made from the strings that a file holds.

Here belongs what a value means and when it is bad: blank values, characters, items, scores, times, ids. These
functions take and give columns; bad rows are given by their position, and whoever calls rejects them.

Source: ISO 8601 for times.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import pyarrow as pa

from taproom.sources.characters import is_storable, shown
from taproom.sources.duplicate_ids import text_hash
from taproom.sources.rejected_rows import Reason
from taproom.sources.review_rows import Rows

PLAIN_FIELDS = ("review_id", "item_id", "item_name", "category", "reviewer_id", "time", "overall", "text")
MAP_FIELDS = ("scores", "attributes")

# The positions of bad rows, each with the reason and what was found.
BadRows = Mapping[int, tuple[Reason, str]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Eight digits are a date in ISO 8601's basic format (20120131), not a second in 1970.
_EPOCH_SECONDS = re.compile(r"(?!\d{8}$)[+-]?\d+(\.\d*)?([eE]\+?\d+)?", re.ASCII)

Value = TypeVar("Value")


def is_field(name: str) -> bool:
    """Whether a review has a field of that name.

    >>> is_field("overall"), is_field("scores.aroma"), is_field("scores."), is_field("stars")
    (True, True, False, False)
    """
    prefix, _, rest = name.partition(".")
    return name in PLAIN_FIELDS or (prefix in MAP_FIELDS and bool(rest))


def in_fields(rows: Rows, columns: Mapping[str, str]) -> Rows:
    """Turn columns of the file into fields; `columns` gives for each field the column that holds it.

    Values lose the white space around them. Blank ones become None, and so do plain fields without a column.

    >>> in_fields(Rows([2, 3], {"note": [" Hoppy ", " "]}), {"text": "note"}).columns["text"]
    ['Hoppy', None]
    """
    fields: dict[str, Sequence[str | None]] = dict.fromkeys(PLAIN_FIELDS, [None] * len(rows.lines))
    stripped = {column: _stripped(rows.columns[column]) for column in columns.values()}
    return Rows(rows.lines, fields | {name: stripped[column] for name, column in columns.items()})


def bad_characters(rows: Rows, encoding: str) -> BadRows:
    """The rows with a NUL, or with characters that the encoding (for the message) does not have."""
    bad = {}
    for name, values in rows.columns.items():
        if is_storable("".join(filter(None, values))):
            continue
        for position, value in enumerate(values):
            if value and not is_storable(value):
                reason = Reason.NUL_BYTE if "\0" in value else Reason.WRONG_ENCODING
                found = "a NUL" if "\0" in value else f"what is not {encoding}"
                bad[position] = (reason, f"{name} holds {found}")
    return bad


def blank(values: Sequence[str | None], reason: Reason, detail: str) -> BadRows:
    """The rows whose value is None, each with this reason and detail."""
    positions = [position for position, value in enumerate(values) if value is None]
    return dict.fromkeys(positions, (reason, detail))


def with_items(rows: Rows) -> Rows:
    """Use an item's name as its id where it has no id, and its id as its name where it has no name."""
    ids, names = rows.columns["item_id"], rows.columns["item_name"]
    return rows.having({"item_id": _filled(ids, names), "item_name": _filled(names, ids)})


def with_titles(rows: Rows, item_title: Callable[[str], str]) -> Rows:
    """Make the names of items readable; a name of which `item_title` makes nothing stays."""
    return rows.having({"item_name": [item_title(name) or name for name in rows.columns["item_name"]]})


def score_fields(rows: Rows) -> list[str]:
    """The fields that are scores."""
    return [name for name in rows.columns if name == "overall" or name.startswith("scores.")]


def parsed(rows: Rows, name: str, parse: Callable[[str], Value], reason: Reason) -> tuple[Rows, BadRows]:
    """Parse a field, and give the rows whose value `parse` raises a ValueError or OverflowError for.

    >>> rows, bad = parsed(Rows([2, 3], {"overall": ["4", "good"]}), "overall", parse_score, Reason.BAD_SCORE)
    >>> rows.columns["overall"], bad
    ([4.0, None], {1: (<Reason.BAD_SCORE: 'bad_score'>, "overall is 'good'")})
    """
    values = rows.columns[name]
    results: dict[str, Value] = {}
    bad: dict[str, tuple[Reason, str]] = {}
    # Each distinct value once: scores have few.
    for value in set(values) - {None}:
        try:
            results[value] = parse(value)
        except (ValueError, OverflowError):
            bad[value] = (reason, f"{name} is {shown(value)}")
    bad_rows = {position: bad[value] for position, value in enumerate(values) if value in bad} if bad else {}
    return rows.having({name: list(map(results.get, values))}), bad_rows


def parse_score(value: str) -> float:
    """A finite number; raises ValueError for anything else.

    >>> parse_score("7.5")
    7.5
    """
    score = float(value)
    if not math.isfinite(score):
        raise ValueError(value)
    return score


def parse_time(value: str) -> int:
    """Parse ISO 8601 (UTC if it has no offset) or seconds since 1970, into microseconds since 1970.

    Raises ValueError or OverflowError if it is neither, or outside the years 1 to 9999.

    >>> parse_time("2012-01-31T10:11:12+02:00"), parse_time("1328004672.25")
    (1327997472000000, 1328004672250000)
    """
    if _EPOCH_SECONDS.fullmatch(value):
        time = _EPOCH + timedelta(microseconds=round(float(value) * 1e6))
    else:
        time = datetime.fromisoformat(value)
    utc = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return (utc - _EPOCH) // _MICROSECOND


def with_review_ids(rows: Rows) -> Rows:
    """Give an id to each row without one: the hash of its item, reviewer, time and text, as 16 hex digits."""
    parts = [rows.columns[name] for name in ("review_id", "item_id", "reviewer_id", "time", "text")]
    # No value contains a NUL here, so two different rows never give the same string.
    ids = [
        given or text_hash(f"{item}\0{reviewer or ''}\0{'' if time is None else time}\0{text}").hex()
        for given, item, reviewer, time, text in zip(*parts, strict=True)
    ]
    return rows.having({"review_id": ids})


def record_batch(rows: Rows, schema: pa.Schema, constants: Mapping[str, str]) -> pa.RecordBatch:
    """The rows in `schema`; `constants` are columns with the same value in every row."""
    count = len(rows.lines)
    arrays = []
    for column in schema:
        if column.name in constants:
            arrays.append(pa.repeat(pa.scalar(constants[column.name], column.type), count))
        elif column.name in MAP_FIELDS:
            arrays.append(_map_array(rows, column.name, column.type))
        else:
            arrays.append(pa.array(rows.columns[column.name], column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _map_array(rows: Rows, name: str, type: pa.MapType) -> pa.MapArray:
    """Gather `scores.aroma`, `scores.taste` ... into one map for each row, without missing values."""
    columns = {full[len(name) + 1 :]: values for full, values in rows.columns.items() if full.startswith(f"{name}.")}
    values = np.array(list(columns.values()), object).reshape(len(columns), len(rows.lines)).T
    present = np.not_equal(values, np.array(None))
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    keys = pa.array(list(columns), type.key_type).take(pa.array(np.nonzero(present)[1]))
    items = pa.array(values[present], type.item_type)
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items, type=type)


def _stripped(values: Sequence[str | None]) -> Sequence[str | None]:
    stripped = ["" if value is None else value.strip() for value in values]
    return [value or None for value in stripped] if "" in stripped else stripped


def _filled(values: Sequence[str | None], others: Sequence[str | None]) -> Sequence[str | None]:
    return [value or other for value, other in zip(values, others, strict=True)] if None in values else values
