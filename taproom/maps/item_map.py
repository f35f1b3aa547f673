"""From the tables of the review chain to a map: neighbours as ranks, the embedding, and its errors.

Here belongs what joins `taproom.maps.neighbors`, `taproom.maps.ordinal` and `taproom.maps.triplets`.
"""

import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.errors import InputError
from taproom.maps.alignment import aligned, canonical, standardized
from taproom.maps.approximate_neighbors import search
from taproom.maps.neighbors import are_orthogonal, are_parallel, nearest
from taproom.maps.ordinal import (
    OrdinalParameters,
    can_be_continued,
    embed,
    embed_from_landmarks,
    updates_after_landmarks,
)
from taproom.maps.triplets import triplet_errors

SAMPLES = 200_000
# Radius of the circle on which identical items lie, as a share of the map's RMS radius.
SPREAD = 0.01
# Of more items, so many are placed first. Their exact neighbours and both maps of them take some minutes on two cores.
LANDMARKS = 50_000


@dataclass(frozen=True)
class Landmarks:
    """Items that are placed before the others, as a map of them takes less time than one of all.

    `rows` (m,) int64, ascending, are theirs in the graph; `weights` (m, words) is what their neighbours are found with,
    `k` of each.
    """

    rows: np.ndarray
    weights: sparse.csr_array
    k: int

    @cached_property
    def neighbors(self) -> tuple[np.ndarray, np.ndarray]:
        """The neighbours of each among the landmarks; found when asked for, as a map that is continued needs none."""
        return nearest(self.weights, min(self.k, len(self.rows) - 1), n_jobs=-1)


@dataclass(frozen=True)
class NeighborGraph:
    """Ranks of neighbours by row number.

    `indices` (n, k) int32 and `distances` (n, k) float64 are of all different items; `wide` (m, wider k) int32 holds
    more neighbours of a sample of them, the `anchors` (m,) int64. Where items are identical, `groups` (items,) int64
    has the row of each item in the graph. `landmarks` is None where all items are placed at once.
    """

    indices: np.ndarray
    distances: np.ndarray
    anchors: np.ndarray
    wide: np.ndarray
    groups: np.ndarray | None = None
    landmarks: Landmarks | None = None


@dataclass(frozen=True)
class FittedMap:
    """Positions (n, d) float64, the errors as rows (kind, split, triplets, violated, error), and the fit's seconds.

    `landmarks` is how many items were placed before the others, 0 if all were placed at once or a map was continued.
    Their neighbours are found within the seconds of the first map that needs them.
    """

    positions: np.ndarray
    errors: list[dict]
    seconds: float
    landmarks: int = 0


def neighbor_graph(
    neighbors: pa.Table,
    weights: sparse.csr_array,
    anchors: int,
    exact_up_to: int = sys.maxsize,
    landmarks: int = LANDMARKS,
) -> NeighborGraph:
    """The graph of the table `neighbors`; see `graph_of_ranks`."""
    return graph_of_ranks(*ranks(neighbors), weights, anchors, exact_up_to, landmarks)


def graph_of_ranks(
    indices: np.ndarray,
    distances: np.ndarray,
    weights: sparse.csr_array,
    anchors: int,
    exact_up_to: int = sys.maxsize,
    landmarks: int = LANDMARKS,
) -> NeighborGraph:
    """The graph of items with these neighbours; 10 k are found again for `anchors` of them.

    Items with a distance of 0 are identical and one row of the graph, the first of them: others may be beyond the k
    neighbours of each, and would be taken for items that are farther away. The neighbours of the different items are
    then searched again, approximately if these are more than `exact_up_to`.

    Args:
        indices: (items, k) int32, the neighbours of each item.
        distances: (items, k) float64, ascending in each row.
        weights: (items, words) float64, what the neighbours were found with.
        anchors: number of items whose errors against near misses are measured.
        exact_up_to: see above.
        landmarks: of more different items, so many are landmarks: a random sample, the same for as many items.

    Raises:
        InputError: no two different items have a word in common, so their neighbours are any items.
    """
    indices, distances, weights, groups = distinct_items(indices, distances, weights, exact_up_to)
    items, k = indices.shape
    if are_orthogonal(distances).all():
        raise InputError(
            f"No two of the {items} different items have a word in common: all neighbours are at the distance 1, and "
            "there is no order to map. Set `token_pattern` of term_counts to one that finds the words of the language, "
            "or bring more reviews of each item."
        )
    sample = np.unique(np.linspace(0, items - 1, min(anchors, items)).astype(np.int64))
    wide, _ = nearest(weights, min(10 * k, items - 1), queries=sample, n_jobs=-1)
    of_landmarks = _landmarks(weights, k, landmarks)
    return NeighborGraph(indices, distances, *_behind(sample, indices[sample], wide), groups, of_landmarks)


