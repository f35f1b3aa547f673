"""Features of images that are used several times, kept in a temporary file in between.

Here belongs how they wait on disk. What computes them is `taproom.images.image_features`.
"""

import tempfile
import weakref
from collections.abc import Iterator

import numpy as np


class StoredFeatures:
    """Takes blocks of features, and gives them again as often as wanted.

    A block is in memory while it is looked at. The file has 4 bytes for each number, and is gone with the object.

    >>> stored = StoredFeatures()
    >>> stored.add(np.ones((2, 3), np.float32))
    >>> [features.shape for features in stored]
    [(2, 3)]
    """

    def __init__(self) -> None:
        """Of no image yet."""
        self._file = tempfile.TemporaryFile(prefix="taproom-")  # noqa: SIM115 (as long as the object)
        weakref.finalize(self, self._file.close)
        self._shapes: list[tuple[int, ...]] = []

    def add(self, features: np.ndarray) -> None:
        """Keep a block: `features` (n, D) float32."""
        features.tofile(self._file)
        self._shapes.append(features.shape)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The blocks, in their order."""
        self._file.seek(0)
        for shape in self._shapes:
            yield np.fromfile(self._file, np.float32, int(np.prod(shape))).reshape(shape)
