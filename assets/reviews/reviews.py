"""reviews, rejected_reviews: what people wrote about items, and the rows that could not be read.

Grain: a review; a batch (one file) is a partition, named by the file and a prefix of its content's hash. Duplicates
within a batch are rejected here, those between batches in `items`, where all batches are known.
Source: the deck's slide "BeerMapper - Under the Hood", first box: "Reviews for each beer".
"""

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, batched, keeps_settings
from taproom.errors import SourceError
from taproom.sources.allowed_folders import allowed_path
from taproom.sources.fetching import member, read_sources
from taproom.sources.inbox import Drop, file_key, file_sha256, find_batch, inbox_folder, of_file
from taproom.sources.rejected_rows import Reason
from taproom.sources.review_files import Format, ReviewFile, beer_text, rotten_tomatoes
from taproom.sources.reviews import ReviewReader
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf, Usual

BATCHES = dg.DynamicPartitionsDefinition(name="review_batches")
# Smaller batches have no figure: drawing it would take longer than reading them.
ROWS_DRAWN = 1_000
MANY_REJECTED = 0.05
MANY_REPEATED = 0.1
MANY_GARBLED = 0.01

CONTRACT = Contract(
    table="reviews",
    grain="a review, in the batch (file) it came with",
    columns=(
        Column("batch", pa.string(), "the file that the review came with, and a prefix of its content's hash"),
        Column("collection", pa.string(), "what the reviews are of; a warehouse holds one collection"),
        Column("review_id", pa.string(), "the source's id, or a hash of item, reviewer, time and text"),
        Column("item_id", pa.string(), "the thing that was reviewed: its id, or its name in normal form NFC"),
        Column("item_name", pa.string(), "its name for people"),
        Column("category", pa.string(), "its kind (a style, a verdict)", nullable=True),
        Column("reviewer_id", pa.string(), "who wrote the review", nullable=True),
        Column("time", pa.timestamp("us", tz="UTC"), "when it was written", nullable=True),
        Column("overall", pa.float64(), "overall score, on the source's scale", nullable=True),
        Column("scores", pa.map_(pa.string(), pa.float64()), "sub-scores by name, on the source's scales"),
        Column("attributes", pa.map_(pa.string(), pa.string()), "what else the source says of the item"),
        Column("text", pa.string(), "the review"),
    ),
    key=("batch", "review_id"),
    invariants=(NotBlank("text"), NotBlank("item_id"), Between("overall")),
    partition="batch",
    single_valued=("collection",),
    limits=(
        "Scores are on the source's scale and cannot be compared with those of another source.",
        "A review that several batches have is in each of them; duplicate_reviews says which rows are not counted.",
    ),
)

REJECTED = Contract(
    table="rejected_reviews",
    grain="a row of a batch's file that is not among its reviews (the first 100,000 of a batch)",
    columns=(
        Column("batch", pa.string(), "the batch that the file is"),
        Column("file", pa.string(), "the file's name"),
        Column("line", pa.int64(), "where the row starts: line of the text, or row number in Parquet, from 1"),
        Column("review_id", pa.string(), "the review's id, if it could be read", nullable=True),
        Column("reason", pa.string(), "why it was rejected"),
        Column("detail", pa.string(), "what was found in it"),
    ),
    key=("batch", "line"),
    usual=Usual(gone=math.inf, reason="other settings may read rows that were rejected before"),
    invariants=(OneOf("reason", tuple(str(reason) for reason in Reason)),),
    partition="batch",
    may_be_empty=True,
    limits=("Only the first 100,000 rejected rows of a batch are listed, so their number may be larger.",),
)


class ReviewSource(Enum):
    """Where a batch of reviews comes from."""

    rotten_tomatoes = "rotten_tomatoes"
    table = "table"
    beer_text = "beer_text"


