"""vocabulary, tfidf: the selected words, and each item's bag of words weighted by TF * log(1/DF).

A document is an item, that is, all its reviews. TF is the share of a word among the item's words, DF the share of items
that have the word.

Grain: a word; an item. Source: the deck's slides "TF*IDF" and "Two Hearted Ale - Weighted Bag of Words".
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from taproom.errors import InputError
from taproom.warehouse.contracts import COUNTS_BATCHES, Ascending, Between, Column, Contract, NotBlank, SameLength
from taproom.warehouse.foreign_keys import ForeignKey

_COUNTS = ("term_counts.words", "term_counts.counts", "duplicate_reviews.words", "duplicate_reviews.counts")

VOCABULARY = Contract(
    table="vocabulary",
    grain="a word",
    columns=(
        Column(
            "term_id",
            pa.int32(),
            "index of the word in the alphabetical list of the vocabulary, from 0",
            made_from=("term_counts.words",),
        ),
        Column("word", pa.string(), "the word, in normal form (lower case)", made_from=("term_counts.words",)),
        Column("document_frequency", pa.int64(), "number of items that have the word", made_from=_COUNTS),
        Column("count", pa.int64(), "number of occurrences", made_from=_COUNTS),
        Column(
            "idf",
            pa.float64(),
            "log(1/DF), natural logarithm; DF is the share of items that have the word",
            made_from=_COUNTS,
        ),
        Column(
            "token_pattern",
            pa.string(),
            "regular expression that words were found with, the same in every row",
            made_from=("term_counts.token_pattern",),
        ),
    ),
    key=("word",),
    usual=COUNTS_BATCHES,
    invariants=(
        NotBlank("word"),
        Between("document_frequency", 1),
        Between("count", 1),
        Between("idf", 0),
        NotBlank("token_pattern"),
    ),
    limits=(
        "Words that few items have are left out, so counts do not sum to the number of words in the reviews.",
        "In another version, the same term_id may be another word.",
    ),
)

TFIDF = Contract(
    table="tfidf",
    grain="an item",
    columns=(
        Column("item_id", pa.string(), "the item; rows are sorted by it", made_from=("term_counts.item_id",)),
        Column(
            "words",
            pa.int64(),
            "number of words in its reviews, including those outside the vocabulary",
            made_from=("term_counts.counts", "duplicate_reviews.counts"),
        ),
        Column(
            "term_ids",
            pa.list_(pa.int32()),
            "words with a weight, as term_id of `vocabulary`, ascending",
            made_from=_COUNTS,
        ),
        Column("weights", pa.list_(pa.float64()), "TF * log(1/DF) of each of these words", made_from=_COUNTS),
    ),
    key=("item_id",),
    usual=COUNTS_BATCHES,
    invariants=(SameLength("term_ids", "weights"), Ascending("term_ids"), Between("weights", 0), Between("words", 1)),
    foreign_keys=(
        ForeignKey(("item_id",), "items", ("item_id",)),
        ForeignKey(("term_ids",), "vocabulary", ("term_id",)),
    ),
    limits=("In another version, the same term_id may be another word; read the vocabulary of the same run.",),
)


class TfidfConfig(dg.Config):
    """The selection of items and words."""

    min_reviews: int = Field(2, ge=1, description="minimum number of reviews of an item")
    min_document_frequency: int = Field(2, ge=1, description="minimum number of items that have a word")
    max_words: int | None = Field(
        400_000, ge=1, description="maximum number of words, those that most items have; null: all"
    )


_out = partial(refreshed_out, module=__name__, config=TfidfConfig)


@several_tables(
    name="tfidf",
    outs={
        "vocabulary": _out(VOCABULARY, "The words that weights are computed for, with their document frequencies."),
        "tfidf": _out(TFIDF, "Each item's bag of words, weighted by TF * log(1/DF)."),
    },
    ins={"term_counts": dg.AssetIn(metadata={"as_read_by": "review_batches"})},
    # Its rows are not read; its data version shows Dagster that a batch has changed, however many batches there are.
    deps=["review_batches"],
)
@keeps_settings
def tfidf(
    config: TfidfConfig, term_counts: pa.RecordBatchReader, duplicate_reviews: pa.Table, items: pa.Table
) -> Iterator[dg.Output]:
    """Add up the counts of all batches, select words, and compute their weights."""
    import numpy as np

    from taproom.drawing import histogram
    from taproom.maps.map_figures import weighted_words
    from taproom.words.rollup import token_patterns
    from taproom.words.sparse import csr_to_lists, item_counts
    from taproom.words.tfidf import document_frequency, select_words, weigh

    enough = items.filter(pa.compute.greater_equal(items["reviews"], config.min_reviews))["item_id"]
    if len(enough) < 2:
        raise InputError(
            f"tfidf: {len(enough)} of {len(items)} items have {config.min_reviews} (`min_reviews`) or more reviews. "
            "Weights compare 2 items at least: lower `min_reviews`, or bring more reviews."
        )
    patterns: dict[str, str] = {}

    def streamed() -> Iterator[pa.RecordBatch]:
        for rows in term_counts:
            patterns.update(token_patterns(pa.Table.from_batches([rows])))
            yield rows

    counts = item_counts(streamed(), duplicate_reviews, enough)
    if counts.counts.shape[1] == 0 or document_frequency(counts).max() < config.min_document_frequency:
        raise InputError(
            f"tfidf: none of the {len(counts.words)} words is in {config.min_document_frequency} "
            f"(`min_document_frequency`) of the {len(counts.item_ids)} items. Where words are not found as they are "
            "written, set `token_pattern` of `term_counts` to what a word is; else bring more reviews."
        )
    columns = select_words(counts, config.min_document_frequency, config.max_words)
    weights, frequency = weigh(counts, columns)
    words = counts.words[columns]
    idf = np.log(len(counts.item_ids) / frequency)
    # All batches have the same one, or the check `one_token_pattern` warns; then the most frequent one is recorded.
    used = Counter(sorted(patterns.values()))
    yield dg.Output(
        Draft(
            VOCABULARY.table_of(
                term_id=np.arange(len(words), dtype=np.int32),
                word=words,
                document_frequency=frequency,
                count=np.asarray(counts.counts.sum(axis=0)).ravel()[columns],
                idf=idf,
                token_pattern=pa.repeat(used.most_common(1)[0][0], len(words)),
            ),
            metadata={"words": len(words), "words_left_out": len(counts.words) - len(words)},
            figure=histogram("Items that have a word", frequency, "items"),
        ),
        "vocabulary",
    )
    term_ids, values = csr_to_lists(weights)
    known = items.filter(pa.compute.is_in(items["item_id"], value_set=pa.array(counts.item_ids, pa.string())))
    shown = int(np.argmax(known["reviews"].to_numpy()))
    name = known["item_name"][shown].as_py()
    row = slice(weights.indptr[shown], weights.indptr[shown + 1])
    yield dg.Output(
        Draft(
            TFIDF.table_of(
                item_id=counts.item_ids,
                words=np.asarray(counts.counts.sum(axis=1)).ravel(),
                term_ids=term_ids,
                weights=values,
            ),
            metadata={
                "items": len(counts.item_ids),
                "items_without_weight": int((np.diff(weights.indptr) == 0).sum()),
                "weights": weights.nnz,
                "density": weights.nnz / (weights.shape[0] * weights.shape[1]),
            },
            figure=weighted_words(name, words[weights.indices[row]], weights.data[row]),
        ),
        "tfidf",
    )


@dg.asset_check(
    asset="tfidf", description="At least 99 % of the items have a weighted word, and so a position on the map."
)
def items_have_weights(tfidf: pa.Table) -> dg.AssetCheckResult:
    """An item has no neighbours if none of its words is in the vocabulary, or all items have them."""
    empty = int((pa.compute.list_value_length(tfidf["weights"]).to_numpy() == 0).sum())
    return dg.AssetCheckResult(
        passed=empty <= 0.01 * len(tfidf), severity=dg.AssetCheckSeverity.WARN, metadata={"items_without_weight": empty}
    )


@dg.asset_check(
    asset="vocabulary",
    required_resource_keys={"io_manager"},
    description="At least half of the words of the previous version are still in the vocabulary.",
)
def vocabulary_is_stable(context: dg.AssetCheckExecutionContext, vocabulary: pa.Table) -> dg.AssetCheckResult:
    """A vocabulary that loses most of its words at once has probably lost a batch, or is of another collection."""
    warehouse = context.resources.io_manager.warehouse
    head = warehouse.head("vocabulary")
    before = warehouse.read("vocabulary", head - 1, columns=["word"])["word"] if head else vocabulary["word"]
    kept = pa.compute.mean(pa.compute.is_in(before, value_set=vocabulary["word"].combine_chunks())).as_py()
    return dg.AssetCheckResult(
        passed=kept >= 0.5, severity=dg.AssetCheckSeverity.WARN, metadata={"share_of_words_kept": kept}
    )
