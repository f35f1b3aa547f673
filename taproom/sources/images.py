"""Images streamed out of what they lie in: CIFAR-10, a folder of image files, or a Parquet file with pixels.

The image chain starts here: whatever the images are in, they become blocks of RGB images of one size, and these a
stream of Arrow record batches in the schema of the table `images`; and such batches become arrays again. What belongs
here is reading, the choice of one size, and the split into training and test; what images mean is the business of
`taproom.images.patches` and what follows.

Nothing is changed silently: an image is left out, with the reason, unless 8-bit RGB says the same as its file.

Sources: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images", for CIFAR-10, whose binary form
https://www.cs.toronto.edu/~kriz/cifar.html describes; the PNG specification (W3C), 5.3, for the checksums of its
chunks; Exif 2.3, tag 0x0112, for the way up of a photograph.
"""

import json
import logging
import os
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError, SourceError
from taproom.progress import progress
from taproom.sources.corpus import FEWEST_TO_SPLIT, MAX_LEFT_OUT, Split, files_in, printable, split_by_hash
from taproom.sources.fetching import Source, member
from taproom.sources.packed import check_footer, checked_batches

if TYPE_CHECKING:
    from PIL.Image import Image
    from pyarrow.parquet import ParquetFile

logger = logging.getLogger(__name__)

BATCH_IMAGES = 1_000
BATCH_BYTES = 64 * 2**20
# 50 MB as RGB: larger pictures are cut up or shrunk before anything is learned from them, or are no pictures at all.
MAX_PIXELS = 2**24
SAMPLES = 10
SAMPLED_LABELS = 30
SAMPLE_SIDE = 96

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PARQUET_SUFFIXES = (".parquet", ".pq")
SPLIT_NAMES: dict[str, Split] = {"train": "training", "training": "training", "test": "test"}

CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_SIDE = 32
_RECORD_BYTES = 1 + 3 * CIFAR10_SIDE**2

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_GREY_MODES = ("1", "L", "LA")
_MODES = (*_GREY_MODES, "P", "PA", "RGB", "RGBA")
_ORIENTATION = 0x0112
_TRANSPARENT = "its alpha channel is not opaque; put it on a background of your choice"

Size = tuple[int, int]
Why = Literal["another_size", "transparent", "unsuitable", "unreadable"]


class Images(NamedTuple):
    """Some images of one size: uint8 `pixels` (n, height, width, 3), and n ids, labels and splits.

    Those without a split are given one by the hash of their id. `grey` and `opaque_alpha` count the images that were
    made RGB from grey, and those whose alpha channel, opaque everywhere, was dropped.
    """

    image_ids: Sequence[str]
    labels: Sequence[str | None]
    splits: Sequence[Split | None]
    pixels: np.ndarray
    grey: int = 0
    opaque_alpha: int = 0


class LeftOut(NamedTuple):
    """An image (its file, or its row) that is not among the others, and why."""

    image: str
    why: Why
    reason: str


class _UnfitError(Exception):
    """An image that has to be left out."""

    def __init__(self, why: Why, reason: str) -> None:
        super().__init__(reason)
        self.why: Why = why


