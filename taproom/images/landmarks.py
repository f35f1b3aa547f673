"""Landmarks, and the scale on which the features of other images are compared with theirs.

Here belongs what a distance of images is. The kernel of these distances is in `taproom.images.landmark_regression`;
which images are landmarks, in `taproom.images.image_classifier`.

Features are taken about the mean landmark and divided by their spread. A few directions have most of the variance then:
brightness, contrast and large shapes, which tell little about classes, make up most of a distance. So the principal
components of landmarks whose variance is above the mean are shrunk towards it, to the root of their standard deviation.
Whitening them fully would let noise count as much as what is common to many images.

Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition, 2009, section 14.5, for
principal components; Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 53, 2011, for how
they are found. Shrinking them was found by trying (ADR 35).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from taproom.blas import blas_threads
from taproom.images.kernel_regression import median_distance
from taproom.images.least_squares import SMALLEST_SPREAD

# Principal components at most, and the landmarks that they are found from.
COMPONENTS, COMPONENTS_FROM = 256, 5_000
POWER_ITERATIONS = 3
# So many landmarks are put on the scale at a time.
BLOCK_ROWS = 512


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Landmarks, on the scale on which images are compared with them.

    Attributes:
        centre: (D,) float32, the mean landmark.
        scale: (D,) float32, 1 over the spread of each feature; 1 for a constant one, which tells nothing apart.
        directions: (D, r) float32, orthonormal, the principal components that are shrunk.
        removed: (r,) float32, the share of each that is removed, in [0, 1).
        scaled: (m, D) float32, the landmarks on this scale.
    """

    centre: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    removed: np.ndarray
    scaled: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, overwrite: bool = False) -> "Landmarks":
        """From the features (m, D) float32 of the landmarks, which it puts on the scale in place if `overwrite`."""
        centre = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, len(features), BLOCK_ROWS)]
        # In blocks, since NumPy's own standard deviation takes memory for all features in double precision.
        squares = [np.square(features[block] - centre).sum(axis=0, dtype=np.float64) for block in blocks]
        spread = np.sqrt(np.sum(squares, axis=0) / len(features))
        scale = np.where(spread < SMALLEST_SPREAD, 1.0, 1 / np.maximum(spread, SMALLEST_SPREAD)).astype(np.float32)
        with blas_threads():
            directions, removed = _leading_components(
                (features[:: -(-len(features) // COMPONENTS_FROM)] - centre) * scale
            )
            scaled = features if overwrite else np.empty(features.shape, np.float32)
            found = cls(centre, scale, directions, removed, scaled)
            for block in blocks:
                found.scaled[block] = found.on_scale(features[block])
        return found

    def __len__(self) -> int:
        """How many there are."""
        return len(self.scaled)

    def on_scale(self, features: np.ndarray) -> np.ndarray:
        """Features (n, D) float32 of images on this scale: (n, D) float32."""
        scaled = (features - self.centre) * self.scale
        scaled -= (scaled @ self.directions * self.removed) @ self.directions.T
        return scaled

    @cached_property
    def typical_distance(self) -> float:
        """The median distance of two landmarks: the unit of a kernel's width."""
        return median_distance(self.scaled)


def _leading_components(standard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (D, r) float32 with a variance above the mean, and the share of each that is to be removed, (r,).

    `standard` (n, D) float32 are features of unit spread, about their means.
    """
    from sklearn.utils.extmath import randomized_svd

    count = min(COMPONENTS, *standard.shape)
    _, singular, directions = randomized_svd(standard, count, n_iter=POWER_ITERATIONS, random_state=0)
    variances = singular.astype(np.float64) ** 2
    total = np.einsum("ij,ij->", standard, standard, dtype=np.float64)
    # Where the last one is above the mean, there are more: none is shrunk below it, so there is no step.
    # A constant feature has no part in the mean, so that it makes no difference.
    level = max(total / max(1, np.count_nonzero(standard.any(axis=0))), variances[-1])
    above = variances > level
    removed = 1 - (level / variances[above]) ** 0.25
    return np.ascontiguousarray(directions[above].T), removed.astype(np.float32)
