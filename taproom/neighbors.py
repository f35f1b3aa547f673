"""The exact nearest neighbours of weighted items by cosine distance.

Here belongs the search over all rows of a sparse matrix. Where the weights come from is in `taproom.tfidf`; what is
made of the neighbours' ranks is in `taproom.ordinal`.

Source: slide "BeerMapper - Under the Hood" of the lecture deck (Jamieson, CSE546 2017):
d(z_i, z_j) = 1 - z_i'z_j / (|z_i| |z_j|), the 100 nearest of each item.

How: a fast score for every pair of a block of rows (frequent terms as a matrix product, the others through an inverted
index), then the exact distance of those few that the score's rounding error leaves in question. The error bound is that
of a sum of m products in any order, m times the unit roundoff (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1), so nothing that belongs among the nearest can be missed.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.progress import progress

# A term in more than this share of the rows is cheaper as a column of a matrix product than in the inverted index.
FREQUENT_SHARE = 0.2
MAX_DENSE_BYTES = 1 << 30
UNIT_ROUNDOFF = 2.0**-53


def nearest(
    weights: sparse.csr_array,
    k: int,
    *,
    queries: np.ndarray | None = None,
    block_rows: int = 512,
    n_jobs: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows nearest to each row by cosine distance, without the row itself; ties go to the smaller row number.

    The distance of rows x and y is 1 - x'y / sqrt(x'x * y'y), at least 0, each sum over ascending columns in float64:
    the bits of a plain loop, the same for (x, y) and (y, x), exactly 0 for equal rows. They depend neither on
    `block_rows` nor on the workers.

    Args:
        weights: (rows, columns) finite float64; every row needs a weight.
        k: how many neighbours, at least 1 and fewer than there are rows.
        queries: (m,) the rows whose neighbours are wanted; all by default.
        block_rows: rows in one piece of work; a worker needs 8 * block_rows * rows bytes.
        n_jobs: workers as joblib counts them. Threads, unless a `joblib.parallel_config` around the call says
            otherwise.

    Returns:
        indices: (m, k) int32, nearest first.
        distances: (m, k) float64, ascending in each row.

    Raises:
        InputError: rows without any weight, weights that are not finite, a k that is out of range, or a query that is
            no row.
    """
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    queries = np.arange(weights.shape[0]) if queries is None else np.asarray(queries)
    rows = _canonical_copy(weights)
    _check(rows, k, queries)
    prepared = _prepare(rows)
    blocks = [queries[first : first + block_rows] for first in range(0, len(queries), block_rows)]
    # The limit is the process's, not a thread's: it is set once around all threads, and again in each block for the
    # sake of backends whose workers are other processes.
    with threadpool_limits(limits=1, user_api="blas"):
        tasks = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
            delayed(_nearest_of_block)(prepared, block, k) for block in blocks
        )
        found = list(progress(tasks, doing="finding neighbors", total=len(blocks), unit="block"))
    if not found:
        return np.empty((0, k), np.int32), np.empty((0, k))
    indices, distances = zip(*found, strict=True)
    return np.concatenate(indices), np.concatenate(distances)


@dataclass(frozen=True)
class _Prepared:
    """The rows as they are compared: exactly scaled for the distances, of unit length for the scores."""

    scaled: sparse.csr_array
    squared_norms: np.ndarray
    frequent: np.ndarray
    rare: sparse.csr_array
    rare_postings: sparse.csc_array
    slack: float


