"""Random patches of images, and how they are standardized: the first two steps of the case study.

Here belongs everything between an image's pixels and the whitened patches that filters are learned from and answer to.
What filters are is in `taproom.images.filters`, what images become by them in `taproom.images.image_features`.

A patch is a row of its pixels, line by line, R G B. Mirror images of photographs are photographs: the whitening is
fitted as if each patch had come with its mirror image, so it treats both alike.

Source: the deck's slide "Mini case study", steps 1 and 2 ("de-mean, norm 1, whiten, etc."); Coates, Lee and Ng, An
analysis of single-layer networks in unsupervised feature learning, 2011, section 3.1.
"""

from dataclasses import dataclass

import numpy as np

from taproom.errors import InputError
from taproom.images.stored_pixels import Pixels

CHANNELS = 3
# Patches are cut out of so many images at a time.
BLOCK_IMAGES = 2048
# What is done to a patch: the deck's single steps, and all of them one after the other.
STANDARDIZATIONS = ("none", "de-mean", "norm 1", "whiten", "all")


@dataclass(frozen=True)
class Patches:
    """Patches cut out of images.

    `image`, `row` and `column` (n,) int32 are where each was cut, by its upper left corner; `pixels` (n, size * size *
    3) uint8 are its pixels.
    """

    image: np.ndarray
    row: np.ndarray
    column: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class Whitening:
    """Takes a standardized patch x to (x - mean) @ matrix; `mean` is (k,), `matrix` (k, k), both float32."""

    mean: np.ndarray
    matrix: np.ndarray

    def whiten(self, patches: np.ndarray) -> np.ndarray:
        """Whitened patches (n, k) float32."""
        return (patches - self.mean) @ self.matrix


def check_pixels(images: Pixels) -> None:
    """Raise `InputError` unless there are RGB images."""
    if images.ndim != 4 or images.shape[3] != CHANNELS or images.dtype != np.uint8:
        raise InputError(
            f"images are an array of shape {images.shape} of {images.dtype}; wanted (images, height, width, 3) of uint8"
        )
    if not len(images):
        raise InputError("there is no image; at least one is wanted")


def check_images(images: Pixels, patch_size: int) -> None:
    """Raise `InputError` unless there are RGB images of at least a patch's size."""
    check_pixels(images)
    if patch_size > min(images.shape[1:3]):
        height, width = images.shape[1:3]
        raise InputError(
            f"a patch of {patch_size} x {patch_size} pixels is larger than the images, which are {height} x {width}; "
            f"wanted a patch_size of at most {min(height, width)}"
        )


def random_patches(images: Pixels, patch_size: int, count: int, seed: int) -> Patches:
    """Cut `count` square patches out of images (n, height, width, 3) uint8, each anywhere with equal chance.

    Raises `InputError` for images that are none, of another kind, or smaller than a patch.
    """
    check_images(images, patch_size)
    random = np.random.default_rng(seed)
    image = random.integers(len(images), size=count, dtype=np.int32)
    row, column = (random.integers(side - patch_size + 1, size=count, dtype=np.int32) for side in images.shape[1:3])
    pixels = np.empty((count, patch_size, patch_size, CHANNELS), np.uint8)
    in_order = np.argsort(image, kind="stable")
    starts = range(0, len(images), BLOCK_IMAGES)
    ends = np.searchsorted(image[in_order], [*starts[1:], len(images)])
    for start, places in zip(starts, np.split(in_order, ends[:-1]), strict=True):
        block = images[start : start + BLOCK_IMAGES]
        pixels[places] = cut_patches(block, image[places] - start, row[places], column[places], patch_size)
    return Patches(image, row, column, pixels.reshape(count, -1))


def cut_patches(
    images: np.ndarray, image: np.ndarray, row: np.ndarray, column: np.ndarray, patch_size: int
) -> np.ndarray:
    """Square patches of images (n, height, width, 3): (count, patch_size, patch_size, 3), of the type of the images.

    `image`, `row` and `column` (count,) are the places of the patches: the image, and the upper left corner in it.

    >>> images = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    >>> cut_patches(images, np.array([0]), np.array([2]), np.array([1]), 2)[0, :, :, 0]
    array([[27, 30],
           [39, 42]], dtype=uint8)
    """
    along = np.arange(patch_size)
    return images[image[:, None, None], row[:, None, None] + along[:, None], column[:, None, None] + along]


def standardized(pixels: np.ndarray, standardization: str, contrast: float) -> np.ndarray:
    """Patches as float32 (n, k), less their mean and divided by their root mean square, as far as is asked.

    To the mean square `contrast` is added first, in squared grey levels, so that what is nearly flat stays small.
    Raises `InputError` for a `standardization` that is none of `STANDARDIZATIONS`, and a contrast that is not above 0.
    """
    de_mean, scale = steps(standardization)
    check_contrast(contrast)
    patches = pixels.astype(np.float32)
    if de_mean:
        patches -= patches.mean(axis=1, keepdims=True)
    if scale:
        patches /= np.sqrt(np.einsum("ij,ij->i", patches, patches) / patches.shape[1] + np.float32(contrast))[:, None]
    return patches


def check_contrast(contrast: float) -> None:
    """Raise `InputError` unless it is above 0: a flat patch would be divided by 0."""
    if not contrast > 0:
        raise InputError(f"contrast is {contrast}; wanted a number above 0 of squared grey levels, say 10")


def steps(standardization: str) -> tuple[bool, bool]:
    """Whether the mean is subtracted, and whether patches are scaled."""
    if standardization not in STANDARDIZATIONS:
        raise InputError(f"standardization is {standardization!r}; wanted one of {', '.join(STANDARDIZATIONS)}")
    return standardization in ("de-mean", "all"), standardization in ("norm 1", "all")


def fit_whitening(patches: np.ndarray, standardization: str, epsilon: float) -> Whitening:
    """Mean and ZCA matrix of standardized patches (n, k) float32 and their mirror images.

    The matrix is V (D + epsilon I)^(-1/2) V', from the covariance V D V' (Bell and Sejnowski, The "independent
    components" of natural scenes are edge filters, 1997). It is the identity, and the mean 0, where the
    standardization has no whitening. Raises `InputError` where an epsilon of 0 meets a singular covariance.
    """
    length = patches.shape[1]
    if standardization not in ("whiten", "all"):
        return Whitening(np.zeros(length, np.float32), np.eye(length, dtype=np.float32))
    mirror = mirrored_order(length)
    mean = patches.mean(axis=0, dtype=np.float64)
    mean = (mean + mean[mirror]) / 2
    centred = patches - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(patches)
    covariance = (covariance + covariance[mirror][:, mirror]) / 2
    variances, directions = np.linalg.eigh(covariance)
    # Rounding leaves directions without variance (the mean, once it is subtracted) anywhere around 0.
    if epsilon <= 0 and variances[0] <= 1e-6 * variances[-1]:
        raise InputError(
            f"the patches do not vary in every direction, and whitening divides by that; zca_epsilon is {epsilon}, "
            "wanted one above 0, say 0.1"
        )
    variances = np.maximum(variances, 0) + epsilon
    return Whitening(mean.astype(np.float32), ((directions / np.sqrt(variances)) @ directions.T).astype(np.float32))


def mirrored_order(length: int) -> np.ndarray:
    """The places of a patch's numbers in its mirror image, left for right."""
    size = round((length / CHANNELS) ** 0.5)
    return np.arange(length).reshape(size, size, CHANNELS)[:, ::-1].ravel()
