"""topic_methods: a comparison of NMF with other methods that find topics, by quality and time.

The methods are NMF with both weightings, those that the deck names beside it (k-means, a Gaussian mixture in the space
of the first singular vectors, latent Dirichlet allocation), and latent semantic analysis. Each is fitted with several
seeds. The measures are coherence and diversity of the ten heaviest words of each topic, agreement of each document's
dominant topic with its label, and stability of the topics over the seeds. A method that cannot be fitted has no row;
the log and the metadata give the reason.

Grain: a method. Source: the deck's slides "Bag of Words" and "Nonnegative matrix factorization (NMF)".
"""

from enum import Enum

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.compute import Made
from taproom.text.corpus_topics import WEIGHTINGS
from taproom.text.topic_methods import METHODS
from taproom.warehouse.contracts import Between, Column, Contract, OneOf
from taproom.warehouse.table_version import TableVersion

CONTRACT = Contract(
    table="topic_methods",
    grain="a method",
    columns=(
        Column("method", pa.string(), "name of the method; nmf_tfidf and nmf_bag_of_words: NMF with the weightings of "
               "`topics`"),
        Column("topics", pa.int32(), "number of topics"),
        Column("seeds", pa.int32(), "number of fits, each with another seed"),
        Column("npmi", pa.float64(), "coherence: mean normalized pointwise mutual information of pairs of a topic's "
               "ten heaviest words in the test documents (or the training documents if there are none); null if no "
               "topic has two words",
               nullable=True),
        Column("diversity", pa.float64(), "share of distinct words among the ten heaviest words of all topics"),
        Column("nmi", pa.float64(), "normalized mutual information of dominant topics and labels in the test "
               "documents; null with fewer than two labels", nullable=True),
        Column("nmi_training", pa.float64(), "nmi in the training documents", nullable=True),
        Column("stability", pa.float64(), "mean Jaccard index of the ten heaviest words of topics matched one to one, "
               "over all pairs of seeds; null with one seed", nullable=True),
        Column("seconds", pa.float64(), "mean duration of a fit, with others in parallel", unit="s", volatile=True),
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
    limits=(
        "The values are means over a few seeds without an interval: small differences do not rank the methods.",
        "A method that cannot be fitted has no row.",
    ),
)  # fmt: skip


class Preset(Enum):
    """The budget of the comparison."""

    small = "small"
    large = "large"


# Number of fits of each method, and maximum number of passes of LDA over the documents.
BUDGETS = {Preset.small: (2, 3), Preset.large: (10, 50)}


class TopicMethodsConfig(dg.Config):
    """The number of topics and the budget of the comparison."""

    preset: Preset = Field(
        Preset.small, description="small: 2 seeds, at most 3 passes of LDA; large: 10 seeds, LDA until convergence"
    )
    topics: int | None = Field(None, ge=1, description="number of topics of all methods; null: as in `topics`")
    seed: int = Field(0, ge=0, description="first seed")
    workers: int = Field(-1, ge=-1, description="number of workers, as for joblib; -1: one per core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=TopicMethodsConfig,
        description="Coherence, diversity, stability and agreement with labels of topics by NMF and by other methods.",
    ),
    ins={"topics": dg.AssetIn(metadata={"columns": ["weighting"]})},
    pool="numerics",
)
@keeps_settings
def topic_methods(
    config: TopicMethodsConfig, bag_of_words: TableVersion, terms: TableVersion, topics: pa.Table
) -> Draft:
    """Fit each method with each seed, and evaluate the topics."""
    from taproom.text import topic_figures as figures
    from taproom.text.topic_methods import MethodParameters, compare, stored_corpus
    from taproom.text.topics import TopicParameters

    of_table = pa.compute.sum(pa.compute.equal(topics["weighting"], WEIGHTINGS[0])).as_py()
    chosen = TopicParameters(topics=config.topics or of_table, seed=config.seed)
    seeds, lda_passes = BUDGETS[config.preset]
    found = compare(
        Made(stored_corpus, (bag_of_words, terms)), MethodParameters(chosen, seeds, lda_passes), config.workers
    )
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
    asset="topic_methods", description="No method's topics are more coherent than those of NMF with TF * log(1/DF)."
)
def nmf_is_most_coherent(topic_methods: pa.Table) -> dg.AssetCheckResult:
    """If another method's are, consider that method for `topics`, or fewer topics."""
    npmi = {row["method"]: row["npmi"] for row in topic_methods.to_pylist() if row["npmi"] is not None}
    best = max(npmi, key=npmi.__getitem__, default="none")
    return dg.AssetCheckResult(
        passed=best in ("nmf_tfidf", "none"), severity=dg.AssetCheckSeverity.WARN, metadata={"best": best, **npmi}
    )
