"""Compiled loops of `taproom.ordinal`, apart from it so that importing that module does not load numba.

Random numbers are splitmix64 (Steele, Lea and Flood, OOPSLA 2014) of a seed and a counter: the n-th draw is the same
number whoever makes it, with any version of numba or NumPy. Unsigned integers stay np.uint64 throughout, because numba
turns arithmetic between them and plain integers into floats.
"""

import numpy as np
from numba import njit

RANDOM, NEAR_MISS, WITHIN = 0, 1, 2
NONE = -1
DRAWS_PER_ANCHOR = 8
HELD_OUT_ONE_IN = 16

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_HELD_OUT_SALT = np.uint64(0xD1B54A32D192ED03)
_STREAMS = np.uint64(4)
_ANCHOR, _KIND, _NEAR, _FAR = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)


@njit(nogil=True, cache=True)
def descend(
    coordinates, indices, distances, sorted_indices, reach, seed, first, last, draws, margin, step, within_share
):
    """Hinge descent in place over the draws `first` to `last` out of all `draws`; a draw may give no triplet."""
    items, dimension = coordinates.shape
    for draw in range(first, last):
        # An anchor stays for some draws because its neighbours are then in the processor's cache.
        anchor = _below(seed, draw // DRAWS_PER_ANCHOR, _ANCHOR, items)
        if _fraction(seed, draw, _KIND) < within_share:
            near, far = _within(seed, draw, indices[anchor], distances[anchor])
        else:
            near, far = _against_random(
                seed, draw, anchor, items, indices[anchor], sorted_indices[anchor], reach[anchor]
            )
        if near == NONE or is_held_out(anchor, near, far):
            continue
        to_near = _distance(coordinates, anchor, near)
        to_far = _distance(coordinates, anchor, far)
        if margin + to_near - to_far <= 0.0:
            continue
        step_now = step * (1.0 - draw / draws)
        for axis in range(dimension):
            pull = step_now * _slope(coordinates[anchor, axis] - coordinates[near, axis], to_near)
            push = step_now * _slope(coordinates[anchor, axis] - coordinates[far, axis], to_far)
            coordinates[anchor, axis] -= pull - push
            coordinates[near, axis] += pull
            coordinates[far, axis] -= push


@njit(nogil=True, cache=True)
def count_violations(
    coordinates, indices, distances, sorted_indices, reach, anchors, wide_indices, seed, draws, kind, held_out
):
    """How many of the draws are triplets of a kind and split, and how many of these the map has the wrong way round."""
    items, k = indices.shape
    triplets, violated = 0, 0
    for draw in range(draws):
        place = _below(seed, draw, _ANCHOR, len(anchors))
        anchor = anchors[place]
        if kind == WITHIN:
            near, far = _within(seed, draw, indices[anchor], distances[anchor])
        elif kind == RANDOM:
            near, far = _against_random(
                seed, draw, anchor, items, indices[anchor], sorted_indices[anchor], reach[anchor]
            )
        else:
            near, far = _against_wide(seed, draw, indices[anchor], wide_indices[place, k:], reach[anchor])
        if near != NONE and is_held_out(anchor, near, far) == held_out:
            triplets += 1
            violated += _distance(coordinates, anchor, near) >= _distance(coordinates, anchor, far)
    return triplets, violated


@njit(nogil=True, cache=True)
def is_held_out(anchor, near, far):
    """Whether a triplet is of the sixteenth that is never trained on."""
    code = _mix(np.uint64(anchor) + _HELD_OUT_SALT)
    code = _mix(code + np.uint64(near) + _GOLDEN)
    return _mix(code + np.uint64(far) + _GOLDEN) % np.uint64(HELD_OUT_ONE_IN) == np.uint64(0)


@njit(nogil=True, cache=True)
def fill_uniform(values, seed):
    """Fill a 2-d array with uniform random numbers from -1 to 1."""
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            values[row, column] = 2.0 * _fraction(seed, row * columns + column, _ANCHOR) - 1.0


@njit(nogil=True, cache=True)
def _within(seed, draw, indices, distances):
    """Two neighbours of the anchor, the nearer one first; none if they are equally far."""
    one = _below(seed, draw, _NEAR, len(indices))
    other = _below(seed, draw, _FAR, len(indices))
    near, far = min(one, other), max(one, other)
    if distances[near] == distances[far]:
        return NONE, NONE
    return np.int64(indices[near]), np.int64(indices[far])


@njit(nogil=True, cache=True)
def _against_random(seed, draw, anchor, items, indices, sorted_indices, reach):
    """A neighbour of the anchor and any item; none if that item is a neighbour too."""
    if reach == 0:
        return NONE, NONE
    near = _below(seed, draw, _NEAR, reach)
    far = _below(seed, draw, _FAR, items)
    if far == anchor or _contains(sorted_indices, far):
        return NONE, NONE
    return np.int64(indices[near]), far


@njit(nogil=True, cache=True)
def _against_wide(seed, draw, indices, farther_indices, reach):
    """A neighbour of the anchor and one of the items that rank behind the neighbours."""
    if reach == 0 or len(farther_indices) == 0:
        return NONE, NONE
    near = _below(seed, draw, _NEAR, reach)
    far = _below(seed, draw, _FAR, len(farther_indices))
    return np.int64(indices[near]), np.int64(farther_indices[far])


@njit(nogil=True, cache=True)
def _contains(ascending, value):
    """Binary search that always takes the same steps, so that there are no branches to guess wrongly."""
    base, length = 0, len(ascending)
    while length > 1:
        half = length // 2
        base += half if ascending[base + half] <= value else 0
        length -= half
    return ascending[base] == value


@njit(nogil=True, cache=True)
def _distance(coordinates, one, other):
    total = 0.0
    for axis in range(coordinates.shape[1]):
        difference = coordinates[one, axis] - coordinates[other, axis]
        total += difference * difference
    return np.sqrt(total)


@njit(nogil=True, cache=True)
def _slope(difference, distance):
    """How fast a distance grows along an axis; at distance 0, where it has no direction, not at all."""
    return difference / distance if distance > 0.0 else 0.0


@njit(nogil=True, cache=True)
def _below(seed, draw, stream, limit):
    """A uniform random integer below a limit of at most 2^32."""
    return np.int64((_bits(seed, draw, stream) >> np.uint64(32)) * np.uint64(limit) >> np.uint64(32))


@njit(nogil=True, cache=True)
def _fraction(seed, draw, stream):
    """A uniform random number from 0 to 1."""
    return np.float64(_bits(seed, draw, stream) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _bits(seed, draw, stream):
    return _mix(_mix(seed) + (np.uint64(draw) * _STREAMS + stream) * _GOLDEN)


@njit(nogil=True, cache=True)
def _mix(bits):
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