def _canonical_copy(weights: sparse.csr_array) -> sparse.csr_array:
    """Ascending columns, none twice, no zeros; SciPy can only bring that about in place."""
    rows = sparse.csr_array(weights, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows


def _prepare(rows: sparse.csr_array) -> _Prepared:
    from taproom import _neighbor_kernels as kernels

    scaled = _scaled(rows)
    norms = kernels.squared_norms(scaled.indptr, scaled.data)
    unit = scaled.copy()
    unit.data /= np.repeat(np.sqrt(norms), np.diff(unit.indptr))
    is_frequent = _frequent_columns(unit)
    rare = unit[:, ~is_frequent]
    rare.sort_indices()
    most_terms = int(np.diff(scaled.indptr).max())
    # The score and the distance are each off by at most (2 m + 5) roundoffs: m for the product, m for the two norms.
    # That makes 4 m + 10 between them, and twice that between any two candidates.
    slack = 2 * (4 * most_terms + 10) * UNIT_ROUNDOFF * 1.01
    return _Prepared(scaled, norms, unit[:, is_frequent].toarray(), rare, rare.tocsc(), slack)


def _scaled(rows: sparse.csr_array) -> sparse.csr_array:
    """Each row times the power of two that brings its largest weight to between 1/2 and 1.

    That changes no cosine, not even by rounding, and keeps squares of very small or large weights from vanishing.
    """
    _, exponents = np.frexp(abs(rows).max(axis=1).toarray())
    data = np.ldexp(rows.data, -np.repeat(exponents, np.diff(rows.indptr)))
    return sparse.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)


def _frequent_columns(unit: sparse.csr_array) -> np.ndarray:
    """Mask of the columns for the matrix product: the most frequent ones, as far as memory allows."""
    rows, columns = unit.shape
    frequency = np.bincount(unit.indices, minlength=columns)
    most_frequent = np.argsort(-frequency, kind="stable")[: MAX_DENSE_BYTES // (8 * rows)]
    mask = np.zeros(columns, bool)
    mask[most_frequent] = frequency[most_frequent] > FREQUENT_SHARE * rows
    return mask


def _nearest_of_block(prepared: _Prepared, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    from threadpoolctl import threadpool_limits

    from taproom import _neighbor_kernels as kernels

    with threadpool_limits(limits=1, user_api="blas"):
        scores = prepared.frequent[rows] @ prepared.frequent.T
    rare, postings, scaled = prepared.rare, prepared.rare_postings, prepared.scaled
    kernels.add_rare_terms(
        scores, rows, rare.indptr, rare.indices, rare.data, postings.indptr, postings.indices, postings.data
    )
    indices, distances = np.empty((len(rows), k), np.int32), np.empty((len(rows), k))
    kernels.rank(
        scores,
        prepared.slack,
        rows,
        scaled.indptr,
        scaled.indices,
        scaled.data,
        prepared.squared_norms,
        np.zeros(scaled.shape[1]),
        indices,
        distances,
    )
    return indices, distances


def _check(weights: sparse.csr_array, k: int, queries: np.ndarray) -> None:
    rows = weights.shape[0]
    if not 1 <= k < rows:
        raise InputError(
            f"{k} neighbours of each item were asked for, but there are {rows} items, so an item has "
            f"{max(rows - 1, 0)} others. Set k to a number from 1 to that, or bring more items."
        )
    if not np.isfinite(weights.data).all():
        raise InputError(
            "Some weights are not finite numbers. Distances need finite weights: look for NaN or infinity."
        )
    empty = int((np.diff(weights.indptr) == 0).sum())
    if empty:
        raise InputError(
            f"{empty} of the {rows} rows have no weight at all and so no direction to compare. Drop these rows first."
        )
    if queries.ndim != 1 or not ((queries >= 0) & (queries < rows)).all():
        raise InputError(f"The queries must be a list of row numbers from 0 to {rows - 1}.")


def choose_k(items: int, wanted: int | None = None, most: int = 100) -> int:
    """How many neighbours to take of each of `items` items: `wanted`, by default min(100, items // 10), at least 1."""
    return max(1, min(most, items // 10)) if wanted is None else wanted


def brute_force_distances(weights: sparse.csr_array, rows: np.ndarray, k: int) -> np.ndarray:
    """The k smallest cosine distances of each of `rows` to all other rows, by one dense product: (rows, k) float64."""
    norms = np.sqrt(weights.multiply(weights).sum(axis=1))
    cosines = (weights[rows] @ weights.T).toarray() / np.outer(norms[rows], norms)
    cosines[np.arange(len(rows)), rows] = -np.inf
    return np.maximum(1 - np.sort(cosines, axis=1)[:, ::-1][:, :k], 0)
