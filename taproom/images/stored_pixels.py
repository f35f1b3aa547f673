"""Pixels of the table `images` that are read where they are needed, so that never all images are in memory.

Here belongs reading rows of that table by their numbers. What is in a row is in `taproom.images.image_arrays`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from taproom.errors import InputError
from taproom.images.image_arrays import pixels_of
from taproom.warehouse.reading import stream
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse


class StoredPixels:
    """Images of a version of the table `images`, which are read when they are asked for.

    It is indexed as an array of uint8 is: by the numbers of images, or a slice of them. The newest file of the table
    that was read stays in memory (64 MB), so that images in ascending order read each file once.

    Args:
        images: the version of the table.
        rows: (n,) the numbers of the rows that are wanted; by default all.

    Attributes:
        shape: (n, height, width, 3).

    Raises:
        InputError: the images differ in size.
        DamagedFileError, StorageError: as `TableVersion.stream` does; also when pixels are asked for.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, images: TableVersion, rows: np.ndarray | None = None) -> None:
        """Read the first file, for the size of the images."""
        self._storage, self._images = Warehouse(images.root).storage, images
        self._files = Warehouse(images.root).files(images.table, images.version)
        self._starts = np.cumsum([0, *(file.rows for file in self._files)])
        self._rows = np.arange(self._starts[-1]) if rows is None else rows
        first = stream(self._storage, images.table, images.version, columns=["height", "width"]).read_next_batch()
        self.shape = (len(self._rows), first["height"][0].as_py(), first["width"][0].as_py(), 3)
        self._read: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        """The number of images."""
        return len(self._rows)

    def __getitem__(self, places: np.ndarray | Sequence[int] | slice) -> np.ndarray:
        """The images at these places, in their order: uint8, shape (places, height, width, 3)."""
        rows = self._rows[places]
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        files = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(files).tolist():
            chosen = files == number
            pixels[chosen] = self._of_file(number)[rows[chosen] - self._starts[number]]
        return pixels

    def _of_file(self, number: int) -> np.ndarray:
        if self._read is None or self._read[0] != number:
            self._read = None  # no two files are in memory
            self._read = number, self._pixels(number)
        return self._read[1]

    def _pixels(self, number: int) -> np.ndarray:
        pixels = np.empty((self._files[number].rows, *self.shape[1:]), np.uint8)
        others = [*self._files[:number], *self._files[number + 1 :]]
        columns = ["height", "width", "pixels"]
        first = 0
        for batch in stream(self._storage, self._images.table, self._images.version, columns=columns, skipped=others):
            images = pixels_of(batch)
            if images.shape[1:] != self.shape[1:]:
                raise InputError(f"images of {self.shape[1:3]} and of {images.shape[1:3]} were given; wanted: one size")
            pixels[first : first + len(images)] = images
            first += len(images)
        return pixels


Pixels = np.ndarray | StoredPixels
"""Images (n, height, width, 3) uint8 that can be indexed: in memory, or in the warehouse."""


def without_pixels(images: TableVersion) -> TableVersion:
    """The version without its pixels: what each image is, of what it shows nothing."""
    return replace(images, columns=("image_id", "split", "label"))
