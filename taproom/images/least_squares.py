"""Multiclass least squares with a ridge penalty.

Here belong the weights for every penalty, and the linear classifier that these are. Where features come from is in
`taproom.images.image_features`.

    min_W,b  sum_i |W' x_i + b - y_i|^2 + lambda |W|^2

y_i is +1 for an image's class and -1 for the others. The intercept is not penalized, and features are scaled to about
the same spread first, so that the penalty treats them alike.

How: one Cholesky factor, in single precision, of the system of a penalty in the middle. For other penalties it
preconditions conjugate gradients: their systems differ little from it, so a few products with the matrix do what a
factor of their own would (Golub and Van Loan, Matrix Computations, 4th edition, section 11.5).

Source: the deck's slide "Mini case study", steps 6 and 7.
"""

from dataclasses import dataclass

import numpy as np

from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.images.cholesky import factorize
from taproom.images.conjugate_gradients import conjugate_gradients

TOLERANCE, MOST_STEPS = 1e-4, 200
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class LinearClassifier:
    """Scores of images: `weights` (D, C) float32 and `intercept` (C,) float32."""

    weights: np.ndarray
    intercept: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """(n, C) float32; the class of the highest is the answer."""
        return features @ self.weights + self.intercept


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """(n, classes) float32 of +1 for an image's class and -1 for the others."""
    return np.where(labels[:, None] == np.arange(classes), np.float32(1), np.float32(-1))


class Ridge:
    """Least squares at many penalties, from one factor: that of a penalty in the middle of them.

    Features are taken about their mean and divided by their spread, so that single precision loses nothing.
    """

    def __init__(
        self, features: np.ndarray, targets: np.ndarray, penalty: float, weights: np.ndarray | None = None
    ) -> None:
        """Factor the system of images at a penalty.

        Args:
            features: (n, D) float32.
            targets: (n, C).
            penalty: of the factor.
            weights: (n,), how often each image counts; once by default.

        Raises:
            InputError: the penalty is negative, there are no images, or the system is singular: with no penalty, that
                is so when features depend on each other or are more than there are images.
        """
        _check_penalty(penalty)
        if not len(features):
            raise InputError("least squares was given no image; at least one is wanted")
        counts = np.ones(len(features), np.float32) if weights is None else np.asarray(weights, np.float32)
        weighted = counts[:, None] * targets
        spread = features.std(axis=0, dtype=np.float64)
        # A constant feature holds no information; dividing by its rounding error would make it large.
        spread[spread < SMALLEST_SPREAD] = 1.0
        self._centre = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._spread = spread.astype(np.float32)
        rows = (features - self._centre) / self._spread
        self._weight = float(counts.sum(dtype=np.float64))
        sums = (counts @ rows).astype(np.float64)
        self._mean = (sums / self._weight).astype(np.float32)
        self._mean_target = weighted.sum(axis=0, dtype=np.float64) / self._weight
        self._wanted = (rows.T @ weighted - np.outer(sums, self._mean_target)).astype(np.float32)
        # Least squares of rows times the roots of their weights is weighted least squares.
        rows *= np.sqrt(counts)[:, None]
        with blas_threads():
            self._products = rows.T @ rows
        self._factor, self._penalty = self._factorized(penalty), penalty

    def _factorized(self, penalty: float) -> np.ndarray:
        """Cholesky's factor of the products about the mean of the features, with the penalty: its lower triangle."""
        from scipy.linalg import LinAlgError
        from scipy.linalg.blas import ssyr

        # Of a symmetric matrix the transposed one is the same, in the order of Fortran.
        factor = ssyr(-self._weight, self._mean, a=self._products.copy().T, lower=1, overwrite_a=1)
        factor.flat[:: len(factor) + 1] += np.float32(penalty)
        try:
            factorize(factor)
        except LinAlgError as error:
            raise _singular(penalty) from error
        pivots = np.diagonal(factor).astype(np.float64) ** 2
        if pivots.min() <= np.finfo(np.float32).eps * pivots.max():
            raise _singular(penalty)
        return factor

    def fit(self, penalty: float) -> LinearClassifier:
        """The classifier at a penalty.

        Raises:
            InputError: the penalty is negative, or so far from the factor's that conjugate gradients do not come to
                rest.
        """
        _check_penalty(penalty)
        with blas_threads():
            weights = self._descend(penalty)
        weights /= self._spread[:, None]
        intercept = self._mean_target - (self._centre + self._spread * self._mean) @ weights.astype(np.float64)
        return LinearClassifier(np.ascontiguousarray(weights), intercept.astype(np.float32))

    def _descend(self, penalty: float) -> np.ndarray:
        """The weights of scaled features: (D, C) float32."""
        from scipy.linalg import cho_solve
        from scipy.linalg.blas import ssymm

        def approximate(given: np.ndarray) -> np.ndarray:
            return cho_solve((self._factor, True), given, check_finite=False)

        def product(given: np.ndarray) -> np.ndarray:
            result = ssymm(1.0, self._products.T, given, lower=1)
            result -= np.float32(self._weight) * np.outer(self._mean, self._mean @ given)
            result += np.float32(penalty) * given
            return result

        start = np.asfortranarray(approximate(self._wanted))
        found = conjugate_gradients(product, approximate, self._wanted, start, TOLERANCE, MOST_STEPS)
        if found is None:
            raise InputError(
                f"the least squares system could not be solved at the penalty {penalty:g}: {MOST_STEPS} steps of "
                f"conjugate gradients did not come to rest. Wanted one nearer to {self._penalty:g}, that of the factor."
            )
        return found


def _check_penalty(penalty: float) -> None:
    if not penalty >= 0:
        raise InputError(f"the penalty lambda is {penalty}; wanted at least 0")


def _singular(penalty: float) -> InputError:
    return InputError(
        f"the least squares system is singular at the penalty lambda {penalty:g}: features depend on each other, or "
        "are more than there are images. Wanted a larger penalty, say 10."
    )
