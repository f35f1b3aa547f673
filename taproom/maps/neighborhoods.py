"""Whether items that are near each other on a map belong together, which is what someone who looks at it sees.

Here belong measures of the few nearest items on a map, which can be taken of any method's map. The triplets that maps
are fitted to, and how many of them are violated, are in `taproom.maps.triplets`.

Source: trustworthiness and continuity are those of Venna and Kaski, Neighborhood Preservation in Nonlinear Projection
Methods (ICANN 2001).
"""

import numpy as np
from scipy import sparse

NEAREST = 10
# Trustworthiness takes 24 bytes for each pair of items, and each pair is sorted.
MOST_RANKED = 2_000


def neighborhood_scores(
    positions: np.ndarray, unit_rows: sparse.csr_array, categories: np.ndarray | None = None
) -> dict[str, float | None]:
    """How well the 10 nearest items on a map agree with the items' words and with their categories.

    Trustworthiness is 1 where the nearest items on the map are the nearest ones by cosine distance; each that is not
    lowers it by how far behind these it ranks. Continuity is the reverse: each of the nearest items by cosine distance
    lowers it by how far behind the nearest ones it ranks on the map. 0.5 is chance for both. Of more than 2,000 items,
    both are those of so many, evenly spread over the rows, as the ranks of all pairs are needed.

    >>> line = np.linspace(0.1, 1.4, 30)
    >>> rows = sparse.csr_array(np.column_stack([np.cos(line), np.sin(line)]))
    >>> neighborhood_scores(line[:, None], rows, np.where(line < 0.75, "low", "high"))["trustworthiness"]
    1.0

    Args:
        positions: (n, dimension) float64, the map.
        unit_rows: (n, words) float64, the items' weights, each row of length 1.
        categories: (n,) strings, None where an item has none.

    Returns:
        `trustworthiness` and `continuity`, at most 1, None of 20 items or fewer; and `category_purity`, the share of
        an item's 10 nearest with its category, where items without one are left out, None of 10 items or fewer that
        have one.
    """
    return {**_rank_agreement(positions, unit_rows), "category_purity": _category_purity(positions, categories)}


def _rank_agreement(positions: np.ndarray, unit_rows: sparse.csr_array) -> dict[str, float | None]:
    from sklearn.manifold import trustworthiness

    items = len(positions)
    if items <= 2 * NEAREST:
        return {"trustworthiness": None, "continuity": None}
    ranked = np.unique(np.linspace(0, items - 1, min(items, MOST_RANKED)).astype(np.int64))
    on_map, by_words = positions[ranked], unit_rows[ranked]
    return {
        "trustworthiness": float(trustworthiness(by_words, on_map, n_neighbors=NEAREST, metric="cosine")),
        "continuity": float(trustworthiness(on_map, by_words, n_neighbors=NEAREST)),
    }


def _category_purity(positions: np.ndarray, categories: np.ndarray | None) -> float | None:
    from sklearn.neighbors import NearestNeighbors

    known = [] if categories is None else [row for row, category in enumerate(categories) if category is not None]
    if categories is None or len(known) <= NEAREST:
        return None
    own = categories[known]
    nearest = NearestNeighbors(n_neighbors=NEAREST).fit(positions[known]).kneighbors(return_distance=False)
    return float((own[nearest] == own[:, None]).mean())
