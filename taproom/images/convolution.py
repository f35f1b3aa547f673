"""Convolution as the lecture deck has it: hand-made filters, stacking, a non-linearity, pooling, one vector.

Here belongs the deck's pipeline step by step, to look at: every response is kept. Features of many images by many
filters, whose responses would not fit in memory, are in `taproom.images.image_features`.

Source: slides "Convolution of images", "Stacking convolved images", "Pooling Convolution layer" and "Full feature
pipeline" of the lecture deck (Jamieson, CSE546 2017). What it calls convolution does not flip the filter, and is known
elsewhere as cross-correlation: (I * K)(i, j) = sum over m, n of I(i + m, j + n) K(m, n).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from taproom.errors import InputError
from taproom.images.patches import check_images, cut_patches

DECK_IMAGE = np.array(
    [
        [1, 1, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0],
        [0, 1, 1, 0, 0],
    ]
)
DECK_KERNEL = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])

HAND_MADE: dict[str, np.ndarray] = {
    "edge detection 1": np.array([[1, 0, -1], [0, 0, 0], [-1, 0, 1]]),
    "edge detection 2": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "edge detection 3": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "box blur": np.ones((3, 3)) / 9,
    "Gaussian blur": np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
}

NONLINEARITIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda responses: np.maximum(responses, 0),
    "sigmoid": lambda responses: 0.5 + 0.5 * np.tanh(responses / 2),  # the logistic function, which cannot overflow
    "arctan": np.arctan,
}
REDUCTIONS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "max": np.max, "sum": np.sum}

# The deck's full pipeline: 64 filters of 5x5 make 28x28x64 responses of a 32x32 image, windows of 2x2 leave 14x14x64.
FILTERS, FILTER_SIZE, WINDOW = 64, 5, 2
# Red, green and blue as bright as the eye finds them (ITU-R BT.601).
BRIGHTNESS = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Step:
    """An operation of the gallery and its result.

    Attributes:
        operation: what was done; no other step of the image has the same.
        applied_to: the operation whose result it was done to; None: this is where it starts.
        kernels: (k, kh, kw, c) float64, the filters that it used, if any.
        result: (h, w, c) float64; a flattened vector is (1, 1, length).
    """

    operation: str
    applied_to: str | None
    kernels: np.ndarray | None
    result: np.ndarray


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The responses of an image to a filter, wherever the filter lies wholly inside it.

    >>> convolve(DECK_IMAGE, DECK_KERNEL)
    array([[4., 3., 4.],
           [2., 4., 3.],
           [2., 3., 4.]])

    Args:
        image: (h, w) or (h, w, c).
        kernel: (kh, kw), or (kh, kw, c) for an image of c channels, over which is summed.

    Returns:
        (h - kh + 1, w - kw + 1) float64.

    Raises:
        InputError: shapes that do not go together, nothing at all, or a kernel larger than the image.
    """
    from scipy.signal import correlate

    image, kernel = np.asarray(image, float), np.asarray(kernel, float)
    if image.ndim not in (2, 3) or kernel.ndim != image.ndim or image.shape[2:] != kernel.shape[2:]:
        raise InputError(
            f"An image of shape {image.shape} and a kernel of shape {kernel.shape} were given. Wanted: (height, width) "
            "of both, or (height, width, channels) with as many channels."
        )
    if not kernel.size or kernel.shape[0] > image.shape[0] or kernel.shape[1] > image.shape[1]:
        raise InputError(
            f"A kernel of {_size(kernel)} and an image of {_size(image)} pixels were given. Wanted: a kernel of at "
            "least one number that is no larger than the image. Take a smaller kernel or larger images."
        )
    responses = correlate(image, kernel, mode="valid", method="direct")
    return responses[:, :, 0] if image.ndim == 3 else responses


