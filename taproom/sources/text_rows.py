"""Rows of the text formats (CSV, TSV, JSON lines, beer reviews), every value as the string that CSV would hold.

Here belongs the syntax of a record: what is no record of its format is rejected here. Lines and encodings belong to
`taproom.sources.record_lines`, what is special to dumps of beer reviews to `taproom.sources.beer_text`, and what values
mean to `taproom.sources.review_fields`.

Source: RFC 4180 for CSV.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

from taproom.errors import SourceError
from taproom.sources.beer_text import BeerReviews
from taproom.sources.characters import is_storable, shown
from taproom.sources.packed import open_unpacked
from taproom.sources.record_lines import RecordLines
from taproom.sources.rejected_rows import BadRowError, Reason, RejectRow
from taproom.sources.review_files import ReviewFile
from taproom.sources.review_rows import BATCH_BYTES, ChooseColumns, Rows

Record = TypeVar("Record")


def text_rows(file: ReviewFile, rows_per_batch: int, choose: ChooseColumns, reject: RejectRow) -> Iterator[Rows]:
    """Read a text file in batches of at most `rows_per_batch` rows and about `BATCH_BYTES` characters.

    Args:
        file: with its format.
        rows_per_batch: at least 1.
        choose: is called once, with the names of the file's columns, before the first batch.
        reject: is called for each row that cannot be read.

    Yields:
        The chosen columns, values str or None.

    Raises `SourceError`, from within the iteration, where the file is damaged or has no header that can be read.
    """
    quoted = file.format in ("csv", "tsv")
    with open_unpacked(file.path) as stream:
        lines = RecordLines(stream, file.path, file.encoding, quoted)
        read_rows = _csv_rows if quoted else _object_rows
        yield from read_rows(lines, file, rows_per_batch, choose, reject)


def _records(
    lines: RecordLines, read_record: Callable[[], Record | None], reject: RejectRow
) -> Iterator[tuple[int, Record]]:
    """Each record and the line it starts on; `read_record` reads it from the lines, and gives None for a blank one."""
    while True:
        lines.start_record()
        try:
            record = read_record()
        except StopIteration:
            return
        except BadRowError as bad:
            first, last = lines.record_line, lines.number
            lost = "" if lines.rewind() else f"; with it the lines up to {last:,} are lost"
            reject(first, bad.reason, bad.detail + lost)
        else:
            if record is not None:
                yield lines.record_line, record


def _in_batches(
    records: Iterable[tuple[int, Record]],
    collect: Callable[[list[Any], Record], None],
    lines: RecordLines,
    rows_per_batch: int,
) -> Iterator[tuple[list[int], list[Any]]]:
    """Gather line numbers and records; `collect` is list.append, or list.extend for one flat list of all values."""
    numbers: list[int] = []
    values: list[Any] = []
    full = lines.characters + BATCH_BYTES
    for number, record in records:
        numbers.append(number)
        collect(values, record)
        if len(numbers) >= rows_per_batch or lines.characters >= full:
            yield numbers, values
            numbers, values, full = [], [], lines.characters + BATCH_BYTES
    if numbers:
        yield numbers, values


def _csv_rows(
    lines: RecordLines, file: ReviewFile, rows_per_batch: int, choose: ChooseColumns, reject: RejectRow
) -> Iterator[Rows]:
    # Strict, or a stray quote would silently join two rows into one.
    reader = csv.reader(lines, delimiter="\t" if file.format == "tsv" else ",", strict=True)

    def read_record() -> list[str] | None:
        try:
            return next(reader) or None
        except csv.Error as error:
            raise BadRowError(Reason.UNREADABLE, f"is not CSV ({error})") from None

    header = _csv_header(lines, read_record, file)
    positions = {column: header.index(column) for column in choose(header)}

    def full_records() -> Iterator[tuple[int, list[str]]]:
        for line, record in _records(lines, read_record, reject):
            if len(record) == len(header):
                yield line, record
            else:
                reject(line, Reason.UNREADABLE, f"has {len(record)} columns, the header {len(header)}")

    # One flat list, because ten thousand lists, one a row, would keep the garbage collector busy.
    for numbers, values in _in_batches(full_records(), list.extend, lines, rows_per_batch):
        yield Rows(numbers, {column: values[position :: len(header)] for column, position in positions.items()})


def _csv_header(lines: RecordLines, read_record: Callable[[], list[str] | None], file: ReviewFile) -> list[str]:
    def refuse(line: int, reason: Reason, detail: str) -> None:
        raise SourceError(f"{file.path}: the header on line {line} cannot be read: {detail}. Wanted: names of columns.")

    line, header = next(_records(lines, read_record, refuse), (1, None))
    if header is None:
        raise SourceError(f"{file.path} is empty. Wanted: a header and reviews, one a row; was it copied whole?")
    if not is_storable("".join(header)):
        refuse(line, Reason.WRONG_ENCODING, f"it is not {file.encoding} text; say what the encoding is")
    return header


def _object_rows(
    lines: RecordLines, file: ReviewFile, rows_per_batch: int, choose: ChooseColumns, reject: RejectRow
) -> Iterator[Rows]:
    """Read JSON lines or beer reviews; the keys of the first batch are the file's columns."""
    columns: list[str] = []
    read_object = _beer_reviews(lines) if file.format == "beer_text" else lambda: _json_object(next(lines))
    for numbers, objects in _in_batches(_records(lines, read_object, reject), list.append, lines, rows_per_batch):
        columns = columns or choose(list(dict.fromkeys(chain.from_iterable(objects))))
        kept, strings = [], []
        for number, fields in zip(numbers, objects, strict=True):
            try:
                strings.append([_as_string(column, fields.get(column)) for column in columns])
                kept.append(number)
            except BadRowError as bad:
                reject(number, bad.reason, bad.detail)
        if kept:
            yield Rows(kept, dict(zip(columns, zip(*strings, strict=True), strict=True)))


def _json_object(line: str) -> dict[str, Any] | None:
    if line.isspace():
        return None
    if "\0" in line:
        raise BadRowError(Reason.NUL_BYTE, "holds a NUL")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRowError(Reason.UNREADABLE, f"is not JSON ({getattr(error, 'msg', error)})") from None
    if not isinstance(fields, dict):
        raise BadRowError(Reason.UNREADABLE, f"is a JSON {type(fields).__name__}, not an object")
    return fields


def _beer_reviews(lines: RecordLines) -> Callable[[], dict[str, Any] | None]:
    reviews = BeerReviews(lines)

    def read_review() -> dict[str, Any] | None:
        try:
            return reviews.read()
        except UnicodeEncodeError:
            raise BadRowError(Reason.WRONG_ENCODING, f"holds what is not {lines.encoding}") from None
        except ValueError as error:
            raise BadRowError(Reason.UNREADABLE, str(error)) from None

    return read_review


def _as_string(column: str, value: Any) -> str | None:
    """A JSON value as CSV would hold it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise BadRowError(Reason.UNREADABLE, f"{shown(column)} holds a {type(value).__name__}, not one value")
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
