"""Features of images: every patch against every filter, an offset, a non-linearity, and means over windows.

Here belongs what turns images into rows of features, and how that is learned from images. Its parts are in
`taproom.images.patches` and `taproom.images.filters`; what is made of the features is in
`taproom.images.landmark_regression`.

Source: the deck's slides "Full feature pipeline" and "Mini case study", steps 1 to 5; Coates, Lee and Ng 2011 (the
triangle, pooling); Coates and Ng, The importance of encoding versus training with sparse coding and vector
quantization, 2011 (both signs of a response with an offset); Perronnin, Sanchez and Mensink, Improving the Fisher
kernel for large-scale image classification, 2010, section 3.2 (the root of what was summed).

How: the standardized patches of an image times the filters in the space of patches, whitening included, is one matrix
product; each chunk of it is pooled before the next is computed. Windows overlap by half, and are sums of cells, so each
response is added once. An image and its mirror image have the same features, the mean of both: what least squares would
otherwise have to learn from a second copy of all images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from taproom.blas import blas_threads, on_threads
from taproom.errors import InputError
from taproom.images.filters import Filters, learn_filters
from taproom.images.patches import (
    Patches,
    Whitening,
    check_contrast,
    check_images,
    fit_whitening,
    mirrored_order,
    random_patches,
    standardized,
    steps,
)
from taproom.images.stored_pixels import Pixels

ENCODINGS = ("relu", "two signs", "triangle")

# The parameters that a preset fixes; the others are tuned.
BUDGETS: dict[str, dict[str, Any]] = {
    "small": {"filters": 64, "patches": 50_000, "pools": 3},
    "coates": {"filters": 1600, "patches": 400_000, "pools": 2, "mirrored": False},
    "large": {"filters": 2048, "patches": 400_000, "pools": 2},
    "best": {"filters": 4096, "patches": 400_000, "pools": 2},
}

BLOCK_IMAGES = 32
# A product with so many filters at once is as fast as any, and its results stay in the cache.
BLOCK_FILTERS = 512


@dataclass(frozen=True)
class EncoderParameters:
    """Parameters of an encoder.

    The number of `filters` and of random `patches` that they are learned from (`learned_by`, one of
    `taproom.images.filters.FILTERS`, in `iterations` passes) are the budget, and `pools`, the windows a side.
    `contrast` is in squared grey levels, `zca_epsilon` in units of a standardized pixel's variance, `offset` in units
    of a response. The means over windows are raised to `power`: a root gives more weight to the presence of a response,
    and less to its size.
    """

    filters: int = 256
    patches: int = 100_000
    learned_by: str = "spherical k-means"
    iterations: int = 10
    patch_size: int = 5
    standardization: str = "all"
    contrast: float = 10.0
    zca_epsilon: float = 0.1
    encoding: str = "two signs"
    offset: float = 0.25
    pools: int = 3
    mirrored: bool = True
    power: float = 0.5


@dataclass(frozen=True)
class Encoder:
    """Turns images into features; `parameters`, and the `whitening` and `filters` (f, k) that they led to."""

    parameters: EncoderParameters
    whitening: Whitening
    filters: np.ndarray

    def __post_init__(self) -> None:
        """Refuse an encoding that there is none of, and a contrast that flat patches cannot be divided by."""
        check_contrast(self.parameters.contrast)
        if self.parameters.encoding not in ENCODINGS:
            raise InputError(f"encoding is {self.parameters.encoding!r}; wanted one of {', '.join(ENCODINGS)}")

    @property
    def dimensions(self) -> int:
        """How many features an image has."""
        return len(self.filters) * self._signs * self.parameters.pools**2

    def features(self, images: np.ndarray, n_jobs: int | None = None) -> np.ndarray:
        """Features of images (n, height, width, 3) uint8: (n, dimensions) float32.

        A feature is the mean of a filter's response, after its non-linearity, over a window, raised to a power.
        Features lie by window, sign and filter. They depend neither on `n_jobs`, workers (threads) as
        joblib counts them, nor on the other images.

        Raises `InputError` for images that are none, of another kind, or too small for a patch in each window.
        """
        check_images(images, self.parameters.patch_size)
        windows = self._windows(images.shape[1:3])
        features = np.empty((len(images), self.dimensions), np.float32)
        blocks = [slice(start, start + BLOCK_IMAGES) for start in range(0, len(images), BLOCK_IMAGES)]

        def encode(block: slice) -> None:
            self._encode(np.ascontiguousarray(images[block]), windows, features[block])

        on_threads(encode, blocks, n_jobs)
        return features

    def _encode(self, images: np.ndarray, windows: "Windows", features: np.ndarray) -> None:
        from taproom.images import _patch_kernels as kernels

        given = self.parameters
        features[:] = 0
        kernels.encode(
            images, given.patch_size, *steps(given.standardization), given.contrast, self._whitening,
            self._projections, self._filter_norms, ENCODINGS.index(given.encoding), np.float32(given.offset),
            windows.cells_of, windows.inside, windows.sizes,
            features.reshape(len(images), len(windows.sizes), self._signs, -1),
        )  # fmt: skip
        features **= given.power

    def _windows(self, size: tuple[int, int]) -> "Windows":
        positions = [side - self.parameters.patch_size + 1 for side in size]
        if min(positions) < self.parameters.pools:
            raise InputError(
                f"images of {size[0]} x {size[1]} have {positions[0]} x {positions[1]} patches of size "
                f"{self.parameters.patch_size}, too few for {self.parameters.pools} windows a side"
            )
        return windows_of(positions, self.parameters.pools, self.parameters.mirrored)

    @property
    def _signs(self) -> int:
        return 2 if self.parameters.encoding == "two signs" else 1

    @cached_property
    def _whitening(self) -> np.ndarray:
        """(k + 1, k): whitening as a product with a patch that ends in 1."""
        matrix, mean = self.whitening.matrix, self.whitening.mean
        return np.vstack([matrix, -(mean @ matrix)])

    @cached_property
    def _projections(self) -> np.ndarray:
        """(turns, blocks, k + 1, filters of a block): whitening and filters as one product with a patch and a 1.

        A patch's mirror image answers to a filter as the patch does to the filter's mirror image. The last block is
        filled with filters of zeros.
        """
        by_filter = self._whitening @ self.filters.T
        count = len(self.filters)
        # The triangle needs the mean distance to all filters, so these are one block.
        blocks = 1 if self.parameters.encoding == "triangle" else -(-count // BLOCK_FILTERS)
        width = -(-count // blocks)
        by_filter = np.pad(by_filter, ((0, 0), (0, blocks * width - count)))
        turns = [by_filter]
        if self.parameters.mirrored:
            length = len(by_filter) - 1
            turns.append(by_filter[[*mirrored_order(length), length]])
        shaped = [turn.reshape(len(turn), blocks, width).transpose(1, 0, 2) for turn in turns]
        return np.ascontiguousarray(shaped)

    @cached_property
    def _filter_norms(self) -> np.ndarray:
        return np.einsum("ij,ij->i", self.filters, self.filters)


@dataclass(frozen=True)
class Windows:
    """Windows over the positions of patches, as sets of cells.

    `cells_of` (turns, positions) is the cell that each position is in, in an image and, in a second turn, its mirror
    image; `inside` (windows, cells) is whether a cell is in a window, `sizes` (windows,) float32 how many positions a
    window has.
    """

    cells_of: np.ndarray
    inside: np.ndarray
    sizes: np.ndarray


def windows_of(positions: Sequence[int], pools: int, mirrored: bool) -> Windows:
    """`pools` x `pools` windows over rows and columns of positions, equally spaced, overlapping by about half."""
    (rows, in_rows), (columns, in_columns) = (_along(length, pools) for length in positions)
    turns = [columns, columns[::-1]] if mirrored else [columns]
    cells_of = np.array([(rows[:, None] * in_columns.shape[1] + turn).ravel() for turn in turns])
    inside = np.array([np.outer(row, column).ravel() for row in in_rows for column in in_columns])
    return Windows(cells_of, inside, (inside @ np.bincount(cells_of[0])).astype(np.float32))


def window_sizes(length: int, pools: int) -> tuple[int, int]:
    """The distance from one of `pools` windows to the next along a side of so many positions, and their width.

    >>> window_sizes(27, 3)
    (6, 15)
    """
    stride = max(1, length // (pools + 1))
    return stride, length - stride * (pools - 1)


def _along(length: int, pools: int) -> tuple[np.ndarray, np.ndarray]:
    """The same along one side: each position's cell, and which cells each window has."""
    stride, width = window_sizes(length, pools)
    starts = [stride * window for window in range(pools)]
    cuts = sorted({0, length, *starts, *(start + width for start in starts)})
    cells = np.searchsorted(cuts, np.arange(length), side="right") - 1
    inside = [[start <= cut < start + width for cut in cuts[:-1]] for start in starts]
    return cells, np.array(inside)


