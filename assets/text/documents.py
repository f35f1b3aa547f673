"""documents: the text that topics and word vectors are made of.

The corpus is 20 Newsgroups (embedded), text8 or enwik8 (fetched), the reviews of the first chain, or any file or folder
of text. A warehouse holds one corpus: its name is in every row, and another is refused.

Grain: a document. Source: the deck's slide "Bag of Words", "n documents/articles with lots of text".
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.read_at_once import with_fingerprint
from assets.table import Draft, keeps_settings, refreshed
from taproom.errors import SourceError
from taproom.sources.allowed_folders import allowed_path
from taproom.sources.corpus import Split
from taproom.sources.corpus import Unit as TextUnit
from taproom.warehouse.contracts import Column, Contract, NotBlank, OneOf

if TYPE_CHECKING:
    from taproom.sources.corpus import DocumentReader

SPLITS = get_args(Split)
MAX_MARKUP_SHARE = 0.01
MAX_MOJIBAKE_SHARE = 0.01
REASONS_LOGGED = 3

CONTRACT = Contract(
    table="documents",
    grain="a document",
    columns=(
        Column("corpus", pa.string(), "what the documents are of; a warehouse holds one corpus"),
        Column("document_id", pa.string(), "the document: the source's id, or its file and place in it"),
        Column("label", pa.string(), "what it is known to be about (newsgroup, category, folder)", nullable=True),
        Column("split", pa.string(), "training: topics are fitted to it; test: they are judged on it"),
        Column("text", pa.string(), "the document"),
    ),
    key=("document_id",),
    invariants=(NotBlank("document_id"), NotBlank("text"), NotBlank("label"), OneOf("split", SPLITS)),
    single_valued=("corpus",),
    limits=("The label is what the source says, such as the newsgroup; the text may be about something else.",),
)


class CorpusSource(Enum):
    """Where documents come from."""

    newsgroups = "newsgroups"
    text8 = "text8"
    enwik8 = "enwik8"
    reviews = "reviews"
    files = "files"


class Unit(Enum):
    """What a document is in a file of text."""

    line = "line"
    block = "block"
    file = "file"


# As `taproom.sources.corpus` calls them.
_UNITS: dict[Unit | None, TextUnit | None] = {None: None, Unit.line: "line", Unit.block: "block", Unit.file: "file"}


class DocumentsConfig(dg.Config):
    """Which corpus, and how files are cut into documents."""

    source: CorpusSource = Field(
        CorpusSource.newsgroups,
        description="newsgroups (embedded); text8 or enwik8, the beginning of Wikipedia in 2006, which are fetched: as "
        "words without case and punctuation, cut into blocks, or as articles; reviews: the table of that name, a "
        "document a review; files: a file of text or a folder of them",
    )
    path: str = Field("", description="files: the file or folder")
    unit: Unit | None = Field(
        None, description="files: a document is a line, a block of words, or a file; null: a line of a file, a file of "
        "a folder"
    )  # fmt: skip
    block_words: int = Field(1_000, ge=1, description="files, text8: words of a block")
    encoding: str | None = Field(
        None, description="files: the text's encoding; null: recognised for each file from its first megabyte"
    )
    strip_markup: bool | None = Field(
        None, description="files: take tags out; null: of .html, .htm, .xhtml and .xml only"
    )
    repair_mojibake: bool = Field(
        False, description="repair text that was UTF-8 and was read as Windows-1252, such as KÃ¶lsch for Kölsch"
    )
    test_share: float = Field(
        0.2, ge=0, lt=1, description="all but newsgroups: share of the documents that nothing is fitted to"
    )
    corpus: str = Field("", description="the corpus's name; empty: the source's, or the file's or folder's")
    fingerprint: str = Field(
        "", description="files: hash of their content; `make run` fills it in, so that changed files are read again"
    )


def read_at_once(given: Mapping[str, Any]) -> dict[None, dict[str, Any]]:
    """A configuration of `documents` with the fingerprint of its files. Raises `SourceError` if there are none."""
    config = DocumentsConfig(**given)
    return with_fingerprint(given, _path(config) if config.source is CorpusSource.files else None)


def _path(config: DocumentsConfig) -> Path:
    if not config.path:
        raise SourceError(
            "documents: no path was given. Wanted: `path`, the file of text, or the folder of such files."
        )
    return allowed_path(config.path, "documents")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=DocumentsConfig,
        description="The documents of the corpus, each with its label, where it has one, and its split.",
        # The corpus is chosen by a run's configuration, which an automatic run would not have.
        automation_condition=None,
    ),
    # The reviews are read only if they are the corpus; Dagster notices a changed batch by their rollup.
    deps=["review_batches"],
    required_resource_keys={"io_manager"},
    check_specs=[
        dg.AssetCheckSpec(
            "little_markup",
            asset="documents",
            description=f"At most {MAX_MARKUP_SHARE:.0%} of the documents look like markup.",
        ),
        dg.AssetCheckSpec(
            "little_mojibake",
            asset="documents",
            description=f"At most {MAX_MOJIBAKE_SHARE:.0%} of the documents were read in a wrong encoding (KÃ¶lsch).",
        ),
    ],
)
@keeps_settings
def documents(context: dg.AssetExecutionContext, config: DocumentsConfig) -> Iterator:
    """Stream the corpus into the warehouse."""
    from taproom.text import topic_figures as figures

    reader = _reader(config, context.resources.io_manager)
    yield dg.Output(
        Draft(
            reader.reader(),
            metadata=lambda: {
                **reader.counts,
                "encodings": reader.encodings,
                "left_out": [f"{file}: {why}" for file, why in reader.left_out[:20]],
            },
            figure=lambda: figures.documents(reader.by_label),
        )
    )
    if reader.left_out:
        context.log.warning(_left_out(reader))
    share = reader.counts["with_markup"] / max(reader.counts["documents"], 1)
    yield dg.AssetCheckResult(
        check_name="little_markup",
        passed=share <= MAX_MARKUP_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"markup_share": share, "to_do": "set strip_markup, or tags count as words"},
    )
    share = reader.counts["with_mojibake"] / max(reader.counts["documents"], 1)
    yield dg.AssetCheckResult(
        check_name="little_mojibake",
        passed=share <= MAX_MOJIBAKE_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"mojibake_share": share, "to_do": "export the text again as UTF-8, or set repair_mojibake"},
    )


def _left_out(reader: "DocumentReader") -> str:
    """How many files were left out, and why the first of them were, in a line."""
    reasons = " ".join(reason for _, reason in reader.left_out[:REASONS_LOGGED])
    return f"{reader.counts['files_left_out']:,} files were left out. The first: {reasons}"


def _reader(config: DocumentsConfig, tables: Any) -> "DocumentReader":
    from taproom.sources.corpus import DocumentReader, TextFiles, newsgroups, review_documents, text_files
    from taproom.sources.fetching import members
    from taproom.sources.wikipedia import wikipedia_articles

    if config.path and config.source is not CorpusSource.files:
        raise SourceError(
            f"documents: the path {config.path!r} was given, but the source {config.source.value} has no path. "
            "Wanted: `source: files` to read it, or no path."
        )
    match config.source:
        case CorpusSource.files:
            path = _path(config)
            found = text_files(
                TextFiles(path, _UNITS[config.unit], config.block_words, config.encoding, config.strip_markup)
            )
            name = path.resolve().name
        case CorpusSource.reviews:
            # At the version that was searched for duplicates: a batch that came later could contain more of them.
            reviews = tables.stream("reviews", ["batch", "review_id", "category", "text"], as_read_by="review_batches")
            duplicates = tables.stream("duplicate_reviews", ["batch", "review_id"]).read_all()
            found, name = review_documents(reviews, duplicates), "reviews"
        case CorpusSource.text8:
            (path,) = members("text8")
            found, name = text_files(TextFiles(path, "block", config.block_words)), "text8"
        case CorpusSource.enwik8:
            (path,) = members("enwik8")
            found, name = wikipedia_articles(path), "enwik8"
        case _:
            found, name = newsgroups(*members("newsgroups")), "newsgroups"
    corpus, repair = config.corpus or name, config.repair_mojibake
    return DocumentReader(found, corpus, CONTRACT.schema, config.test_share, repair=repair)
