"""Claim: exact neighbours are found faster than by sparse_dot_topn and scikit-learn's brute force."""

import numpy as np
from measure import compare
from scipy.sparse import csr_matrix
from sklearn.neighbors import NearestNeighbors
from sparse_dot_topn import sp_matmul_topn
from zipf import zipf_matrix

from taproom.neighbors import nearest

K = 100


def main() -> None:
    """Compare on 5,000 rows and 100,000 columns; then see that distances agree."""
    matrix = zipf_matrix(5_000, 100_000, 400)
    norms = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    unit = csr_matrix(matrix.multiply(1 / norms[:, None]))  # the peer knows no sparse arrays
    shape = f"{matrix.shape[0]:,} x {matrix.shape[1]:,}, {matrix.nnz / 1e6:.1f} M entries, k = {K}"
    ours = lambda: nearest(matrix, K, n_jobs=2)  # noqa: E731
    compare(shape, ours, lambda: sp_matmul_topn(unit, unit.T.tocsr(), K + 1, n_threads=2), "sparse_dot_topn")
    brute = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute", n_jobs=2).fit(matrix)
    compare(shape, ours, lambda: brute.kneighbors(matrix), "scikit-learn")
    theirs = np.sort(brute.kneighbors(matrix[:200])[0], axis=1)[:, 1:]
    print(f"largest difference of distances on 200 rows: {np.abs(theirs - nearest(matrix, K)[1][:200]).max():.1e}")


if __name__ == "__main__":
    main()
