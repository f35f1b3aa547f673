"""neighbors: the k nearest items of each item, by cosine distance of their weighted bags of words.

Grain: an item. d(z_i, z_j) = 1 - z_i'z_j / (|z_i| |z_j|), in float64; ties go to the smaller item id; the item itself
is not among its neighbours. Up to `exact_up_to` items these are the nearest of all; with more items, at least 95 % of
them, with the same distances. Source: the deck's slide "Two Hearted Ale - Nearest Neighbors".
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.compute import Made
from taproom.warehouse.contracts import FOLLOWS_BATCHES, Ascending, Between, Column, Contract, SameLength
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

CONTRACT = Contract(
    table="neighbors",
    grain="an item with a weighted word",
    columns=(
        Column("item_id", pa.string(), "the item; rows are sorted by it", made_from=("tfidf.item_id",)),
        Column(
            "neighbor_ids",
            pa.list_(pa.string()),
            "the k nearest items, nearest first",
            made_from=("tfidf.item_id", "tfidf.term_ids", "tfidf.weights"),
        ),
        Column(
            "distances",
            pa.list_(pa.float64()),
            "cosine distance to each neighbor",
            made_from=("tfidf.term_ids", "tfidf.weights"),
        ),
    ),
    key=("item_id",),
    usual=FOLLOWS_BATCHES,
    invariants=(
        SameLength("neighbor_ids", "distances"),
        Ascending("distances", ties=True),
        Between("distances", 0, 1),
    ),
    foreign_keys=(
        ForeignKey(("item_id",), "items", ("item_id",)),
        ForeignKey(("neighbor_ids",), "items", ("item_id",)),
    ),
    limits=(
        "Near items are described with the same words, which does not mean that the same people like them.",
        "An item without a weighted word has no row.",
        "With more items than `exact_up_to` of its configuration, up to 5 % of the nearest items are missing, and "
        "others take their place.",
    ),
    version="1.0.1",
)
EXACT_UP_TO = 100_000
CHECKED_ITEMS, CHECKED_RECALLS = 20, 1_000
LEAST_RECALL = 0.95
MAX_WITHOUT_COMMON_WORD = 0.02


class NeighborsConfig(dg.Config):
    """The number of neighbours and how they are searched; the number of workers does not change the result."""

    k: int | None = Field(
        None, ge=1, description="number of neighbours of each item; null: 100, or a tenth of the items if that is fewer"
    )
    exact_up_to: int = Field(
        EXACT_UP_TO,
        ge=0,
        description="with more items, the search is faster and may miss up to 5 % of the neighbours; 0: always",
    )
    workers: int = Field(-1, ge=-1, description="number of workers, as for joblib; -1: one per core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=NeighborsConfig,
        description="The k nearest items of each item, by cosine distance.",
    ),
    pool="numerics",
)
@keeps_settings
def neighbors(config: NeighborsConfig, tfidf: TableVersion, vocabulary: pa.Table) -> Draft:
    """Search all pairs, or the heaviest words; items without a weighted word have no cosine and are left out."""
    import numpy as np

    from taproom.maps.approximate_neighbors import search
    from taproom.maps.map_figures import distances_by_rank
    from taproom.maps.neighbors import choose_k
    from taproom.words.sparse import matrix_to_lists, stored_weights, weighted_items

    item_ids, weights = weighted_items(tfidf.stream(), len(vocabulary))
    made = Made(stored_weights, (tfidf, len(vocabulary)), known=weights)
    k = choose_k(len(item_ids), config.k)
    found = search(made, k, config.exact_up_to, config.workers)
    indices, distances = found.indices, found.distances
    table = CONTRACT.table_of(
        item_id=item_ids,
        neighbor_ids=matrix_to_lists(item_ids.take(pa.array(indices.ravel())), indices.shape[1]),
        distances=matrix_to_lists(pa.array(distances.ravel()), indices.shape[1]),
    )
    return Draft(
        table,
        metadata={
            "items": len(item_ids),
            "k": indices.shape[1],
            "median_nearest_distance": float(np.median(distances[:, 0])),
            "items_at_distance_0": int((distances[:, 0] == 0).sum()),
            "recall": found.recall,
            "share_of_length_searched": found.share,
        },
        figure=distances_by_rank(distances),
    )


@dg.asset_check(
    asset="neighbors",
    # Not the newest versions: another run may have published some since.
    additional_ins={each: dg.AssetIn(metadata={"as_read_by": "neighbors"}) for each in ("tfidf", "vocabulary")},
    blocking=True,
    description=f"For {CHECKED_ITEMS} items spread over the table, brute force in float64 finds the same distances; "
    f"with more than `exact_up_to` items, the distances to these neighbors, and an exact search finds that at least "
    f"{LEAST_RECALL:.0%} of those of {CHECKED_RECALLS:,} items are the nearest.",
)
def neighbors_are_exact(
    neighbors: TableVersion, tfidf: pa.RecordBatchReader, vocabulary: pa.Table
) -> dg.AssetCheckResult:
    """Compare with all cosines of the checked items, from one dense product."""
    import numpy as np

    from taproom.maps.item_map import ranks
    from taproom.maps.neighbors import brute_force_distances, nearest, recall
    from taproom.words.sparse import weighted_items

    _, weights = weighted_items(tfidf, len(vocabulary))
    indices, distances = ranks(neighbors.read())
    rows = np.unique(np.linspace(0, len(distances) - 1, CHECKED_ITEMS).astype(int))
    wanted = brute_force_distances(weights, rows)
    if len(distances) <= neighbors.config.get("exact_up_to", EXACT_UP_TO):
        wanted, found = np.sort(wanted, axis=1)[:, : distances.shape[1]], 1.0
    else:
        wanted = np.take_along_axis(wanted, indices[rows], axis=1)
        # Other items than those that the search has chosen its effort by.
        others = np.unique(np.linspace(0, len(distances) - 1, 2 * CHECKED_RECALLS + 1)[1::2].astype(int))
        found = recall(distances[others], nearest(weights, distances.shape[1], queries=others)[1])
    difference = float(np.abs(distances[rows] - wanted).max())
    return dg.AssetCheckResult(
        passed=difference < 1e-9 and found >= LEAST_RECALL,
        metadata={"largest_difference": difference, "recall": found},
    )


@dg.asset_check(
    asset="neighbors",
    description=f"At most {MAX_WITHOUT_COMMON_WORD:.0%} of the pairs of an item and a neighbor have no word in common.",
)
def neighbors_share_words(neighbors: pa.Table) -> dg.AssetCheckResult:
    """Neighbors without a word in common are at the distance 1, like any other item, and in the order of their ids."""
    import numpy as np

    from taproom.maps.item_map import ranks
    from taproom.maps.neighbors import are_orthogonal

    without_word = are_orthogonal(ranks(neighbors)[1])
    share = float(without_word.mean())
    return dg.AssetCheckResult(
        passed=share <= MAX_WITHOUT_COMMON_WORD,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "share_without_common_word": share,
            "items_with_such_neighbors": int(np.any(without_word, axis=1).sum()),
            "k": without_word.shape[1],
            "what_to_set": "a lower `k` of neighbors, if groups of items have fewer than k others (as two languages); "
            "a higher `min_reviews` of tfidf, if items have few words; `token_pattern` of term_counts, if it does not "
            "find the words of the language",
        },
    )
