"""Multiclass least squares with a ridge penalty, from sums over images: their features need not fit in memory.

Here belong the sums (the Gram matrix and what goes with it), the weights they lead to for every penalty, and the linear
classifier that these are. Where features come from is in `taproom.images.image_features`.

    min_W,b  sum_i |W' x_i + b - y_i|^2 + lambda |W|^2

y_i is +1 for an image's class and -1 for the others. The intercept is not penalized, and features are scaled to about
the same spread first, so that the penalty treats them alike.

How: one Cholesky factor, in single precision, of the system of a penalty in the middle. For all others (other
penalties, or some more images) it preconditions conjugate gradients: these differ little from it, so a few products
with the matrix do what a factor of their own would (Golub and Van Loan, Matrix Computations, 4th edition, section
11.5).

Source: the deck's slide "Mini case study", steps 6 and 7.
"""

from dataclasses import dataclass

import numpy as np

from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.images.conjugate_gradients import conjugate_gradients

TILE = 2048
# LAPACK's bits depend on its number of threads, so that is the same on every machine: two for systems that are large,
# since for others a second one waits more than it works.
THREADS, LARGE = 2, 4096
TOLERANCE, MOST_STEPS, FAR = 1e-4, 200, 100
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class LinearClassifier:
    """Scores of images: `weights` (D, C) float32 and `intercept` (C,) float32."""

    weights: np.ndarray
    intercept: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """(n, C) float32; the class of the highest is the answer."""
        return features @ self.weights + self.intercept


def tile_slices(size: int) -> list[slice]:
    """The parts that `size` features are cut into for tiles of a matrix.

    >>> tile_slices(3000)
    [slice(0, 2048, None), slice(2048, 3000, None)]
    """
    return [slice(start, min(start + TILE, size)) for start in range(0, size, TILE)]


