"""Triplets of a neighbour graph: which ones there are, and how many of them a map violates.

Here belong the checked graph that triplets are drawn from and the measure of how well a map keeps the ranks of
neighbours. Maps are fitted to triplets in `taproom.maps.ordinal`; neighbours are found in `taproom.maps.neighbors`.

Source: slide "BeerMapper - Under the Hood" of the lecture deck (Jamieson, CSE546 2017): ||x_k - x_i|| < ||x_k - x_j||
whenever d(k, i) < d(k, j).

A triplet is an anchor k, a near item i from the neighbours of k, and a far item j that is strictly farther from k. Only
the distances of the graph are known, so there are two kinds of triplets to train on:

- within: i and j are both neighbours of k, at different distances;
- random: i is a neighbour of k, j is any item that is not. Items that are not neighbours are at least as far as the
  last neighbour, and as far if several neighbours tie for the last place. So neighbours in such a tie are not near
  items here, unless their distance is 0: items that are identical to the anchor stay near.

One triplet in sixteen, chosen by a hash of (k, i, j), is held out of the training, so that the error can be measured on
triplets that no map was fitted to.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from taproom.errors import InputError

if TYPE_CHECKING:
    from taproom.maps._ordinal_kernels import Graph

# Of a small graph each triplet against a random item is drawn about so often; more draws would say nothing new.
DRAWS_PER_TRIPLET = 64


@dataclass(frozen=True)
class TripletError:
    """The share of violated triplets of one kind.

    Attributes:
        kind: "random", "near_miss" or "within".
        split: "training" or "held_out".
        triplets: how many were looked at.
        violated: for how many of them the near item is not nearer on the map than the far one.
    """

    kind: str
    split: str
    triplets: int
    violated: int

    @property
    def error(self) -> float | None:
        """Share of violated triplets, None without any."""
        return self.violated / self.triplets if self.triplets else None


def triplet_errors(
    coordinates: np.ndarray,
    indices: np.ndarray,
    distances: np.ndarray,
    *,
    seed: int = 0,
    samples: int = 1_000_000,
    wide: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[TripletError]:
    """Count violated triplets of each kind, among those that are trained on and those that are held out.

    >>> line = np.arange(6.0)[:, None]
    >>> indices = np.array([[1, 2], [0, 2], [1, 3], [2, 4], [3, 5], [4, 3]])
    >>> distances = np.abs(line[indices, 0] - line)
    >>> {error.violated for error in triplet_errors(line, indices, distances, samples=1_000)}
    {0}

    Args:
        coordinates: (n, dimension) float64, the map.
        indices: (n, k) integers, the neighbours that the map was fitted to.
        distances: (n, k) float64, ascending in each row.
        seed: of the triplets.
        samples: draws for each kind and split, fewer of a graph with few triplets; a draw that gives no triplet is not
            repeated.
        wide: for the kind "near_miss", a neighbour against an item that ranks behind the k: (m,) anchors, and their
            (m, more than k) neighbours, of which the first k are those in `indices`. Without it that kind is left out.

    Returns:
        A row for each kind and split.

    Raises:
        InputError: shapes that differ, values that are not finite, or wide neighbours of another graph.
    """
    from taproom.maps import _ordinal_kernels as kernels

    graph = checked_graph(indices, distances)
    items, k = graph.indices.shape
    coordinates = checked_coordinates(coordinates, items, np.shape(coordinates)[-1])
    everyone, nothing_wide = np.arange(items), np.empty((0, k), np.int32)
    kinds = {"random": (kernels.RANDOM, everyone, nothing_wide), "within": (kernels.WITHIN, everyone, nothing_wide)}
    if wide is not None:
        kinds["near_miss"] = (kernels.NEAR_MISS, *_checked_wide(*wide, graph.indices))
    enough = DRAWS_PER_TRIPLET * items * k * items
    splits = {"training": (samples, False), "held_out": (samples * int(kernels.HELD_OUT_ONE_IN), True)}
    rows = []
    for kind, (code, anchors, wide_indices) in kinds.items():
        for split, (draws, held_out) in splits.items():
            found = kernels.count_violations(
                coordinates, graph, anchors, wide_indices, scattered_seed(seed), min(draws, enough), code, held_out
            )
            rows.append(TripletError(kind, split, *found))
    return rows


def checked_graph(indices: np.ndarray, distances: np.ndarray) -> "Graph":
    """The graph in the types that the kernels take, checked so that they cannot read out of bounds.

    Raises:
        InputError: shapes that differ, indices that are no other item, or distances that are not finite and ascending.
    """
    from taproom.maps._ordinal_kernels import Graph

    indices, distances = np.asarray(indices), np.asarray(distances, dtype=np.float64)
    if indices.ndim != 2 or indices.shape != distances.shape or not indices.size:
        raise InputError(
            f"The neighbours have the shape {indices.shape} and their distances {distances.shape}; both must be "
            "(items, neighbours), with at least one of each."
        )
    items = len(indices)
    if indices.min() < 0 or indices.max() >= items or (indices == np.arange(items)[:, None]).any():
        raise InputError(f"Neighbours must be numbers of other items, from 0 to {items - 1}.")
    if not np.isfinite(distances).all():
        raise InputError(
            "Some distances are not finite numbers. Check the values that they were made from for NaN and infinity."
        )
    if (np.diff(distances, axis=1) < 0).any():
        raise InputError("The distances of an item must ascend. Sort its neighbours, the nearest first.")
    return Graph(np.array(indices, dtype=np.int32, order="C"), np.array(distances, order="C"), _reach(distances))


def has_triplets(graph: "Graph") -> bool:
    """Whether there is a triplet to train on, of either kind."""
    items, k = graph.indices.shape
    within = (graph.distances[:, 0] < graph.distances[:, -1]).any()
    return bool(within or (k < items - 1 and graph.reach.any()))


def scattered_seed(seed: int) -> np.uint64:
    """A seed for the kernels; seeds that are close become far apart."""
    from taproom.maps import _ordinal_kernels as kernels

    return np.uint64(kernels.scattered(np.uint64(seed % 2**64)))


def _reach(distances: np.ndarray) -> np.ndarray:
    """How many neighbours of each item are known to be nearer than all items that are not its neighbours."""
    last = distances[:, -1:]
    tied_for_last = (distances == last).sum(axis=1)
    k = distances.shape[1]
    return np.where((tied_for_last == 1) | (last[:, 0] == 0), k, k - tied_for_last)


def checked_coordinates(coordinates: np.ndarray, items: int, dimension: int) -> np.ndarray:
    """The coordinates as float64 (items, dimension); raises `InputError` for another shape or values not finite."""
    coordinates = np.array(coordinates, dtype=np.float64, order="C")
    if coordinates.shape != (items, dimension):
        raise InputError(
            f"The coordinates have the shape {coordinates.shape}; wanted are {items} items in {dimension} dimensions. "
            "Give one row for each item, or no start."
        )
    if not np.isfinite(coordinates).all():
        raise InputError("Some coordinates are not finite numbers. Leave the start out to fit a new map.")
    return coordinates


def _checked_wide(anchors: np.ndarray, wide_indices: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    anchors, wide_indices = np.array(anchors, dtype=np.int64), np.array(wide_indices, dtype=np.int32, order="C")
    k = indices.shape[1]
    if anchors.ndim != 1 or wide_indices.ndim != 2 or len(anchors) != len(wide_indices) or not len(anchors):
        raise InputError(
            f"The wide neighbours have the shape {wide_indices.shape} for anchors of the shape {anchors.shape}; "
            "wanted is one row for each anchor, and at least one anchor."
        )
    in_range = anchors.min() >= 0 and anchors.max() < len(indices)
    if not in_range or wide_indices.min() < 0 or wide_indices.max() >= len(indices):
        raise InputError(f"Anchors and their wide neighbours must be numbers of items, from 0 to {len(indices) - 1}.")
    if not np.array_equal(wide_indices[:, :k], indices[anchors]):
        raise InputError(
            f"The first {k} of the wide neighbours are not the neighbours that the map was fitted to. "
            "Find both with the same weights."
        )
    return anchors, wide_indices