def _landmarks(weights: sparse.csr_array, k: int, wanted: int) -> Landmarks | None:
    items = weights.shape[0]
    if items <= wanted:
        return None
    rows = np.sort(np.random.default_rng(0).permutation(items)[:wanted])
    return Landmarks(rows, weights[rows], k)


def distinct_items(
    indices: np.ndarray, distances: np.ndarray, weights: sparse.csr_array, exact_up_to: int = sys.maxsize
) -> tuple[np.ndarray, np.ndarray, sparse.csr_array, np.ndarray | None]:
    """The graph of the different items alone, the first of each group of identical ones.

    Args:
        indices: (items, k) int32, the neighbours of each item.
        distances: (items, k) float64, their distances; those of identical items are 0.
        weights: (items, words) float64, what the neighbours were found with.
        exact_up_to: with more different items, they are searched approximately.

    Returns:
        indices, distances: of the n different items, (n, k) or all others where there are fewer than k.
        weights: (n, words), of these items.
        groups: (items,) int64, the row of each item in the graph; None where no two items are identical.

    Raises:
        InputError: all items are identical.
    """
    k = indices.shape[1]
    groups = np.arange(len(indices))
    # More than once where rounding hides that the groups which were found are identical.
    while are_parallel(distances).any():
        first, group = _identical(indices, distances)
        groups, weights = group[groups], weights[first]
        if len(first) == 1:
            raise InputError(f"All {len(groups)} items are identical, so there is no map of them. Bring other items.")
        indices, distances, *_ = search(weights, min(k, len(first) - 1), exact_up_to, n_jobs=-1)
    return indices, distances, weights, groups if len(indices) < len(groups) else None


