"""items, review_batches, duplicate_reviews: all batches rolled up.

Whatever follows the batches depends on this rollup. It is read once over all partitions, in the order of their keys, so
that of a review in several batches the one with the first key counts, whichever file arrived first. `review_batches`
also carries a hash of each batch's words: Dagster compares the data versions of upstream partitions only while there
are fewer than a hundred, and this table's own data version changes with any of them.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa

from assets.automation import WHEN_A_BATCH_CHANGES
from assets.table import Draft, refreshed_out
from taproom.warehouse.contracts import Ascending, Between, Column, Contract, NotBlank, SameLength

MOST_DUPLICATES = 0.5

ITEMS = Contract(
    table="items",
    grain="a reviewed item",
    columns=(
        Column("item_id", pa.string(), "the item"),
        Column("item_name", pa.string(), "the name most of its reviews give it"),
        Column("category", pa.string(), "the category most of its reviews give it", nullable=True),
        Column("reviews", pa.int64(), "number of reviews, duplicates left out"),
        Column("mean_overall", pa.float64(), "mean overall score, on the source's scale", nullable=True),
    ),
    key=("item_id",),
    invariants=(NotBlank("item_id"), Between("reviews", 1), Between("mean_overall")),
)

REVIEW_BATCHES = Contract(
    table="review_batches",
    grain="a batch of reviews",
    columns=(
        Column("batch", pa.string(), "the batch"),
        Column("reviews", pa.int64(), "reviews in it that count"),
        Column("duplicates", pa.int64(), "reviews in it that an earlier batch has too"),
        Column("words_hash", pa.string(), "content hash of its rows in term_counts"),
    ),
    key=("batch",),
    invariants=(Between("reviews", 0), Between("duplicates", 0)),
)

DUPLICATE_REVIEWS = Contract(
    table="duplicate_reviews",
    grain="a review in a batch that an earlier batch has too",
    columns=(
        Column("batch", pa.string(), "the batch whose review does not count"),
        Column("review_id", pa.string(), "the review"),
        Column("kept_in", pa.string(), "the batch whose review counts"),
        Column("item_id", pa.string(), "the item that the uncounted review is of"),
        Column("words", pa.list_(pa.string()), "the uncounted review's words"),
        Column("counts", pa.list_(pa.int32()), "how often each of them occurs: what to take from term_counts"),
    ),
    key=("batch", "review_id"),
    invariants=(SameLength("words", "counts"), Ascending("words"), Between("counts", 1)),
    may_be_empty=True,
)


_out = partial(refreshed_out, module=__name__, automation_condition=WHEN_A_BATCH_CHANGES)


@dg.multi_asset(
    name="items",
    outs={
        "items": _out(ITEMS, "The reviewed items: name, category, number of reviews."),
        "review_batches": _out(REVIEW_BATCHES, "The batches of reviews, with a hash of what each one says."),
        "duplicate_reviews": _out(DUPLICATE_REVIEWS, "Reviews that several batches hold: the first batch's counts."),
    },
)
def items(reviews: pa.RecordBatchReader, term_counts: pa.Table) -> Iterator[dg.Output]:
    """Roll all batches up in one pass over their reviews."""
    import numpy as np

    from taproom.drawing import bars, histogram
    from taproom.words.rollup import ReviewRollup, batch_hashes, token_patterns

    rollup = ReviewRollup(token_patterns(term_counts))
    for batch in reviews:
        rollup.add(batch)
    by_item = rollup.items(ITEMS.schema)
    counts = by_item["reviews"].to_numpy()
    yield dg.Output(
        Draft(
            by_item,
            metadata={"items": len(counts), "reviews": int(counts.sum()), "median_reviews": float(np.median(counts))},
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
    repeated = dict(zip(batches["batch"].to_pylist(), batches["duplicates"].to_pylist(), strict=True))
    picture = bars("Duplicate reviews per batch", repeated, "reviews")
    yield dg.Output(Draft(duplicates, metadata={"duplicates": len(duplicates)}, figure=picture), "duplicate_reviews")


@dg.asset_check(asset="items", description="Some items have reviews enough (5) to say something of them.")
def items_with_reviews(items: pa.Table) -> dg.AssetCheckResult:
    """A collection of items with a review or two each has no map worth looking at."""
    enough = int((items["reviews"].to_numpy() >= 5).sum())
    return dg.AssetCheckResult(
        passed=enough > 0, severity=dg.AssetCheckSeverity.WARN, metadata={"items_with_5_reviews": enough}
    )


@dg.asset_check(
    asset="review_batches",
    additional_ins={"term_counts": dg.AssetIn(metadata={"columns": ["token_pattern"]})},
    description="All batches were counted by one token pattern, so their words add up.",
)
def one_token_pattern(review_batches: pa.Table, term_counts: pa.Table) -> dg.AssetCheckResult:
    """Batches counted by different patterns disagree on what a word is; materialize the older ones again."""
    patterns = term_counts["token_pattern"].unique().to_pylist()
    return dg.AssetCheckResult(
        passed=len(patterns) <= 1,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"token_patterns": patterns, "batches": len(review_batches)},
    )


@dg.asset_check(
    asset="duplicate_reviews",
    additional_ins={"review_batches": dg.AssetIn()},
    description=f"At most {MOST_DUPLICATES:.0%} of the reviews in all batches are duplicates.",
)
def few_duplicates(review_batches: pa.Table) -> dg.AssetCheckResult:
    """Where most are, batches are copies of each other: dropped in under other names, or each with all before it."""
    duplicates, counted = (sum(review_batches[name].to_pylist()) for name in ("duplicates", "reviews"))
    share = duplicates / max(duplicates + counted, 1)
    return dg.AssetCheckResult(
        passed=share <= MOST_DUPLICATES, severity=dg.AssetCheckSeverity.WARN, metadata={"duplicate_share": share}
    )
