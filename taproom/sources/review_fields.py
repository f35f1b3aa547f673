"""The fields of a review: their names, and how they are made from the strings that a file holds.

Here belongs which values a field takes: blank values, characters, items, ids. How a number or a time is written
belongs to `taproom.sources.field_values`. These functions take and give columns; bad values are given by their
position. Whoever calls rejects the row, or leaves the value out where a review can be without it.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa

from taproom.sources.characters import is_storable, shown
from taproom.sources.field_values import AmbiguousTimeError, is_missing
from taproom.sources.html_text import without_html
from taproom.sources.mojibake import has_mojibake, repair_mojibake
from taproom.sources.rejected_rows import Reason, ValueReason
from taproom.sources.repeated_reviews import text_hash
from taproom.sources.review_rows import NestedValue, Rows

PLAIN_FIELDS = ("review_id", "item_id", "item_name", "category", "reviewer_id", "time", "overall", "text")
MAP_FIELDS = ("scores", "attributes")
ID_FIELDS = ("review_id", "item_id", "reviewer_id")

# The positions of bad rows, each with the reason and what was found.
BadRows = Mapping[int, tuple[Reason, str]]
# The positions of a field's bad values, each with the reason and what was found.
BadValues = Mapping[int, tuple[ValueReason, str]]

# How data frames write a missing value into a column of text.
_MISSING_TEXT = frozenset({"", "NaN", "nan"})
_BLANKS = re.compile(r"\s+")

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

    Values lose the white space around them. Blank ones and NaN become None, and so do plain fields without a column.

    >>> in_fields(Rows([2, 3], {"note": [" Hoppy ", " "]}), {"text": "note"}).columns["text"]
    ['Hoppy', None]
    """
    fields: dict[str, Sequence[str | None]] = dict.fromkeys(PLAIN_FIELDS, [None] * len(rows.lines))
    stripped = {column: _stripped(rows.columns[column]) for column in columns.values()}
    return Rows(rows.lines, fields | {name: stripped[column] for name, column in columns.items()})


def unusable(name: str, values: Sequence[str | None], encoding: str) -> BadValues:
    r"""The values that no table can hold: objects and lists, a NUL, and bytes that the encoding does not have.

    >>> unusable("category", ["IPA", "a\0b"], "utf-8")
    {1: (<ValueReason.NUL_BYTE: 'value_with_nul_byte'>, 'category holds a NUL')}
    """
    if is_storable("".join(filter(None, values))):
        return {}
    bad = {}
    for position, value in enumerate(values):
        if isinstance(value, NestedValue):
            bad[position] = (ValueReason.NOT_ONE_VALUE, f"{name} holds {value[:-1]}, not one value")
        elif value and "\0" in value:
            bad[position] = (ValueReason.NUL_BYTE, f"{name} holds a NUL")
        elif value and not is_storable(value):
            bad[position] = (ValueReason.WRONG_ENCODING, f"{name} holds what is not {encoding}")
    return bad


def blank(values: Sequence[str | None], reason: Reason, detail: str) -> BadRows:
    """The rows whose value is None, each with this reason and detail."""
    positions = [position for position, value in enumerate(values) if value is None]
    return dict.fromkeys(positions, (reason, detail))


def garbled(values: Sequence[str | None]) -> int:
    """How many values have text that was read in the wrong encoding (`taproom.sources.mojibake`).

    >>> garbled(["KÃ¶lsch", "Kölsch", None])
    1
    """
    return sum(has_mojibake(value) for value in values if value)


def with_repaired_text(rows: Rows, names: Sequence[str]) -> Rows:
    """Repair text that was read in the wrong encoding, in some fields."""
    return rows.having({name: [value and repair_mojibake(value) for value in rows.columns[name]] for name in names})


def with_plain_text(rows: Rows, names: Sequence[str]) -> Rows:
    """Take HTML out of some fields."""
    columns = {}
    for name in names:
        joined = "".join(filter(None, rows.columns[name]))
        if "&" in joined or "<" in joined:
            columns[name] = [value and _plain_text(value) for value in rows.columns[name]]
    return rows.having(columns)


