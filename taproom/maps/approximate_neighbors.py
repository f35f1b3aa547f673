"""Most of the nearest neighbours of weighted items by cosine distance, faster than all of them where items are many.

Here belongs the search that may miss neighbours. The exact one, whose distances it has, is in `taproom.maps.neighbors`.

How: an inverted index of the heaviest words of each item only (static index pruning: Carmel et al. 2001, Static Index
Pruning for Information Retrieval Systems, SIGIR). The rows with the highest scores are candidates, and the exact
distances to these are computed. With weights as TF*log(1/DF), a few of an item's words make up most of its length, and
these are words that few items have, so their postings are short: `docs/adr/0024-candidates-by-the-heaviest-words.md`
has what was measured. How much of the words is needed is found by searching for some items' neighbours exactly.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from taproom.compute import Made, made_here, workers
from taproom.errors import InputError
from taproom.maps.neighbors import canonical, check_search, nearest, recall, unit_rows
from taproom.progress import progress

if TYPE_CHECKING:
    from taproom.maps._neighbor_kernels import Postings, Rows

# More than is promised of the whole (0.95), since it is measured on a sample.
LEAST_RECALL = 0.96
# Shares of an item's squared length, and for each how many candidates are taken for a neighbour, tried in this order
# until recall suffices. With a larger share, the exact search is faster.
SHARES, CANDIDATES_PER_NEIGHBOR = (0.7, 0.8, 0.85, 0.9, 0.95), (3, 6)
SAMPLED = 1_000
# A second of work, and little to send.
BLOCK_ROWS, SAMPLED_ROWS = 2_048, 128


class FoundNeighbors(NamedTuple):
    """Neighbours, among which some of the nearest may be missing.

    Attributes:
        indices: (rows, k) int32, nearest first; ties go to the smaller row number.
        distances: (rows, k) float64, ascending in each row, with the bits of `taproom.maps.neighbors.nearest`.
        recall: the share of the nearest neighbours of `SAMPLED` rows that were found.
        share: the share of the rows' squared length that candidates were found by; 1 where the search was exact.
        candidates: how many of each row were ranked; None where the search was exact.
    """

    indices: np.ndarray
    distances: np.ndarray
    recall: float = 1.0
    share: float = 1.0
    candidates: int | None = None


def search(
    weights: sparse.csr_array | Made[sparse.csr_array], k: int, exact_up_to: int, n_jobs: int | None = None
) -> FoundNeighbors:
    """The k rows nearest to each row: all of them up to so many rows, and with more rows most of them.

    Args and errors are those of `nearest` and `nearest_approximately`.
    """
    if made_here(weights).shape[0] > exact_up_to:
        return nearest_approximately(weights, k, n_jobs=n_jobs)
    return FoundNeighbors(*nearest(weights, k, n_jobs=n_jobs))


def nearest_approximately(
    weights: sparse.csr_array | Made[sparse.csr_array],
    k: int,
    *,
    least_recall: float = LEAST_RECALL,
    block_rows: int = BLOCK_ROWS,
    n_jobs: int | None = None,
) -> FoundNeighbors:
    """At least a share of the k rows nearest to each row by cosine distance, without the row itself.

    The result depends neither on `block_rows` nor on the workers.

    >>> found = nearest_approximately(sparse.csr_array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]), 1)
    >>> found.indices.ravel(), found.recall
    (array([1, 0, 1], dtype=int32), 1.0)

    Args:
        weights: (rows, columns) float64, finite and not negative; every row needs a weight. A `Made` matrix is searched
            on a cluster where there is one.
        k: how many neighbours, at least 1 and fewer than there are rows.
        least_recall: at most 1; of the neighbours of `SAMPLED` rows, spread over all, at least this share is found. If
            it takes nearly all words to find so many, the search is exact.
        block_rows: rows in one piece of work; beside it, a worker needs 13 bytes a row of the matrix.
        n_jobs: threads, as joblib counts workers.

    Raises:
        InputError: as `nearest` does; also negative weights, or a recall above 1.
    """
    here = canonical(made_here(weights))
    items = here.shape[0]
    sample = np.unique(np.linspace(0, items - 1, SAMPLED).astype(np.int64))
    check_search(here, k, sample)
    _check(here, least_recall)
    exact = nearest(here, k, queries=sample, n_jobs=n_jobs)[1]
    rows = unit_rows(here)
    for share in SHARES:
        pruned = _pruned(rows, here.shape[1], share)
        for times in CANDIDATES_PER_NEIGHBOR:
            candidates = min(times * k, items - 1)
            found = _search(pruned, sample, k, candidates, min(block_rows, SAMPLED_ROWS), n_jobs)[1]
            if (reached := recall(found, exact)) >= least_recall:
                is_made = isinstance(weights, Made)
                shared = Made(_pruned_of, (weights.make, weights.given, share), pruned) if is_made else pruned
                every = _search(shared, np.arange(items), k, candidates, block_rows, n_jobs)
                return FoundNeighbors(*every, reached, share, candidates)
    return FoundNeighbors(*nearest(weights, k, n_jobs=n_jobs))


class _Pruned(NamedTuple):
    """All entries for the distances; the heaviest ones of each row for the scores, and their inverted index."""

    rows: "Rows"
    heavy: "Rows"
    postings: "Postings"
    columns: int


def _pruned_of(make: Callable[..., sparse.csr_array], given: tuple, share: float) -> _Pruned:
    """On a worker: the pruned rows of a matrix that it makes."""
    weights = canonical(make(*given))
    return _pruned(unit_rows(weights), weights.shape[1], share)


def _pruned(rows: "Rows", columns: int, share: float) -> _Pruned:
    from taproom.maps import _approximate_neighbor_kernels as kernels
    from taproom.maps._neighbor_kernels import inverted_index

    kept = kernels.heaviest(rows, share)
    heavy = rows._replace(
        indptr=np.concatenate(([0], np.cumsum(kept)))[rows.indptr],
        columns=rows.columns[kept],
        values=rows.values[:0],
        unit_values=rows.unit_values[kept],
    )
    starts = np.concatenate(([0], np.cumsum(np.bincount(heavy.columns, minlength=columns))))
    return _Pruned(rows, heavy, inverted_index(heavy, 0, starts), columns)


def _search(
    shared: _Pruned | Made[_Pruned], queries: np.ndarray, k: int, candidates: int, block_rows: int, n_jobs: int | None
) -> tuple[np.ndarray, np.ndarray]:
    blocks = [queries[first : first + block_rows] for first in range(0, len(queries), block_rows)]
    found = []
    with (
        workers(shared, n_jobs) as run,
        progress(doing="finding approximate neighbors", total=len(blocks)) as bar,
    ):
        for block in run(_nearest_of_block, ((block, k, candidates) for block in blocks)):
            found.append(block)
            bar.update()
    indices, distances = zip(*found, strict=True)
    return np.concatenate(indices), np.concatenate(distances)


def _nearest_of_block(pruned: _Pruned, queries: np.ndarray, k: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    from taproom.maps import _approximate_neighbor_kernels as kernels
    from taproom.maps._neighbor_kernels import CandidateLists, ScoreTolerance, rank

    members = kernels.candidates(queries, pruned.heavy, pruned.postings, k, candidates)
    no_scores, no_thresholds = np.empty((0, 0), np.float32), np.empty(0, np.float32)
    lists = CandidateLists(queries, members, no_scores, (members >= 0).sum(axis=1), no_thresholds)
    indices, distances = np.empty((len(queries), k), np.int32), np.empty((len(queries), k))
    every_member = ScoreTolerance(0.0, 0.0, np.float32(-np.inf))
    rank(lists, every_member, pruned.rows, len(pruned.rows.squared_norms), np.zeros(pruned.columns), indices, distances)
    return indices, distances


def _check(weights: sparse.csr_array, least_recall: float) -> None:
    if not 0 < least_recall <= 1:
        raise InputError(f"A recall of {least_recall} was asked for. Give a share above 0, at most 1.")
    if (weights.data < 0).any():
        raise InputError("Some weights are negative. Approximate neighbours need weights that are not: search exactly.")
