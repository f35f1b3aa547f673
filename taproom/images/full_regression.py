"""Kernel regression with all images as landmarks, in single precision and in the memory of one kernel.

Here belongs the deck's regression of so many images that their kernel fills the memory. That on some of the images is
in `taproom.images.landmark_regression`, the exact one of few, also with Huber's loss, in
`taproom.images.kernel_regression`.

    min_a  sum_i |sum_j k(x_i, x_j) a_j - y_i|^2  +  lambda sum_ij k(x_i, x_j) a_i' a_j,   so  (K + lambda I) a = y

How: Cholesky's factor of K + lambda I, at the first penalty that is asked for, takes the place of the kernel's lower
triangle; the upper one still has the kernel. The factor of the first images is a part of that of all, so one serves
both. For other penalties it preconditions conjugate gradients.

Source: the deck's slide "Mini case study"; Golub and Van Loan, Matrix Computations, 4th edition, 2013, sections 4.2.6
and 11.5.
"""

import numpy as np

from taproom.blas import on_threads
from taproom.errors import InputError
from taproom.images.cholesky import factorize, solve_lower, tile_slices
from taproom.images.conjugate_gradients import conjugate_gradients
from taproom.images.landmark_regression import MOST_STEPS, check_penalty, too_small

# Smaller than with landmarks: the factor leaves few steps, so a larger one would gain nothing.
TOLERANCE = 1e-3


class FullRegression:
    """Least squares with the kernel of all images, at one penalty after another.

    Args:
        kernel: (n, n) float32, symmetric; its lower triangle is overwritten.
        n_jobs: threads, as joblib counts workers; no weight depends on them.
    """

    def __init__(self, kernel: np.ndarray, n_jobs: int | None = None) -> None:
        """Keep what the factor will overwrite; nothing is solved yet."""
        self._matrix, self._n_jobs = kernel, n_jobs
        self._parts = tile_slices(len(kernel))
        self._on_diagonal = [kernel[part, part].copy() for part in self._parts]
        self._penalty: float | None = None

    def fit(
        self, targets: np.ndarray, fitted: np.ndarray, penalty: float, start: np.ndarray | None = None
    ) -> np.ndarray:
        """The weights of the images: (n, C) float32, 0 for those that do not count.

        Args:
            targets: (n, C) float32, of all images.
            fitted: (n,) bool, the images that count, which come before all others.
            penalty: lambda.
            start: (n, C) float32, weights that these may be near to.

        Raises:
            InputError: the penalty is not above 0, or so small that rounding hides it, or an image that does not count
                comes before one that does.
        """
        check_penalty(penalty)
        count = int(np.sum(fitted))
        if not fitted[:count].all():
            raise InputError("an image that does not count comes before one that does; wanted those that count first")
        if self._penalty is None:
            self._factorize(penalty)
        wanted = np.ascontiguousarray(targets[:count])
        weights = np.zeros_like(targets)
        weights[:count] = (
            self._approximate(wanted) if penalty == self._penalty else self._descend(wanted, penalty, start)
        )
        return weights

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """The kernel of all images and the first k times weights (k, C), k at most n: (n, C) float32."""
        scores = np.empty((len(self._matrix), weights.shape[1]), np.float32)

        def multiply(place: int) -> None:
            part, own = self._parts[place], self._on_diagonal[place]
            before, here, after = weights[: part.start], weights[part], weights[part.stop :]
            scores[part] = own[:, : len(here)] @ here
            # The kernel is in the upper triangle.
            scores[part] += self._matrix[: len(before), part].T @ before
            scores[part] += self._matrix[part, part.stop : part.stop + len(after)] @ after

        on_threads(multiply, range(len(self._parts)), self._n_jobs)
        return scores

    def _factorize(self, penalty: float) -> None:
        from scipy.linalg import LinAlgError

        self._matrix.flat[:: len(self._matrix) + 1] += np.float32(penalty)
        try:
            factorize(self._matrix, self._n_jobs)
        except LinAlgError as error:
            raise too_small(penalty) from error
        self._penalty = penalty

    def _approximate(self, right: np.ndarray) -> np.ndarray:
        """Solve (K + lambda I) x = `right` (k, C) for the first k images, at the factor's lambda."""
        half = solve_lower(self._matrix, right, n_jobs=self._n_jobs)
        return solve_lower(self._matrix, half, transposed=True, n_jobs=self._n_jobs)

    def _descend(self, wanted: np.ndarray, penalty: float, start: np.ndarray | None) -> np.ndarray:
        """The same at another lambda."""

        def product(given: np.ndarray) -> np.ndarray:
            return self.scores(given)[: len(given)] + np.float32(penalty) * given

        first = self._approximate(wanted) if start is None else np.array(start[: len(wanted)])
        found = conjugate_gradients(product, self._approximate, wanted, first, TOLERANCE, MOST_STEPS)
        if found is None:
            raise too_small(penalty)
        return found