def _plain_text(value: str) -> str | None:
    return without_html(value).strip() or None if "&" in value or "<" in value else value


def may_be_numbers(ids: Sequence[str | None]) -> bool:
    """Whether some of the ids may be written as 123.0 or 1.23E+12."""
    joined = "".join(filter(None, ids))
    return "." in joined or "+" in joined


def with_items(rows: Rows) -> Rows:
    """Use an item's name as its id where it has no id, and its id as its name where it has no name.

    Ids in normal form NFC, with blanks collapsed, make items the same whose names look the same; names stay as they are
    written.
    """
    ids, names = rows.columns["item_id"], rows.columns["item_name"]
    return rows.having({"item_id": list(map(_plain, _filled(ids, names))), "item_name": _filled(names, ids)})


def _plain(name: str | None) -> str | None:
    if name is None or (name.isascii() and "  " not in name and name.isprintable()):
        return name
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", name))


def with_titles(rows: Rows, item_title: Callable[[str], str]) -> Rows:
    """Make the names of items readable; a name of which `item_title` makes nothing stays."""
    return rows.having({"item_name": [item_title(name) or name for name in rows.columns["item_name"]]})


def score_fields(rows: Rows) -> list[str]:
    """The fields that are scores."""
    return [name for name in rows.columns if name == "overall" or name.startswith("scores.")]


def parsed(rows: Rows, name: str, parse: Callable[[str], Value], reason: ValueReason) -> tuple[Rows, BadValues]:
    """Parse a field, and give the values that `parse` raises a ValueError for; they and missing ones become None.

    >>> rows, bad = parsed(Rows([2, 3], {"overall": ["4", "good"]}), "overall", float, ValueReason.BAD_SCORE)
    >>> rows.columns["overall"], bad
    ([4.0, None], {1: (<ValueReason.BAD_SCORE: 'bad_score'>, "overall is 'good'")})
    """
    values = rows.columns[name]
    results: dict[str, Value] = {}
    bad: dict[str, tuple[ValueReason, str]] = {}
    # Each distinct value once: scores have few.
    for value in set(values) - {None}:
        if name not in ID_FIELDS and is_missing(value):
            continue
        try:
            results[value] = parse(value)
        except AmbiguousTimeError:
            bad[value] = (ValueReason.AMBIGUOUS_TIME, f"{name} is {shown(value)}; set `date_order`")
        except ValueError:
            bad[value] = (reason, f"{name} is {shown(value)}")
    bad_values = {position: bad[value] for position, value in enumerate(values) if value in bad} if bad else {}
    return rows.having({name: list(map(results.get, values))}), bad_values


def with_review_ids(rows: Rows) -> Rows:
    """Give an id to each row without one: the hash of its item, reviewer, time and text, as 16 hex digits.

    Where the reviewer is not known either, its scores are part of it: many people find a beer "very good".
    """
    if None not in rows.columns["review_id"]:
        return rows
    said_by_nobody = None in rows.columns["reviewer_id"]
    scores = list(zip(*(rows.columns[name] for name in score_fields(rows)), strict=True)) if said_by_nobody else []
    parts = [rows.columns[name] for name in ("review_id", "item_id", "reviewer_id", "time", "text")]
    # No value contains a NUL here, so two different rows never give the same string.
    ids = [
        given
        or text_hash(
            f"{item}\0{reviewer or ''}\0{'' if time is None else time}\0{text}{'' if reviewer else scores[place]}"
        ).hex()
        for place, (given, item, reviewer, time, text) in enumerate(zip(*parts, strict=True))
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
    if "" in stripped or "NaN" in stripped or "nan" in stripped:
        return [None if value in _MISSING_TEXT else value for value in stripped]
    return stripped


def _filled(values: Sequence[str | None], others: Sequence[str | None]) -> Sequence[str | None]:
    return [value or other for value, other in zip(values, others, strict=True)] if None in values else values
