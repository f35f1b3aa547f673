"""terms, bag_of_words: the words that topics are made of, and what share of each document each of them is.

The deck's bag of words: x_ij is the proportion of times that word j occurred in document i, of all words of the
document. Which words count is settled on the training documents: not too rare to co-occur, not in so many documents
that they say nothing (so no list of stop words is needed, in any language).

Grain: a word; a document. Source: the deck's slide "Bag of Words".
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.text.documents import SPLITS
from taproom.warehouse.contracts import Ascending, Between, Column, Contract, NotBlank, OneOf, SameLength
from taproom.words.counting import DEFAULT_TOKEN_PATTERN

MAX_WITHOUT_TERMS = 0.05
MIN_WITH_LETTERS = 0.8

TERMS = Contract(
    table="terms",
    grain="a word that topics are made of",
    columns=(
        Column("term_id", pa.int32(), "place of the word in the alphabetical list of all terms, from 0"),
        Column("word", pa.string(), "the word, in normal form (lower case)"),
        Column("document_frequency", pa.int64(), "number of training documents that have it"),
        Column("count", pa.int64(), "how often it occurs in them"),
        Column(
            "idf",
            pa.float64(),
            "log(1/DF), natural logarithm; DF: the share of training documents with words that have it",
        ),
        Column("token_pattern", pa.string(), "the regular expression that found the words, the same in every row"),
    ),
    key=("word",),
    invariants=(
        NotBlank("word"),
        Between("document_frequency", 1),
        Between("count", 1),
        Between("idf", 0),
        NotBlank("token_pattern"),
    ),
)

BAG_OF_WORDS = Contract(
    table="bag_of_words",
    grain="a document",
    columns=(
        Column("document_id", pa.string(), "the document; rows are in its order"),
        Column("label", pa.string(), "its label", nullable=True),
        Column("split", pa.string(), "training or test"),
        Column("words", pa.int64(), "number of words in it, those that are no terms too"),
        Column("term_ids", pa.list_(pa.int32()), "the terms in it, as term_id of terms"),
        Column("shares", pa.list_(pa.float64()), "x_ij: share of each of them in the document's words"),
    ),
    key=("document_id",),
    invariants=(
        OneOf("split", SPLITS),
        SameLength("term_ids", "shares"),
        Ascending("term_ids"),
        Between("shares", 0, 1),
        Between("words", 0),
    ),
)


class BagOfWordsConfig(dg.Config):
    """What a word is, and which words count."""

    token_pattern: str = Field(
        DEFAULT_TOKEN_PATTERN,
        description="regular expression of a word in normal form",
    )
    min_document_frequency: int = Field(5, ge=1, description="training documents that must have a word")
    max_document_share: float = Field(
        0.2, gt=0, le=1, description="share of the training documents that may have a word"
    )
    max_words: int | None = Field(100_000, ge=1, description="words to keep, those that most have; null: all")
    workers: int = Field(-1, ge=-1, description="workers as joblib counts them; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=BagOfWordsConfig)


@several_tables(
    name="bag_of_words",
    outs={
        "terms": _out(TERMS, "The words that topics are made of, with their document frequencies."),
        "bag_of_words": _out(BAG_OF_WORDS, "Each document's bag of words: what share of its words each term is."),
    },
    check_specs=[
        dg.AssetCheckSpec(
            "documents_have_terms",
            asset="bag_of_words",
            description=f"At most {MAX_WITHOUT_TERMS:.0%} of the documents have no word that topics are made of.",
        )
    ],
    pool="numerics",
)
@keeps_settings
def bag_of_words(config: BagOfWordsConfig, documents: pa.RecordBatchReader) -> Iterator[dg.Output]:
    """Count the words as the documents stream by, choose the terms, give each document's shares of them."""
    import numpy as np

    from taproom.drawing import histogram, zipf
    from taproom.text.bag_of_words import BagRows, choose_terms, count_documents

    bags = count_documents(documents, config.token_pattern, config.workers)
    terms = choose_terms(bags, config.min_document_frequency, config.max_document_share, config.max_words)
    yield dg.Output(
        Draft(
            TERMS.table_of(
                term_id=np.arange(len(terms.columns), dtype=np.int32),
                word=bags.words[terms.columns],
                document_frequency=terms.document_frequency,
                count=terms.count,
                idf=terms.idf,
                token_pattern=pa.repeat(config.token_pattern, len(terms.columns)),
            ),
            metadata={"words": len(terms.columns), "words_left_out": len(bags.words) - len(terms.columns)},
            figure=histogram("Training documents that have a word", terms.document_frequency, "documents"),
        ),
        "terms",
    )
    by_word = np.asarray(bags.counts.sum(axis=0)).ravel()
    count = len(bags.documents)
    rows = BagRows(bags, terms, BAG_OF_WORDS.schema)
    yield dg.Output(
        Draft(
            rows.reader(),
            metadata=lambda: {
                "documents": count,
                "documents_without_terms": rows.without_terms,
                "words": int(by_word.sum()),
                "shares": rows.shares,
                "density": rows.shares / (count * len(terms.columns)),
            },
            figure=zipf("How often words occur", by_word),
        ),
        "bag_of_words",
    )

    yield dg.AssetCheckResult(
        check_name="documents_have_terms",
        asset_key="bag_of_words",
        passed=rows.without_terms <= MAX_WITHOUT_TERMS * count,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"documents_without_terms": rows.without_terms},
    )


@dg.asset_check(asset="terms", description=f"At least {MIN_WITH_LETTERS:.0%} of the terms have a letter.")
def terms_are_words(terms: pa.Table) -> dg.AssetCheckResult:
    """Topics of numbers and signs are of tables and headers, not of the text; the token pattern decides what counts."""
    share = pa.compute.mean(pa.compute.match_substring_regex(terms["word"], r"\p{L}")).as_py()
    return dg.AssetCheckResult(
        passed=share >= MIN_WITH_LETTERS, severity=dg.AssetCheckSeverity.WARN, metadata={"share_with_letters": share}
    )
