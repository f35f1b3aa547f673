"""items, review_batches, duplicate_reviews: all batches of reviews combined.

All further tables of the chain depend on this rollup, which reads all partitions once. A review in several batches is
counted once: of the same content the one in the batch with the first key, whichever file arrived first; of a review and
its correction the newer one (`taproom.sources.repeated_reviews`). `review_batches` also has a hash of each batch's
words: Dagster compares the data versions of upstream partitions only if there are fewer than a hundred, while the data
version of this table changes with any of them.

Grain: a reviewed item; a batch; a review that is not counted, because another batch has it too or corrects it.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from assets.automation import WHEN_A_BATCH_CHANGES
from assets.table import Draft, refreshed_out
from taproom.warehouse.contracts import (
    COUNTS_BATCHES,
    FOLLOWS_BATCHES,
    Ascending,
    Between,
    Column,
    Contract,
    NotBlank,
    OneOf,
    SameLength,
)
from taproom.warehouse.foreign_keys import ForeignKey

if TYPE_CHECKING:
    from taproom.warehouse.warehouse import Warehouse

MAX_DUPLICATES = 0.5
MAX_REPLACED = 0.1

ITEMS = Contract(
    table="items",
    grain="a reviewed item",
    columns=(
        Column("item_id", pa.string(), "the item", made_from=("reviews.item_id",)),
        Column("item_name", pa.string(), "most frequent name of the item in its reviews",
               made_from=("reviews.item_name",)),
        Column("category", pa.string(), "most frequent category of the item in its reviews", nullable=True,
               made_from=("reviews.category",)),
        Column("spellings", pa.list_(pa.string()), "names of the item in its reviews, the most frequent one first; "
               "empty if there is one", made_from=("reviews.item_name",)),
        Column("reviews", pa.int64(), "number of reviews that are counted", made_from=("reviews.review_id",)),
        Column("mean_overall", pa.float64(), "mean overall score, on the scale of the source", nullable=True,
               made_from=("reviews.overall",)),
    ),
    key=("item_id",),
    usual=COUNTS_BATCHES,
    invariants=(NotBlank("item_id"), Between("reviews", 1), Between("mean_overall")),
    limits=(
        "Where the source has no ids of items, two spellings of a name are two items.",
        "The mean of a few scores says little; reviews has their number.",
    ),
)  # fmt: skip

REVIEW_BATCHES = Contract(
    table="review_batches",
    grain="a batch of reviews",
    columns=(
        Column("batch", pa.string(), "the batch", made_from=("reviews.batch",)),
        Column(
            "reviews", pa.int64(), "number of reviews in the batch that are counted", made_from=("reviews.review_id",)
        ),
        Column("duplicates", pa.int64(), "number of reviews in the batch that are counted in another one"),
        Column("replaced", pa.int64(), "number of reviews in the batch that another batch corrects"),
        Column("words_hash", pa.string(), "content hash of the batch's rows in `term_counts`"),
    ),
    key=("batch",),
    usual=FOLLOWS_BATCHES,
    invariants=(Between("reviews", 0), Between("duplicates", 0), Between("replaced", 0)),
    limits=("A batch that was read since the last rollup has no row yet.",),
)

DUPLICATE_REVIEWS = Contract(
    table="duplicate_reviews",
    grain="a review in a batch that is not counted, because another batch has it too or corrects it",
    columns=(
        Column("batch", pa.string(), "batch in which the review is not counted", made_from=("reviews.batch",)),
        Column("review_id", pa.string(), "the review", made_from=("reviews.review_id",)),
        Column("reason", pa.string(), "duplicate: the other batch has the same content; replaced: a correction of it"),
        Column("kept_in", pa.string(), "batch in which the review is counted", made_from=("reviews.batch",)),
        Column("item_id", pa.string(), "item of the review in this batch", made_from=("reviews.item_id",)),
        Column(
            "words",
            pa.list_(pa.string()),
            "distinct words of the review in this batch, ascending",
            made_from=("reviews.text", "term_counts.token_pattern"),
        ),
        Column(
            "counts",
            pa.list_(pa.int32()),
            "occurrences of each of these words, to subtract from `term_counts`",
            made_from=("reviews.text", "term_counts.token_pattern"),
        ),
    ),
    key=("batch", "review_id"),
    usual=FOLLOWS_BATCHES,
    invariants=(
        SameLength("words", "counts"),
        Ascending("words"),
        Between("counts", 1),
        OneOf("reason", ("duplicate", "replaced")),
    ),
    may_be_empty=True,
    foreign_keys=(
        ForeignKey(("batch",), "review_batches", ("batch",)),
        ForeignKey(("kept_in",), "review_batches", ("batch",)),
    ),
    limits=("Only repeated content and corrections are found: a review that was reworded counts twice.",),
)


_out = partial(refreshed_out, module=__name__, automation_condition=WHEN_A_BATCH_CHANGES)


@dg.multi_asset(
    name="items",
    outs={
        "items": _out(ITEMS, "The reviewed items, with name, category and number of reviews."),
        "review_batches": _out(REVIEW_BATCHES, "The batches of reviews, with a hash of the words of each."),
        "duplicate_reviews": _out(
            DUPLICATE_REVIEWS, "Reviews that several batches have, and the batch in which each is counted."
        ),
    },
    required_resource_keys={"io_manager"},
)
def items(
    context: dg.AssetExecutionContext, reviews: pa.RecordBatchReader, term_counts: pa.Table
) -> Iterator[dg.Output]:
    """Combine all batches in one pass over their reviews."""
    import numpy as np

    from taproom.drawing import bars, histogram
    from taproom.words.rollup import ReviewRollup, batch_hashes, same_but_for_case, token_patterns

    rollup = ReviewRollup(token_patterns(term_counts), _arrivals(context.resources.io_manager.warehouse))
    for batch in reviews:
        rollup.add(batch)
    by_item = rollup.items(ITEMS.schema)
    counts = by_item["reviews"].to_numpy()
    alike = same_but_for_case(by_item["item_name"].to_pylist())
    yield dg.Output(
        Draft(
            by_item,
            metadata={
                "items": len(counts),
                "reviews": int(counts.sum()),
                "median_reviews": float(np.median(counts)),
                "items_with_several_spellings": sum(map(bool, by_item["spellings"].to_pylist())),
                "notes": [_differ_in_case(alike)] if alike else [],
            },
            figure=histogram("Reviews per item", counts, "reviews"),
        ),
        "items",
    )  # fmt: skip
    batches = rollup.batches(batch_hashes(term_counts), REVIEW_BATCHES.schema)
    sizes = dict(zip(batches["batch"].to_pylist(), batches["reviews"].to_pylist(), strict=True))
    yield dg.Output(
        Draft(batches, metadata={"batches": len(sizes)}, figure=bars("Reviews per batch", sizes, "reviews")),
        "review_batches",
    )
    duplicates = rollup.duplicates(DUPLICATE_REVIEWS.schema)
    repeated, replaced = (sum(batches[name].to_pylist()) for name in ("duplicates", "replaced"))
    notes = _notes(duplicates, repeated, replaced)
    for note in notes:
        context.log.warning(note)
    uncounted = pa.compute.add(batches["duplicates"], batches["replaced"]).to_pylist()
    picture = bars("Duplicate reviews per batch", dict(zip(sizes, uncounted, strict=True)), "reviews")
    metadata = {"duplicates": repeated, "replaced": replaced, "notes": notes}
    yield dg.Output(Draft(duplicates, metadata=metadata, figure=picture), "duplicate_reviews")


def _arrivals(warehouse: "Warehouse") -> dict[str, int]:
    """The version of the table `reviews` with which each batch arrived."""
    history = sorted(warehouse.history("reviews"), key=lambda commit: commit["version"], reverse=True)
    return {commit["partition"]: commit["version"] for commit in history if commit["partition"]}


def _notes(duplicates: pa.Table, repeated: int, replaced: int) -> list[str]:
    """What a person should know of reviews that do not count, a line each."""
    reasons = {"duplicate": (repeated, "another batch has too"), "replaced": (replaced, "another batch corrects")}
    notes = []
    for reason, (count, what) in reasons.items():
        for first in duplicates.filter(pa.compute.equal(duplicates["reason"], reason)).slice(0, 1).to_pylist():
            example = f"{first['review_id']!r} of {first['batch']} is in {first['kept_in']}"
            notes.append(f"{count:,} reviews that {what} are not counted (the first: {example})")
    return notes


def _differ_in_case(alike: list[list[str]]) -> str:
    """Items of other names are other items, even if the names differ only in case: a line that says which."""
    examples = "; ".join(" and ".join(map(repr, group)) for group in alike[:3])
    return f"{sum(map(len, alike)):,} names differ from another item's only in upper and lower case, such as {examples}"


@dg.asset_check(asset="items", description="No names of items differ only in upper and lower case.")
def names_differ_not_only_in_case(items: pa.Table) -> dg.AssetCheckResult:
    """Such items may be one that was typed in two ways; give both the same name or id in the file if they are."""
    from taproom.words.rollup import same_but_for_case

    alike = same_but_for_case(items["item_name"].to_pylist())
    return dg.AssetCheckResult(
        passed=not alike,
        severity=dg.AssetCheckSeverity.WARN,
        description=_differ_in_case(alike) if alike else None,
        metadata={"names": sum(map(len, alike)), "examples": alike[:20]},
    )


@dg.asset_check(asset="items", description="At least one item has 5 or more reviews.")
def items_with_reviews(items: pa.Table) -> dg.AssetCheckResult:
    """Items with one or two reviews each have too few words for a useful map."""
    enough = int((items["reviews"].to_numpy() >= 5).sum())
    return dg.AssetCheckResult(
        passed=enough > 0, severity=dg.AssetCheckSeverity.WARN, metadata={"items_with_5_reviews": enough}
    )


@dg.asset_check(
    asset="review_batches",
    additional_ins={"term_counts": dg.AssetIn(metadata={"columns": ["token_pattern"]})},
    description="All batches were counted with the same token pattern.",
)
def one_token_pattern(review_batches: pa.Table, term_counts: pa.Table) -> dg.AssetCheckResult:
    """Counts with different patterns cannot be added up; materialize the older batches again."""
    patterns = term_counts["token_pattern"].unique().to_pylist()
    return dg.AssetCheckResult(
        passed=len(patterns) <= 1,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"token_patterns": patterns, "batches": len(review_batches)},
    )


@dg.asset_check(
    asset="duplicate_reviews",
    additional_ins={"review_batches": dg.AssetIn()},
    description=f"At most {MAX_DUPLICATES:.0%} of the reviews in all batches are duplicates.",
)
def few_duplicates(review_batches: pa.Table) -> dg.AssetCheckResult:
    """Many duplicates mean that batches are copies of each other, or that each contains the earlier ones."""
    return _few(review_batches, "duplicates", MAX_DUPLICATES, "duplicate_share")


@dg.asset_check(
    asset="duplicate_reviews",
    additional_ins={"review_batches": dg.AssetIn()},
    description=f"At most {MAX_REPLACED:.0%} of the reviews in all batches are corrected by another batch.",
)
def few_replaced(review_batches: pa.Table) -> dg.AssetCheckResult:
    """Where more are, a source may have given the ids of its reviews to other reviews."""
    return _few(review_batches, "replaced", MAX_REPLACED, "replaced_share")


def _few(review_batches: pa.Table, uncounted: str, most: float, name: str) -> dg.AssetCheckResult:
    """Whether reviews that are not counted, for the reason of that column, are at most such a share."""
    reviews, counted = (sum(review_batches[column].to_pylist()) for column in (uncounted, "reviews"))
    share = reviews / max(reviews + counted, 1)
    return dg.AssetCheckResult(passed=share <= most, severity=dg.AssetCheckSeverity.WARN, metadata={name: share})
