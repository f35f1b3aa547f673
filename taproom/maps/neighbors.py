"""The exact nearest neighbours of weighted items by cosine distance.

Here belongs the search over all rows of a sparse matrix. Where the weights come from is in `taproom.words.tfidf`; what
is made of the neighbours' ranks is in `taproom.maps.ordinal`.

Source: slide "BeerMapper - Under the Hood" of the lecture deck (Jamieson, CSE546 2017):
d(z_i, z_j) = 1 - z_i'z_j / (|z_i| |z_j|), the 100 nearest of each item.

How: a fast score for every pair, then the exact distance of those few that the score's rounding error leaves open.
The score is in single precision: frequent terms as a matrix product, the others through an inverted index. It is
symmetric, so a block of rows is compared with the rows up to its own last one, and each pair offered to both. The error
bound is that of a sum of m products in any order, m times the unit roundoff (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1), so nothing that belongs among the nearest can be missed.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from taproom.blas import blas_threads
from taproom.compute import Made, goes_to_cluster, made_here, workers
from taproom.errors import InputError
from taproom.progress import progress

if TYPE_CHECKING:
    from taproom.maps._neighbor_kernels import CandidateLists, Postings, Rows, ScoreTolerance

# A term in more than this share of the rows is cheaper as a column of a matrix product than in the inverted index.
FREQUENT_SHARE = 0.1
MAX_DENSE_BYTES = 1 << 30
# As fast as larger blocks on one machine, and small enough for many workers (`benchmarks/simulate_cluster.py`).
BLOCK_ROWS = 128
# Unit roundoffs of single and double precision.
SINGLE_ROUNDOFF, DOUBLE_ROUNDOFF = 2.0**-24, 2.0**-53
PARALLEL, ORTHOGONAL = 1e-12, 1 - 1e-12


def nearest(
    weights: sparse.csr_array | Made[sparse.csr_array],
    k: int,
    *,
    queries: np.ndarray | None = None,
    block_rows: int = BLOCK_ROWS,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows nearest to each row by cosine distance, without the row itself; ties go to the smaller row number.

    The distance of rows x and y is 1 - x'y / sqrt(x'x * y'y), at least 0, each sum over ascending columns in float64:
    the bits of a plain loop, the same for (x, y) and (y, x), exactly 0 for equal rows. They depend neither on
    `block_rows` nor on the workers.

    >>> indices, distances = nearest(sparse.csr_array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]), 1)
    >>> indices.ravel(), distances.ravel().round(3)
    (array([1, 0, 1], dtype=int32), array([0.293, 0.293, 0.293]))

    Args:
        weights: (rows, columns) finite float64; every row needs a weight. A `Made` matrix is searched on a cluster
            where there is one.
        k: how many neighbours, at least 1 and fewer than there are rows.
        queries: (m,) the rows whose neighbours are wanted; all by default.
        block_rows: rows in one piece of work; a worker needs 4 * block_rows * rows bytes.
        n_jobs: threads, as joblib counts workers.

    Returns:
        indices: (m, k) int32, nearest first.
        distances: (m, k) float64, ascending in each row.

    Raises:
        InputError: rows without any weight, weights that are not finite, a k that is out of range, or a query that is
            no row.
    """
    here = canonical(made_here(weights))
    items = here.shape[0]
    wanted = np.arange(items) if queries is None else np.asarray(queries)
    check_search(here, k, wanted)
    shared = Made(_prepared_of, (weights.make, weights.given)) if goes_to_cluster(weights) else _prepare(here)
    return _nearest(here, shared, k, wanted, items, queries is None, block_rows, n_jobs)