class ReviewsConfig(dg.Config):
    """Which file a batch is, and how to read its columns."""

    source: ReviewSource = Field(
        ReviewSource.rotten_tomatoes,
        description="rotten_tomatoes (embedded), table: a CSV, JSON-lines or Parquet file, or beer_text: a dump of "
        "RateBeer or BeerAdvocate, in blocks of `beer/name: ...` or JSON lines",
    )
    path: str = Field(
        "", description="table, beer_text: the file; empty: the file of the inbox that the batch is named after"
    )
    columns: dict[str, str] = Field(
        {},
        description="table: which of the file's columns holds a field (review_id, item_id, item_name, category, "
        "reviewer_id, time, overall, scores.<name>, attributes.<name>, text); columns named like a field need no "
        "entry, and an empty name leaves a field out; beer_text: fields to replace or add (item_id: beer/name, if "
        "beers of the same name are one item)",
    )
    format: str = Field(
        "", description=f"table: {', '.join(get_args(Format))}; empty: by the file's name and first characters"
    )
    encoding: str = Field(
        "", description="table, beer_text: the text's encoding; empty: recognised from the first rows"
    )
    delimiter: str = Field("", description="table: what separates the columns of CSV; empty: recognised")
    quoting: str = Field(
        "",
        description="table: quoted, escaped (quotes in quotes have a backslash before them) or none (quotes are "
        "characters like others); empty: recognised",
    )
    date_order: str = Field("", description="dmy or mdy: how to read 05/06/2009; empty: such dates are left out")
    html: str = Field(
        "auto", description="table: auto takes tags and entities out of texts and names, keep leaves them"
    )
    repair_mojibake: bool = Field(
        False, description="repair names and texts that were UTF-8 and were read as Windows-1252 (KÃ¶lsch)"
    )
    max_rejected_share: float = Field(
        0.1, ge=0, le=1, description="share of rows that may be rejected; with more, the batch is refused"
    )
    collection: str = Field("", description="what the reviews are of; empty: the source's name")
    replaces: str = Field("", description="name or key of a batch that is taken back once this one is read")


def embedded_batch() -> str:
    """The batch key of the embedded reviews, without fetching them."""
    return file_key("rotten_tomatoes", read_sources()["rotten_tomatoes"].sha256)


def batch_of(config: ReviewsConfig) -> str:
    """The key of the batch that `config` describes. Raises `SourceError` if its file does not exist."""
    if config.source is ReviewSource.rotten_tomatoes:
        return embedded_batch()
    path = _given_file(config)
    return file_key(path.name, file_sha256(path))


def _given_file(config: ReviewsConfig) -> Path:
    path = allowed_path(config.path, "reviews")
    if not path.is_file():
        raise SourceError(f"reviews: there is no file {config.path!r}. Wanted: `path`, the file of reviews to read.")
    return path


