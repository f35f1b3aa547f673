"""Compiled loops of `taproom.maps.ordinal` and `taproom.maps.triplets`, apart so that importing those loads no numba.

Random numbers are those of `taproom._random_kernels`: the n-th draw is the same whoever makes it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from taproom._random_kernels import below, mixed

RANDOM, NEAR_MISS, WITHIN = 0, 1, 2
NONE = -1
# An update compares so many neighbours of an item with each other, and with so many items at random.
NEIGHBORS, OTHERS = 4, 4
COMPARED = NEIGHBORS + OTHERS

_DRAW, _ANCHOR, _HELD_OUT = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xD1B54A32D192ED03),
    np.uint64(0x8CB92BA72F3D8DD7),
)
HELD_OUT_ONE_IN = np.uint64(16)

# Both are one type in compiled code.
Int = int | np.int64


class Graph(NamedTuple):
    """Neighbours (n, k) int32 and their distances (n, k), and how many of each row are surely nearer than the rest.

    If the items are a part of more items, `numbers` (n,) int64 has their rows there, by which triplets are held out:
    the same ones from all graphs. Otherwise it is empty.
    """

    indices: np.ndarray
    distances: np.ndarray
    reach: np.ndarray
    numbers: np.ndarray = np.empty(0, np.int64)


class Descent(NamedTuple):
    """A descent: number of updates in all, seed, margin, first step, weight of the triplets within the neighbours.

    The first `hinge_updates` have the hinge loss, the others the ramp loss: a triplet that is violated by `given_up` or
    more has no slope.
    """

    updates: int
    hinge_updates: int
    seed: np.uint64
    margin: float
    given_up: float
    step: float
    within_share: float


@njit(nogil=True, cache=True)
def displacement(coordinates: np.ndarray, graph: Graph, descent: Descent, first: Int, last: Int) -> np.ndarray:
    """How far the updates `first` to `last` of a descent move the items from where they are: (n, d)."""
    moved = coordinates.copy()
    _descend(moved, graph, descent, first, last)
    moved -= coordinates
    return moved


@njit(nogil=True, cache=True)
def _descend(coordinates: np.ndarray, graph: Graph, descent: Descent, first: Int, last: Int) -> None:
    """Descent in place. The items are the anchors of the updates in turn."""
    items, dimension = coordinates.shape
    rows = np.empty(COMPARED, np.int64)
    given, away, pull = np.empty(COMPARED), np.empty(COMPARED), np.empty(COMPARED)
    apart = np.empty((dimension, COMPARED))
    for update in range(first, last):
        anchor = update % items
        _draw(graph, anchor, descent.seed + np.uint64(update * COMPARED) * _DRAW, rows, given)
        _measure(coordinates, anchor, rows, apart, away)
        _pull(graph, anchor, rows, given, away, descent, update >= descent.hinge_updates, pull)
        step = descent.step * (1.0 - update / descent.updates)
        for place in range(COMPARED):
            # A distance of 0 has no direction to grow in.
            pull[place] *= step / away[place] if away[place] > 0.0 else 0.0
        for axis in range(dimension):
            for place in range(COMPARED):
                moved = pull[place] * apart[axis, place]
                coordinates[anchor, axis] -= moved
                coordinates[rows[place], axis] += moved


@njit(nogil=True, cache=True)
def _draw(graph: Graph, anchor: Int, seed: np.uint64, rows: np.ndarray, given: np.ndarray) -> None:
    """Fill in the items that are compared, neighbours first, and the distances that the graph gives them.

    Items beyond the neighbours are farther than all of these, or as far as the last ones. If the anchor or a neighbour
    is drawn among them, it counts as nearer than any, so that it makes no triplet.
    """
    items, k = graph.indices.shape
    beyond = np.inf if graph.reach[anchor] == k else graph.distances[anchor, k - 1]
    for place in range(NEIGHBORS):
        neighbor = below(mixed(seed + np.uint64(place) * _DRAW), k)
        rows[place], given[place] = graph.indices[anchor, neighbor], graph.distances[anchor, neighbor]
    for place in range(NEIGHBORS, COMPARED):
        other = below(mixed(seed + np.uint64(place) * _DRAW), items)
        is_beyond = other != anchor and not _contains(graph.indices[anchor], other)
        rows[place], given[place] = other, beyond if is_beyond else -np.inf


@njit(nogil=True, cache=True)
def _measure(coordinates: np.ndarray, anchor: Int, rows: np.ndarray, apart: np.ndarray, away: np.ndarray) -> None:
    """Fill in the anchor's differences from the items, (d, items), and its distances from them."""
    away[:] = 0.0
    for axis in range(coordinates.shape[1]):
        for place in range(COMPARED):
            difference = coordinates[anchor, axis] - coordinates[rows[place], axis]
            apart[axis, place] = difference
            away[place] += difference * difference
    for place in range(COMPARED):
        away[place] = np.sqrt(away[place])


@njit(nogil=True, cache=True)
def _pull(
    graph: Graph,
    anchor: Int,
    rows: np.ndarray,
    given: np.ndarray,
    away: np.ndarray,
    descent: Descent,
    is_ramp: bool,
    pull: np.ndarray,
) -> None:
    """Fill in the weight of the triplets that want an item nearer, less that of those that want it farther.

    All triplets together weigh as much as there are neighbours, on average also where some of these are as far as items
    beyond them. Without branches: which triplets are violated cannot be predicted.
    """
    given_up = descent.given_up if is_ramp else np.inf
    within = 2.0 * descent.within_share / (NEIGHBORS - 1)
    beyond = (1.0 - descent.within_share) / OTHERS * (graph.indices.shape[1] / max(graph.reach[anchor], 1))
    pull[:] = 0.0
    for near in range(NEIGHBORS):
        for far in range(COMPARED):
            too_far = away[near] - away[far]
            has_slope = (given[near] < given[far]) & (too_far > -descent.margin) & (too_far < given_up)
            is_trained = not _is_held_out_of(graph, anchor, rows[near], rows[far])
            weight = (within if far < NEIGHBORS else beyond) if has_slope & is_trained else 0.0
            pull[near] += weight
            pull[far] -= weight


