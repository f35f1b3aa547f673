"""topics, document_topics: the topics of the corpus, and the mixture of topics of each document.

Nonnegative matrix factorization, min ||A - W H^T||_F^2 with W, H >= 0: each column of H is a topic, each row of W a
document's mixture. There are two fits: A is the bag of words as in the deck, or has rows of TF * log(1/DF) scaled to
length 1. Topics are fitted to the training documents. Test documents get their mixtures like any other text, see
`taproom.open().topics.of`. Topics are sorted by their share, so that two versions can be compared line by line.

Grain: a topic of a weighting; a document in a weighting. Source: the deck's slides "Nonnegative matrix factorization
(NMF)".
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.text.documents import SPLITS
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.text.corpus_topics import WEIGHTINGS
from taproom.warehouse.contracts import (
    FOLLOWS_SETTINGS,
    Ascending,
    Between,
    Column,
    Contract,
    NotBlank,
    OneOf,
    SameLength,
    SumsTo,
)
from taproom.warehouse.foreign_keys import ForeignKey

if TYPE_CHECKING:
    import numpy as np

LARGEST_TOPIC = 0.5

_SHARES = ("bag_of_words.term_ids", "bag_of_words.shares", "terms.idf")

_WEIGHTING = Column(
    "weighting", pa.string(), "weights that are factorized: tfidf (TF * log(1/DF), scaled to length 1) or bag_of_words"
)

TOPICS = Contract(
    table="topics",
    grain="a topic of a weighting",
    columns=(
        _WEIGHTING,
        Column("topic", pa.int32(), "number of the topic, from 0, in descending order of share"),
        Column("share", pa.float64(), "share of the topic in the mixtures of the training documents",
               made_from=_SHARES),
        Column("top_words", pa.list_(pa.string()), "ten words with the largest weights, heaviest first",
               made_from=("terms.word", *_SHARES)),
        Column("npmi", pa.float64(), "coherence: mean normalized pointwise mutual information of pairs of these words "
               "in the test documents (or the training documents if there are none), from -1 to 1; null with fewer "
               "than two words", nullable=True, made_from=("terms.word", "bag_of_words.split", *_SHARES)),
        Column("term_ids", pa.list_(pa.int32()), "all words with a positive weight, as term_id of `terms`, ascending",
               made_from=_SHARES),
        Column("weights", pa.list_(pa.float64()), "weight of each of these words; the squares sum to 1",
               made_from=_SHARES),
    ),
    key=("weighting", "topic"),
    usual=FOLLOWS_SETTINGS,
    invariants=(
        OneOf("weighting", WEIGHTINGS),
        Between("topic", 0),
        Between("share", 0, 1),
        NotBlank("top_words"),
        Between("npmi", -1, 1),
        SameLength("term_ids", "weights"),
        Ascending("term_ids"),
        Between("weights", 0),
    ),
    foreign_keys=(ForeignKey(("term_ids",), "terms", ("term_id",)),),
    limits=(
        "The number of topics comes from a setting or a search; the data do not have a true number.",
        "In another version or weighting, the same number may be another topic.",
    ),
)  # fmt: skip

DOCUMENT_TOPICS = Contract(
    table="document_topics",
    grain="a document in a weighting",
    columns=(
        _WEIGHTING,
        Column("document_id", pa.string(), "the document; rows are sorted by it",
               made_from=("bag_of_words.document_id",)),
        Column("label", pa.string(), "label of the document", nullable=True, made_from=("bag_of_words.label",)),
        Column("split", pa.string(), "training: topics were fitted to the document; test: they were not",
               made_from=("bag_of_words.split",)),
        Column("topic", pa.int32(), "dominant topic, the one with the largest share; null without any", nullable=True,
               made_from=_SHARES),
        Column("mixture", pa.list_(pa.float64()), "share of each topic, in the order of topics; null without any",
               nullable=True, made_from=_SHARES),
    ),
    key=("weighting", "document_id"),
    invariants=(
        OneOf("weighting", WEIGHTINGS),
        OneOf("split", SPLITS),
        Between("topic", 0),
        Between("mixture", 0, 1),
        SumsTo("mixture", 1),
    ),
    foreign_keys=(
        ForeignKey(("document_id",), "documents", ("document_id",)),
        ForeignKey(("weighting", "topic"), "topics", ("weighting", "topic")),
    ),
    limits=(
        "Topics were fitted to the documents of the split training; measure agreement with labels on test.",
        "In another version or weighting, the same number may be another topic.",
    ),
)  # fmt: skip


class TopicsConfig(dg.Config):
    """Parameters of the fit; null: the champion's value or, without a champion, the default of `TopicParameters`."""

    topics: int | None = Field(None, ge=1, description="number of topics, d")
    iterations: int | None = Field(None, ge=1, description="maximum number of iterations of coordinate descent")
    tolerance: float | None = Field(None, ge=0, description="ratio of a step to the first one that stops the descent")
    seed: int = Field(0, ge=0, description="seed of the initialization")