def cifar10(sources: Mapping[str, Source]) -> Iterator[Images]:
    """CIFAR-10 from the first of `sources`' `cifar10` (npm) and `cifar10_binary` (https) that can be had.

    One that the environment names a local file for is tried before the other. Raises SourceError at once, with what
    each of them said, when neither can be had.
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
        f"CIFAR-10 could not be had in either of its forms. {' '.join(refusals)} "
        "Or read images of your own: `source: files`, with the `path` of a folder of images or of a Parquet file."
    )


def _cifar10_package(members: Sequence[Path]) -> Iterator[Images]:
    *training, test, training_labels, test_labels = members
    return cifar10_pictures({"training": (training, training_labels), "test": ([test], test_labels)})


def _cifar10_archive(members: Sequence[Path]) -> Iterator[Images]:
    *training, test = members
    return cifar10_records({"training": training, "test": [test]})


def cifar10_pictures(files: Mapping[Split, tuple[Sequence[Path], Path]]) -> Iterator[Images]:
    """CIFAR-10 from the pictures and labels that the npm package holds; any number of images.

    `files` are, of each split, pictures (RGB, a row of 1,024 pixels an image of 32 x 32) and the JSON list of the label
    numbers of all their images. Raises, from within the iteration, SourceError: a file is damaged or in another form.
    """
    for split, (pictures, labels) in files.items():
        numbers, taken = _label_numbers(labels), 0
        for path in pictures:
            pixels = _rows(path)
            yield from _cifar10(split, taken, numbers[taken : taken + len(pixels)], pixels, labels)
            taken += len(pixels)
        if taken != len(numbers):
            raise _another_form(labels, f"{len(numbers):,} labels for {taken:,} images")


def cifar10_records(files: Mapping[Split, Sequence[Path]]) -> Iterator[Images]:
    """CIFAR-10 from the binary form's files of each split: records of a label's byte and the planes of R, G and B.

    Raises, from within the iteration, SourceError: a file is damaged or in another form.
    """
    for split, paths in files.items():
        taken = 0
        for path in paths:
            content = np.fromfile(path, np.uint8)
            if not len(content) or len(content) % _RECORD_BYTES:
                raise _another_form(path, f"{len(content):,} bytes, which are no records of {_RECORD_BYTES:,}")
            records = content.reshape(-1, _RECORD_BYTES)
            planes = records[:, 1:].reshape(-1, 3, CIFAR10_SIDE, CIFAR10_SIDE)
            yield from _cifar10(split, taken, records[:, 0], np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), path)
            taken += len(records)


def _cifar10(split: Split, first: int, numbers: Sequence[int], pixels: np.ndarray, path: Path) -> Iterator[Images]:
    """Images in blocks, their ids counted on from `first`."""
    if len(numbers) != len(pixels):
        raise _another_form(path, f"{first + len(numbers):,} labels for {first + len(pixels):,} images or more")
    if len(numbers) and max(numbers) >= len(CIFAR10_LABELS):
        raise _another_form(path, f"the label {max(numbers)}, and the largest is {len(CIFAR10_LABELS) - 1}")
    for start in range(0, len(pixels), BATCH_IMAGES):
        block = pixels[start : start + BATCH_IMAGES]
        ids = [f"{split}/{first + start + place:05}" for place in range(len(block))]
        labels = [CIFAR10_LABELS[number] for number in numbers[start : start + BATCH_IMAGES]]
        yield Images(ids, labels, [split] * len(ids), block)


def _rows(path: Path) -> np.ndarray:
    """The images that are the rows of a picture."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.mode == "RGB" and picture.width == CIFAR10_SIDE**2:
                return np.asarray(picture).reshape(-1, CIFAR10_SIDE, CIFAR10_SIDE, 3)
            raise _another_form(path, f"{picture.width:,} pixels of {picture.mode} in a row")
    except (OSError, SyntaxError, ValueError) as error:
        raise _another_form(path, f"what is no sound PNG ({error})") from error


def _label_numbers(path: Path) -> list[int]:
    try:
        numbers = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _another_form(path, f"what is no JSON ({error})") from error
    if not isinstance(numbers, list) or not all(type(number) is int and number >= 0 for number in numbers):
        raise _another_form(path, "no list of whole numbers")
    return numbers


def _another_form(path: Path, found: str) -> SourceError:
    return SourceError(f"{path} is no file of CIFAR-10 in the form wanted: it has {found}. Fetch it again.")


def image_files(path: Path, height: int | None = None, width: int | None = None) -> Iterator[Images | LeftOut]:
    """The images of a folder, or of a Parquet file, of one size: height x width, by default what most of them have.

    A folder: `<label>/<file>`, or `<split>/<label>/<file>` where the folders in it are called train (or training) and
    test; files are taken in the order of their paths, which are their ids. The label is the name of the folder that an
    image lies in, None directly in the given one or in a split's. Hidden files, links and what the inbox passes over
    are skipped. Photographs are turned as their Exif data says; grey and palettes become RGB.

    A Parquet file: `pixels` (binary, or a list of whole numbers up to 255: row by row, the channels of a pixel side by
    side), and of `label`, `split` (train, training or test), `image_id`, `height` and `width` what it has. Without the
    last two, images are height x width where these are given, else square.

    Left out are images of another size, damaged ones, and those that RGB of 8 bits a channel does not say the same as:
    with an alpha channel that is not opaque, more bits, another colour space, several pictures in one file, or over
    16 Mi pixels. Raises SourceError at once: there is nothing of this at the path, or the size is impossible; from
    within the iteration: the Parquet file is damaged.
    """
    path, size = Path(path), _given_size(height, width)
    if path.is_dir():
        return _folder_images(path, size)
    check_is_there(path)
    if path.suffix.lower() not in PARQUET_SUFFIXES:
        raise SourceError(
            f"{path} is neither a folder nor called {' or '.join(PARQUET_SUFFIXES)}. Wanted: the folder that images "
            "lie in, or a Parquet file with their pixels."
        )
    return _parquet_images(path, size)


