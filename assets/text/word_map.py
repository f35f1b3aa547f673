"""word_map: a map of the most frequent words, on which words with similar vectors are close together.

The embedding of the review chain, with words instead of items, and cosine distances of word vectors instead of weighted
bags of words. Grain: a word. Source: the deck's slides "BeerMapper - Under the Hood" and "word2vec outputs".
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank
from taproom.warehouse.foreign_keys import ForeignKey

CONTRACT = Contract(
    table="word_map",
    version="1.0.1",
    grain="a frequent word",
    columns=(
        Column(
            "word", pa.string(), "the word; rows are in descending order of frequency", made_from=("word_vectors.word",)
        ),
        Column("count", pa.int64(), "number of occurrences in the texts", made_from=("word_vectors.count",)),
        Column(
            "x",
            pa.float64(),
            "first coordinate; the RMS distance of all words to the centre is 1",
            made_from=("word_vectors.vector",),
        ),
        Column("y", pa.float64(), "second coordinate", made_from=("word_vectors.vector",)),
    ),
    key=("word",),
    invariants=(NotBlank("word"), Between("count", 1), Between("x"), Between("y")),
    foreign_keys=(ForeignKey(("word",), "word_vectors", ("word",)),),
    limits=(
        "Only the order of distances is fitted: axes, directions and ratios of distances have no meaning.",
        "Similar vectors mean similar contexts, not the same meaning: opposites are often near each other.",
    ),
)


class WordMapConfig(dg.Config):
    """The number of words, and parameters of the embedding."""

    words: int = Field(2_000, ge=4, le=20_000, description="number of words on the map, the most frequent ones")
    updates_per_word: int = Field(700, ge=1, description="number of updates per word")
    seed: int = Field(0, ge=0, description="seed of the initialization and of the triplets")
    workers: int = Field(-1, ge=-1, description="number of threads, as for joblib; -1: one per core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=WordMapConfig,
        description="Positions of the most frequent words on a map; words with similar vectors are close together.",
    ),
    pool="numerics",
)
@keeps_settings
def word_map(config: WordMapConfig, word_vectors: pa.Table) -> Draft:
    """Embed the words with the method of the review chain."""
    from taproom.maps.ordinal import OrdinalParameters
    from taproom.maps.word_map import map_words
    from taproom.text import word_vector_figures as figures
    from taproom.words.vectors import vectors_from_table

    first = word_vectors.slice(0, config.words)
    parameters = OrdinalParameters(updates_per_item=config.updates_per_word, seed=config.seed)
    found = map_words(vectors_from_table(first), config.words, parameters, config.workers)
    x, y = found.positions.T
    held_out = {row["kind"]: row["error"] for row in found.errors if row["split"] == "held_out"}
    title = f"{len(first):,} words by the similarity of their contexts"
    return Draft(
        CONTRACT.table_of(word=first["word"], count=first["count"], x=x, y=y),
        metadata={
            "words": len(first),
            "seconds_fit": found.seconds,
            **{f"error_{kind}": error for kind, error in held_out.items() if error is not None},
        },
        figure=figures.word_map(found.positions, first["word"].to_pylist(), title),
    )


@dg.asset_check(asset="word_map", description="The words on the map do not lie on a line.")
def words_are_spread(word_map: pa.Table) -> dg.AssetCheckResult:
    """If the map has only one dimension, the vectors contain little more than the frequency of words."""
    import numpy as np

    spread = np.linalg.svd(np.column_stack([word_map["x"].to_numpy(), word_map["y"].to_numpy()]), compute_uv=False)
    share = float(spread[1] / spread[0])
    return dg.AssetCheckResult(
        passed=share > 0.1, severity=dg.AssetCheckSeverity.WARN, metadata={"second_to_first": share}
    )