_out = partial(refreshed_out, module=__name__, config=TopicsConfig)


@several_tables(
    name="topics",
    outs={
        "topics": _out(
            TOPICS, "The topics of the corpus, as words with weights, from two weightings of its documents."
        ),
        "document_topics": _out(DOCUMENT_TOPICS, "The share of each topic in each document."),
    },
    ins={"champions": champion_of("topics")},
    pool="numerics",
)
@keeps_settings
def topics(config: TopicsConfig, bag_of_words: pa.Table, terms: pa.Table, champions: pa.Table) -> Iterator[dg.Output]:
    """Fit topics to the training documents with each weighting, and find the mixture of every document."""
    import numpy as np

    from taproom.text import topic_figures as figures
    from taproom.text.bag_of_words import corpus_of
    from taproom.text.corpus_topics import fit_corpus, mean_by_label
    from taproom.text.topics import TopicParameters, dominant_topics

    made_with = resolve_parameters(TopicParameters(), champions, TopicsConfig, config.model_dump())
    chosen = made_with.parameters
    corpus = corpus_of(bag_of_words, terms)
    fits = {weighting: fit_corpus(corpus, weighting, chosen) for weighting in WEIGHTINGS}
    rows = [{"weighting": weighting, **row} for weighting, fit in fits.items() for row in fit.rows(corpus)]
    shown = fits[WEIGHTINGS[0]]
    bars = [
        (row["top_words"], weights[top], row["share"])
        for row, weights, top in zip(rows, shown.topics, shown.top, strict=False)
    ]
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(rows, schema=TOPICS.schema),
            metadata={
                "champion": made_with.champion,
                "topics": chosen.topics,
                **{f"{name}_{by}": value for by, fit in fits.items() for name, value in fit.measures().items()},
            },
            figure=figures.topic_words("Topics, by TF * log(1/DF)", bars),
        ),
        "topics",
    )
    by_label, labels = mean_by_label(shown.mixtures, corpus.labels)
    yield dg.Output(
        Draft(
            pa.concat_tables(_mixtures(bag_of_words, weighting, fit.mixtures) for weighting, fit in fits.items()),
            metadata={
                "documents": len(bag_of_words),
                "documents_without_topic": int(np.sum(dominant_topics(shown.mixtures) < 0)),
                "labels": len(labels),
            },
            figure=figures.labels_by_topic(by_label, labels, [" ".join(words[:2]) for words, *_ in bars]),
        ),
        "document_topics",
    )


def _mixtures(bag_of_words: pa.Table, weighting: str, mixed: "np.ndarray") -> pa.Table:
    """The rows of `document_topics` for a weighting."""
    from taproom.text.topics import dominant_topics
    from taproom.words.sparse import matrix_to_lists

    topic = dominant_topics(mixed)
    lists = matrix_to_lists(pa.array(mixed.ravel()), mixed.shape[1])
    return DOCUMENT_TOPICS.table_of(
        weighting=pa.repeat(weighting, len(topic)),
        document_id=bag_of_words["document_id"],
        label=bag_of_words["label"],
        split=bag_of_words["split"],
        topic=pa.array(topic, pa.int32(), mask=topic < 0),
        mixture=pa.compute.if_else(pa.array(topic >= 0), lists, pa.scalar(None, lists.type)),
    )


@dg.asset_check(
    asset="topics",
    description="The heaviest words of topics (by TF * log(1/DF)) occur together more often than by chance.",
)
def topics_are_coherent(topics: pa.Table) -> dg.AssetCheckResult:
    """If the words of topics do not occur together, the corpus is too small or there are too many topics."""
    found = topics.filter(pa.compute.equal(topics["weighting"], WEIGHTINGS[0]))
    known = [npmi for npmi in found["npmi"].to_pylist() if npmi is not None]
    return dg.AssetCheckResult(
        passed=bool(known) and sum(known) > 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"npmi": sum(known) / max(len(known), 1), "incoherent_topics": sum(npmi <= 0 for npmi in known)},
    )


@dg.asset_check(
    asset="document_topics",
    description=f"At most {LARGEST_TOPIC:.0%} of the documents have the same dominant topic (by TF * log(1/DF)).",
)
def no_topic_dominates(document_topics: pa.Table) -> dg.AssetCheckResult:
    """A topic that dominates most documents is what they all have in common, such as a header."""
    found = document_topics.filter(pa.compute.equal(document_topics["weighting"], WEIGHTINGS[0]))["topic"]
    documents = pa.compute.value_counts(found.drop_null()).field("counts").to_pylist()
    share = max(documents, default=0) / max(len(found), 1)
    return dg.AssetCheckResult(
        passed=share <= LARGEST_TOPIC,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"largest_share": share, "documents_without_topic": found.null_count},
    )