def read_picture(path: Path) -> np.ndarray:
    """One image file of any size: uint8, shape (height, width, 3).

    Raises SourceError when there is none at the path, or it is one that `image_files` would leave out.
    """
    check_is_there(path)
    try:
        pixels, _, _ = _read(path)
    except _UnfitError as error:
        raise SourceError(f"{path} cannot be read as an image: {error}.") from None
    return pixels


def check_is_there(path: Path) -> None:
    """Raise SourceError unless there is a folder or a file at the path."""
    if not path.is_dir() and not path.is_file():
        raise SourceError(f"{path} is not there, or neither file nor folder. Wanted: images; check the path.")


def _given_size(height: int | None, width: int | None) -> Size | None:
    if height is None and width is None:
        return None
    if None in (height, width) or min(height, width) < 1 or height * width > MAX_PIXELS:
        raise SourceError(
            f"the images' height is {height} and their width {width}. Wanted: both or neither, from 1 on, and at most "
            f"{MAX_PIXELS:,} pixels."
        )
    return height, width


# A folder


def _folder_images(folder: Path, size: Size | None) -> Iterator[Images | LeftOut]:
    names = [path.relative_to(folder) for path in files_in(folder)]
    pictures = [name for name in names if name.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        raise SourceError(
            f"{folder} has no images in it: {len(names):,} files, none of which is called "
            f"{', '.join(IMAGE_SUFFIXES)} (hidden ones and links do not count). Check the path."
        )
    return _folder_blocks(folder, names, _has_splits(pictures), size or _most_frequent_size(folder, pictures))


def _has_splits(names: Iterable[Path]) -> bool:
    """Whether the outermost folders are splits: all of them are called so, or there is one for each split."""
    splits = {SPLIT_NAMES.get(name.parts[0].lower()) for name in names if len(name.parts) > 1}
    return bool(splits) and (None not in splits or splits > set(SPLIT_NAMES.values()))


def _most_frequent_size(folder: Path, names: Sequence[Path]) -> Size:
    """The size that most files' headers tell, of equally frequent ones the first that is met."""
    sizes: Counter[Size] = Counter()
    for name in progress(names, doing=f"looking into {folder.name}", unit=" images"):
        try:
            with _opened(folder / name) as image:
                sizes[_size(image)] += 1
        except _UnfitError:
            pass  # reading it will tell why
    return next((size for size, _ in sizes.most_common(1)), (1, 1))


def _folder_blocks(folder: Path, names: Sequence[Path], has_splits: bool, size: Size) -> Iterator[Images | LeftOut]:
    block: list[tuple] = []
    for name in names:
        try:
            label, split = _place(name, has_splits)
            block.append((name.as_posix(), label, split, *_read(folder / name, size)))
        except _UnfitError as error:
            yield LeftOut(printable(name.as_posix()), error.why, printable(error))
        if len(block) == _images_per_block(size):
            yield _stacked(block)
            block = []
    if block:
        yield _stacked(block)


def _images_per_block(size: Size) -> int:
    return max(1, min(BATCH_IMAGES, BATCH_BYTES // (3 * size[0] * size[1])))


def _stacked(block: Sequence[tuple]) -> Images:
    ids, labels, splits, pixels, grey, opaque_alpha = zip(*block, strict=True)
    return Images(ids, labels, splits, np.stack(pixels), sum(grey), sum(opaque_alpha))


def _place(name: Path, has_splits: bool) -> tuple[str | None, Split | None]:
    """The label and the split of an image, by the folders that it lies in."""
    if str(name) != printable(name):
        raise _UnfitError("unsuitable", "its name is not UTF-8, and images are called by it; rename the file")
    if name.suffix.lower() not in IMAGE_SUFFIXES:
        raise _UnfitError("unsuitable", f"its name is no image's: {', '.join(IMAGE_SUFFIXES)} are read")
    folders, split = name.parts[:-1], None
    if has_splits:
        split = SPLIT_NAMES.get(folders[0].lower()) if folders else None
        if split is None:
            raise _UnfitError("unsuitable", f"it is in none of the folders of splits ({', '.join(SPLIT_NAMES)})")
        folders = folders[1:]
    return (folders[-1].strip() or None) if folders else None, split


def _read(path: Path, wanted: Size | None = None) -> tuple[np.ndarray, bool, bool]:
    """The pixels of a file, whether they were grey, and whether they had an alpha channel, an opaque one."""
    from PIL import ImageOps

    with _opened(path) as image:
        if wanted and (size := _size(image)) != wanted:
            raise _UnfitError("another_size", f"it is {_called(size)}; {_called(wanted)} are read")
        if getattr(image, "is_animated", False) and image.format != "MPO":  # a photograph with its preview
            raise _UnfitError("unsuitable", "it has several pictures; wanted: one a file")
        if image.mode not in _MODES or _has_more_bits(image):
            raise _UnfitError(
                "unsuitable", f"it is of mode {image.mode}, or has more than 8 bits a channel; convert it to RGB"
            )
        if image.format == "PNG":
            _compare_checksums(path)  # which decoding does not, to the last
        return _rgb(image if _orientation(image) == 1 else ImageOps.exif_transpose(image))


def _compare_checksums(path: Path) -> None:
    with _opened(path) as image:
        image.verify()


@contextmanager
def _opened(path: Path) -> "Iterator[Image]":
    """A file as an image, nothing of which is decoded yet; what goes wrong with it, here or later, makes it unfit."""
    from PIL import Image

    too_large = _UnfitError("unsuitable", f"it has over {MAX_PIXELS:,} pixels; cut it up or shrink it")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise too_large
            yield image
    except _UnfitError:
        raise
    except Image.DecompressionBombError:
        raise too_large from None
    except Image.UnidentifiedImageError:
        raise _UnfitError("unreadable", "it is empty or damaged, or no image of the formats that are read") from None
    except Exception as error:  # decoders meet damage in every way that there is
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise _UnfitError("unreadable", f"it is damaged or cannot be opened ({reason})") from None


def _orientation(image: "Image") -> int:
    # Only where Exif data was met: else Pillow would decode a PNG in search of it.
    return image.getexif().get(_ORIENTATION, 1) if "exif" in image.info else 1


def _size(image: "Image") -> Size:
    """Height and width of an image the right way up."""
    return (image.width, image.height) if _orientation(image) in (5, 6, 7, 8) else (image.height, image.width)


def _called(size: Size) -> str:
    return f"{size[0]:,} high and {size[1]:,} wide"


def _has_more_bits(image: "Image") -> bool:
    """Whether decoding would cut channels down to 8 bits; Pillow's raw modes tell, and the largest value of a PPM."""
    codings = [(tile[0], tile[3] if isinstance(tile[3], tuple) else (tile[3],)) for tile in image.tile]
    return any(
        re.search(";16[BLN]", str(coding)) or (codec.startswith("ppm") and coding[1:] > (255,))
        for codec, coding in codings
    )


def _rgb(image: "Image") -> tuple[np.ndarray, bool, bool]:
    is_grey, has_alpha = image.mode in _GREY_MODES, image.has_transparency_data
    if not has_alpha:
        return np.asarray(image.convert("RGB")), is_grey, False
    pixels = np.asarray(image.convert("RGBA"))
    if pixels[..., 3].min() < 255:
        raise _UnfitError("transparent", _TRANSPARENT)
    return pixels[..., :3], is_grey, True


# A Parquet file


def _parquet_images(path: Path, size: Size | None) -> Iterator[Images | LeftOut]:
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is no Parquet file, or damaged ({error}). Fetch or copy it again.") from None
    check_footer(path, file.metadata)
    if "pixels" not in file.schema_arrow.names or not _are_pixels(file.schema_arrow.field("pixels").type):
        found = ", ".join(f"{field.name} ({field.type})" for field in file.schema_arrow)
        raise SourceError(
            f"{path} has the columns {found}. Wanted: `pixels`, binary or a list of whole numbers up to 255, and of "
            "`label`, `split`, `image_id`, `height` and `width` what there is."
        )
    return _parquet_blocks(path, file, size)


def _are_pixels(kind: pa.DataType) -> bool:
    if is_list := pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return is_list and pa.types.is_integer(kind.value_type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _parquet_blocks(path: Path, file: "ParquetFile", size: Size | None) -> Iterator[Images | LeftOut]:
    first_row = 0
    wanted = size or _most_frequent_shape(path, file)
    for rows in _batches(path, file, ["pixels", "label", "split", "image_id", "height", "width"]):
        yield from _block(path, rows, first_row, size, wanted)
        first_row += rows.num_rows


def _batches(path: Path, file: "ParquetFile", columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The columns of these that there are, in batches of about 64 MiB at most."""
    groups = [file.metadata.row_group(place) for place in range(file.num_row_groups)]
    bytes_per_row = sum(group.total_byte_size for group in groups) // max(file.metadata.num_rows, 1)
    rows = max(1, min(BATCH_IMAGES, BATCH_BYTES // max(bytes_per_row, 1)))
    try:
        present = [name for name in columns if name in file.schema_arrow.names]
        yield from checked_batches(path, file.iter_batches(rows, columns=present))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is damaged ({error}). Fetch or copy it again.") from None


def _most_frequent_shape(path: Path, file: "ParquetFile") -> Size:
    """The size that most rows have, of equally frequent ones the first that is met."""
    sizes: Counter[Size] = Counter()
    for rows in _batches(path, file, ["pixels", "height", "width"]):
        heights, widths, channels = _shapes(rows, None)
        fit = channels > 0
        sizes.update(zip(heights[fit].tolist(), widths[fit].tolist(), strict=True))
    return next((size for size, _ in sizes.most_common(1)), (1, 1))


def _shapes(rows: pa.RecordBatch, size: Size | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height, width and channels of each row's image; no channels where its values are no image's."""
    values = _counts_of_values(rows.column("pixels"))
    if {"height", "width"} <= set(rows.schema.names):
        heights, widths = (_whole_numbers(rows.column(name)) for name in ("height", "width"))
    elif size:
        heights, widths = (np.full(len(values), side) for side in size)
    else:
        heights = widths = np.array([_side(count) for count in values.tolist()], np.int64)
    # Products of what a file claims might overflow: no side is longer than an image's pixels are many.
    sound = (heights > 0) & (widths > 0) & (heights <= MAX_PIXELS) & (widths <= MAX_PIXELS)
    pixels = np.where(sound, heights * widths, MAX_PIXELS + 1)
    fits = (pixels <= MAX_PIXELS) & (values % pixels == 0) & np.isin(values // pixels, (1, 3, 4))
    return heights, widths, np.where(fits, values // pixels, 0)


def _side(values: int) -> int:
    """How many pixels a side a square image in RGB, or else a grey one, of so many values has; 0 where it is none."""
    return next((isqrt(values // n) for n in (3, 1) if isqrt(values // n) ** 2 * n == values), 0)


def _counts_of_values(pixels: pa.Array) -> np.ndarray:
    count = pc.list_value_length if hasattr(pixels.type, "value_type") else pc.binary_length
    return pc.fill_null(count(pixels), 0).to_numpy(zero_copy_only=False).astype(np.int64)


def _whole_numbers(values: pa.Array) -> np.ndarray:
    if not pa.types.is_integer(values.type):
        raise SourceError(f"the columns of heights and widths are of type {values.type}. Wanted: whole numbers.")
    return pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.int64)


def _block(
    path: Path, rows: pa.RecordBatch, first_row: int, size: Size | None, wanted: Size
) -> Iterator[Images | LeftOut]:
    """The images of a batch of rows, after those that are left out of it."""
    heights, widths, channels = _shapes(rows, size)
    ids, labels, splits = (_texts(path, rows, name) for name in ("image_id", "label", "split"))
    if ids is None:
        ids = [f"{path.name}:{number:08}" for number in range(first_row + 1, first_row + rows.num_rows + 1)]
    unfit: dict[int, tuple[Why, str]] = {}
    for row, name in enumerate(ids):
        shape = int(heights[row]), int(widths[row])
        if name is None:
            unfit[row] = "unsuitable", "it has no image_id"
        elif splits and splits[row] is not None and splits[row].lower() not in SPLIT_NAMES:
            unfit[row] = "unsuitable", f"its split is {splits[row]!r}; wanted: {', '.join(SPLIT_NAMES)}, or none"
        elif not channels[row]:
            unfit[row] = "unsuitable", _no_image(rows.column("pixels")[row], shape)
        elif shape != wanted:
            unfit[row] = "another_size", f"it is {_called(shape)}; {_called(wanted)} are read"
    fit = np.array([row not in unfit for row in range(rows.num_rows)], bool)
    pixels = np.empty((rows.num_rows, *wanted, 3), np.uint8)
    for count in (1, 3, 4):
        chosen = np.flatnonzero(fit & (channels == count))
        if len(chosen):
            values = _values(rows.column("pixels").take(pa.array(chosen))).reshape(-1, *wanted, count)
            unfit |= {int(chosen[place]): why for place, why in _unfit_values(values).items()}
            pixels[chosen] = values[..., :3]
    for row, (why, reason) in sorted(unfit.items()):
        yield LeftOut(f"{path.name}:{first_row + row + 1:08}", why, reason)
    kept = [row for row in range(rows.num_rows) if row not in unfit]
    if kept:
        yield Images(
            [ids[row] for row in kept],
            [(labels[row] or "").strip() or None if labels else None for row in kept],
            [SPLIT_NAMES[splits[row].lower()] if splits and splits[row] is not None else None for row in kept],
            pixels[kept],
            grey=int((channels[kept] == 1).sum()),
            opaque_alpha=int((channels[kept] == 4).sum()),
        )


def _texts(path: Path, rows: pa.RecordBatch, name: str) -> list[str | None] | None:
    """A column as texts; None where there is no such column."""
    if name not in rows.schema.names:
        return None
    try:
        return pc.cast(rows.column(name), pa.string()).to_pylist()
    except (pa.ArrowException, UnicodeError) as error:
        raise SourceError(f"{path}: the column {name!r} is no text, nor anything like it ({error}).") from None


def _no_image(values: pa.Scalar, shape: Size) -> str:
    if not values.is_valid:
        return "it has no pixels"
    count = len(values.as_py())
    if not all(shape):
        return f"{count:,} values are no square image in RGB or grey; give `height` and `width`"
    return f"{count:,} values are no image {_called(shape)}, or it has over {MAX_PIXELS:,} pixels"


def _values(pixels: pa.Array) -> np.ndarray:
    """The values of all rows, one after the other; -1 where there is none."""
    if hasattr(pixels.type, "value_type"):
        flat = pixels.flatten()
        flat = pc.fill_null(flat.cast(pa.int64()), -1) if flat.null_count else flat
        return flat.to_numpy(zero_copy_only=False)
    binary = pixels.cast(pa.large_binary())
    _, offsets, data = binary.buffers()
    first, last = np.frombuffer(offsets, np.int64)[[binary.offset, binary.offset + len(binary)]]
    return np.frombuffer(data, np.uint8)[first:last]


def _unfit_values(values: np.ndarray) -> dict[int, tuple[Why, str]]:
    """Which images, (n, height, width, channels), have a value that is no grey level, or are not opaque."""
    flat = values.reshape(len(values), -1)
    wrong = (flat.min(axis=1) < 0) | (flat.max(axis=1) > 255)
    clear = values[..., 3].min(axis=(1, 2)) < 255 if values.shape[3] == 4 else np.zeros(len(values), bool)
    return {int(row): ("transparent", _TRANSPARENT) for row in np.flatnonzero(clear)} | {
        int(row): ("unsuitable", "it has values that are not 0 to 255") for row in np.flatnonzero(wrong)
    }


# The table, and arrays


class ImageReader:
    """One reading of one data set: a stream of images, and once it is consumed, what was found on the way.

    `found` is what `cifar10` or `image_files` gives; `dataset` the value of that column in every row; `schema` that of
    the table `images`. Of the images without a split, `test_share` are for the test, chosen by a hash of the id, as
    documents are (`taproom.sources.corpus`); of fewer than ten images, none. Raises InputError when `test_share` is not
    in [0, 1).
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

        Raises, from within the iteration, SourceError: there is no image, or as the source of the images does. The
        error comes out as it is when Python iterates; a consumer behind Arrow's C stream interface gets its own error
        with this one's message in it.
        """
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    @property
    def counts(self) -> dict[str, int]:
        """Count so far.

        images = training + test, those without_label, grey and with opaque_alpha among them; left_out = another_size +
        transparent + unsuitable + unreadable.
        """
        names = ("images", "training", "test", "without_label", "grey", "opaque_alpha", "left_out", *get_args(Why))
        return {name: self._counts[name] for name in names}

    @property
    def by_label(self) -> Counter[tuple[str | None, str]]:
        """Count the images so far by label and split."""
        return Counter(self._by_label)

    @property
    def left_out(self) -> list[LeftOut]:
        """The images left out so far, the first 1,000 of them."""
        return list(self._left_out)

    @property
    def samples(self) -> dict[str | None, np.ndarray]:
        """Some images (n, height, width, 3) of each label, to be looked at: the first ten of the first 30 labels.

        Of images larger than 96 pixels a side, only every second (third, ...) row and column.
        """
        return {label: np.stack(images) for label, images in self._samples.items()}

    def _batches(self) -> Iterator[pa.RecordBatch]:
        blocks = self._fit()
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

    def _fit(self) -> Iterator[Images]:
        """The images; what is not among them is counted."""
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
            return SourceError(f"{message} Wanted: images; check the path, and whether it was copied whole.")
        return SourceError(f"{message} The first, {self._left_out[0].image}: {self._left_out[0].reason}.")


def _binary(pixels: np.ndarray) -> pa.Array:
    """An image (n, height, width, 3) a value, without a copy."""
    size = int(np.prod(pixels.shape[1:]))
    offsets = np.arange(len(pixels) + 1, dtype=np.int32) * np.int32(size)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(pixels))]
    return pa.Array.from_buffers(pa.binary(), len(pixels), buffers)


def pixels_of(table: pa.Table | pa.RecordBatch) -> np.ndarray:
    """The images of rows of the table `images`: uint8, shape (images, height, width, 3).

    A read-only view of what Arrow holds where the rows are one batch, else a copy. Raises InputError when there are no
    rows, they differ in size, or hold fewer or more pixels than they say.
    """
    sizes = [pc.unique(table[name]).to_pylist() for name in ("height", "width")]
    if not table.num_rows:
        raise InputError("there is no image; at least one was wanted")
    if any(len(values) > 1 for values in sizes):
        heights, widths = (", ".join(map(str, sorted(values)[:5])) for values in sizes)
        raise InputError(f"images of the heights {heights} and widths {widths} were given; wanted: one size")
    ((height,), (width,)) = sizes
    column = table["pixels"]
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    views = [_view(chunk, height, width) for chunk in chunks if len(chunk)]
    return views[0] if len(views) == 1 else np.concatenate(views)


def _view(pixels: pa.Array, height: int, width: int) -> np.ndarray:
    _, offsets, data = pixels.buffers()
    ends = np.frombuffer(offsets, np.int32)[pixels.offset : pixels.offset + len(pixels) + 1]
    if pixels.null_count or (np.diff(ends) != 3 * height * width).any():
        raise InputError(
            f"there are images that have not the 3 x {height} x {width} bytes of pixels that they should have"
        )
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(-1, height, width, 3)


def labels_of(table: pa.Table | pa.RecordBatch) -> tuple[np.ndarray, list[str]]:
    """The labels of rows of the table `images`: numbers, int64, -1 for none; and the names they count in, sorted."""
    names = sorted(pc.unique(table["label"]).drop_null().to_pylist())
    numbers = pc.fill_null(pc.index_in(table["label"], pa.array(names, pa.string())), -1)
    return np.asarray(numbers).astype(np.int64), names
