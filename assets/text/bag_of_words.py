"""terms, bag_of_words: the words that topics are made of, and the share of each term in each document.

The deck's bag of words: x_ij is the number of occurrences of word j in document i, as a share of all words of the
document. Words are selected by their frequency in the training documents: rare words do not co-occur, and words that
most documents have carry no information (so no list of stop words is needed, in any language).

Grain: a word; a document. Source: the deck's slide "Bag of Words".
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.long_words import FEW_LONG_WORDS, few_long_words
from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.text.documents import SPLITS
from taproom.warehouse.contracts import Ascending, Between, Column, Contract, NotBlank, OneOf, SameLength
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, long_token_share

MAX_WITHOUT_TERMS = 0.05
MIN_WITH_LETTERS = 0.8

TERMS = Contract(
    table="terms",
    grain="a word that topics are made of",
    columns=(
        Column(
            "term_id",
            pa.int32(),
            "index of the word in the alphabetical list of terms, from 0",
            made_from=("documents.text",),
        ),
        Column("word", pa.string(), "the word, in normal form (lower case)", made_from=("documents.text",)),
        Column(
            "document_frequency",
            pa.int64(),
            "number of training documents that have the word",
            made_from=("documents.text", "documents.split"),
        ),
        Column(
            "count",
            pa.int64(),
            "number of occurrences in the training documents",
            made_from=("documents.text", "documents.split"),
        ),
        Column(
            "idf",
            pa.float64(),
            "log(1/DF), natural logarithm; DF is the share of the nonempty training documents that have the word",
            made_from=("documents.text", "documents.split"),
        ),
        Column("token_pattern", pa.string(), "regular expression that words were found with, the same in every row"),
    ),
    key=("word",),
    invariants=(
        NotBlank("word"),
        Between("document_frequency", 1),
        Between("count", 1),
        Between("idf", 0),
        NotBlank("token_pattern"),
    ),
    limits=(
        "Rare words and words that most documents have are left out.",
        "In another version, the same term_id may be another word.",
    ),
)

BAG_OF_WORDS = Contract(
    table="bag_of_words",
    grain="a document",
    columns=(
        Column("document_id", pa.string(), "the document; rows are sorted by it", made_from=("documents.document_id",)),
        Column("label", pa.string(), "label of the document", nullable=True, made_from=("documents.label",)),
        Column(
            "split",
            pa.string(),
            "training: topics are fitted to the document; test: they are evaluated on it",
            made_from=("documents.split",),
        ),
        Column(
            "words",
            pa.int64(),
            "number of words in the document, including those that are not terms",
            made_from=("documents.text",),
        ),
        Column(
            "term_ids",
            pa.list_(pa.int32()),
            "terms that occur in the document, as term_id of `terms`, ascending",
            made_from=("documents.text",),
        ),
        Column(
            "shares",
            pa.list_(pa.float64()),
            "share of each of these terms among the document's words (x_ij)",
            made_from=("documents.text",),
        ),
    ),
    key=("document_id",),
    invariants=(
        OneOf("split", SPLITS),
        SameLength("term_ids", "shares"),
        Ascending("term_ids"),
        Between("shares", 0, 1),
        Between("words", 0),
    ),
    foreign_keys=(
        ForeignKey(("document_id",), "documents", ("document_id",)),
        ForeignKey(("term_ids",), "terms", ("term_id",)),
    ),
    limits=(
        "The shares of a document do not sum to 1, because words that are not terms count too.",
        "In another version, the same term_id may be another word; read the terms of the same run.",
    ),
)


class BagOfWordsConfig(dg.Config):
    """How words are found, and which are selected."""

    token_pattern: str = Field(
        DEFAULT_TOKEN_PATTERN,
        description="regular expression of a word, on normalized text",
    )
    min_document_frequency: int = Field(5, ge=1, description="minimum number of training documents that have a word")
    max_document_share: float = Field(
        0.2, gt=0, le=1, description="maximum share of the training documents that have a word"
    )
    max_words: int | None = Field(
        100_000, ge=1, description="maximum number of words, those that most documents have; null: all"
    )
    workers: int = Field(-1, ge=-1, description="number of workers, as for joblib; -1: one per core")


_out = partial(refreshed_out, module=__name__, config=BagOfWordsConfig)


@several_tables(
    name="bag_of_words",
    outs={
        "terms": _out(TERMS, "The words that topics are made of, with their frequencies in the training documents."),
        "bag_of_words": _out(
            BAG_OF_WORDS, "The bag of words of each document: the share of each term among its words."
        ),
    },
    check_specs=[
        dg.AssetCheckSpec(
            "documents_have_terms",
            asset="bag_of_words",
            description=f"At most {MAX_WITHOUT_TERMS:.0%} of the documents have none of the terms.",
        ),
        dg.AssetCheckSpec("few_long_words", asset="bag_of_words", description=FEW_LONG_WORDS),
    ],
    pool="numerics",
)
@keeps_settings
def bag_of_words(config: BagOfWordsConfig, documents: TableVersion) -> Iterator[dg.Output[Draft] | dg.AssetCheckResult]:
    """Count the words of the documents, select the terms, and compute the shares in each document."""
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
    yield few_long_words("bag_of_words", long_token_share(bags.words, by_word))


@dg.asset_check(asset="terms", description=f"At least {MIN_WITH_LETTERS:.0%} of the terms have a letter.")
def terms_are_words(terms: pa.Table) -> dg.AssetCheckResult:
    """Terms without letters come from tables and headers rather than text; the token pattern can exclude them."""
    share = pa.compute.mean(pa.compute.match_substring_regex(terms["word"], r"\p{L}")).as_py()
    return dg.AssetCheckResult(
        passed=share >= MIN_WITH_LETTERS, severity=dg.AssetCheckSeverity.WARN, metadata={"share_with_letters": share}
    )
