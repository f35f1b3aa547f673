"""Compiled loops of `image_features` and `filters`, apart so that importing these loads no numba.

A response is one number: how a patch answers to a filter. They are by far too many to be kept (10^9 for 1,000 images
and 1,600 filters), so each chunk of them is pooled while it is still in the processor's cache. Loops that add up run
over filters, each with a sum of its own, in the order of positions: the bits do not depend on how they are vectorized.
"""

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  what `np.dot` calls here; loaded now, so that its threads can be limited
from numba import njit

RELU, TWO_SIGNS, TRIANGLE = 0, 1, 2
CHUNK_NUMBERS = 1 << 17


@njit(nogil=True, cache=True)
def unfold(image: np.ndarray, size: int, de_mean: bool, scale: bool, contrast: float, patches: np.ndarray) -> None:
    """Write every patch of an image as a row, standardized, and a last 1 that a filter's bias is multiplied with.

    Sums over a patch are whole numbers, and exact.
    """
    rows, columns = image.shape[0] - size + 1, image.shape[1] - size + 1
    channels = image.shape[2]
    line = size * channels
    length = size * line
    sums, squares = window_sums(image, size)
    lines = image.reshape(image.shape[0], -1).astype(np.float32)
    for row in range(rows):
        for column in range(columns):
            patch = patches[row * columns + column]
            mean = sums[row, column] / length if de_mean else 0.0
            factor = 1.0
            if scale:
                factor = 1.0 / np.sqrt(squares[row, column] / length - mean * mean + contrast)
            times, less = np.float32(factor), np.float32(mean * factor)
            for y in range(size):
                into = patch[y * line : (y + 1) * line]
                given = lines[row + y, column * channels : column * channels + line]
                for place in range(line):
                    into[place] = given[place] * times - less
            patch[length] = np.float32(1)