def nearest_of_new(
    weights: sparse.csr_array,
    new: sparse.csr_array,
    k: int,
    *,
    block_rows: int = BLOCK_ROWS,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of `weights` nearest to each row of `new`; the distances and the order of ties are those of `nearest`.

    A new row that is equal to a row of `weights` has that row at distance 0.

    >>> nearest_of_new(sparse.csr_array([[1.0, 0.0], [0.0, 2.0]]), sparse.csr_array([[3.0, 0.0]]), 2)
    (array([[0, 1]], dtype=int32), array([[0., 1.]]))

    Args:
        weights: (rows, columns) finite float64; every row needs a weight.
        new: (m, columns) finite float64; every row needs a weight.
        k: how many neighbours, from 1 to the number of rows.
        block_rows: as in `nearest`.
        n_jobs: as in `nearest`.

    Returns:
        indices: (m, k) int32, nearest first.
        distances: (m, k) float64, ascending in each row.

    Raises:
        InputError: as `nearest` does, or other columns in `new`.
    """
    among = weights.shape[0]
    if weights.shape[1] != new.shape[1]:
        raise InputError(f"The new rows have {new.shape[1]} columns, the others {weights.shape[1]}. Give the same.")
    if not 1 <= k <= among:
        raise InputError(f"{k} neighbours were asked for among {among} rows. Set k to a number from 1 to that.")
    rows = canonical(sparse.vstack([weights, new], format="csr"))
    _check_weights(rows)
    return _nearest(rows, _prepare(rows), k, np.arange(among, rows.shape[0]), among, False, block_rows, n_jobs)


def _nearest(
    weights: sparse.csr_array,
    shared: "_Prepared | Made[_Prepared]",
    k: int,
    wanted: np.ndarray,
    among: int,
    mirrored: bool,
    block_rows: int,
    n_jobs: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of the `wanted` rows among the first so many; if `mirrored`, these are all rows."""
    from taproom.maps import _neighbor_kernels as kernels

    if not len(wanted):
        return np.empty((0, k), np.int32), np.empty((0, k))

    @cache
    def rows() -> "Rows":
        # On a cluster they are made for the workers alone, unless ties need them here, too.
        return unit_rows(weights) if isinstance(shared, Made) else shared.rows

    tolerance = _score_tolerance(weights)
    lists = _empty_lists(wanted, k, tolerance)
    query_values = np.zeros(weights.shape[1])
    starts = range(0, len(wanted), block_rows)
    # The limit is the process's, not a thread's: it is set once around all threads, and again in each block for the
    # sake of workers that are other processes.
    with (
        blas_threads(),
        workers(shared, n_jobs) as run,
        progress(doing="finding neighbors", total=2 * len(starts)) as bar,
    ):
        targets = (np.arange(first, min(first + block_rows, len(wanted)), dtype=np.int32) for first in starts)
        blocks = (
            (wanted[block], block, k, among, lists.thresholds[: block[0] if mirrored else 0], mirrored)
            for block in targets
        )
        for whose, which, scores in run(_candidates, blocks):
            entered = 0
            while (entered := kernels.enter(lists, whose, which, scores, entered, k, tolerance)) < len(whose):
                kernels.cut_by_distance(lists, whose[entered], k, rows(), query_values)
            bar.update()
        kernels.cut(lists, k, tolerance)
        parts = (_part(lists, slice(first, first + block_rows)) for first in starts)
        ranked = []
        for block in run(_ranked, ((part, k, among) for part in parts)):
            ranked.append(block)
            bar.update()
    indices, distances = zip(*ranked, strict=True)
    return np.concatenate(indices), np.concatenate(distances)


class _Prepared(NamedTuple):
    """The rows as they are compared: scaled for the distances, of unit length for the scores."""

    rows: "Rows"
    columns: int
    frequent: np.ndarray
    postings: "Postings"
    tolerance: "ScoreTolerance"


def canonical(weights: sparse.csr_array) -> sparse.csr_array:
    """The matrix in float64, with ascending columns, none twice, and no zeros; the same one if it has that form."""
    rows = sparse.csr_array(weights, dtype=np.float64)
    if rows.has_canonical_format and rows.data.all():
        return rows
    rows = rows.copy()  # SciPy works in place
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows


def _prepared_of(make: Callable[..., sparse.csr_array], given: tuple) -> _Prepared:
    """On a worker: the prepared rows of a matrix that it makes."""
    return _prepare(canonical(make(*given)))


def _prepare(weights: sparse.csr_array) -> _Prepared:
    from taproom.maps import _neighbor_kernels as kernels

    items, columns = weights.shape
    rows = unit_rows(weights)
    frequency = np.bincount(rows.columns, minlength=columns)
    frequent = min(int((frequency > FREQUENT_SHARE * items).sum()), MAX_DENSE_BYTES // (4 * items))
    starts = np.concatenate(([0], np.cumsum(frequency[frequent:])))
    return _Prepared(
        rows,
        columns,
        kernels.dense_columns(rows, frequent),
        kernels.inverted_index(rows, frequent, starts),
        _score_tolerance(weights),
    )


def unit_rows(weights: sparse.csr_array) -> "Rows":
    """The rows of a canonical matrix, and the same at unit length, their columns numbered by falling frequency.

    Values that meet often then lie close together. The entries of a row stay in the order of the original columns.
    """
    from taproom.maps import _neighbor_kernels as kernels

    columns = weights.shape[1]
    place = np.empty(columns, np.int32)
    place[np.argsort(-np.bincount(weights.indices, minlength=columns), kind="stable")] = np.arange(columns)
    return kernels.unit_rows(weights.indptr.astype(np.int64), place[weights.indices], weights.data.copy())


def _score_tolerance(weights: sparse.csr_array) -> "ScoreTolerance":
    """How far scores of canonical weights can be off.

    A score and a distance are each off by at most m + 8 roundoffs of the sum of the products' sizes: m for the sum,
    the others for the norms, the scaling and the threshold itself. That sum is the score where all weights are
    positive, and else at most 1. Two candidates can be off in opposite directions. What single precision cannot hold is
    far below the roundoff of a distance near 1.
    """
    from taproom.maps._neighbor_kernels import ScoreTolerance

    most_terms = int(np.diff(weights.indptr).max())
    off = 2.02 * (most_terms + 8) * (SINGLE_ROUNDOFF + 4 * DOUBLE_ROUNDOFF)
    nothing_shared = 8 * DOUBLE_ROUNDOFF
    if (weights.data > 0).all():
        return ScoreTolerance(off, nothing_shared, np.finfo(np.float32).tiny)
    return ScoreTolerance(0.0, off + nothing_shared, np.float32(-np.inf))


def _empty_lists(wanted: np.ndarray, k: int, tolerance: "ScoreTolerance") -> "CandidateLists":
    """Room for some times k candidates a row, so that cutting them is rare."""
    from taproom.maps._neighbor_kernels import CandidateLists

    room = len(wanted), max(4 * k, 64)
    return CandidateLists(
        wanted.astype(np.int64),
        np.empty(room, np.int32),
        np.empty(room, np.float32),
        np.zeros(len(wanted), np.int64),
        np.full(len(wanted), tolerance.least, np.float32),
    )


def _part(lists: "CandidateLists", part: slice) -> "CandidateLists":
    """Some of the lists, in as little memory as they need."""
    longest = int(lists.lengths[part].max())
    return lists._replace(
        wanted=lists.wanted[part],
        members=lists.members[part, :longest].copy(),
        scores=lists.scores[part, :longest].copy(),
        lengths=lists.lengths[part],
        thresholds=lists.thresholds[part],
    )


def _candidates(
    prepared: _Prepared,
    queries: np.ndarray,
    targets: np.ndarray,
    k: int,
    among: int,
    thresholds: np.ndarray,
    mirrored: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whose list which row is a candidate for, and its score: for a block of queries against the first rows.

    If `mirrored`, the queries are successive rows, compared with those up to the last of them and offered to these.
    """
    from taproom.maps import _neighbor_kernels as kernels

    limit = queries[-1] + 1 if mirrored else among
    with blas_threads():
        scores = prepared.frequent[queries] @ prepared.frequent[:limit].T
    kernels.add_rare_terms(scores, queries, prepared.rows, prepared.postings)
    return kernels.candidates(scores, queries, targets, k, prepared.tolerance, thresholds, mirrored)


def _ranked(prepared: _Prepared, lists: "CandidateLists", k: int, among: int) -> tuple[np.ndarray, np.ndarray]:
    from taproom.maps import _neighbor_kernels as kernels

    indices, distances = np.empty((len(lists.wanted), k), np.int32), np.empty((len(lists.wanted), k))
    kernels.rank(lists, prepared.tolerance, prepared.rows, among, np.zeros(prepared.columns), indices, distances)
    return indices, distances


def check_search(weights: sparse.csr_array, k: int, queries: np.ndarray) -> None:
    """Raise `InputError` where k neighbours of these rows cannot be found, as `nearest` says."""
    rows = weights.shape[0]
    if not 1 <= k < rows:
        raise InputError(
            f"{k} neighbours of each item were asked for, but there are {rows} items, so an item has "
            f"{max(rows - 1, 0)} others. Set k to a number from 1 to that, or bring more items."
        )
    _check_weights(weights)
    if queries.ndim != 1 or not ((queries >= 0) & (queries < rows)).all():
        raise InputError(f"The queries must be a list of row numbers from 0 to {rows - 1}.")


def _check_weights(weights: sparse.csr_array) -> None:
    if not np.isfinite(weights.data).all():
        raise InputError(
            "Some weights are not finite numbers. Distances need finite weights: look for NaN or infinity."
        )
    empty = int((np.diff(weights.indptr) == 0).sum())
    if empty:
        raise InputError(
            f"{empty} of the {weights.shape[0]} rows have no weight at all and so no direction to compare. Drop these "
            "rows first."
        )


def choose_k(items: int, wanted: int | None = None, most: int = 100) -> int:
    """How many neighbours to take of each of `items` items: `wanted`, by default min(100, items // 10), at least 1."""
    return max(1, min(most, items // 10)) if wanted is None else wanted


def are_parallel(distances: np.ndarray) -> np.ndarray:
    """Which cosine distances are 0 within rounding, as of identical items; bool of the same shape."""
    return distances <= PARALLEL


def are_orthogonal(distances: np.ndarray) -> np.ndarray:
    """Which cosine distances are 1 within rounding, as of items without a word in common; bool of the same shape.

    >>> are_orthogonal(np.array([0.3, 1.0]))
    array([False,  True])
    """
    return distances >= ORTHOGONAL


def brute_force_distances(weights: sparse.csr_array, rows: np.ndarray) -> np.ndarray:
    """The cosine distances of some rows to all others, by one dense product: (rows, n) float64, infinite to itself."""
    norms = np.sqrt(weights.multiply(weights).sum(axis=1))
    cosines = (weights[rows] @ weights.T).toarray() / np.outer(norms[rows], norms)
    cosines[np.arange(len(rows)), rows] = -np.inf
    return np.maximum(1 - cosines, 0)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of distances found that are among the k smallest.

    >>> recall(np.array([[0.1, 0.4]]), np.array([[0.1, 0.3]]))
    0.5

    Args:
        found: (m, k) distances of rows to the neighbours that were found.
        exact: (m, k) distances of these rows to their k nearest neighbours, ascending, with the same bits.
    """
    return float((found <= exact[:, -1:]).mean())
