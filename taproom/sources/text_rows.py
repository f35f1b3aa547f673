"""Rows of the text formats (CSV, TSV, JSON, beer reviews), every value as the string that CSV would hold.

Here belongs the syntax of a record: what is no record of its format is rejected here. The form of a file (its encoding,
delimiter, quoting) is recognised by `taproom.sources.text_form`; lines belong to `taproom.sources.record_lines`,
objects to `taproom.sources.json_objects`, what is special to dumps of beer reviews to `taproom.sources.beer_text`, and
what values mean to `taproom.sources.review_fields`.

Source: RFC 4180 for CSV.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from taproom.errors import SourceError
from taproom.sources.beer_text import BeerReviews
from taproom.sources.characters import is_storable, shown
from taproom.sources.field_values import EXACT_BELOW
from taproom.sources.json_objects import JsonArray, json_object
from taproom.sources.record_lines import RecordLines
from taproom.sources.rejected_rows import BadRowError, Reason, RejectRow
from taproom.sources.review_files import ReviewFile
from taproom.sources.review_rows import BATCH_BYTES, ChooseColumns, NestedValue, Rows
from taproom.sources.text_form import csv_reader, names_its_delimiter

Record = TypeVar("Record")


class _Read(Protocol):
    """What has read so many characters."""

    characters: int


def text_rows(file: ReviewFile, rows_per_batch: int, choose: ChooseColumns, reject: RejectRow) -> Iterator[Rows]:
    """Read a text file in batches of at most `rows_per_batch` rows and about `BATCH_BYTES` characters.

    Args:
        file: with its form.
        rows_per_batch: at least 1.
        choose: takes the names of the file's columns, and whether these are all of them, and gives those to read; is
            called before the first batch, and again where objects have further keys.
        reject: is called for each row that cannot be read.

    Yields:
        The chosen columns, values str or None.

    Raises `SourceError`, from within the iteration, where the file is damaged or has no header that can be read.
    """
    with file.open_text() as stream:
        if file.format == "json":
            array = JsonArray(stream, file.path, file.stream_encoding, reject)
            yield from _object_rows(array, array, rows_per_batch, choose)
            return
        quoted = file.format in ("csv", "tsv") and file.quoting != "none"
        lines = RecordLines(stream, file.path, file.stream_encoding, quoted)
        if file.format in ("csv", "tsv"):
            yield from _csv_rows(lines, file, rows_per_batch, choose, reject)
        else:
            read_object = _beer_reviews(lines) if file.format == "beer_text" else lambda: _json_line(lines)
            yield from _object_rows(_records(lines, read_object, reject), lines, rows_per_batch, choose)


def rows_as_they_are(file: ReviewFile, numbers: Iterable[int]) -> dict[int, str]:
    """Some lines of a text file as a message shows them, by their numbers; none of a file that has no lines of text."""
    wanted = set(numbers)
    found: dict[int, str] = {}
    if file.format in ("parquet", "json") or not wanted:
        return found
    with file.open_text() as stream:
        lines = RecordLines(stream, file.path, file.stream_encoding, quoted=False)
        while lines.number < max(wanted):
            lines.start_record()
            try:
                line = next(lines)
            except BadRowError:
                continue
            except StopIteration:
                break
            if lines.number in wanted:
                found[lines.number] = shown(line.rstrip("\r\n"), 160)
    return found


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
    lines: _Read,
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
    delimiter = file.delimiter or ","
    reader = csv_reader(lines, delimiter, file.quoting or "quoted")
    width = 0

    def read_record() -> list[str] | None:
        try:
            record = next(reader) or None
        except csv.Error as error:
            raise BadRowError(Reason.UNREADABLE, f"is not CSV ({error})") from None
        if width and lines.spans_lines and all(_is_row(line or "", delimiter, width) for line in lines.continued):
            raise BadRowError(
                Reason.UNREADABLE,
                f"has a quote that is closed on line {lines.number:,} only, though the lines between are rows; set "
                "`quoting: none` if quotes are characters like others",
            )
        return record

    header = _csv_header(lines, read_record, file)
    chosen = choose(header, True)
    positions = {column: header.index(column) for column in chosen}
    width = len(header)

    def full_records() -> Iterator[tuple[int, list[str]]]:
        for line, record in _records(lines, read_record, reject):
            if len(record) != width:
                reject(line, Reason.UNREADABLE, f"has {len(record)} columns, the header {width}")
            elif record[-1] == header[-1] and record == header:
                reject(line, Reason.REPEATED_HEADER, "is the header again")
            else:
                yield line, record

    # One flat list, because ten thousand lists, one a row, would keep the garbage collector busy.
    for numbers, values in _in_batches(full_records(), list.extend, lines, rows_per_batch):
        yield Rows(numbers, {column: values[position::width] for column, position in positions.items()})


def _is_row(line: str, delimiter: str, width: int) -> bool:
    """Whether a line by itself is a row. Within a text, a comma is followed by a blank."""
    return width > 1 and line.count(delimiter) == width - 1 and f"{delimiter} " not in line


def _csv_header(lines: RecordLines, read_record: Callable[[], list[str] | None], file: ReviewFile) -> list[str]:
    def refuse(line: int, reason: Reason, detail: str) -> None:
        raise SourceError(f"{file.path}: the header on line {line} cannot be read: {detail}. Wanted: names of columns.")

    records = _records(lines, read_record, refuse)
    line, header = next(records, (1, None))
    if header and names_its_delimiter((file.delimiter or ",").join(header)):
        line, header = next(records, (2, None))
    if header is None:
        raise SourceError(f"{file.path} is empty. Wanted: a header and reviews, one a row; was it copied whole?")
    if not is_storable("".join(header)):
        refuse(line, Reason.WRONG_ENCODING, f"it is not {file.encoding} text; say what the encoding is")
    return header


def _object_rows(
    records: Iterable[tuple[int, dict[str, Any]]], lines: _Read, rows_per_batch: int, choose: ChooseColumns
) -> Iterator[Rows]:
    """Read objects; the keys of all of them are the file's columns, wherever they come first."""
    keys: dict[str, None] = {}
    columns: list[str] = []
    for numbers, objects in _in_batches(records, list.append, lines, rows_per_batch):
        known = len(keys)
        for fields in objects:
            keys.update(dict.fromkeys(fields))
        if len(keys) > known:
            columns = choose(list(keys), False)
        yield Rows(numbers, {column: [_as_string(fields.get(column)) for fields in objects] for column in columns})
    if keys:
        choose(list(keys), True)


