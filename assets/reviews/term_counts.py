"""term_counts: how often each item's reviews in a batch say each word.

Grain: an item in a batch. Words stand here as words, not as ids, so that batches add up and a new one costs only
itself. Source: the deck's slide "Bag of Words".
"""

import re
from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
from pydantic import Field, field_validator

from assets.reviews.reviews import BATCHES
from assets.table import Draft, batched, keeps_settings
from taproom.warehouse.contracts import Ascending, Between, Column, Contract, NotBlank, SameLength
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, Counts, count_stream

CONTRACT = Contract(
    table="term_counts",
    grain="an item in a batch of reviews",
    columns=(
        Column("batch", pa.string(), "the batch of reviews"),
        Column("item_id", pa.string(), "the reviewed item"),
        Column("token_pattern", pa.string(), "the regular expression that found the words"),
        Column(
            "words",
            pa.list_(pa.string()),
            "the words of the item's reviews in this batch, in normal form",
        ),
        Column("counts", pa.list_(pa.int32()), "how often each of them occurs"),
    ),
    key=("batch", "item_id"),
    invariants=(SameLength("words", "counts"), Ascending("words"), NotBlank("words"), Between("counts", 1)),
    partition="batch",
    may_be_empty=True,
)
ITEMS_AT_ONCE = 2_000
FEW_WORDS = 5
# Of a smaller batch no figure is drawn, which would take longer than to count it.
TOKENS_DRAWN = 20_000


class TermCountsConfig(dg.Config):
    """What a word is, and how many workers count (which never changes a bit of the result)."""

    token_pattern: str = Field(DEFAULT_TOKEN_PATTERN, description="regular expression of a word in normal form")
    workers: int = Field(-1, ge=-1, description="workers as joblib counts them; -1: one for each core")

    @field_validator("token_pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        re.compile(value)
        return value


@dg.asset(
    **batched(
        CONTRACT,
        __name__,
        config=TermCountsConfig,
        description="Words and their counts per item, batch by batch; batches add up.",
    ),
    partitions_def=BATCHES,
    ins={"reviews": dg.AssetIn(metadata={"columns": ["item_id", "text"]})},
    check_specs=[
        dg.AssetCheckSpec(
            "items_have_words",
            asset=CONTRACT.table,
            description=f"Half of the batch's items have {FEW_WORDS} different words at least.",
        )
    ],
)
@keeps_settings
def term_counts(
    context: dg.AssetExecutionContext, config: TermCountsConfig, reviews: pa.RecordBatchReader
) -> Iterator[dg.Output[Draft] | dg.AssetCheckResult]:
    """Count the words of one batch as its reviews stream by."""
    import numpy as np

    from taproom.drawing import zipf

    stream = ((batch["item_id"].to_pylist(), batch["text"].to_pylist()) for batch in reviews)
    counted = count_stream(stream, config.token_pattern, n_jobs=config.workers)
    by_word = counted.counts.sum(axis=0)
    rows = _rows(counted, context.partition_key, config.token_pattern)
    yield dg.Output(
        Draft(
            pa.RecordBatchReader.from_batches(CONTRACT.schema, rows),
            metadata={"items": len(counted.item_ids), "words": len(counted.words), "tokens": int(by_word.sum())},
            figure=zipf("How often words occur", by_word) if by_word.sum() >= TOKENS_DRAWN else None,
        )
    )
    # A token pattern that does not fit the language finds next to nothing.
    median = float(np.median(np.diff(counted.counts.indptr))) if len(counted.item_ids) else 0.0
    yield dg.AssetCheckResult(
        check_name="items_have_words",
        passed=median >= FEW_WORDS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"median_words": median},
    )


def _rows(counted: Counts, batch: str, token_pattern: str) -> Iterator[pa.RecordBatch]:
    """A few items at a time: with all words written out, the table may be larger than the counts."""
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
