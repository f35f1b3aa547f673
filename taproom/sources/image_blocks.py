"""Blocks of images of one size, and images that are left out: what every reader of images yields.

Here belongs what the readers share: these two types, the reasons for leaving an image out, the limits on images and
blocks, and the names of splits. Reading is in `taproom.sources.cifar10`, `taproom.sources.image_folder` and
`taproom.sources.image_parquet`; `taproom.sources.image_reader` makes rows of the blocks.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from taproom.sources.corpus import Split

BATCH_IMAGES = 1_000
BATCH_BYTES = 64 * 2**20
# 50 MB as RGB. Nothing is learned from a larger image before it is cut up or scaled down.
MAX_PIXELS = 2**24

SPLIT_NAMES: dict[str, Split] = {"train": "training", "training": "training", "test": "test"}
TRANSPARENT = "its alpha channel is not opaque; put it on a background of your choice"

Size = tuple[int, int]
Why = Literal["another_size", "transparent", "unsuitable", "unreadable"]


class Images(NamedTuple):
    """Images of one size: uint8 `pixels` (n, height, width, 3), and n ids, labels and splits.

    An image whose split is None gets one by the hash of its id. `grey` counts the images that were converted from
    grey to RGB, `opaque_alpha` those whose alpha channel was dropped because it was opaque everywhere.
    """

    image_ids: Sequence[str]
    labels: Sequence[str | None]
    splits: Sequence[Split | None]
    pixels: np.ndarray
    grey: int = 0
    opaque_alpha: int = 0


class LeftOut(NamedTuple):
    """An image (its file or its row) that is left out: the kind of reason, and the reason as a sentence."""

    image: str
    why: Why
    reason: str


class UnusableImageError(Exception):
    """An image has to be left out. A reader catches it and yields a `LeftOut`."""

    def __init__(self, why: Why, reason: str) -> None:
        super().__init__(reason)
        self.why: Why = why


def images_per_block(image_bytes: int) -> int:
    """How many images of this many bytes each go into a block.

    >>> images_per_block(3 * 32 * 32), images_per_block(3 * 4096 * 4096)
    (1000, 1)
    """
    return max(1, min(BATCH_IMAGES, BATCH_BYTES // max(image_bytes, 1)))


def most_frequent_size(sizes: Counter[Size]) -> Size:
    """The size that was counted most often; of several, the first that was counted. (1, 1) where none was.

    >>> most_frequent_size(Counter([(4, 6), (8, 8), (8, 8)]))
    (8, 8)
    """
    return next((size for size, _ in sizes.most_common(1)), (1, 1))


def size_text(size: Size) -> str:
    """A size in words.

    >>> size_text((32, 48))
    '32 high and 48 wide'
    """
    return f"{size[0]:,} high and {size[1]:,} wide"


def another_size(size: Size, wanted: Size) -> str:
    """The reason for leaving out an image of another size than the one wanted.

    >>> another_size((2, 2), (4, 6))
    'it is 2 high and 2 wide; wanted: 4 high and 6 wide'
    """
    return f"it is {size_text(size)}; wanted: {size_text(wanted)}"