def _behind(anchors: np.ndarray, near: np.ndarray, wide: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The anchors, and for each its neighbours `near`, then those of its nearest items `wide` that are farther.

    If no neighbour is missing, that is `wide` itself. Else all rows are cut to one length, and anchors whose last
    neighbour is not among the first half of the nearest items are left out.
    """
    last = [np.flatnonzero(np.isin(every, row))[-1] if np.isin(row, every).all() else len(every)
            for row, every in zip(near, wide, strict=True)]  # fmt: skip
    kept = [row for row, place in enumerate(last) if place < max(near.shape[1], wide.shape[1] // 2)]
    width = wide.shape[1] - 1 - max((last[row] for row in kept), default=0)
    behind = [wide[row, last[row] + 1 :][:width] for row in kept]
    return anchors[kept], np.column_stack([near[kept], np.reshape(behind, (len(kept), width))]).astype(np.int32)


def _identical(indices: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first item of each group of identical items (groups,), ascending, and the group of each item (items,)."""
    items = len(indices)
    item, place = np.nonzero(are_parallel(distances))
    edges = sparse.csr_array((np.ones(len(item)), (item, indices[item, place])), shape=(items, items))
    _, labels = sparse.csgraph.connected_components(edges, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    firsts = np.sort(first)
    return firsts, np.searchsorted(firsts, first[inverse])


def ranks(neighbors: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of each row of the table `neighbors` as row numbers, (n, k) int32, and their distances (n, k)."""
    item_ids = neighbors["item_id"].combine_chunks()
    # Chunk by chunk, since an array of strings ends at 2 GB, which the ids of a hundred million neighbours can have.
    numbers = [pc.index_in(ids.flatten(), value_set=item_ids) for ids in neighbors["neighbor_ids"].chunks]
    distances = neighbors["distances"].combine_chunks().flatten().to_numpy()
    indices = np.concatenate([chunk.to_numpy() for chunk in numbers]).astype(np.int32)
    return indices.reshape(len(item_ids), -1), distances.reshape(len(item_ids), -1)


def positions_on(item_map: pa.Table | None, item_ids: pa.ChunkedArray, dimension: int) -> np.ndarray:
    """Where the table `item_map` has the items on its map of a dimension: (n, dimension) float64, NaN where it has not.

    Without a table, or a map of that dimension in it, that is nowhere.
    """
    if item_map is None:
        return np.full((len(item_ids), dimension), np.nan)
    places = item_map.filter(pc.equal(item_map["dimension"], dimension))
    rows = pc.index_in(item_ids, value_set=places["item_id"].combine_chunks())
    return np.column_stack([places[axis].take(rows).to_numpy() for axis in "xyz"[:dimension]])


def map_items(
    graph: NeighborGraph,
    parameters: OrdinalParameters,
    dimension: int,
    start: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> FittedMap:
    """Embed the graph in `dimension` dimensions and count violated triplets, all kinds, training and held out.

    `start` (items, dimension) is the map to continue, NaN where items are new; see `taproom.maps.ordinal.embed`. Where
    there are landmarks, the items of a map that can be continued take their place.
    Identical items count once in the errors, and lie on a circle of radius `SPREAD`.
    """
    fitted = replace(parameters, dimension=dimension)
    start_of_groups = start if start is None or graph.groups is None else _centres(start, graph.groups)
    started = time.perf_counter()
    positions, landmarks = _embedded(graph, fitted, start_of_groups, n_jobs)
    seconds = time.perf_counter() - started
    has_wider = len(graph.wide) and graph.wide.shape[1] > graph.indices.shape[1]
    errors = triplet_errors(
        positions,
        graph.indices,
        graph.distances,
        seed=parameters.seed,
        samples=SAMPLES,
        wide=(graph.anchors, graph.wide) if has_wider else None,
    )
    if graph.groups is not None:
        positions = spread_identical(positions, graph.groups, start)
    rows = [{**asdict(row), "error": row.error} for row in errors]
    return FittedMap(positions, rows, seconds, landmarks)


def _embedded(
    graph: NeighborGraph, parameters: OrdinalParameters, start: np.ndarray | None, n_jobs: int | None
) -> tuple[np.ndarray, int]:
    """The map of the graph (n, dimension), and how many landmarks were placed before the other items."""
    of = graph.indices, graph.distances
    if graph.landmarks is None:
        return embed(*of, parameters, start, n_jobs), 0
    if start is not None and can_be_continued(start):
        few = updates_after_landmarks(parameters.updates_per_item)
        return embed(*of, replace(parameters, updates_per_item=few), start, n_jobs), 0
    rows, among_landmarks = graph.landmarks.rows, graph.landmarks.neighbors
    return embed_from_landmarks(*of, rows, *among_landmarks, parameters, start, n_jobs), len(rows)


def _centres(positions: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The mean position of the items of each group, as far as they have one: (groups, dimension), else NaN."""
    known = ~np.isnan(positions[:, 0])
    sums = np.zeros((groups.max() + 1, positions.shape[1]))
    np.add.at(sums, groups[known], positions[known])
    with np.errstate(invalid="ignore"):
        return sums / np.bincount(groups[known], minlength=len(sums))[:, None]


def spread_identical(positions: np.ndarray, groups: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Each item at the position of its group, those of one group evenly on a circle along the first two axes.

    Args:
        positions: (n, dimension) float64, of the groups.
        groups: (items,) int64, the group of each item.
        start: (items, dimension) float64, the map that was continued, NaN where items are new.

    Returns:
        (items, dimension) float64 in the form of `canonical`; with a start, as `aligned` to it.
    """
    sizes = np.bincount(groups)
    by_group = np.argsort(groups, kind="stable")
    angles = np.empty(len(groups))
    angles[by_group] = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    angles *= 2 * np.pi / sizes[groups]
    placed = standardized(positions[groups])
    radius = np.where(sizes > 1, SPREAD, 0.0)[groups]
    placed[:, :2] += (radius * [np.cos(angles), np.sin(angles)]).T[:, : placed.shape[1]]
    return canonical(placed) if start is None or np.isnan(start).all() else aligned(placed, start)