def batches_of(given: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The batches that a configuration describes (here one): the configuration of each run by the batch's key."""
    return {batch_of(ReviewsConfig(**given)): given}


def dropped(path: Path, settings: Mapping[str, Any]) -> Drop:
    """A file in the inbox, with the configuration that the inbox's settings give it."""
    return Drop(path.name, of_file({"source": "table", **settings}, path))


def _review_file(config: ReviewsConfig, batch: str) -> ReviewFile:
    """The file that the batch is named after, once its hash has been compared with the key."""
    if config.source is ReviewSource.rotten_tomatoes:
        if batch != embedded_batch():
            raise SourceError(
                f"reviews: the batch {batch!r} is not the embedded one ({embedded_batch()!r}). "
                "For a file of your own set `source: table` (or beer_text), and `path` unless it lies in the inbox."
            )
        source = read_sources()["rotten_tomatoes"]
        return rotten_tomatoes(member(source, source.members[0]))
    path = _given_file(config) if config.path else _inbox_file(batch)
    if (found := file_key(path.name, file_sha256(path))) != batch:
        raise SourceError(f"reviews: {path} is the batch {found!r}, {batch!r} was wanted. Has the file changed?")
    if config.source is ReviewSource.beer_text:
        return beer_text(path, config.columns, **_said(config))
    return ReviewFile(path, columns=config.columns, **_said(config))


def _said(config: ReviewsConfig) -> dict[str, Any]:
    """What the configuration says of a file; what it leaves empty is recognised."""
    names = (
        "format",
        "encoding",
        "delimiter",
        "quoting",
        "date_order",
        "html",
        "repair_mojibake",
        "max_rejected_share",
    )
    return {name: value for name in names if (value := getattr(config, name)) != ""}


def _inbox_file(batch: str) -> Path:
    folder = inbox_folder("reviews")
    if (found := find_batch(folder, batch, dropped)) is None:
        name, _, digest = batch.rpartition("-")
        raise SourceError(
            f"reviews: {folder} has no file {name!r} whose hash begins with {digest!r}. Drop it in again."
        )
    return found[0]


def _inbox_settings(batch: str) -> Mapping[str, Any] | None:
    """The configuration of a batch whose file is in the inbox; None if it is not there."""
    found = find_batch(inbox_folder("reviews"), batch, dropped)
    return found and found[1].config


@dg.multi_asset(
    name="reviews",
    outs={
        "reviews": dg.AssetOut(
            **batched(
                CONTRACT, __name__, config=ReviewsConfig,
                description="What people wrote about items, batch by batch. Rows that cannot be read are in "
                "`rejected_reviews`; a review that several batches hold counts once, see `duplicate_reviews`.",
            )
        ),
        "rejected_reviews": dg.AssetOut(
            **batched(
                REJECTED, __name__, config=ReviewsConfig,
                description="Rows that are not among a batch's reviews, each with file, line and reason.",
            )
        ),
    },
    partitions_def=BATCHES,
    check_specs=[
        dg.AssetCheckSpec(
            "few_rejected", asset="reviews", description=f"At most {MANY_REJECTED:.0%} of the rows cannot be read."
        ),
        dg.AssetCheckSpec(
            "few_repeated",
            asset="reviews",
            description=f"At most {MANY_REPEATED:.0%} of the rows are the same review as another one.",
        ),
        dg.AssetCheckSpec(
            "little_mojibake",
            asset="reviews",
            description=f"At most {MANY_GARBLED:.0%} of the texts were read in a wrong encoding (KÃ¶lsch).",
        ),
        dg.AssetCheckSpec(
            "one_score_scale", asset="reviews", description="The scores of a field are all written on one scale."
        ),
        dg.AssetCheckSpec(
            "every_rejection_is_listed",
            asset="rejected_reviews",
            description="The table has every row that was rejected, not only the first of them.",
        ),
    ],
)  # fmt: skip
@keeps_settings(of_batch=_inbox_settings)
def reviews(context: dg.AssetExecutionContext, config: ReviewsConfig) -> Iterator:
    """Stream one file's reviews into the warehouse, then publish the rejected rows."""
    from taproom.drawing import bars

    batch = context.partition_key
    reader = ReviewReader(_review_file(config, batch), batch, config.collection or config.source.value, CONTRACT.schema)

    @cache
    def picture() -> bytes | None:
        counts = reader.counts
        return bars("What became of the rows", counts, "rows") if counts["rows_read"] >= ROWS_DRAWN else None

    def metadata() -> dict[str, Any]:
        return {
            **reader.counts,
            **{reason: count for reason, count in reader.values_left_out.items() if count},
            **reader.form,
            "score_scale": reader.score_scales,
            "notes": reader.notes,
        }

    yield dg.Output(Draft(reader.reader(), metadata=metadata, figure=picture), "reviews")
    for note in reader.notes:
        context.log.warning(note)

    rejected = reader.rejected
    yield dg.Output(Draft(rejected.cast(REJECTED.schema), figure=picture), "rejected_reviews")

    counts = reader.counts
    for name, share, most in (
        ("few_rejected", reader.rejected_share, MANY_REJECTED),
        ("few_repeated", reader.repeated_share, MANY_REPEATED),
        ("little_mojibake", reader.mojibake_share, MANY_GARBLED),
    ):
        yield dg.AssetCheckResult(
            check_name=name,
            asset_key="reviews",
            passed=share <= most,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={f"{name.partition('_')[2]}_share": share},
        )
    yield dg.AssetCheckResult(
        check_name="one_score_scale",
        asset_key="reviews",
        passed=all(len(scales) == 1 for scales in reader.score_scales.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"score_scale": reader.score_scales},
    )
    unlisted = counts["rows_read"] - counts["rows_kept"] - counts["left_out"] - len(rejected)
    yield dg.AssetCheckResult(
        check_name="every_rejection_is_listed",
        asset_key="rejected_reviews",
        passed=unlisted == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows_not_listed": unlisted},
    )
