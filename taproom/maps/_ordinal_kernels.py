"""Compiled loops of `taproom.maps.ordinal` and `taproom.maps.triplets`, apart so that importing those loads no numba.

Random numbers are those of `taproom._random_kernels`: the n-th draw is the same whoever makes it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from taproom._random_kernels import below, mixed

RANDOM, NEAR_MISS, WITHIN = 0, 1, 2
NONE = -1
DRAWS_PER_ANCHOR = 8

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
    """A descent: number of draws in all, seed, margin, first step, share of draws within the neighbours.

    The first `hinge_draws` have the hinge loss, the others the ramp loss.
    """

    draws: int
    hinge_draws: int
    seed: np.uint64
    margin: float
    step: float
    within_share: float


@njit(nogil=True, cache=True)
def displacement(coordinates: np.ndarray, graph: Graph, descent: Descent, first: Int, last: Int) -> np.ndarray:
    """How far the draws `first` to `last` of a descent move the items from where they are: (n, d)."""
    moved = coordinates.copy()
    _descend(moved, graph, descent, first, last)
    moved -= coordinates
    return moved


@njit(nogil=True, cache=True)
def _descend(coordinates: np.ndarray, graph: Graph, descent: Descent, first: Int, last: Int) -> None:
    """Descent in place; a draw may give no triplet.

    Whether a triplet is one is looked at last, because most draws that are none satisfy the margin anyway.
    """
    items, dimension = coordinates.shape
    for draw in range(first, last):
        # An anchor stays for some draws because its neighbours are then in the processor's cache.
        anchor = below(mixed(descent.seed + np.uint64(draw // DRAWS_PER_ANCHOR) * _ANCHOR), items)
        bits = mixed(descent.seed + np.uint64(draw) * _DRAW)
        is_within = _is_within(bits, descent.within_share)
        if is_within:
            first_place, last_place = _two_places(bits, graph.indices.shape[1])
            near = np.int64(graph.indices[anchor, first_place])
            far = np.int64(graph.indices[anchor, last_place])
        else:
            if graph.reach[anchor] == 0:
                continue
            near = np.int64(graph.indices[anchor, _near_place(bits, graph.reach[anchor])])
            far = below(bits, items)
        to_near = _distance(coordinates, anchor, near)
        to_far = _distance(coordinates, anchor, far)
        too_far = to_near - to_far
        if too_far <= -descent.margin or (draw >= descent.hinge_draws and too_far >= descent.margin):
            continue
        if is_within:
            if _within(bits, graph, anchor)[0] == NONE:
                continue
        elif far == anchor or _contains(graph.indices[anchor], far):
            continue
        if _is_held_out_of(graph, anchor, near, far):
            continue
        step = descent.step * (1.0 - draw / descent.draws) ** 2
        # A distance of 0 has no direction to grow in.
        pull = step / to_near if to_near > 0.0 else 0.0
        push = step / to_far if to_far > 0.0 else 0.0
        for axis in range(dimension):
            toward_near = pull * (coordinates[anchor, axis] - coordinates[near, axis])
            from_far = push * (coordinates[anchor, axis] - coordinates[far, axis])
            coordinates[anchor, axis] -= toward_near - from_far
            coordinates[near, axis] += toward_near
            coordinates[far, axis] -= from_far


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
def _contains(values: np.ndarray, wanted: Int) -> bool:
    """Without a branch: a hundred numbers are compared at once faster than they are searched."""
    found = False
    for value in values:
        found |= value == wanted
    return found


@njit(nogil=True, cache=True)
def _distance(coordinates: np.ndarray, one: Int, other: Int) -> float:
    total = 0.0
    for axis in range(coordinates.shape[1]):
        difference = coordinates[one, axis] - coordinates[other, axis]
        total += difference * difference
    return np.sqrt(total)


# The 64 bits of a draw: 32 for the far item, 20 for the near one, 12 for the kind of triplet.


@njit(nogil=True, cache=True)
def _near_place(bits: np.uint64, limit: Int) -> np.int64:
    """A uniform random integer below a limit that is small beside 2^20."""
    return np.int64((bits >> np.uint64(12) & np.uint64(0xFFFFF)) * np.uint64(limit) >> np.uint64(20))


@njit(nogil=True, cache=True)
def _two_places(bits: np.uint64, k: Int) -> tuple[np.int64, np.int64]:
    """The places of two neighbours, the first one in order first; they may be one."""
    one, other = _near_place(bits, k), below(bits, k)
    return min(one, other), max(one, other)


@njit(nogil=True, cache=True)
def _is_within(bits: np.uint64, share: float) -> np.bool:
    return np.float64(bits & np.uint64(0xFFF)) < share * 4096.0
