"""What an encoder does to one image, step by step: the response of every patch to some filters, and its encoding.

Here belongs what is looked at. `taproom.images.image_features` computes the features of many images, and keeps no
response; the means of these encodings over its windows are its features.

Source: the deck's slides "Full feature pipeline" and "Mini case study", steps 4 and 5.
"""

from dataclasses import dataclass

import numpy as np

from taproom.images.image_features import Encoder
from taproom.images.patches import check_images, cut_patches, standardized


@dataclass(frozen=True)
class EncodingSteps:
    """The steps before pooling.

    `responses` (rows, columns, filters) float32 are those of the whitened patch whose upper left corner is at each
    position; `encoded` (signs, rows, columns, filters) float32 are the same after the non-linearity. There are two
    signs if the encoding is "two signs", else one.
    """

    responses: np.ndarray
    encoded: np.ndarray


def encoding_steps(encoder: Encoder, image: np.ndarray) -> EncodingSteps:
    """The responses of an image (height, width, 3) uint8 to all filters, and what the encoding makes of them.

    Raises `InputError` for an image of another kind, or smaller than a patch.
    """
    given = encoder.parameters
    check_images(image[None], given.patch_size)
    positions = [side - given.patch_size + 1 for side in image.shape[:2]]
    row, column = (place.ravel() for place in np.indices(positions))
    patches = cut_patches(image[None], np.zeros_like(row), row, column, given.patch_size).reshape(len(row), -1)
    whitened = encoder.whitening.whiten(standardized(patches, given.standardization, given.contrast))
    responses = whitened @ encoder.filters.T
    encoded = _encoded(encoder, whitened, responses)
    return EncodingSteps(responses.reshape(*positions, -1), encoded.reshape(len(encoded), *positions, -1))


def _encoded(encoder: Encoder, whitened: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """The encodings (signs, patches, filters) of responses (patches, filters) of whitened patches (patches, k)."""
    offset = np.float32(encoder.parameters.offset)
    if encoder.parameters.encoding == "triangle":
        norms = (np.einsum("ij,ij->i", each, each) for each in (whitened, encoder.filters))
        squared = np.add.outer(*norms) - 2 * responses
        distances = np.sqrt(np.maximum(squared, 0))
        return np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0)[None]
    signs = (1, -1) if encoder.parameters.encoding == "two signs" else (1,)
    return np.stack([np.maximum(sign * responses - offset, 0) for sign in signs])
