"""The same neighbour graph, mapped by several methods: how many triplets they violate, and in how many seconds.

Here belong the comparison and the rows of the table `map_methods`. The methods are in `taproom.maps.map_methods`, the
measures are in `taproom.maps.triplets` and `taproom.maps.neighborhoods`.

All methods see the items as their unit rows z / |z|, whose squared Euclidean distance is twice the cosine distance.
They are judged by held-out triplets, the same for all maps of a graph, and by the nearest items on their maps. Only the
ordinal embedding is fitted to triplets. Methods that cost the square of the items per step run on a sample of the
items, and are judged on the sample's own graph, where the ordinal embedding runs too.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.maps.item_map import positions_on, ranks
from taproom.maps.map_methods import METHODS, NESTED, ItemGraph, MethodParameters
from taproom.maps.neighborhoods import neighborhood_scores
from taproom.maps.neighbors import choose_k, nearest
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.triplets import triplet_errors
from taproom.progress import progress
from taproom.words.sparse import weighted_items

TRIPLETS = 50_000

# By dimension: the map, (n, dimension), and the seconds of its fit where that was timed.
_Fits = Mapping[int, tuple[np.ndarray, float | None]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """A row for each map, its columns those of the table `map_methods`, and why methods are left out."""

    rows: list[dict] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def graph_of(neighbors: pa.Table, tfidf: Iterable[pa.RecordBatch], words: int, item_map: pa.Table) -> ItemGraph:
    """The graph of the tables `neighbors` and `tfidf`, its items in the order of `neighbors`, categories as on the map.

    An item that is not on the map `item_map` has no category.
    """
    rows = pc.index_in(neighbors["item_id"], value_set=item_map["item_id"].combine_chunks())
    categories = item_map["category"].take(rows).to_numpy()
    return ItemGraph(weighted_items(tfidf, words)[1], *ranks(neighbors), categories)


def maps_of(item_map: pa.Table, item_ids: pa.ChunkedArray) -> dict[int, np.ndarray]:
    """The positions (n, dimension) of the items on each map of the table `item_map`, by dimension.

    Raises:
        InputError: an item is on no map of some dimension.
    """
    dimensions = sorted(item_map["dimension"].unique().to_pylist())
    maps = {dimension: positions_on(item_map, item_ids, dimension) for dimension in dimensions}
    for dimension, positions in maps.items():
        if missing := int(np.isnan(positions[:, 0]).sum()):
            raise InputError(
                f"{missing} of {len(item_ids)} items with neighbours are not on the map in {dimension} dimensions. "
                "Make item_map again from these neighbours."
            )
    return maps


def compare(graph: ItemGraph, maps: Mapping[int, np.ndarray], parameters: MethodParameters | None = None) -> Comparison:
    """Map the graph, and a sample of its items, by each method; judge the maps by triplets and by the nearest items.

    A method that cannot map a graph is left out, with a warning in the log.

    Args:
        graph: at least 2 items.
        maps: the published map of the whole graph by dimension, (n, dimension), judged as it is. Its seconds are those
            of a fit with the default `OrdinalParameters`, None for more than `dense_items` items.
        parameters: see `MethodParameters`, whose defaults are taken if there are none.
    """
    parameters = parameters or MethodParameters()
    _load()
    graphs = [graph] if len(graph.indices) <= parameters.sample else [graph, _sample(graph, parameters.sample)]
    tasks = [(each, method) for each in graphs for method in _methods_for(len(each.indices), parameters)]
    found = Comparison()
    for each, method in progress(tasks, doing="comparing map methods", unit="fit"):
        items = len(each.indices)
        try:
            if method == "ordinal" and each is graph:
                fits: _Fits = _published(graph, maps, parameters)
            else:
                fits = _fits(method, each, sorted(maps), parameters)
            found.rows.extend(_judged(method, each, fits, parameters.seed))
        except (
            InputError,
            ValueError,
            RuntimeError,
        ) as error:  # or LinAlgError, scikit-learn's, ARPACK's
            found.left_out[f"{method}, {items} items"] = str(error)
            logger.warning("%s is left out of the comparison on %d items: %s", method, items, error)
    return found


def _methods_for(items: int, parameters: MethodParameters) -> list[str]:
    """The methods that can afford so many items."""
    limits = {
        "locally_linear": max(parameters.dense_items, parameters.sample),
        "maximum_variance_unfolding": parameters.sample,
        "nonmetric_mds": parameters.sample,
    }
    return [method for method in METHODS if items <= limits.get(method, items)]


def _load() -> None:
    """Import and compile what the methods need, so that no clock counts it."""
    from scipy import linalg, optimize  # noqa: F401
    from sklearn import decomposition, manifold  # noqa: F401

    ring = np.roll(np.arange(5), -1)[:, None]
    embed(ring, np.ones((5, 1)), OrdinalParameters(updates_per_item=1))


def _sample(graph: ItemGraph, size: int) -> ItemGraph:
    """Items evenly spread over the rows, with a graph of their own."""
    items = len(graph.indices)
    rows = np.unique(np.linspace(0, items - 1, size).astype(np.int64))
    weights, categories = graph.weights[rows], None if graph.categories is None else graph.categories[rows]
    return ItemGraph(weights, *nearest(weights, choose_k(len(rows)), n_jobs=-1), categories)


def _fits(
    method: str, graph: ItemGraph, dimensions: Iterable[int], parameters: MethodParameters
) -> Mapping[int, tuple[np.ndarray, float]]:
    """The method's map in each dimension, with the seconds of the fit that it comes from."""
    if method in NESTED:
        positions, seconds = _timed(method, graph, max(dimensions), parameters)
        return {dimension: (positions[:, :dimension], seconds) for dimension in dimensions}
    return {dimension: _timed(method, graph, dimension, parameters) for dimension in dimensions}


def _published(graph: ItemGraph, maps: Mapping[int, np.ndarray], parameters: MethodParameters) -> _Fits:
    """The published map, with the seconds of fitting it again where that takes little."""
    if len(graph.indices) > parameters.dense_items:
        return {dimension: (positions, None) for dimension, positions in maps.items()}
    fits = _fits("ordinal", graph, maps, parameters)
    return {dimension: (maps[dimension], seconds) for dimension, (_, seconds) in fits.items()}


def _timed(method: str, graph: ItemGraph, dimension: int, parameters: MethodParameters) -> tuple[np.ndarray, float]:
    with blas_threads():
        started = time.perf_counter()
        positions = METHODS[method](graph, dimension, parameters)
        return positions, time.perf_counter() - started


def _judged(method: str, graph: ItemGraph, fits: _Fits, seed: int) -> list[dict]:
    items, k = graph.indices.shape
    unit_rows = graph.unit_rows()
    rows = []
    for dimension, (positions, seconds) in fits.items():
        errors = triplet_errors(positions, graph.indices, graph.distances, seed=seed, samples=TRIPLETS)
        held_out = {f"error_{row.kind}": row.error for row in errors if row.split == "held_out"}
        scores = neighborhood_scores(positions, unit_rows, graph.categories)
        about = {"method": method, "dimension": dimension, "items": items, "k": k, "seconds": seconds}
        rows.append(about | held_out | scores)
    return rows
