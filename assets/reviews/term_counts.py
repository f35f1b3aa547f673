"""term_counts: the number of occurrences of each word in the reviews of an item, batch by batch.

Grain: an item in a batch. Words are stored as text instead of ids, so that counts of batches can be added up without a
common vocabulary. Source: the deck's slide "Bag of Words".
"""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
from pydantic import Field, field_validator

from assets.long_words import FEW_LONG_WORDS, few_long_words
from assets.reviews.reviews import BATCHES
from assets.table import Draft, batched, keeps_settings
from taproom.warehouse.contracts import Ascending, Between, Column, Contract, NotBlank, SameLength
from taproom.warehouse.table_version import TableVersion
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, Counts, long_token_share, tokens

CONTRACT = Contract(
    table="term_counts",
    grain="an item in a batch of reviews",
    columns=(
        Column("batch", pa.string(), "the batch of reviews", made_from=("reviews.batch",)),
        Column("item_id", pa.string(), "the reviewed item", made_from=("reviews.item_id",)),
        Column("token_pattern", pa.string(), "regular expression that words were found with"),
        Column(
            "words",
            pa.list_(pa.string()),
            "distinct words of the item's reviews in this batch, in normal form, ascending",
            made_from=("reviews.text",),
        ),
        Column(
            "counts", pa.list_(pa.int32()), "number of occurrences of each of these words", made_from=("reviews.text",)
        ),
    ),
    key=("batch", "item_id"),
    invariants=(SameLength("words", "counts"), Ascending("words"), NotBlank("words"), Between("counts", 1)),
    partition="batch",
    may_be_empty=True,
    limits=("Reviews that several batches have are counted in each; subtract the counts of duplicate_reviews.",),
)
ITEMS_AT_ONCE = 2_000
FEW_WORDS = 5
# Smaller batches have no figure, since drawing would take longer than counting.
TOKENS_DRAWN = 20_000


class TermCountsConfig(dg.Config):
    """How words are found, and the number of workers, which does not change the result."""

    token_pattern: str = Field(DEFAULT_TOKEN_PATTERN, description="regular expression of a word, on normalized text")
    workers: int = Field(-1, ge=-1, description="number of workers, as for joblib; -1: one per core")

    @field_validator("token_pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        tokens("", value)
        return value


@dg.asset(
    **batched(
        CONTRACT,
        __name__,
        config=TermCountsConfig,
        description="The words of each item's reviews with their counts, batch by batch.",
    ),
    partitions_def=BATCHES,
    check_specs=[
        dg.AssetCheckSpec(
            "items_have_words",
            asset=CONTRACT.table,
            description=f"The median number of distinct words per item is at least {FEW_WORDS}.",
        ),
        dg.AssetCheckSpec("few_long_words", asset=CONTRACT.table, description=FEW_LONG_WORDS),
    ],
)
@keeps_settings
def term_counts(
    context: dg.AssetExecutionContext, config: TermCountsConfig, reviews: TableVersion
) -> Iterator[dg.Output[Draft] | dg.AssetCheckResult]:
    """Count the words of the reviews of one batch."""
    import numpy as np

    from taproom.drawing import zipf
    from taproom.words.stored_texts import count_stored

    counted = count_stored(reviews, "item_id", config.token_pattern, n_jobs=config.workers)
    by_word = counted.counts.sum(axis=0)
    rows = _rows(counted, context.partition_key, config.token_pattern)
    yield dg.Output(
        Draft(
            pa.RecordBatchReader.from_batches(CONTRACT.schema, rows),
            metadata={"items": len(counted.item_ids), "words": len(counted.words), "tokens": int(by_word.sum())},
            figure=zipf("How often words occur", by_word) if by_word.sum() >= TOKENS_DRAWN else None,
        )
    )
    # A token pattern that does not fit the language finds hardly any words.
    median = float(np.median(np.diff(counted.counts.indptr))) if len(counted.item_ids) else 0.0
    yield dg.AssetCheckResult(
        check_name="items_have_words",
        passed=median >= FEW_WORDS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"median_words": median},
    )
    yield few_long_words(CONTRACT.table, long_token_share(counted.words, by_word))


def _rows(counted: Counts, batch: str, token_pattern: str) -> Iterator[pa.RecordBatch]:
    """The rows, a few items at a time, since the table with its words as text may be larger than the counts."""
    from taproom.words.sparse import counts_to_lists

    for first in range(0, len(counted.item_ids), ITEMS_AT_ONCE):
        some = slice(first, first + ITEMS_AT_ONCE)
        item_ids, words, counts = counts_to_lists(Counts(counted.item_ids[some], counted.words, counted.counts[some]))
        table = CONTRACT.table_of(
            batch=pa.repeat(batch, len(item_ids)),
            item_id=item_ids,
            token_pattern=pa.repeat(token_pattern, len(item_ids)),
            words=words,
            counts=counts,
        )
        yield from table.to_batches()