def stack(image: np.ndarray, kernels: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The responses to several filters of one size as channels, (h - kh + 1, w - kw + 1, k) float64.

    Raises `InputError` when there is no filter, when they differ in size, and as `convolve` does.
    """
    shapes = {np.shape(kernel) for kernel in kernels}
    if len(shapes) != 1:
        raise InputError(f"Kernels of the shapes {sorted(shapes)} were given. Wanted: at least one, all of one shape.")
    return np.stack([convolve(image, kernel) for kernel in kernels], axis=-1)


def pool(responses: np.ndarray, window: int = WINDOW, reduce: str = "max") -> np.ndarray:
    """The mean, the maximum or the sum of each `window` x `window` adjacent responses.

    Windows do not overlap. The last rows and columns, where they do not fill a window, are left out.

    >>> pool(np.arange(8.0).reshape(2, 4, 1))[..., 0]
    array([[5., 7.]])

    Args:
        responses: (h, w, c).
        window: side of a window.
        reduce: mean, max or sum.

    Returns:
        (h // window, w // window, c) float64.

    Raises:
        InputError: another reduction or shape, or a window in which there is nothing or that does not fit once.
    """
    responses = np.asarray(responses, float)
    if reduce not in REDUCTIONS:
        raise InputError(f"Pooling by {reduce!r} was asked for. Wanted: one of {', '.join(REDUCTIONS)}.")
    if responses.ndim != 3:
        raise InputError(f"Responses of shape {responses.shape} were given. Wanted: (height, width, channels).")
    if not 1 <= window <= min(responses.shape[:2]):
        raise InputError(
            f"A window of {window} x {window} and responses of {_size(responses)} were given. Wanted: a window of at "
            "least 1 x 1 that fits into them. Take a smaller window or larger images."
        )
    rows, columns, channels = responses.shape[0] // window, responses.shape[1] // window, responses.shape[2]
    windows = responses[: rows * window, : columns * window].reshape(rows, window, columns, window, channels)
    return REDUCTIONS[reduce](windows, axis=(1, 3))


def flatten(responses: np.ndarray) -> np.ndarray:
    """Responses (h, w, c) as one vector, row by row, within a row place by place, at each place all channels."""
    return np.asarray(responses).reshape(-1)


def random_patch_filters(
    images: np.ndarray, filters: int = FILTERS, size: int = FILTER_SIZE, seed: int = 0
) -> np.ndarray:
    """Filters that are patches of images, taken at random, each less its mean and of length 1.

    Args:
        images: (n, h, w, 3) uint8.
        filters: how many.
        size: side of a patch.
        seed: of the images and places that they are from.

    Returns:
        (filters, size, size, 3) float64; a constant patch becomes a filter of zeros.

    Raises:
        InputError: no images, images of another kind, or smaller than a patch.
    """
    check_images(images, size)
    count, height, width = images.shape[:3]
    random = np.random.default_rng(seed)
    image, row, column = random.integers(0, (count, height - size + 1, width - size + 1), size=(filters, 3)).T
    patches = cut_patches(images, image, row, column, size).astype(float)
    patches -= patches.mean(axis=(1, 2, 3), keepdims=True)
    lengths = np.sqrt((patches**2).sum(axis=(1, 2, 3), keepdims=True))
    return patches / np.maximum(lengths, np.finfo(float).tiny)


def deck_example() -> list[Step]:
    """The deck's 5x5 image and its convolution with the deck's 3x3 filter, whose first value is 4."""
    convolved = convolve(DECK_IMAGE, DECK_KERNEL)
    return [
        Step("image", None, None, DECK_IMAGE[:, :, None].astype(float)),
        Step("deck's example", "image", _kernels(DECK_KERNEL), convolved[:, :, None]),
    ]


def gallery(image: np.ndarray, filters: np.ndarray) -> list[Step]:
    """The deck's slides on one image: hand-made filters, their stack, non-linearities, pooling, the full pipeline.

    Hand-made filters see the image in grey; values are from 0 (black) to 1. Pooling is of the ReLU of the stack, by the
    maximum. The full pipeline convolves the colour image with `filters`, and ends with one vector.

    Args:
        image: (h, w, 3) uint8.
        filters: (k, s, s, 3), of the full pipeline.

    Raises:
        InputError: an image that is too small for the filters and then for a window.
    """
    height, width = image.shape[:2]
    least = max(filters.shape[1], *(len(kernel) for kernel in HAND_MADE.values())) + WINDOW - 1
    if min(height, width) < least:
        raise InputError(
            f"An image of {height} x {width} pixels was given. Wanted: at least {least} x {least}, so that a filter of "
            f"{filters.shape[1]} x {filters.shape[2]} leaves a window of {WINDOW} x {WINDOW}."
        )
    colour = image / 255
    grey = colour @ BRIGHTNESS
    responses = {name: convolve(grey, kernel) for name, kernel in HAND_MADE.items()}
    stacked = np.stack(list(responses.values()), axis=-1)
    activated = {name: of(stacked) for name, of in NONLINEARITIES.items()}
    many = stack(colour, filters)
    passed = NONLINEARITIES["relu"](many)
    pooled = pool(passed)
    return [
        Step("image", None, None, colour),
        Step("grey", "image", None, grey[:, :, None]),
        *(Step(name, "grey", _kernels(HAND_MADE[name]), found[:, :, None]) for name, found in responses.items()),
        Step("stack", "grey", np.concatenate([_kernels(kernel) for kernel in HAND_MADE.values()]), stacked),
        *(Step(f"{name} of the stack", "stack", None, found) for name, found in activated.items()),
        Step("pooled stack", "relu of the stack", None, pool(activated["relu"])),
        Step("pipeline: stack", "image", filters, many),
        Step("pipeline: relu", "pipeline: stack", None, passed),
        Step("pipeline: pooled", "pipeline: relu", None, pooled),
        Step("pipeline: vector", "pipeline: pooled", None, flatten(pooled)[None, None]),
    ]


def choose_examples(labels: np.ndarray, candidates: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Rows of the images that the gallery shows: one of each of the first labels, at random, in their order.

    Args:
        labels: (n,) int64, -1 for none; where no candidate has a label, any images are shown.
        candidates: (n,) bool, the images to choose from.
        most: how many, at most.
        seed: of the choice.

    Raises:
        InputError: no candidate.
    """
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(candidates))
    if not len(rows):
        raise InputError("There is no training image to show; wanted at least one.")
    found = labels[rows]
    if (found < 0).all():
        return rows[:most]
    names, firsts = np.unique(found, return_index=True)
    return rows[firsts[names >= 0]][:most]


def _kernels(kernel: np.ndarray) -> np.ndarray:
    """A filter of one channel as the only one of several, (1, kh, kw, 1)."""
    return kernel[None, :, :, None].astype(float)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]} x {array.shape[1]}"