@njit(nogil=True, cache=True)
def window_sums(image: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the numbers in each square window of an image, and of their squares."""
    height, width, channels = image.shape
    along = np.zeros((2, height, width - size + 1), np.int64)
    for y in range(height):
        for x in range(width):
            total, squares = np.int64(0), np.int64(0)
            for channel in range(channels):
                value = np.int64(image[y, x, channel])
                total += value
                squares += value * value
            for start in range(max(0, x - size + 1), min(x, width - size) + 1):
                along[0, y, start] += total
                along[1, y, start] += squares
    sums = np.zeros((2, height - size + 1, width - size + 1), np.int64)
    for start in range(height - size + 1):
        for y in range(start, start + size):
            sums[:, start] += along[:, y]
    return sums[0], sums[1]


@njit(nogil=True, cache=True)
def squared_norms(rows: np.ndarray, out: np.ndarray) -> None:
    """Sum of squares of each row."""
    for row in range(rows.shape[0]):
        total = np.float32(0)
        for place in range(rows.shape[1]):
            total += rows[row, place] * rows[row, place]
        out[row] = total


@njit(nogil=True, cache=True)
def add_one_sign(responses: np.ndarray, cells_of: np.ndarray, offset: np.float32, pooled: np.ndarray) -> None:
    """Add max(0, response - offset) of each position to its cell."""
    for position in range(responses.shape[0]):
        into, given = pooled[cells_of[position]], responses[position]
        for number in range(len(given)):
            into[number] += max(given[number] - offset, np.float32(0))


@njit(nogil=True, cache=True)
def add_two_signs(responses: np.ndarray, cells_of: np.ndarray, offset: np.float32, pooled: np.ndarray) -> None:
    """Add max(0, response - offset) and, beside them, max(0, -response - offset) of each position to its cell."""
    filters = responses.shape[1]
    for position in range(responses.shape[0]):
        given = responses[position]
        positive, negative = pooled[cells_of[position], :filters], pooled[cells_of[position], filters:]
        for number in range(filters):
            positive[number] += max(given[number] - offset, np.float32(0))
            negative[number] += max(-given[number] - offset, np.float32(0))


@njit(nogil=True, cache=True)
def add_triangle(
    responses: np.ndarray, cells_of: np.ndarray, patch_norms: np.ndarray, filter_norms: np.ndarray, pooled: np.ndarray
) -> None:
    """Add max(0, mean distance to all filters - distance to this filter) of each position to its cell."""
    filters = responses.shape[1]
    for position in range(responses.shape[0]):
        given, into = responses[position], pooled[cells_of[position]]
        for number in range(filters):
            squared = patch_norms[position] + filter_norms[number] - np.float32(2) * given[number]
            given[number] = np.sqrt(max(squared, np.float32(0)))
        total = np.float32(0)
        for number in range(filters):
            total += given[number]
        mean = np.float32(total / filters)
        for number in range(filters):
            into[number] += max(mean - given[number], np.float32(0))


@njit(nogil=True, cache=True)
def encode(
    images: np.ndarray,
    size: int,
    de_mean: bool,
    scale: bool,
    contrast: float,
    whitening: np.ndarray,
    projections: np.ndarray,
    filter_norms: np.ndarray,
    encoding: int,
    offset: np.float32,
    cells_of: np.ndarray,
    windows: np.ndarray,
    window_sizes: np.ndarray,
    features: np.ndarray,
) -> None:
    """The pooled responses of images to all filters, a row of `features` (zeroed) an image.

    `projections` (turns, blocks, patch + 1, filters) take a patch as `unfold` writes it to responses, `whitening`
    (patch + 1, patch) to the whitened patch. In a turn, position p lies in cell `cells_of[turn, p]`; `windows[w, c]`
    tells whether cell c is in window w. `features` (images, windows, signs, filters) are means over the turns.
    """
    turns, positions = cells_of.shape
    length = whitening.shape[1]
    blocks, filters = projections.shape[1], projections.shape[3]
    signs = 2 if encoding == TWO_SIGNS else 1
    chunk = max(1, min(positions, CHUNK_NUMBERS // filters))
    patches = np.empty((positions, length + 1), np.float32)
    whitened = np.empty((positions, length), np.float32)
    norms = np.empty(positions, np.float32)
    responses = np.empty((chunk, filters), np.float32)
    cells = np.empty((windows.shape[1], signs * filters), np.float32)
    for number in range(images.shape[0]):
        unfold(images[number], size, de_mean, scale, contrast, patches)
        if encoding == TRIANGLE:
            np.dot(patches, whitening, whitened)
            squared_norms(whitened, norms)
        for block in range(blocks):
            cells[:] = 0.0
            for turn in range(turns):
                for start in range(0, positions, chunk):
                    stop = min(start + chunk, positions)
                    answered, places = responses[: stop - start], cells_of[turn, start:stop]
                    np.dot(patches[start:stop], projections[turn, block], answered)
                    if encoding == RELU:
                        add_one_sign(answered, places, offset, cells)
                    elif encoding == TWO_SIGNS:
                        add_two_signs(answered, places, offset, cells)
                    else:
                        add_triangle(answered, places, norms[start:stop], filter_norms, cells)
            first = block * filters
            add_windows(
                cells.reshape(-1, signs, filters), windows, window_sizes * np.float32(turns), first, features[number]
            )


@njit(nogil=True, cache=True)
def add_windows(cells: np.ndarray, windows: np.ndarray, sizes: np.ndarray, first: int, features: np.ndarray) -> None:
    """Add each window's mean over its positions, from the sums in its cells, for the filters from `first` on."""
    count = min(cells.shape[2], features.shape[2] - first)
    for window in range(windows.shape[0]):
        share = np.float32(1.0) / sizes[window]
        for cell in range(windows.shape[1]):
            if windows[window, cell]:
                for sign in range(cells.shape[1]):
                    into, given = features[window, sign, first : first + count], cells[cell, sign]
                    for number in range(count):
                        into[number] += share * given[number]


@njit(nogil=True, cache=True)
def add_to_filters(
    patches: np.ndarray, filters: np.ndarray, weights: np.ndarray, sums: np.ndarray, counts: np.ndarray
) -> None:
    """Add each patch, times its weight, to the sum of the filter that it belongs to, and count it."""
    for number in range(patches.shape[0]):
        into, patch = sums[filters[number]], patches[number]
        for place in range(len(patch)):
            into[place] += weights[number] * patch[place]
        counts[filters[number]] += 1
