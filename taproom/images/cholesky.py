"""Cholesky's factor of a matrix that may fill the memory, in single precision, and the systems that it solves.

Tile by tile, each on one thread, so that bits do not depend on the number of threads. OpenBLAS's own factorization
(0.3.31) crashes on two threads from some 30,000 lines on. Its solution of triangular systems is faster, but takes no
part of a factor.

Source: Golub and Van Loan, Matrix Computations, 4th edition, 2013, sections 3.1 and 4.2.6.
"""

import numpy as np

from taproom.blas import on_threads

TILE = 2048


def tile_slices(size: int) -> list[slice]:
    """The parts that `size` rows or columns are cut into for tiles of a matrix.

    >>> tile_slices(3000)
    [slice(0, 2048, None), slice(2048, 3000, None)]
    """
    return [slice(start, min(start + TILE, size)) for start in range(0, size, TILE)]


def factorize(matrix: np.ndarray, n_jobs: int | None = None) -> None:
    """Cholesky's factor L of a symmetric matrix L L' (n, n) float32.

    It takes the place of the tiles of the lower triangle, those on the diagonal too; the others are neither read nor
    changed. `n_jobs` are threads, as joblib counts workers. Raises `scipy.linalg.LinAlgError` where the matrix is not
    positive definite.
    """
    from scipy.linalg import cholesky, solve_triangular

    parts = tile_slices(len(matrix))
    for place, done in enumerate(parts):
        factor = matrix[done, done] = cholesky(matrix[done, done], lower=True, check_finite=False)

        def divide(rows: slice, done: slice = done, factor: np.ndarray = factor) -> None:
            matrix[rows, done] = solve_triangular(factor, matrix[rows, done].T, lower=True, check_finite=False).T

        def subtract(tile: tuple[slice, slice], done: slice = done) -> None:
            rows, columns = tile
            matrix[tile] -= matrix[rows, done] @ matrix[columns, done].T

        left = parts[place + 1 :]
        on_threads(divide, left, n_jobs)
        on_threads(subtract, [(rows, columns) for n, rows in enumerate(left) for columns in left[: n + 1]], n_jobs)


def solve_lower(
    factor: np.ndarray, right: np.ndarray, transposed: bool = False, n_jobs: int | None = None
) -> np.ndarray:
    """Solve L x = `right`, or L' x = `right`, for x (k, C) float32.

    L is the factor of the first k lines of the matrix that `factorize` was given: the leading part of the lower
    triangle of `factor` (n, n), n at least k. Nothing depends on `n_jobs`, threads as joblib counts workers.
    """
    from scipy.linalg import solve_triangular

    solution = np.array(right)
    parts = tile_slices(len(right))
    if transposed:
        parts.reverse()
    for place, done in enumerate(parts):
        solution[done] = solve_triangular(
            factor[done, done], solution[done], trans=int(transposed), lower=True, check_finite=False
        )

        def subtract(rows: slice, done: slice = done) -> None:
            tile = factor[done, rows].T if transposed else factor[rows, done]
            solution[rows] -= tile @ solution[done]

        on_threads(subtract, parts[place + 1 :], n_jobs)
    return solution
