"""Compiled loops of `taproom.maps.neighbors`, apart from it so that importing that module does not load numba.

All sums that reach a result run over ascending columns without fused or reordered arithmetic: they have the bits of a
plain Python loop.

numba keeps what it compiled beside this file, under a function's name and line. It cannot load what names a class that
is gone: when a class here gets another name, the lines of the functions have to change, too.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit


class Rows(NamedTuple):
    """Sparse rows, the sum of squares of each, and in single precision the same rows at unit length."""

    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    squared_norms: np.ndarray
    unit_values: np.ndarray


class Postings(NamedTuple):
    """The inverted index: column `first + c` is in the rows from `starts[c]` to `starts[c + 1]`, which ascend."""

    first: int
    starts: np.ndarray
    rows: np.ndarray
    values: np.ndarray


class ScoreTolerance(NamedTuple):
    """How far below the k-th best score a pair may be and still be among the nearest; scores below `least` never are.

    Given as a share of that score, and beside it in all cases.
    """

    relative: float
    absolute: float
    least: np.float32


class CandidateLists(NamedTuple):
    """For each wanted row the candidates so far, their scores, and the score below which a row is no candidate."""

    wanted: np.ndarray
    members: np.ndarray
    scores: np.ndarray
    lengths: np.ndarray
    thresholds: np.ndarray


@njit(nogil=True, cache=True)
def unit_rows(indptr: np.ndarray, columns: np.ndarray, values: np.ndarray) -> Rows:
    """`Rows` with these entries; the values are scaled in place, row by row.

    They are multiplied by the power of two that brings the row's largest one to between 1/2 and 1. That changes no
    cosine, not even by rounding, and keeps squares of very small or large values from vanishing.
    """
    items = len(indptr) - 1
    norms, unit_values = np.empty(items), np.empty(len(values), np.float32)
    for row in range(items):
        entries = slice(indptr[row], indptr[row + 1])
        _, exponent = math.frexp(np.abs(values[entries]).max())
        total = 0.0
        for entry in range(indptr[row], indptr[row + 1]):
            values[entry] = math.ldexp(values[entry], -exponent)
            total += values[entry] * values[entry]
        norms[row] = total
        unit_values[entries] = values[entries] / np.sqrt(total)
    return Rows(indptr, columns, values, norms, unit_values)


@njit(nogil=True, cache=True)
def dense_columns(rows: Rows, count: int) -> np.ndarray:
    """The first columns as a matrix of unit rows."""
    dense = np.zeros((len(rows.squared_norms), count), np.float32)
    for row in range(len(dense)):
        for entry in range(rows.indptr[row], rows.indptr[row + 1]):
            if rows.columns[entry] < count:
                dense[row, rows.columns[entry]] = rows.unit_values[entry]
    return dense


@njit(nogil=True, cache=True)
def inverted_index(rows: Rows, first: int, starts: np.ndarray) -> Postings:
    """The postings of the columns from `first` on, of which `starts` tells where each one's begin."""
    of_rows, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    ends = starts.copy()
    for row in range(len(rows.squared_norms)):
        for entry in range(rows.indptr[row], rows.indptr[row + 1]):
            column = rows.columns[entry] - first
            if column >= 0:
                of_rows[ends[column]], values[ends[column]] = row, rows.unit_values[entry]
                ends[column] += 1
    return Postings(first, starts, of_rows, values)


@njit(nogil=True, cache=True)
def add_rare_terms(scores: np.ndarray, queries: np.ndarray, rows: Rows, postings: Postings) -> None:
    """Add to `scores[q]` the products of row `queries[q]` with the first rows, over the terms of an inverted index."""
    limit = scores.shape[1]
    for query, row in enumerate(queries):
        row_scores = scores[query]
        for entry in range(rows.indptr[row], rows.indptr[row + 1]):
            column, value = rows.columns[entry] - postings.first, rows.unit_values[entry]
            if column < 0:
                continue
            for posting in range(postings.starts[column], postings.starts[column + 1]):
                other = postings.rows[posting]
                if other >= limit:
                    break
                row_scores[other] += value * postings.values[posting]


