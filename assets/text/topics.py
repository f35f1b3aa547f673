"""topics, document_topics: what the corpus is about, and how much of each topic a document is.

Nonnegative matrix factorization, min ||A - W H^T||_F^2 with W, H >= 0: each column of H is a topic, each row of W a
document's mixture. A is the bag of words once as it is, as the deck has it, and once as rows of TF * log(1/DF) of
length 1. Topics are fitted to the training documents. Test documents get their mixtures as any other text would, see
`taproom.topics_of`. Topics stand in the order of their share, so that two versions can be compared line by line.

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
from taproom.warehouse.contracts import Ascending, Between, Column, Contract, NotBlank, OneOf, SameLength, SumsTo

if TYPE_CHECKING:
    import numpy as np

LARGEST_TOPIC = 0.5

_WEIGHTING = Column(
    "weighting", pa.string(), "what documents are factorised by: tfidf, TF * log(1/DF) of length 1, or bag_of_words"
)

TOPICS = Contract(
    table="topics",
    grain="a topic of a weighting",
    columns=(
        _WEIGHTING,
        Column("topic", pa.int32(), "the topic, from 0, the largest share first"),
        Column("share", pa.float64(), "its share of the training documents"),
        Column("top_words", pa.list_(pa.string()), "its ten heaviest words, heaviest first"),
        Column("npmi", pa.float64(), "normalized pointwise mutual information of the pairs of these words in the test "
               "documents (without any: in the training documents), from -1 to 1; null with fewer than two words",
               nullable=True),
        Column("term_ids", pa.list_(pa.int32()), "all words that it has, as term_id of terms"),
        Column("weights", pa.list_(pa.float64()), "the weight of each of them; the squares sum to 1"),
    ),
    key=("weighting", "topic"),
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
)  # fmt: skip

DOCUMENT_TOPICS = Contract(
    table="document_topics",
    grain="a document in a weighting",
    columns=(
        _WEIGHTING,
        Column("document_id", pa.string(), "the document; rows are in its order"),
        Column("label", pa.string(), "its label", nullable=True),
        Column("split", pa.string(), "training or test"),
        Column("topic", pa.int32(), "the topic that it has most of; null where it has none", nullable=True),
        Column("mixture", pa.list_(pa.float64()), "its share of each topic, in their order; null where it has none",
               nullable=True),
    ),
    key=("weighting", "document_id"),
    invariants=(
        OneOf("weighting", WEIGHTINGS),
        OneOf("split", SPLITS),
        Between("topic", 0),
        Between("mixture", 0, 1),
        SumsTo("mixture", 1),
    ),
)  # fmt: skip


class TopicsConfig(dg.Config):
    """Parameters of the fit; null: the champion's, else the default of `TopicParameters`."""

    topics: int | None = Field(None, ge=1, description="number of topics, d")
    iterations: int | None = Field(None, ge=1, description="iterations of coordinate descent, at most")
    tolerance: float | None = Field(None, ge=0, description="how small a step, against the first, ends the descent")
    seed: int = Field(0, ge=0, description="seed of the start")


_out = partial(refreshed_out, module=__name__, config=TopicsConfig)


@several_tables(
    name="topics",
    outs={
        "topics": _out(TOPICS, "The topics of the corpus: words with weights, by two weightings of its documents."),
        "document_topics": _out(DOCUMENT_TOPICS, "How much of each topic a document is."),
    },
    ins={"champions": champion_of("topics")},
    pool="numerics",
)
@keeps_settings
def topics(config: TopicsConfig, bag_of_words: pa.Table, terms: pa.Table, champions: pa.Table) -> Iterator[dg.Output]:
    """Fit the training documents by each weighting, then find the mixture of every document."""
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
    """The rows of `document_topics` of a weighting."""
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
    description="The heaviest words of topics (by TF * log(1/DF)) stand together more often than by chance.",
)
def topics_are_coherent(topics: pa.Table) -> dg.AssetCheckResult:
    """Topics of words that do not meet in documents are no topics: the corpus is too small, or they are too many."""
    found = topics.filter(pa.compute.equal(topics["weighting"], WEIGHTINGS[0]))
    known = [npmi for npmi in found["npmi"].to_pylist() if npmi is not None]
    return dg.AssetCheckResult(
        passed=bool(known) and sum(known) > 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"npmi": sum(known) / max(len(known), 1), "incoherent_topics": sum(npmi <= 0 for npmi in known)},
    )


@dg.asset_check(
    asset="document_topics",
    description=f"At most {LARGEST_TOPIC:.0%} of the documents have one and the same topic (by TF * log(1/DF)).",
)
def documents_are_told_apart(document_topics: pa.Table) -> dg.AssetCheckResult:
    """A topic that most documents have most of says what they have in common, such as a header."""
    found = document_topics.filter(pa.compute.equal(document_topics["weighting"], WEIGHTINGS[0]))["topic"]
    documents = pa.compute.value_counts(found.drop_null()).field("counts").to_pylist()
    share = max(documents, default=0) / max(len(found), 1)
    return dg.AssetCheckResult(
        passed=share <= LARGEST_TOPIC,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"largest_share": share, "documents_without_topic": found.null_count},
    )
