"""Kernel regression on landmarks: a Gaussian kernel between all images and some of them, solved in single precision.

Here belong the kernel, the regression at one penalty after another, and the classifier that it leads to. Which images
are landmarks is in `taproom.images.image_classifier`, how width and penalty are chosen in
`taproom.images.classifier_choice`. Where all images are landmarks, `taproom.images.full_regression` takes the place of
the regression here. The deck's exact kernel regression of few, also with Huber's loss, is in
`taproom.images.kernel_regression`.

    min_a  sum_i |sum_j k(x_i, z_j) a_j - y_i|^2  +  lambda sum_jl k(z_j, z_l) a_j' a_l
    k(x, z) = exp(-|x - z|^2 / (2 width^2))

x_i are the features of images, y_i their targets, z_j the features of the landmarks, which are some of these images,
all on the scale of `taproom.images.landmarks`. With all images as landmarks it is the deck's kernel regression.

How: with the Cholesky factor L L' of the landmarks' own kernel and v = L' a, the system is (H + lambda I) v = L^-1 K'y
with H = L^-1 K'K L'^-1. Landmarks are a random sample, so H is about (n / m) L'L for n images and m landmarks, and the
Cholesky factor of (n / m) L'L + lambda I preconditions conjugate gradients. K'K itself, whose condition number is too
large for single precision, is never computed.

Source: the deck's slide "Mini case study"; Williams and Seeger, Using the Nystroem method to speed up kernel machines,
2001; Rudi, Carratino and Rosasco, FALKON: an optimal large scale kernel method, 2017, algorithm 1; Meanti and others,
Kernel methods through the roof, 2020, for single precision.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taproom.blas import blas_threads, on_threads
from taproom.errors import InputError
from taproom.images.cholesky import factorize, tile_slices
from taproom.images.conjugate_gradients import conjugate_gradients
from taproom.images.landmarks import Landmarks

# Rows of the kernel that a thread computes, or multiplies with, at a time. Bits depend on it.
BLOCK_ROWS = 512
# With 1e-4, which takes twice as many steps, one of 1,000 images of CIFAR-10 gets another class.
TOLERANCE, MOST_STEPS = 3e-3, 100


@dataclass(frozen=True)
class LandmarkKernel:
    """The Gaussian kernel between images and landmarks.

    Attributes:
        landmarks: the landmarks, and the scale on which images are compared with them.
        width: of the kernel, as a distance on this scale.
    """

    landmarks: Landmarks
    width: float

    @property
    def sharpness(self) -> np.float32:
        """1 / (2 width^2): what a squared distance is multiplied with."""
        return np.float32(0.5 / self.width**2)

    @cached_property
    def norms(self) -> np.ndarray:
        """(m,) float32: the squared norms of the landmarks, times the sharpness."""
        return self.sharpness * np.einsum("ij,ij->i", self.landmarks.scaled, self.landmarks.scaled)

    def of(self, features: np.ndarray, n_jobs: int | None = None, out: np.ndarray | None = None) -> np.ndarray:
        """The kernel of images with features (n, D) float32 and all landmarks: (n, m) float32, in `out` if given.

        It does not depend on `n_jobs`, threads as joblib counts workers.
        """
        rows = np.empty((len(features), len(self.landmarks)), np.float32) if out is None else out

        def compute(block: slice) -> None:
            self._fill(self.landmarks.on_scale(features[block]), slice(None), rows[block])

        on_threads(compute, _slices(len(features), BLOCK_ROWS), n_jobs)
        return rows

    def of_all(self, others: Iterable[np.ndarray], count: int, n_jobs: int | None = None) -> np.ndarray:
        """The same of images whose features come in blocks, and then of the landmarks: (count, m) float32.

        That of the landmarks is symmetric, so half of it is computed.
        """
        landmarks = len(self.landmarks)
        rows = np.empty((count, landmarks), np.float32)
        first = 0
        for block in others:
            self.of(block, n_jobs, out=rows[first : first + len(block)])
            first += len(block)
        own, scaled = rows[first:], self.landmarks.scaled

        def compute(block: slice) -> None:
            columns = slice(0, block.stop)
            self._fill(scaled[block], columns, own[block, columns])
            own[columns, block] = own[block, columns].T

        on_threads(compute, _slices(landmarks, BLOCK_ROWS), n_jobs)
        return rows

    def _fill(self, scaled: np.ndarray, columns: slice, rows: np.ndarray) -> None:
        """The kernel of images, given on the landmarks' scale, and some of the landmarks."""
        np.matmul(2 * self.sharpness * scaled, self.landmarks.scaled[columns].T, out=rows)
        rows -= self.sharpness * np.einsum("ij,ij->i", scaled, scaled)[:, None]
        rows -= self.norms[columns]
        # Rounding may leave the distance of an image to itself below 0.
        np.exp(np.minimum(rows, 0, out=rows), out=rows)


@dataclass(frozen=True)
class KernelClassifier:
    """Scores of images, and the probabilities that they stand for.

    Attributes:
        kernel: between images and landmarks.
        weights: (m, C) float32, by landmark.
        intercept: (C,) float32, the scores of an image far from all landmarks.
        temperature: what scores are divided by before the softmax.
    """

    kernel: LandmarkKernel
    weights: np.ndarray
    intercept: np.ndarray
    temperature: float = 1.0

    def scores(self, features: np.ndarray, n_jobs: int | None = None) -> np.ndarray:
        """(n, C) float32 of images with features (n, D); the class of the highest is the answer."""
        with blas_threads():
            return self.kernel.of(features, n_jobs) @ self.weights + self.intercept