def standardize(features: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> None:
    """Subtract the centre from features (n, D) float32 and divide them by the spread, in place."""
    features -= centre
    features /= spread


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """(n, classes) float32 of +1 for an image's class and -1 for the others."""
    return np.where(labels[:, None] == np.arange(classes), np.float32(1), np.float32(-1))


class Gram:
    """The sums that least squares needs: products of features, and of features and targets, over images.

    Features are taken less `centre` and divided by `spread` (D,), as of some first images: about standardized, so that
    single precision loses nothing. `products` (D, D) float32 holds the upper triangle, `with_targets` (D, C), `sums`
    (D,) and `target_sums` (C,) are float64, `weight` is how many images there are.
    """

    def __init__(self, centre: np.ndarray, spread: np.ndarray, classes: int) -> None:
        """Of no image yet."""
        self.centre = centre
        self.spread = spread
        self.products = np.zeros((len(centre), len(centre)), np.float32)
        self.with_targets = np.zeros((len(centre), classes))
        self.sums = np.zeros(len(centre))
        self.target_sums = np.zeros(classes)
        self.weight = 0.0

    @classmethod
    def like(cls, features: np.ndarray, classes: int) -> "Gram":
        """An empty one, with the centre and spread of `features` (n, D)."""
        spread = features.std(axis=0, dtype=np.float64)
        # A constant feature holds no information; dividing by its rounding error would make it large.
        spread[spread < SMALLEST_SPREAD] = 1.0
        return cls(features.mean(axis=0, dtype=np.float64).astype(np.float32), spread.astype(np.float32), classes)

    def add(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None = None,
        n_jobs: int | None = None,
    ) -> None:
        """Add a block of images: `features` (n, D) float32, which are standardized in place, and `targets` (n, C).

        `weights` (n,) are how often each image counts; once by default. The result does not depend on `n_jobs`,
        workers (threads) as joblib counts them.
        """
        from joblib import Parallel, delayed

        counts = np.ones(len(features), np.float32) if weights is None else np.asarray(weights, np.float32)
        self.weight += float(counts.sum(dtype=np.float64))
        self.target_sums += (counts[:, None] * targets).sum(axis=0, dtype=np.float64)
        parts = tile_slices(len(self.centre))
        with (
            blas_threads(),
            Parallel(n_jobs, prefer="threads", require="sharedmem") as parallel,
        ):
            parallel(delayed(self._add_part)(features, targets, counts, part) for part in parts)
            parallel(
                delayed(self._add_tile)(features, part, other)
                for place, part in enumerate(parts)
                for other in parts[place:]
            )

    def _add_part(self, features: np.ndarray, targets: np.ndarray, counts: np.ndarray, part: slice) -> None:
        """Standardize some features, add up what is linear in them, and multiply each row by the root of its weight.

        Least squares of rows times the roots of their weights is weighted least squares.
        """
        some = features[:, part]
        standardize(some, self.centre[part], self.spread[part])
        self.sums[part] += counts @ some
        self.with_targets[part] += some.T @ (counts[:, None] * targets)
        some *= np.sqrt(counts)[:, None]

    def _add_tile(self, features: np.ndarray, rows: slice, columns: slice) -> None:
        self.products[rows, columns] += features[:, rows].T @ features[:, columns]


class Ridge:
    """Least squares at many penalties, from one factor: that of `gram` and `penalty`, best in the middle of them all.

    A penalty that is far from it, by more than a factor of 100, has a factor of its own.

    Takes as much memory again as `gram.products`. Raises `InputError` where the penalty is negative, where there are no
    images, and where the system is singular: with no penalty, that is so when features depend on each other or are more
    than there are images.
    """

    def __init__(self, gram: Gram, penalty: float, n_jobs: int | None = None) -> None:
        """Factor the system; `n_jobs` are workers (threads) as joblib counts them, on which nothing depends."""
        self._n_jobs = n_jobs
        self._factorize(gram, penalty)

    def _factorize(self, gram: Gram, penalty: float) -> None:
        from scipy.linalg import LinAlgError

        _check_penalty(penalty)
        if not gram.weight:
            raise InputError("least squares was given no image; at least one is wanted")
        self._factor = None  # two may not fit in memory
        factor = _centred(gram)
        factor.flat[:: len(factor) + 1] += np.float32(penalty)
        try:
            factorize(factor, self._n_jobs)
        except LinAlgError as error:
            raise _singular(penalty) from error
        self._factor, self._penalty = (factor, True), penalty
        pivots = np.diagonal(factor).astype(np.float64) ** 2
        if pivots.min() <= np.finfo(np.float32).eps * pivots.max():
            raise _singular(penalty)

    def fit(self, gram: Gram, penalty: float, start: LinearClassifier | None = None) -> LinearClassifier:
        """The classifier at a penalty, of the factored sums or of similar ones (some more images).

        `start` is a classifier that it may be near to. Raises `InputError` where the penalty is negative, or the
        conjugate gradients do not come to rest.
        """
        _check_penalty(penalty)
        if not self._penalty / FAR <= penalty <= self._penalty * FAR:
            self._factorize(gram, penalty)
        mean = (gram.sums / gram.weight).astype(np.float32)
        wanted = (gram.with_targets - np.outer(gram.sums, gram.target_sums / gram.weight)).astype(np.float32)
        spread = gram.spread[:, None]
        with blas_threads(_threads(gram)):
            first = self._approximate(wanted) if start is None else start.weights * spread
            weights = self._descend(gram, penalty, mean, wanted, np.asfortranarray(first))
        weights /= spread
        intercept = gram.target_sums / gram.weight - (gram.centre + gram.spread * mean) @ weights.astype(np.float64)
        return LinearClassifier(np.ascontiguousarray(weights), intercept.astype(np.float32))

    def _approximate(self, wanted: np.ndarray) -> np.ndarray:
        from scipy.linalg import cho_solve

        return cho_solve(self._factor, wanted, check_finite=False)

    def _descend(
        self, gram: Gram, penalty: float, mean: np.ndarray, wanted: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        from scipy.linalg.blas import ssymm

        def product(given: np.ndarray) -> np.ndarray:
            result = ssymm(1.0, gram.products.T, given, lower=1)
            result -= np.float32(gram.weight) * np.outer(mean, mean @ given)
            result += np.float32(penalty) * given
            return result

        found = conjugate_gradients(product, self._approximate, wanted, weights, TOLERANCE, MOST_STEPS)
        if found is None:
            raise InputError(
                f"the least squares system could not be solved at the penalty {penalty:g}: {MOST_STEPS} steps of "
                "conjugate gradients did not come to rest. Wanted a larger penalty."
            )
        return found


def fit_least_squares(
    features: np.ndarray, targets: np.ndarray, penalty: float, weights: np.ndarray | None = None
) -> LinearClassifier:
    """Fit features (n, D) and targets (n, C) that lie in memory; `weights` (n,) weigh images, all alike by default.

    Raises `InputError` as `Ridge` does.
    """
    gram = Gram.like(features, targets.shape[1])
    gram.add(features.copy(), targets, weights)
    return Ridge(gram, penalty).fit(gram, penalty)


def factorize(matrix: np.ndarray, n_jobs: int | None = None) -> None:
    """Cholesky's factor L of a symmetric matrix L L' (n, n) float32, whose lower triangle it overwrites.

    Tile by tile, each on one thread, so that the bits do not depend on `n_jobs`; OpenBLAS's own (0.3.31) crashes on
    two threads from some 30,000 lines on. Golub and Van Loan 2013, section 4.2.6. Raises `scipy.linalg.LinAlgError`
    where the matrix is not positive definite.
    """
    from joblib import Parallel, delayed
    from scipy.linalg import cholesky, solve_triangular

    def divide(rows: slice, done: slice) -> None:
        factor, panel = matrix[done, done], matrix[rows, done]
        panel[:] = solve_triangular(factor, panel.T, lower=True, check_finite=False).T

    def subtract(rows: slice, columns: slice, done: slice) -> None:
        matrix[rows, columns] -= matrix[rows, done] @ matrix[columns, done].T

    parts = tile_slices(len(matrix))
    with (
        blas_threads(),
        Parallel(n_jobs, prefer="threads", require="sharedmem") as parallel,
    ):
        for place, done in enumerate(parts):
            matrix[done, done] = cholesky(matrix[done, done], lower=True, check_finite=False)
            left = parts[place + 1 :]
            parallel(delayed(divide)(rows, done) for rows in left)
            parallel(
                delayed(subtract)(rows, columns, done)
                for number, rows in enumerate(left)
                for columns in left[: number + 1]
            )


def _centred(gram: Gram) -> np.ndarray:
    """A copy of the products, about the mean of the features; Fortran order, lower triangle."""
    from scipy.linalg.blas import ssyr

    mean = (gram.sums / gram.weight).astype(np.float32)
    copy = np.array(gram.products).T
    return ssyr(-gram.weight, mean, a=copy, lower=1, overwrite_a=1)


def _threads(gram: Gram) -> int:
    return THREADS if len(gram.centre) >= LARGE else 1


def _check_penalty(penalty: float) -> None:
    if not penalty >= 0:
        raise InputError(f"the penalty lambda is {penalty}; wanted at least 0")


def _singular(penalty: float) -> InputError:
    return InputError(
        f"the least squares system is singular at the penalty lambda {penalty:g}: features depend on each other, or "
        "are more than there are images. Wanted a larger penalty, say 10."
    )
