"""Compiled loops of `taproom.maps.out_of_sample`, apart from it so that importing that module does not load numba."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def descend(
    point: np.ndarray,
    near: np.ndarray,
    near_distances: np.ndarray,
    reach: int,
    far: np.ndarray,
    margin: float,
    within_share: float,
    steps: int,
    first_step: float,
) -> None:
    """Move a point in place to where the hinge loss over its triplets is least, in steps of falling length.

    The loss is the mean over the triplets within `near`, times `within_share`, plus the mean over those of one of the
    first `reach` of `near` and one of `far`, times the rest.
    """
    dimension = len(point)
    to_near, to_far = np.empty(len(near)), np.empty(len(far))
    pull, push = np.empty(len(near)), np.empty(len(far))
    slope = np.empty(dimension)
    for step in range(steps):
        _fill_distances(point, near, to_near)
        _fill_distances(point, far, to_far)
        _count_within(to_near, near_distances, margin, within_share, pull)
        _count_random(to_near, to_far, reach, margin, 1.0 - within_share, pull, push)
        slope[:] = 0.0
        _add_slope(point, near, to_near, pull, slope)
        _add_slope(point, far, to_far, push, slope)
        length = np.sqrt((slope * slope).sum())
        if length == 0.0:
            break
        for axis in range(dimension):
            point[axis] -= first_step * (1.0 - step / steps) * slope[axis] / length


@njit(nogil=True, cache=True)
def _fill_distances(point: np.ndarray, others: np.ndarray, distances: np.ndarray) -> None:
    for place in range(len(others)):
        total = 0.0
        for axis in range(len(point)):
            difference = point[axis] - others[place, axis]
            total += difference * difference
        distances[place] = np.sqrt(total)


@njit(nogil=True, cache=True)
def _count_within(
    to_near: np.ndarray, near_distances: np.ndarray, margin: float, share: float, pull: np.ndarray
) -> None:
    """For each near item, the share of triplets that want it nearer less the share that want it farther."""
    pull[:] = 0.0
    triplets = 0
    for far in range(len(to_near)):
        for near in range(far):
            if near_distances[near] < near_distances[far]:
                triplets += 1
                if margin + to_near[near] - to_near[far] > 0.0:
                    pull[near] += 1.0
                    pull[far] -= 1.0
    for place in range(len(pull)):
        pull[place] *= share / max(triplets, 1)


@njit(nogil=True, cache=True)
def _count_random(
    to_near: np.ndarray, to_far: np.ndarray, reach: int, margin: float, share: float, pull: np.ndarray, push: np.ndarray
) -> None:
    """Add to `pull`, and fill `push`, with the shares of triplets against items that are no neighbours."""
    unit = share / max(reach * len(to_far), 1)
    for far in range(len(to_far)):
        wrong = 0
        for near in range(reach):
            if margin + to_near[near] - to_far[far] > 0.0:
                wrong += 1
                pull[near] += unit
        push[far] = -unit * wrong


@njit(nogil=True, cache=True)
def _add_slope(
    point: np.ndarray, others: np.ndarray, distances: np.ndarray, weights: np.ndarray, slope: np.ndarray
) -> None:
    """Add how the weighted sum of distances grows along each axis; at distance 0 it has no direction."""
    for place in range(len(others)):
        if distances[place] > 0.0:
            for axis in range(len(point)):
                slope[axis] += weights[place] * (point[axis] - others[place, axis]) / distances[place]