@njit(nogil=True, cache=True)
def count_violations(
    coordinates: np.ndarray,
    graph: Graph,
    anchors: np.ndarray,
    wide_indices: np.ndarray,
    seed: np.uint64,
    draws: Int,
    kind: Int,
    held_out: bool,
) -> tuple[int, int]:
    """How many of the draws are triplets of a kind and split, and how many of these the map has the wrong way round."""
    items, k = graph.indices.shape
    triplets, violated = 0, 0
    for draw in range(draws):
        place = below(mixed(seed + np.uint64(draw) * _ANCHOR), len(anchors))
        anchor = anchors[place]
        bits = mixed(seed + np.uint64(draw) * _DRAW)
        near: Int = NONE
        far: Int = NONE
        if kind == WITHIN:
            near, far = _within(bits, graph, anchor)
        elif graph.reach[anchor] > 0:
            near = np.int64(graph.indices[anchor, _near_place(bits, graph.reach[anchor])])
            if kind == NEAR_MISS:
                behind = wide_indices[place, k:]
                far = np.int64(behind[below(bits, len(behind))]) if len(behind) else NONE
            else:
                far = below(bits, items)
                if far == anchor or _contains(graph.indices[anchor], far):
                    far = NONE
        if far != NONE and _is_held_out_of(graph, anchor, near, far) == held_out:
            triplets += 1
            violated += _distance(coordinates, anchor, near) >= _distance(coordinates, anchor, far)
    return triplets, violated


@njit(nogil=True, cache=True)
def is_held_out(anchor: Int, near: Int, far: Int) -> bool:
    """Whether a triplet is of the sixteenth that is never trained on."""
    code = np.uint64(anchor) * _DRAW + np.uint64(near) * _ANCHOR + np.uint64(far) * _HELD_OUT
    return mixed(code) % HELD_OUT_ONE_IN == np.uint64(0)


@njit(nogil=True, cache=True)
def _is_held_out_of(graph: Graph, anchor: Int, near: Int, far: Int) -> bool:
    if len(graph.numbers):
        return is_held_out(graph.numbers[anchor], graph.numbers[near], graph.numbers[far])
    return is_held_out(anchor, near, far)


@njit(nogil=True, cache=True)
def mean_positions(positions: np.ndarray, indices: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The mean position of the neighbours of each of `items`, of those that have one, else NaN: (items, d)."""
    dimension = positions.shape[1]
    means = np.zeros((len(items), dimension))
    for place, item in enumerate(items):
        known = 0
        for neighbor in indices[item]:
            if not np.isnan(positions[neighbor, 0]):
                known += 1
                for axis in range(dimension):
                    means[place, axis] += positions[neighbor, axis]
        for axis in range(dimension):
            means[place, axis] = means[place, axis] / known if known else np.nan
    return means


@njit(nogil=True, cache=True)
def scattered(seed: np.uint64) -> np.uint64:
    """Another number for each seed, far from those of near seeds, whose draws would else be each other's shifted."""
    return mixed(seed + _HELD_OUT)


@njit(nogil=True, cache=True)
def fill_uniform(values: np.ndarray, seed: np.uint64) -> None:
    """Fill a 2-d array with uniform random numbers from -1 to 1."""
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            bits = mixed(seed + np.uint64(row * columns + column) * _DRAW)
            values[row, column] = np.float64(bits >> np.uint64(11)) * 2.0**-52 - 1.0


@njit(nogil=True, cache=True)
def _within(bits: np.uint64, graph: Graph, anchor: Int) -> tuple[Int, Int]:
    """Two neighbours of the anchor, the nearer one first; none if they are equally far."""
    first, last = _two_places(bits, graph.indices.shape[1])
    if graph.distances[anchor, first] == graph.distances[anchor, last]:
        return NONE, NONE
    return np.int64(graph.indices[anchor, first]), np.int64(graph.indices[anchor, last])


@njit(nogil=True, cache=True)
def _contains(values: np.ndarray, wanted: Int) -> np.bool:
    """Whether the number is among `values` (int32). All are counted, in 32 bits, which compares eight at once."""
    found = np.uint32(0)
    for place in range(len(values)):
        found = np.uint32(found + np.uint32(np.uint32(values[place]) == np.uint32(wanted)))
    return found > 0


@njit(nogil=True, cache=True)
def _distance(coordinates: np.ndarray, one: Int, other: Int) -> float:
    total = 0.0
    for axis in range(coordinates.shape[1]):
        difference = coordinates[one, axis] - coordinates[other, axis]
        total += difference * difference
    return np.sqrt(total)


# The 64 bits of a draw of a triplet that is counted: 32 for the far item, 20 for the near one.


@njit(nogil=True, cache=True)
def _near_place(bits: np.uint64, limit: Int) -> np.int64:
    """A uniform random integer below a limit that is small beside 2^20."""
    return np.int64((bits >> np.uint64(12) & np.uint64(0xFFFFF)) * np.uint64(limit) >> np.uint64(20))


@njit(nogil=True, cache=True)
def _two_places(bits: np.uint64, k: Int) -> tuple[np.int64, np.int64]:
    """The places of two neighbours, the first one in order first; they may be one."""
    one, other = _near_place(bits, k), below(bits, k)
    return min(one, other), max(one, other)