@njit(nogil=True, cache=True)
def candidates(
    scores: np.ndarray,
    queries: np.ndarray,
    targets: np.ndarray,
    k: int,
    tolerance: ScoreTolerance,
    thresholds: np.ndarray,
    mirrored: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that may be among the nearest, as three arrays: whose neighbour, which row, with what score.

    `scores[q]` are of the row `queries[q]`, whose list is number `targets[q]`; it gets those that its own k best scores
    leave open. If `mirrored`, the lists of the rows before the first query get the queries that `thresholds` admit.
    """
    before = queries[0] if mirrored else 0
    heap, own = np.empty(k, np.float32), np.empty(len(queries), np.float32)
    count = 0
    for query, row in enumerate(queries):
        if row < scores.shape[1]:
            scores[query, row] = -np.inf
        own[query] = _threshold(scores[query], heap, tolerance)
        count += _at_least(scores[query], own[query])
        for other in range(before):
            count += scores[query, other] >= thresholds[other]
    whose, which, found = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.float32)
    count = 0
    for query, row in enumerate(queries):
        row_scores = scores[query]
        for other, score in enumerate(row_scores):
            if score >= own[query] and other != row:
                whose[count], which[count], found[count] = targets[query], other, score
                count += 1
        for other in range(before):
            if row_scores[other] >= thresholds[other]:
                whose[count], which[count], found[count] = other, row, row_scores[other]
                count += 1
    return whose[:count], which[:count], found[:count]


@njit(nogil=True, cache=True)
def enter(
    lists: CandidateLists,
    whose: np.ndarray,
    which: np.ndarray,
    found: np.ndarray,
    first: int,
    k: int,
    tolerance: ScoreTolerance,
) -> int:
    """Enter the candidates from the first one on into their lists; a full list is cut to what may be among the nearest.

    Returns the place of the candidate whose list stays more than half full, with so many ties that `cut_by_distance`
    has to come first; all candidates are entered if there is none.
    """
    heap = np.empty(k, np.float32)
    room = lists.members.shape[1]
    for place in range(first, len(whose)):
        target = whose[place]
        if lists.lengths[target] == room and found[place] >= lists.thresholds[target]:
            lists.thresholds[target] = max(lists.thresholds[target], _threshold(lists.scores[target], heap, tolerance))
            _cut(lists, target)
            if lists.lengths[target] > room // 2:
                return place
        if found[place] >= lists.thresholds[target]:
            lists.members[target, lists.lengths[target]] = which[place]
            lists.scores[target, lists.lengths[target]] = found[place]
            lists.lengths[target] += 1
    return len(whose)


@njit(nogil=True, cache=True)
def cut_by_distance(lists: CandidateLists, target: int, k: int, rows: Rows, query_values: np.ndarray) -> None:
    """Cut a list to its k nearest, so that it does not grow with its ties; `query_values` is as for `_rank`."""
    nearest, distances = np.empty(k, np.int32), np.empty(k)
    _rank(lists, target, rows, query_values, nearest, distances)
    _cut_to(lists, target, nearest)


@njit(nogil=True, cache=True)
def cut(lists: CandidateLists, k: int, tolerance: ScoreTolerance) -> None:
    """Cut each list to what may be among the nearest."""
    heap = np.empty(k, np.float32)
    for target in range(len(lists.lengths)):
        lists.thresholds[target] = _threshold(lists.scores[target, : lists.lengths[target]], heap, tolerance)
        _cut(lists, target)


@njit(nogil=True, cache=True)
def rank(
    lists: CandidateLists,
    tolerance: ScoreTolerance,
    rows: Rows,
    among: int,
    query_values: np.ndarray,
    indices: np.ndarray,
    distances: np.ndarray,
) -> None:
    """Fill `indices` and `distances` with the nearest of the first `among` rows by each list, which was cut."""
    for target in range(len(indices)):
        _rank(lists, target, rows, query_values, indices[target], distances[target])
        if tolerance.least > 0:
            _add_unrelated(lists, target, among, indices[target], distances[target])


@njit(nogil=True, cache=True)
def _rank(
    lists: CandidateLists, target: int, rows: Rows, query_values: np.ndarray, indices: np.ndarray, distances: np.ndarray
) -> None:
    """The nearest members of a list by their distances; `query_values` is room for one dense row, all zeros."""
    row = lists.wanted[target]
    begin, end = rows.indptr[row], rows.indptr[row + 1]
    for entry in range(begin, end):
        query_values[rows.columns[entry]] = rows.values[entry]
    distances.fill(np.inf)
    for other in lists.members[target, : lists.lengths[target]]:
        # A term that the query lacks adds an exact zero, so this is the sum over the shared terms.
        dot = 0.0
        for entry in range(rows.indptr[other], rows.indptr[other + 1]):
            dot += query_values[rows.columns[entry]] * rows.values[entry]
        distance = max(0.0, 1.0 - dot / np.sqrt(rows.squared_norms[row] * rows.squared_norms[other]))
        _insert(indices, distances, other, distance)
    for entry in range(begin, end):
        query_values[rows.columns[entry]] = 0.0


@njit(nogil=True, cache=True)
def _add_unrelated(lists: CandidateLists, target: int, rows: int, indices: np.ndarray, distances: np.ndarray) -> None:
    """Rows that share no term are at distance 1; they are no candidates, but may be needed to make up the number."""
    members = lists.members[target, : lists.lengths[target]]
    for other in range(rows):
        if distances[-1] < 1.0 or (distances[-1] == 1.0 and indices[-1] < other):
            break
        if other != lists.wanted[target] and not (members == other).any():
            _insert(indices, distances, other, 1.0)


@njit(nogil=True, cache=True)
def _insert(indices: np.ndarray, distances: np.ndarray, index: int, distance: float) -> None:
    """Insert into ascending distances, equal ones by index, and let the last one fall out."""
    place = len(distances)
    while place > 0 and (
        distances[place - 1] > distance or (distances[place - 1] == distance and indices[place - 1] > index)
    ):
        if place < len(distances):
            distances[place], indices[place] = distances[place - 1], indices[place - 1]
        place -= 1
    if place < len(distances):
        distances[place], indices[place] = distance, index


@njit(nogil=True, cache=True)
def _cut(lists: CandidateLists, target: int) -> None:
    """Drop the members of a list that are below its threshold."""
    kept = 0
    for place in range(lists.lengths[target]):
        if lists.scores[target, place] >= lists.thresholds[target]:
            lists.members[target, kept] = lists.members[target, place]
            lists.scores[target, kept] = lists.scores[target, place]
            kept += 1
    lists.lengths[target] = kept


@njit(nogil=True, cache=True)
def _cut_to(lists: CandidateLists, target: int, indices: np.ndarray) -> None:
    """Drop the members of a list that are not among `indices`."""
    kept = 0
    for place in range(lists.lengths[target]):
        if (indices == lists.members[target, place]).any():
            lists.members[target, kept] = lists.members[target, place]
            lists.scores[target, kept] = lists.scores[target, place]
            kept += 1
    lists.lengths[target] = kept


@njit(nogil=True, cache=True)
def _at_least(values: np.ndarray, threshold: np.float32) -> int:
    count = 0
    for value in values:
        count += value >= threshold
    return count


@njit(nogil=True, cache=True)
def _threshold(scores: np.ndarray, heap: np.ndarray, tolerance: ScoreTolerance) -> np.float32:
    """The score below which a row cannot be among the k nearest, k being the room in `heap`."""
    best = np.float64(kth_largest(scores, heap))
    if best == -np.inf:
        return tolerance.least
    return max(np.float32(best - tolerance.relative * abs(best) - tolerance.absolute), tolerance.least)


@njit(nogil=True, cache=True)
def kth_largest(values: np.ndarray, heap: np.ndarray) -> np.float32:
    """The k-th largest value, k being the room in `heap`; minus infinity of fewer."""
    heap[:] = -np.inf
    for value in values:
        if value > heap[0]:
            _replace_smallest(heap, value)
    return heap[0]


@njit(nogil=True, cache=True)
def _replace_smallest(heap: np.ndarray, value: np.float32) -> None:
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
