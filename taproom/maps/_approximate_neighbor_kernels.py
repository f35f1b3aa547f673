"""Compiled loops of `taproom.maps.approximate_neighbors`, apart from it so that importing that does not load numba."""

import numpy as np
from numba import njit

from taproom.maps._neighbor_kernels import Postings, Rows, kth_largest


@njit(nogil=True, cache=True)
def heaviest(rows: Rows, share: float) -> np.ndarray:
    """Which entries are the heaviest of their rows, so many that they have `share` of the squared length; bool."""
    kept = np.zeros(len(rows.columns), np.bool_)
    for row in range(len(rows.squared_norms)):
        begin, end = rows.indptr[row], rows.indptr[row + 1]
        squared_length = 0.0
        for place in np.argsort(-np.abs(rows.unit_values[begin:end]), kind="mergesort"):
            kept[begin + place] = True
            squared_length += np.float64(rows.unit_values[begin + place]) ** 2
            if squared_length >= share:
                break
    return kept


@njit(nogil=True, cache=True)
def candidates(queries: np.ndarray, rows: Rows, postings: Postings, fewest: int, most: int) -> np.ndarray:
    """The `most` rows with the highest scores of each query, in no order, -1 where there are fewer: (queries, most).

    A query gets `fewest` candidates, if need be such that share none of its words. Of equal scores those are taken that
    the postings have first.
    """
    items = len(rows.squared_norms)
    chosen = np.full((len(queries), most), -1, np.int32)
    scores, is_met = np.zeros(items, np.float32), np.zeros(items, np.bool_)
    met, of_met, heap = np.empty(items, np.int32), np.empty(items, np.float32), np.empty(most, np.float32)
    for query, row in enumerate(queries):
        count = 0
        for entry in range(rows.indptr[row], rows.indptr[row + 1]):
            column, value = rows.columns[entry], rows.unit_values[entry]
            for posting in range(postings.starts[column], postings.starts[column + 1]):
                other = postings.rows[posting]
                if not is_met[other]:
                    is_met[other] = True
                    met[count] = other
                    count += 1
                scores[other] += value * postings.values[posting]
        scores[row] = -np.inf
        for place in range(count):
            of_met[place] = scores[met[place]]
        last = kth_largest(of_met[:count], heap)
        length = _take(chosen[query], met[:count], of_met[:count], last)
        other = 0
        while length < fewest:
            if other != row and not (chosen[query, :length] == other).any():
                chosen[query, length] = other
                length += 1
            other += 1
        for place in range(count):
            scores[met[place]], is_met[met[place]] = 0.0, False
        scores[row] = 0.0
    return chosen


@njit(nogil=True, cache=True)
def _take(chosen: np.ndarray, met: np.ndarray, scores: np.ndarray, last: np.float32) -> int:
    """Put into `chosen` what scores more than `last`, then what scores as much, as far as there is room; how many."""
    length = 0
    for place, score in enumerate(scores):
        if score > last:
            chosen[length] = met[place]
            length += 1
    for place, score in enumerate(scores):
        if score == last and score > -np.inf and length < len(chosen):
            chosen[length] = met[place]
            length += 1
    return length
