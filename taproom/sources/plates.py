"""Plate maps (which file is which well), and tables whose rows are events.

Here belongs what people write in addition to an instrument's files, or instead of them: a CSV file with the plate, well
and label of each file, and tables of events (CSV, TSV, Parquet). Errors name the line or the column, and what to do.

Source: RFC 4180 for CSV.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pyarrow.types as pt

from taproom.errors import SourceError
from taproom.sources.field_values import MISSING
from taproom.sources.packed import UNREADABLE, check_footer, open_unpacked, unpacked_suffix
from taproom.sources.text_form import SAMPLE_BYTES, delimiter_of, encoding_of, names_its_delimiter, sample_lines

MAP_COLUMNS = ("file", "plate", "well", "label")
MAX_MAP_BYTES = 64 * 2**20
MAX_TABLE_BYTES = 2 * 10**9
MAX_VALUES = 200_000_000

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_CHUNK = 2**24
# As for reviews, in the usual cases, and what Arrow takes for missing.
_MISSING = sorted(
    {case(text) for text in MISSING for case in (str, str.upper, str.capitalize)}
    | set(pa_csv.ConvertOptions().null_values)
)
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_DECIMAL_COMMA = re.compile(rf"[+-]?(?:0?,\d+|\d+,(?!\d{{3}}$)\d+){_EXPONENT}", re.ASCII)
_DECIMAL_POINT = re.compile(rf"[+-]?\d*\.\d+{_EXPONENT}", re.ASCII)
# The names that pandas gives to an index without a name.
_ROW_NUMBERS = re.compile(r"\s*|__index_level_\d+__|Unnamed: 0")


@dataclass(frozen=True)
class Well:
    """A well of a plate, and the known class of its events; None where it is to be predicted."""

    plate: str
    well: str
    label: str | None


@dataclass(frozen=True)
class EventsTable:
    """Events from a table: `values` (events, channels) is float64, NaN where missing.

    `labels`, `plates` and `wells` have a text for each event, or None for an unknown label; they are None where no
    column was named for them. `left_out` are the names of the columns that are neither channels nor these.
    """

    channels: tuple[str, ...]
    values: np.ndarray
    labels: list[str | None] | None
    plates: list[str] | None
    wells: list[str] | None
    left_out: tuple[str, ...]


def read_plate_map(path: Path) -> dict[str, Well]:
    """Read a plate map: the well of each file, by the file's name, in the order of the map.

    A CSV in UTF-8 whose first line names the columns file, plate, well and label, in any order; other columns and empty
    lines are ignored. An empty label is unknown, and to be predicted. Files are in the map's folder, so a path is
    refused.

    Raises `SourceError`, with the line, when the map does not exist, is not such a CSV or has no rows, when a file,
    plate or well is blank, a file has two rows, or two files are the same well of a plate (as A1 and a01 are).
    """
    path = Path(path)
    wells: dict[str, Well] = {}
    files: dict[tuple[str, str], str] = {}
    for line, row in _map_rows(path):
        for column in ("file", "plate", "well"):
            if not row[column]:
                raise _error_in_map(path, line, f"the {column} is blank", "a file, its plate and its well in each row")
        file, well = row["file"], Well(row["plate"], row["well"], row["label"] or None)
        if Path(file).name != file or "\\" in file:
            raise _error_in_map(path, line, f"the file is {file!r}", "the name of a file in the folder of the map")
        if file in wells:
            raise _error_in_map(path, line, f"{file} has an earlier row", "one row for each file")
        first = files.setdefault((well.plate, _same_well(well.well)), file)
        if first != file:
            found = f"{first} and {file} are both well {well.well} of {well.plate}"
            raise _error_in_map(path, line, f"two wells with one name: {found}", "one file for each well")
        wells[file] = well
    if not wells:
        raise SourceError(
            f"the plate map {path} names no file. Wanted: a row (file, plate, well, label) for each file."
        )
    return wells


def _map_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a plate map, each with its line number; texts are without the blanks around them."""
    try:
        with path.open("rb") as file:
            text = _capped(file, MAX_MAP_BYTES, path).decode("utf-8-sig")
    except OSError as error:
        raise SourceError(
            f"the plate map {path} cannot be read: {error.strerror}. Wanted: a CSV file ({', '.join(MAP_COLUMNS)})."
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _error_in_map(path, line, "this is not UTF-8", "a map that is saved as CSV in UTF-8") from error
    rows = csv.reader(text.splitlines(keepends=True))
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        if missing := [column for column in MAP_COLUMNS if names.count(column) != 1]:
            found = f"the first line names the columns {', '.join(names) or 'none'}"
            raise _error_in_map(path, 1, found, f"{', '.join(missing)}, once each, with commas between them")
        for cells in rows:
            if any(map(str.strip, cells)):
                row = dict.fromkeys(names, "") | dict(zip(names, map(str.strip, cells), strict=False))
                yield rows.line_num, row
    except csv.Error as error:
        raise _error_in_map(path, rows.line_num, f"this is not valid CSV ({error})", "one row for each file") from error


def _error_in_map(path: Path, line: int, found: str, wanted: str) -> SourceError:
    return SourceError(f"the plate map {path}, line {line}: {found}. Wanted: {wanted}. Correct the map.")


def _same_well(well: str) -> str:
    """One spelling for A1, a1 and A01."""
    return re.sub(r"(?<=[A-Z])0+(?=\d)", "", well.upper())


def read_events_table(
    path: Path, label: str | None = None, plate: str | None = None, well: str | None = None
) -> EventsTable:
    """Read a table whose rows are events: CSV or TSV with a header (each may be packed), or Parquet.

    Of text, encoding, delimiter and decimal comma are recognised from the first rows (`taproom.sources.text_form`).
    `label`, `plate` and `well` are the names of the columns with these. All other numeric columns become channels:
    what is missing (null, empty, NA, None, - ...) becomes NaN, infinity stays. Columns that are not numeric, or are an
    index without a name, are left out, and named in the result. A table may have 2 GB of text and 200 million values.

    Raises `SourceError` when the file does not exist, is too large or is not such a table; when it has no rows, no
    numeric column or two columns of one name; when it lacks a column that was named; or when a row lacks its plate or
    its well.
    """
    path = Path(path)
    named = {"label": label, "plate": plate, "well": well}
    table = _table(path, {column for column in named.values() if column})
    channels = [name for name in table.column_names if name not in named.values() and _is_channel(table.field(name))]
    if not channels:
        raise SourceError(
            f"{path} has no numeric column; it has {_listed(table.column_names)}. Wanted: one for each channel."
        )
    labels = _texts(path, table, label)
    plates, wells = (_texts_of_all_rows(path, table, column) for column in (plate, well))
    values = np.column_stack([_numbers(table[name]) for name in channels])
    left_out = tuple(name for name in table.column_names if name not in {*channels, *named.values()})
    return EventsTable(tuple(channels), values, labels, plates, wells, left_out)


def _table(path: Path, texts: set[str]) -> pa.Table:
    """The file as a table with at least one row, the columns `texts`, and no two columns of one name."""
    try:
        table = _reader(path)(path, texts)
        names = table.column_names  # decoded here, so that an error in UTF-8 is raised here
    except (pa.ArrowException, UnicodeDecodeError, *UNREADABLE) as error:
        raise SourceError(
            f"{path} cannot be read as a table: {error}. Wanted: a complete CSV, TSV or Parquet file."
        ) from error
    if lacking := texts - set(names):
        raise SourceError(f"{path} has no column {_listed(lacking)}. Wanted: some of {_listed(names)}.")
    if twice := {name for name in names if names.count(name) > 1}:
        raise SourceError(f"{path} has several columns {_listed(twice)}. Wanted: one of each name.")
    if not table.num_rows:
        raise _no_rows(path)
    return table


def _reader(path: Path) -> Callable[[Path, set[str]], pa.Table]:
    suffix = unpacked_suffix(path)
    if suffix in _DELIMITERS:
        return partial(_read_text, default=_DELIMITERS[suffix])
    if path.suffix.lower() == ".parquet":
        return _read_parquet
    raise SourceError(
        f"the suffix of {path} is not one that can be read. "
        "Wanted: .csv or .tsv (or these with .gz or .bz2), or .parquet."
    )


def _read_text(path: Path, texts: set[str], default: str) -> pa.Table:
    with open_unpacked(path) as file:
        content = _capped(file, MAX_TABLE_BYTES, path)
    if not content.strip():
        raise _no_rows(path)
    encoding = encoding_of(content[:SAMPLE_BYTES])
    lines = sample_lines(content[:SAMPLE_BYTES].decode(encoding, "replace").lstrip("\ufeff"))
    delimiter = delimiter_of(lines, texts.__contains__, default)
    return pa_csv.read_csv(
        pa.py_buffer(content),
        pa_csv.ReadOptions(encoding=encoding, skip_rows=int(names_its_delimiter(lines[0]))),
        pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(texts, pa.string()),
            null_values=_MISSING,
            decimal_point="," if _has_decimal_commas(lines, delimiter) else ".",
        ),
    )


