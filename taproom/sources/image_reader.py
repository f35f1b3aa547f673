"""Blocks of images as rows of the table `images`, one pass over a data set.

Here belongs what all rows have in common, whatever was read: the split into training and test, the Arrow columns, and
what is counted on the way. Reading files is in `taproom.sources.image_files` and `taproom.sources.cifar10`; the rows
become arrays again in `taproom.images.image_arrays`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import get_args

import numpy as np
import pyarrow as pa

from taproom.errors import InputError, SourceError
from taproom.progress import progress
from taproom.sources.corpus import FEWEST_TO_SPLIT, MAX_LEFT_OUT, split_by_hash
from taproom.sources.image_blocks import Images, LeftOut, Why

SAMPLES = 10
SAMPLED_LABELS = 30
SAMPLE_SIDE = 96


class ImageReader:
    """One pass over a data set: a stream of images, and after it, what was counted and left out.

    Args:
        found: blocks of images and what is left out, as `cifar10` and `image_files` yield them.
        dataset: the value of that column in every row.
        schema: the schema of the table `images`.
        test_share: the share of the images without a split that are for the test. They are chosen by a hash of the id,
            as documents are (`taproom.sources.corpus`); of fewer than ten images, none is.

    Raises:
        InputError: `test_share` is not in [0, 1).

    >>> schema = pa.schema([("image_id", pa.string()), ("split", pa.string()), ("pixels", pa.binary())])
    >>> block = Images(["a"], [None], ["test"], np.zeros((1, 2, 2, 3), np.uint8))
    >>> images = ImageReader([block, LeftOut("b", "unreadable", "it is damaged")], "mugs", schema)
    >>> images.reader().read_all()["split"].to_pylist(), images.counts["left_out"]
    (['test'], 1)
    """

    def __init__(
        self, found: Iterable[Images | LeftOut], dataset: str, schema: pa.Schema, test_share: float = 0.2
    ) -> None:
        if not 0 <= test_share < 1:
            raise InputError(f"The test split's share is {test_share}. Wanted: at least 0 and less than 1.")
        self._found = found
        self._dataset = dataset
        self._schema = schema
        self._test_share = test_share
        self._counts: Counter[str] = Counter()
        self._by_label: Counter[tuple[str | None, str]] = Counter()
        self._left_out: list[LeftOut] = []
        self._samples: defaultdict[str | None, list[np.ndarray]] = defaultdict(list)

    def reader(self) -> pa.RecordBatchReader:
        """Stream the images, once, in batches of at most 1,000 rows and about 64 MiB.

        Raises, during iteration, SourceError: there is no image, or `found` raised it. Iterating in Python raises the
        error itself; a consumer behind Arrow's C stream interface raises its own error with this one's message in it.
        """
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    @property
    def counts(self) -> dict[str, int]:
        """Counts so far.

        images = training + test; without_label, grey and opaque_alpha are among them. left_out = another_size +
        transparent + unsuitable + unreadable.
        """
        names = ("images", "training", "test", "without_label", "grey", "opaque_alpha", "left_out", *get_args(Why))
        return {name: self._counts[name] for name in names}

    @property
    def by_label(self) -> Counter[tuple[str | None, str]]:
        """The number of images so far by label and split."""
        return Counter(self._by_label)

    @property
    def left_out(self) -> list[LeftOut]:
        """The images left out so far, the first 1,000 of them."""
        return list(self._left_out)

    @property
    def samples(self) -> dict[str | None, np.ndarray]:
        """Some images of each label, (n, height, width, 3), to be drawn: the first ten of the first 30 labels.

        Of images larger than 96 pixels a side, only every second (third, ...) row and column.
        """
        return {label: np.stack(images) for label, images in self._samples.items()}

    def _batches(self) -> Iterator[pa.RecordBatch]:
        blocks = self._blocks()
        first: list[Images] = []
        while sum(len(block.image_ids) for block in first) < FEWEST_TO_SPLIT and (block := next(blocks, None)):
            first.append(block)
        is_large = sum(len(block.image_ids) for block in first) >= FEWEST_TO_SPLIT
        with progress(doing=f"reading {self._dataset}", unit=" images") as bar:
            for block in chain(first, blocks):
                yield self._record_batch(block, self._test_share if is_large else 0.0)
                bar.update(len(block.image_ids))
        if not self._counts["images"]:
            raise self._no_images()

    def _blocks(self) -> Iterator[Images]:
        """The images; those that are left out are counted."""
        for found in self._found:
            if isinstance(found, Images):
                yield found
                continue
            self._counts["left_out"] += 1
            self._counts[found.why] += 1
            if len(self._left_out) < MAX_LEFT_OUT:
                self._left_out.append(found)

    def _record_batch(self, block: Images, test_share: float) -> pa.RecordBatch:
        count, height, width, _ = block.pixels.shape
        splits = [
            split or split_by_hash(name, test_share) for name, split in zip(block.image_ids, block.splits, strict=True)
        ]
        columns = {
            "dataset": [self._dataset] * count,
            "image_id": block.image_ids,
            "split": splits,
            "label": block.labels,
            "height": np.full(count, height),
            "width": np.full(count, width),
            "pixels": _binary(block.pixels),
        }
        batch = pa.record_batch([pa.array(columns[field.name], field.type) for field in self._schema], self._schema)
        self._counts.update(splits)
        self._counts.update(
            images=count, without_label=sum(label is None for label in block.labels), grey=block.grey,
            opaque_alpha=block.opaque_alpha,
        )  # fmt: skip
        self._by_label.update(zip(block.labels, splits, strict=True))
        self._take_samples(block)
        return batch

    def _take_samples(self, block: Images) -> None:
        step = -(-max(block.pixels.shape[1:3]) // SAMPLE_SIDE)
        for label, pixels in zip(block.labels, block.pixels, strict=True):
            known = label in self._samples or len(self._samples) < SAMPLED_LABELS
            if known and len(self._samples[label]) < SAMPLES:
                self._samples[label].append(pixels[::step, ::step].copy())

    def _no_images(self) -> SourceError:
        message = f"{self._dataset!r} has no image that can be used: {self._counts['left_out']:,} were left out."
        if not self._left_out:
            return SourceError(f"{message} Wanted: images; check the path, and whether the copy is complete.")
        return SourceError(f"{message} The first, {self._left_out[0].image}: {self._left_out[0].reason}.")


def _binary(pixels: np.ndarray) -> pa.Array:
    """A value for each image of (n, height, width, 3), without a copy."""
    size = int(np.prod(pixels.shape[1:]))
    offsets = np.arange(len(pixels) + 1, dtype=np.int32) * np.int32(size)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(pixels))]
    return pa.Array.from_buffers(pa.binary(), len(pixels), buffers)
