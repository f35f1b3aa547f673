"""topic_methods: the same corpus by other methods, what their topics are worth and what they cost, beside NMF's.

NMF by both weightings; what the deck names beside it: k-means, a Gaussian mixture (in the space of the first singular
vectors), latent Dirichlet allocation; and latent semantic analysis. Each is fitted with several seeds. Judged are the
ten heaviest words of each topic (coherence and diversity), which topic a document has most of (agreement with the
labels), and how much of it another seed finds again (stability). A method that cannot be fitted has no row; the log and
the metadata say why.

Grain: a method. Source: the deck's slides "Bag of Words" and "Nonnegative matrix factorization (NMF)".
"""

from enum import Enum

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.text.corpus_topics import WEIGHTINGS
from taproom.text.topic_methods import METHODS
from taproom.warehouse.contracts import Between, Column, Contract, OneOf

CONTRACT = Contract(
    table="topic_methods",
    grain="a method",
    columns=(
        Column("method", pa.string(), "nmf_tfidf, nmf_bag_of_words: the weightings of topics; the others by their "
               "usual names"),
        Column("topics", pa.int32(), "number of topics"),
        Column("seeds", pa.int32(), "fits, each with another seed"),
        Column("npmi", pa.float64(), "coherence: mean normalized pointwise mutual information of pairs of a topic's "
               "ten heaviest words in the test documents (without any: the training's); null without a pair",
               nullable=True),
        Column("diversity", pa.float64(), "share of distinct words among all topics' ten heaviest"),
        Column("nmi", pa.float64(), "normalized mutual information of test documents' topics and labels; null "
               "with fewer than two labels", nullable=True),
        Column("nmi_training", pa.float64(), "the same of the training documents", nullable=True),
        Column("stability", pa.float64(), "mean Jaccard index of the heaviest words of topics matched one to one, over "
               "all pairs of seeds; null with one seed", nullable=True),
        Column("seconds", pa.float64(), "of one fit, while others run beside it", unit="s", volatile=True),
    ),
    key=("method",),
    invariants=(
        OneOf("method", tuple(METHODS)),
        Between("topics", 1),
        Between("seeds", 1),
        Between("npmi", -1, 1),
        *(Between(name, 0, 1) for name in ("diversity", "nmi", "nmi_training", "stability")),
        Between("seconds", 0),
    ),
)  # fmt: skip


class Preset(Enum):
    """How much is spent on the comparison."""

    small = "small"
    large = "large"


# Fits of each method, and passes of LDA over the documents at most.
BUDGETS = {Preset.small: (2, 5), Preset.large: (10, 50)}


class TopicMethodsConfig(dg.Config):
    """How many topics, and what is spent on them."""

    preset: Preset = Field(
        Preset.small, description="small: 2 seeds and LDA by 5 passes; large: 10 seeds and LDA until it has converged"
    )
    topics: int | None = Field(None, ge=1, description="number of topics, of all methods; null: as many as `topics`")
    seed: int = Field(0, ge=0, description="the first seed")
    workers: int = Field(-1, ge=-1, description="workers as joblib counts them; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=TopicMethodsConfig,
        description="How coherent, diverse and stable other methods' topics are, and how near the labels, beside ours.",
    ),
    ins={"topics": dg.AssetIn(metadata={"columns": ["weighting"]})},
    pool="numerics",
)
@keeps_settings
def topic_methods(config: TopicMethodsConfig, bag_of_words: pa.Table, terms: pa.Table, topics: pa.Table) -> Draft:
    """Fit each method with each seed and judge what it found."""
    from taproom.text import topic_figures as figures
    from taproom.text.bag_of_words import corpus_of
    from taproom.text.topic_methods import MethodParameters, compare
    from taproom.text.topics import TopicParameters

    as_many = pa.compute.sum(pa.compute.equal(topics["weighting"], WEIGHTINGS[0])).as_py()
    chosen = TopicParameters(topics=config.topics or as_many, seed=config.seed)
    seeds, lda_passes = BUDGETS[config.preset]
    found = compare(corpus_of(bag_of_words, terms), MethodParameters(chosen, seeds, lda_passes), config.workers)
    return Draft(
        pa.Table.from_pylist(found.rows, schema=CONTRACT.schema),
        metadata={
            "left_out": found.left_out,
            **{
                f"{measure}_{row['method']}": row[measure]
                for row in found.rows
                for measure in ("npmi", "nmi", "stability")
                if row[measure] is not None
            },
        },
        figure=figures.method_comparison(found.rows),
    )


@dg.asset_check(
    asset="topic_methods", description="No method's topics are more coherent than those of NMF by TF * log(1/DF)."
)
def nmf_is_most_coherent(topic_methods: pa.Table) -> dg.AssetCheckResult:
    """Where another method's are, `topics` had better be of that one, or of fewer topics."""
    npmi = {row["method"]: row["npmi"] for row in topic_methods.to_pylist() if row["npmi"] is not None}
    best = max(npmi, key=npmi.get, default="none")
    return dg.AssetCheckResult(
        passed=best in ("nmf_tfidf", "none"), severity=dg.AssetCheckSeverity.WARN, metadata={"best": best, **npmi}
    )