def _has_decimal_commas(lines: Iterable[str], delimiter: str) -> bool:
    """Whether more fields have a decimal comma than a decimal point; 1,234 may be a thousand, and does not count."""
    if delimiter == ",":
        return False
    fields = [field.strip('" \r\n') for line in lines for field in line.split(delimiter)]
    commas, points = (sum(map(bool, map(pattern.fullmatch, fields))) for pattern in (_DECIMAL_COMMA, _DECIMAL_POINT))
    return commas > points


def _read_parquet(path: Path, _texts: set[str]) -> pa.Table:
    file = pq.ParquetFile(path)
    check_footer(path, file.metadata)
    if file.metadata.num_rows * file.metadata.num_columns > MAX_VALUES:
        raise SourceError(
            f"{path} has {file.metadata.num_rows:,} rows of {file.metadata.num_columns:,} columns. "
            f"Wanted: {MAX_VALUES:,} values at most; split it."
        )
    return file.read()


def _capped(file: BinaryIO, cap: int, path: Path) -> bytes:
    """All bytes of a file, decompressed. Raises `SourceError` when there are more than `cap`."""
    chunks, size_bytes = [], 0
    while chunk := file.read(_CHUNK):
        chunks.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > cap:
            raise SourceError(f"{path} has more than {cap:,} bytes of text. Wanted: less; split it.")
    return b"".join(chunks)