@dataclass(frozen=True)
class Learned:
    """An encoder, the patches that it was learned from, raw and standardized (n, k), and the filters' statistics."""

    encoder: Encoder
    patches: Patches
    standardized: np.ndarray
    filters: Filters


def learn(images: Pixels, parameters: EncoderParameters, seed: int, n_jobs: int | None = None) -> Learned:
    """Learn whitening and filters from random patches of images (n, height, width, 3) uint8.

    The result does not depend on `n_jobs`. Raises `InputError` as `random_patches`, `fit_whitening` and `learn_filters`
    do.
    """
    patches = random_patches(images, parameters.patch_size, parameters.patches, seed)
    standard = standardized(patches.pixels, parameters.standardization, parameters.contrast)
    # LAPACK's bits depend on its number of threads.
    with blas_threads():
        whitening = fit_whitening(standard, parameters.standardization, parameters.zca_epsilon)
        whitened = whitening.whiten(standard)
    learned = learn_filters(
        whitened, parameters.filters, parameters.learned_by, parameters.iterations, seed, n_jobs=n_jobs
    )
    return Learned(Encoder(parameters, whitening, learned.filters), patches, standard, learned)


def learn_encoder(images: Pixels, parameters: EncoderParameters, seed: int, n_jobs: int | None = None) -> Encoder:
    """`learn`, if only the encoder is wanted."""
    return learn(images, parameters, seed, n_jobs).encoder


def encoder_of(encoder: pa.Table, whitening: pa.Table, filters: pa.Table) -> Encoder:
    """The encoder from the rows of the tables `encoder`, `whitening` and `filters`."""
    row = encoder.to_pylist()[0]
    parameters = EncoderParameters(**{field.name: row[field.name] for field in fields(EncoderParameters)})
    matrix = Whitening(whitening["mean"].to_numpy(), _matrix(whitening["weights"]))
    return Encoder(parameters, matrix, _matrix(filters["weights"]))


def _matrix(lists: pa.ChunkedArray) -> np.ndarray:
    return lists.combine_chunks().flatten().to_numpy().reshape(len(lists), -1)