def _json_line(lines: RecordLines) -> dict[str, Any] | None:
    line = next(lines)
    if line.isspace():
        return None
    if "\0" in line:
        raise BadRowError(Reason.NUL_BYTE, "holds a NUL")
    try:
        # The common case first: looking for keys that are there twice takes as long as all else.
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    return fields if isinstance(fields, dict) else _object_of(lambda: json_object(line), lines)


def _object_of(read: Callable[[], Record], lines: RecordLines) -> Record:
    try:
        return read()
    except UnicodeEncodeError:
        raise BadRowError(Reason.WRONG_ENCODING, f"holds what is not {lines.encoding}") from None
    except ValueError as error:
        raise BadRowError(Reason.UNREADABLE, str(error)) from None


def _beer_reviews(lines: RecordLines) -> Callable[[], dict[str, Any] | None]:
    reviews = BeerReviews(lines)
    return lambda: _object_of(reviews.read, lines)


def _as_string(value: Any) -> str | None:
    """A JSON value as CSV would hold it; a number that may have lost digits is written as one."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return NestedValue("an object" if isinstance(value, dict) else "a list") if value else None
    if isinstance(value, bool):
        return str(value).lower()
    is_exact = isinstance(value, float) and value.is_integer() and abs(value) < EXACT_BELOW
    return str(int(value) if is_exact else value)