def _is_channel(field: pa.Field) -> bool:
    is_number = pt.is_integer(field.type) or pt.is_floating(field.type) or pt.is_decimal(field.type)
    return is_number and not _ROW_NUMBERS.fullmatch(field.name)


def _no_rows(path: Path) -> SourceError:
    return SourceError(f"{path} has no rows, or only a header. Wanted: a row for each event.")


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column as float64, shape (events,); null becomes NaN."""
    return column.cast(pa.float64(), safe=False).to_numpy()


def _texts(path: Path, table: pa.Table, column: str | None) -> list[str | None] | None:
    """A column as texts without the blanks around them, None where one is blank; None for no column."""
    if not column:
        return None
    try:
        return [(text and text.strip()) or None for text in table[column].cast(pa.string()).to_pylist()]
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path}: the column {column!r} cannot be read as text ({error}). Wanted: a text in each row."
        ) from error


def _texts_of_all_rows(path: Path, table: pa.Table, column: str | None) -> list[str] | None:
    """As `_texts`, for a column that each row has to fill."""
    texts = _texts(path, table, column)
    if texts is None:
        return None
    if None in texts:
        row = texts.index(None) + 1
        raise SourceError(f"{path}: row {row:,} has nothing in {column!r}. Wanted: a text in each row.")
    return [text for text in texts if text is not None]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
