"""Compiled loops of `taproom.neighbors`, apart from it so that importing that module does not load numba.

All sums that reach a result run over ascending columns without fused or reordered arithmetic: they have the bits of a
plain Python loop.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def squared_norms(indptr, data):
    """Sum of squares of each row, in stored order."""
    norms = np.empty(len(indptr) - 1)
    for row in range(len(norms)):
        total = 0.0
        for entry in range(indptr[row], indptr[row + 1]):
            total += data[entry] * data[entry]
        norms[row] = total
    return norms


@njit(nogil=True, cache=True)
def add_rare_terms(scores, rows, indptr, columns, values, posting_starts, posting_rows, posting_values):
    """Add to `scores[q]` the products of row `rows[q]` with all rows, over the terms of an inverted index."""
    for query, row in enumerate(rows):
        row_scores = scores[query]
        for entry in range(indptr[row], indptr[row + 1]):
            term, value = columns[entry], values[entry]
            for posting in range(posting_starts[term], posting_starts[term + 1]):
                row_scores[posting_rows[posting]] += value * posting_values[posting]


@njit(nogil=True, cache=True)
def rank(scores, slack, rows, indptr, columns, values, norms, query_values, indices, distances):
    """Fill `indices` and `distances` with the nearest rows, from scores whose differences are right to within `slack`.

    `query_values` is room for one dense row, all zeros.
    """
    heap = np.empty(indices.shape[1])
    for query, row in enumerate(rows):
        row_scores = scores[query]
        row_scores[row] = -np.inf
        threshold = _kth_largest(row_scores, heap) - slack
        for entry in range(indptr[row], indptr[row + 1]):
            query_values[columns[entry]] = values[entry]
        distances[query].fill(np.inf)
        for other, score in enumerate(row_scores):
            if score >= threshold and other != row:
                # A term that the query lacks adds an exact zero, so this is the sum over the shared terms.
                dot = 0.0
                for entry in range(indptr[other], indptr[other + 1]):
                    dot += query_values[columns[entry]] * values[entry]
                distance = max(0.0, 1.0 - dot / np.sqrt(norms[row] * norms[other]))
                _insert(indices[query], distances[query], other, distance)
        for entry in range(indptr[row], indptr[row + 1]):
            query_values[columns[entry]] = 0.0


@njit(nogil=True, cache=True)
def _insert(indices, distances, index, distance):
    """Insert into ascending distances, behind equal ones, and let the last one fall out."""
    place = len(distances)
    while place > 0 and distances[place - 1] > distance:
        if place < len(distances):
            distances[place], indices[place] = distances[place - 1], indices[place - 1]
        place -= 1
    if place < len(distances):
        distances[place], indices[place] = distance, index


@njit(nogil=True, cache=True)
def _kth_largest(values, heap):
    """The k-th largest value, k being the room in `heap`."""
    heap[:] = -np.inf
    for value in values:
        if value > heap[0]:
            _replace_smallest(heap, value)
    return heap[0]


@njit(nogil=True, cache=True)
def _replace_smallest(heap, value):
    """Put `value` in place of the smallest of a binary heap."""
    place = 0
    while True:
        child = 2 * place + 1
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if child >= len(heap) or heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value
