"""Claim: exact neighbours are found at least three times as fast as by sparse_dot_topn, at the deck's scale.

    python benchmarks/bench_neighbors.py [ITEMS]

Peers, all with two threads: sparse_dot_topn, which keeps the largest values of a sparse product; scikit-learn's brute
force (on a fifth of the items, because it is slow). Also measured: the gain from comparing each pair only once, and the
difference of a sample of distances from a dense product in float64. With more than 20,000 items only ours is timed.
"""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from measure import compare
from scipy.sparse import csr_matrix
from sklearn.neighbors import NearestNeighbors
from sparse_dot_topn import sp_matmul_topn
from zipf import zipf_matrix

from taproom.maps.neighbors import brute_force_distances, nearest

K = 100
WORDS, WORDS_PER_ITEM = 400_000, 1_540
CHECKED = 500


def main(items: int = 20_000) -> None:
    """Time ours, check it, and time the peers."""
    matrix = zipf_matrix(items, WORDS, WORDS_PER_ITEM)
    shape = f"{items:,} x {WORDS:,}, {matrix.nnz / 1e6:.0f} M entries, k = {K}"
    ours = lambda: nearest(matrix, K, n_jobs=2)  # noqa: E731
    nearest(matrix[: K + 1], K)  # compiles
    before = peak()
    (_, distances), seconds = timed(ours)
    print(f"{shape}: {seconds:.1f} s, peak memory {peak():.1f} GB, of which the matrix and Python {before:.1f} GB")
    rows = np.linspace(0, items - 1, CHECKED).astype(int)
    parts = [np.sort(brute_force_distances(matrix, part), axis=1)[:, :K] for part in np.array_split(rows, 10)]
    wanted = np.concatenate(parts)
    print(f"largest difference of distances on {CHECKED} rows: {np.abs(wanted - distances[rows]).max():.1e}")
    if items > 20_000:
        return
    _, both = timed(lambda: nearest(matrix, K, queries=np.arange(items), n_jobs=2))
    print(f"with each pair compared from both sides: {both:.1f} s, {both / seconds:.2f} times as long")
    norms = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    unit = csr_matrix(matrix.multiply(1 / norms[:, None]))  # the peer knows no sparse arrays
    across = unit.T.tocsr()
    theirs = lambda: sp_matmul_topn(unit, across, K + 1, n_threads=2)  # noqa: E731
    compare(shape, ours, theirs, "sparse_dot_topn", runs=1, warm_up=False)
    part = matrix[: items // 5]
    brute = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute", n_jobs=2).fit(part)
    fifth = f"{part.shape[0]:,} of the items"
    compare(fifth, lambda: nearest(part, K, n_jobs=2), lambda: brute.kneighbors(part), "scikit-learn", warm_up=False)


def timed(work: Callable[[], object]) -> tuple:
    """The result of `work`, and its seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def peak() -> float:
    """Peak memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
