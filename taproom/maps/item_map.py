"""From the tables of the review chain to a map: neighbours as ranks, the embedding, and its errors.

Here belongs what joins `taproom.maps.neighbors`, `taproom.maps.ordinal` and `taproom.maps.triplets`.
"""

import time
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.errors import InputError
from taproom.maps.neighbors import are_orthogonal, nearest
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.triplets import triplet_errors

SAMPLES = 200_000


@dataclass(frozen=True)
class NeighborGraph:
    """Ranks of neighbours by row number.

    `indices` (n, k) int32 and `distances` (n, k) float64 are of all items; `wide` (m, wider k) int32 holds more
    neighbours of a sample of them, the `anchors` (m,) int64.
    """

    indices: np.ndarray
    distances: np.ndarray
    anchors: np.ndarray
    wide: np.ndarray


@dataclass(frozen=True)
class FittedMap:
    """Positions (n, d) float64, the errors as rows (kind, split, triplets, violated, error), and the fit's seconds."""

    positions: np.ndarray
    errors: list[dict]
    seconds: float


def neighbor_graph(neighbors: pa.Table, weights: sparse.csr_array, anchors: int) -> NeighborGraph:
    """The graph of the table `neighbors`, made from `weights` (n, words); 10 k are found again for `anchors` items.

    Raises InputError where no two items have a word in common: their neighbours are then any items.
    """
    indices, distances = ranks(neighbors)
    if are_orthogonal(distances).all():
        raise InputError(
            f"No two of the {len(indices)} items have a word in common: all neighbours are at the distance 1, and "
            "there is no order to map. Set `token_pattern` of term_counts to one that finds the words of the language, "
            "or bring more reviews of each item."
        )
    items, k = indices.shape
    sample = np.unique(np.linspace(0, items - 1, min(anchors, items)).astype(np.int64))
    wide, _ = nearest(weights, min(10 * k, items - 1), queries=sample, n_jobs=-1)
    return NeighborGraph(indices, distances, sample, wide)


def ranks(neighbors: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of each row of the table `neighbors` as row numbers, (n, k) int32, and their distances (n, k)."""
    item_ids = neighbors["item_id"].combine_chunks()
    ids = neighbors["neighbor_ids"].combine_chunks().flatten()
    k = len(ids) // len(item_ids)
    indices = pc.index_in(ids, value_set=item_ids).to_numpy().reshape(-1, k)
    return indices.astype(np.int32), neighbors["distances"].combine_chunks().flatten().to_numpy().reshape(-1, k)


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

    `start` (n, dimension) is the map to continue, NaN where items are new; see `taproom.maps.ordinal.embed`.
    """
    started = time.perf_counter()
    fitted = replace(parameters, dimension=dimension)
    positions = embed(graph.indices, graph.distances, fitted, start, n_jobs=n_jobs)
    seconds = time.perf_counter() - started
    has_wider = graph.wide.shape[1] > graph.indices.shape[1]
    errors = triplet_errors(
        positions,
        graph.indices,
        graph.distances,
        seed=parameters.seed,
        samples=SAMPLES,
        wide=(graph.anchors, graph.wide) if has_wider else None,
    )
    return FittedMap(positions, [{**asdict(row), "error": row.error} for row in errors], seconds)
