"""What an encoder does to one image, step by step: the response of every patch to some filters, and its encoding.

Here belongs what is looked at. `taproom.images.image_features` computes the features of many images, and keeps no
response; the means of these encodings over its windows are its features.

Source: the deck's slides "Full feature pipeline" and "Mini case study", steps 4 and 5.
"""

from dataclasses import dataclass

import numpy as np

from taproom.images.image_features import Encoder
from taproom.images.patches import check_images, cut_patches, standardized

BLOCK_PATCHES = 4096


@dataclass(frozen=True)
class EncodingSteps:
    """The steps before pooling.

    `responses` (rows, columns, filters) float32 are those of the whitened patch whose upper left corner is at each
    position; `encoded` (signs, rows, columns, filters) float32 are the same after the non-linearity. There are two
    signs if the encoding is "two signs", else one.
    """

    responses: np.ndarray
    encoded: np.ndarray


def encoding_steps(encoder: Encoder, image: np.ndarray, filters: np.ndarray | None = None) -> EncodingSteps:
    """The responses of an image (height, width, 3) uint8 to filters, and what the encoding makes of them.

    `filters` are the places of those that are wanted, by default all.

    Raises `InputError` for an image of another kind, or smaller than a patch.
    """
    given = encoder.parameters
    check_images(image[None], given.patch_size)
    positions = [side - given.patch_size + 1 for side in image.shape[:2]]
    row, column = (place.ravel() for place in np.indices(positions))
    patches = cut_patches(image[None], np.zeros_like(row), row, column, given.patch_size).reshape(len(row), -1)
    whitened = encoder.whitening.whiten(standardized(patches, given.standardization, given.contrast))
    wanted = encoder.filters if filters is None else encoder.filters[filters]
    responses = whitened @ wanted.T
    if given.encoding == "triangle":
        encoded = np.maximum(_mean_distances(whitened, encoder.filters) - _distances(whitened, wanted), 0)[None]
    else:
        signs = (1, -1) if given.encoding == "two signs" else (1,)
        encoded = np.stack([np.maximum(sign * responses - np.float32(given.offset), 0) for sign in signs])
    return EncodingSteps(responses.reshape(*positions, -1), encoded.reshape(len(encoded), *positions, -1))


def _distances(patches: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Euclidean distances (patches, filters)."""
    norms = (np.einsum("ij,ij->i", each, each) for each in (patches, filters))
    return np.sqrt(np.maximum(np.add.outer(*norms) - 2 * (patches @ filters.T), 0))


def _mean_distances(patches: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """The mean distance of each patch to all filters, (patches, 1)."""
    blocks = np.array_split(patches, range(BLOCK_PATCHES, len(patches), BLOCK_PATCHES))
    return np.concatenate([_distances(block, filters).mean(axis=1, keepdims=True) for block in blocks])