class LandmarkRegression:
    """Least squares with the kernel of images and landmarks, at one penalty after another.

    Takes three times the memory of the landmarks' own kernel, (m, m) float32, beside the kernel that is given.

    Args:
        kernel: (n, m) float32, of all images and all landmarks; the last m rows are those of the landmarks.
        n_jobs: threads, as joblib counts workers; no weight depends on them.
    """

    def __init__(self, kernel: np.ndarray, n_jobs: int | None = None) -> None:
        """Factor the kernel of the landmarks."""
        self._kernel, self._n_jobs = kernel, n_jobs
        landmarks = kernel.shape[1]
        self._factor = np.array(kernel[-landmarks:], order="F")
        # Rounding may make the smallest eigenvalues negative, by about as much as is added here.
        self._factor.flat[:: landmarks + 1] = 1 + np.finfo(np.float32).eps * landmarks
        factorize(self._factor, n_jobs)
        self._products = self._products_of_columns()

    def fit(
        self, targets: np.ndarray, fitted: np.ndarray, penalty: float, start: np.ndarray | None = None
    ) -> np.ndarray:
        """The weights of the landmarks: (m, C) float32.

        Args:
            targets: (n, C) float32, of all images.
            fitted: (n,) bool, the images that count.
            penalty: lambda.
            start: (m, C) float32, weights that these may be near to.

        Raises:
            InputError: the penalty is not above 0, or so small that rounding hides it.
        """
        check_penalty(penalty)
        counts = fitted.astype(np.float32)[:, None]
        preconditioner = self._preconditioner(float(fitted.sum()), penalty)

        def product(given: np.ndarray) -> np.ndarray:
            weights = _solve(self._factor, given, transposed=True)
            sums = self._over_images(lambda kernel, rows: kernel @ weights * counts[rows])
            return _solve(self._factor, sums) + np.float32(penalty) * given

        def precondition(given: np.ndarray) -> np.ndarray:
            return _solve(preconditioner, _solve(preconditioner, given), transposed=True)

        wanted = _solve(self._factor, self._over_images(lambda _, rows: targets[rows] * counts[rows]))
        first = precondition(wanted) if start is None else _multiply(self._factor, start)
        found = conjugate_gradients(product, precondition, wanted, first, TOLERANCE, MOST_STEPS)
        if found is None:
            raise too_small(penalty)
        return _solve(self._factor, found, transposed=True)

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """The kernel of all images times weights (m, C): (n, C) float32."""
        scores = np.empty((len(self._kernel), weights.shape[1]), np.float32)
        on_threads(lambda rows: np.matmul(self._kernel[rows], weights, out=scores[rows]), self._blocks, self._n_jobs)
        return scores

    @cached_property
    def _blocks(self) -> list[slice]:
        return _slices(len(self._kernel), BLOCK_ROWS)

    def _over_images(self, values: Callable[[np.ndarray, slice], np.ndarray]) -> np.ndarray:
        """K'V (m, C) float32, where `values` computes the rows of V (n, C) of a block of K; blocks in their order."""

        def product(rows: slice) -> np.ndarray:
            kernel = self._kernel[rows]
            return values(kernel, rows).T @ kernel  # a third faster than kernel.T @ values

        products = on_threads(product, self._blocks, self._n_jobs)
        return np.asfortranarray(np.sum(products, axis=0, dtype=np.float64).T, np.float32)

    def _products_of_columns(self) -> np.ndarray:
        """L'L (m, m) float32 of the factor L; its lower triangle alone, in tiles."""
        factor = self._factor
        products = np.zeros_like(factor)
        parts = tile_slices(len(factor))

        def multiply(rows: slice, columns: slice) -> None:
            below = slice(rows.start, None)
            products[rows, columns] = factor[below, rows].T @ factor[below, columns]

        tiles = [(rows, columns) for place, rows in enumerate(parts) for columns in parts[: place + 1]]
        on_threads(lambda tile: multiply(*tile), tiles, self._n_jobs)
        return products

    def _preconditioner(self, count: float, penalty: float) -> np.ndarray:
        """The factor of (n / m) L'L + lambda I, where n is the `count` of images."""
        from scipy.linalg import LinAlgError

        factor = self._products * np.float32(count / len(self._products))
        factor.flat[:: len(factor) + 1] += np.float32(penalty)
        try:
            factorize(factor, self._n_jobs)
        except LinAlgError as error:
            raise too_small(penalty) from error
        return factor


def _solve(factor: np.ndarray, right: np.ndarray, transposed: bool = False) -> np.ndarray:
    """Solve L x = `right`, or L' x = `right`, for x (m, C) float32; the factor's lower triangle is L."""
    from scipy.linalg.blas import strsm

    with blas_threads():
        return strsm(1.0, factor, right, lower=1, trans_a=transposed)


def _multiply(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L'x of x = `right` (m, C) float32."""
    from scipy.linalg.blas import strmm

    with blas_threads():
        return strmm(1.0, factor, right, lower=1, trans_a=1)


def check_penalty(penalty: float) -> None:
    """Raise `InputError` for a penalty lambda that is not above 0."""
    if not penalty > 0:
        raise InputError(f"the penalty lambda is {penalty}; wanted a number above 0")


def too_small(penalty: float) -> InputError:
    """The error where a system cannot be solved in single precision."""
    return InputError(
        f"kernel regression could not be solved at the penalty lambda {penalty:g}, which rounding in single precision "
        "hides. Wanted a larger penalty."
    )


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
