"""Features of images that are used several times, kept in a temporary file in between.

Here belongs how they wait on disk. What computes them is `taproom.images.image_features`.
"""

import tempfile
import weakref
from collections.abc import Iterator

import numpy as np


class StoredFeatures:
    """Takes blocks of features with the labels of their images, and gives them again as often as wanted.

    A block is in memory while it is looked at. The file has 4 bytes for each number, and is gone with the object.

    >>> stored = StoredFeatures()
    >>> stored.add(np.ones((2, 3), np.float32), np.array([0, 1]))
    >>> [(features.shape, labels.tolist()) for features, labels in stored]
    [((2, 3), [0, 1])]
    """

    def __init__(self) -> None:
        """Of no image yet."""
        self._file = tempfile.TemporaryFile(prefix="taproom-")  # noqa: SIM115 (as long as the object)
        weakref.finalize(self, self._file.close)
        self._blocks: list[tuple[tuple[int, ...], np.ndarray]] = []

    def add(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Keep a block: `features` (n, D) float32 and `labels` (n,)."""
        features.tofile(self._file)
        self._blocks.append((features.shape, labels))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The blocks, in their order; the features are copies, which may be changed."""
        self._file.seek(0)
        for shape, labels in self._blocks:
            yield np.fromfile(self._file, np.float32, int(np.prod(shape))).reshape(shape), labels
