"""The images of a Parquet file with their pixels, one in a row.

Here belongs what the columns of such a file may be, the size of each row's image, and which rows are left out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import SourceError
from taproom.sources.image_blocks import (
    MAX_PIXELS,
    SPLIT_NAMES,
    TRANSPARENT,
    Images,
    LeftOut,
    Size,
    Split,
    Why,
    another_size,
    images_per_block,
    most_frequent_size,
    size_text,
)
from taproom.sources.packed import check_footer, checked_batches

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_OPTIONAL_COLUMNS = ("label", "split", "image_id", "height", "width")
_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA


class _Shapes(NamedTuple):
    """The shape of each row's image, int64 (rows,) each; 0 channels where its values are not an image's."""

    heights: np.ndarray
    widths: np.ndarray
    channels: np.ndarray


def parquet_images(path: Path, size: Size | None = None) -> Iterator[Images | LeftOut]:
    """The images of a Parquet file, by default of its most frequent size; `taproom.sources.image_files` has the rules.

    Raises SourceError at once when it is not a Parquet file or has no column `pixels` of a suitable type; during
    iteration, when it is damaged or another column has a type that cannot be read.
    """
    from pyarrow.parquet import ParquetFile

    try:
        # Read ahead, Arrow would keep what it has read until the end: the whole file.
        file = ParquetFile(path, buffer_size=2**20, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file, or damaged ({error}). Fetch or copy it again.") from None
    check_footer(path, file.metadata)
    if "pixels" not in file.schema_arrow.names or not _can_be_pixels(file.schema_arrow.field("pixels").type):
        found = ", ".join(f"{field.name} ({field.type})" for field in file.schema_arrow)
        raise SourceError(
            f"{path} has the columns {found}. Wanted: `pixels`, binary or a list of whole numbers up to 255; "
            "`label`, `split`, `image_id`, `height` and `width` are optional."
        )
    return _blocks(path, file, size)


def _can_be_pixels(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.types.is_integer(kind.value_type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _blocks(path: Path, file: "ParquetFile", size: Size | None) -> Iterator[Images | LeftOut]:
    first_row = 0
    wanted = size or _most_frequent_size(path, file)
    for rows in _batches(path, file, ["pixels", *_OPTIONAL_COLUMNS]):
        yield from _block(path, rows, first_row, size, wanted)
        first_row += rows.num_rows


def _batches(path: Path, file: "ParquetFile", columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Those of the columns that there are, in batches of about 64 MiB at most."""
    groups = [file.metadata.row_group(place) for place in range(file.num_row_groups)]
    row_bytes = sum(group.total_byte_size for group in groups) // max(file.metadata.num_rows, 1)
    try:
        present = [name for name in columns if name in file.schema_arrow.names]
        yield from checked_batches(path, file.iter_batches(images_per_block(row_bytes), columns=present))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is damaged ({error}). Fetch or copy it again.") from None


def _most_frequent_size(path: Path, file: "ParquetFile") -> Size:
    """The size that most rows have; of several, the first."""
    sizes: Counter[Size] = Counter()
    for rows in _batches(path, file, ["pixels", "height", "width"]):
        heights, widths, channels = _shapes(rows, None)
        fits = channels > 0
        sizes.update(zip(heights[fits].tolist(), widths[fits].tolist(), strict=True))
    return most_frequent_size(sizes)


def _shapes(rows: pa.RecordBatch, size: Size | None) -> _Shapes:
    """The shape of each row's image: by its columns, else `size`, else square."""
    values = _counts_of_values(rows.column("pixels"))
    if {"height", "width"} <= set(rows.schema.names):
        heights, widths = (_whole_numbers(rows.column(name)) for name in ("height", "width"))
    elif size:
        heights, widths = (np.full(len(values), side) for side in size)
    else:
        heights = widths = np.array([_side(count) for count in values.tolist()], np.int64)
    # A product of two numbers in a file might overflow; no side is longer than the pixels an image may have.
    possible = (heights > 0) & (widths > 0) & (heights <= MAX_PIXELS) & (widths <= MAX_PIXELS)
    pixels = np.where(possible, heights * widths, MAX_PIXELS + 1)
    fits = (pixels <= MAX_PIXELS) & (values % pixels == 0) & np.isin(values // pixels, _CHANNELS)
    return _Shapes(heights, widths, np.where(fits, values // pixels, 0))


def _side(values: int) -> int:
    """Pixels on a side of the square image in RGB, or else in grey, with this many values; 0 where there is none."""
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
    """The images of a batch of rows, after those of its rows that are left out."""
    shapes = _shapes(rows, size)
    row_names = [f"{path.name}:{number:08}" for number in range(first_row + 1, first_row + rows.num_rows + 1)]
    labels, splits = (_texts(path, rows, name) for name in ("label", "split"))
    ids = _texts(path, rows, "image_id") if "image_id" in rows.schema.names else row_names
    left_out = _unsuitable_rows(rows, ids, splits, shapes, wanted)
    pixels, unsuitable_values = _rgb(rows.column("pixels"), shapes.channels, left_out, wanted)
    left_out |= unsuitable_values
    for row, (why, reason) in sorted(left_out.items()):
        yield LeftOut(row_names[row], why, reason)
    kept = [row for row in range(rows.num_rows) if row not in left_out]
    if kept:
        yield Images(
            [image_id for row in kept if (image_id := ids[row]) is not None],  # rows without are left out
            [(labels[row] or "").strip() or None for row in kept],
            [_split(splits[row]) for row in kept],
            pixels[kept],
            grey=int((shapes.channels[kept] == 1).sum()),
            opaque_alpha=int((shapes.channels[kept] == 4).sum()),
        )


def _split(text: str | None) -> Split | None:
    return None if text is None else SPLIT_NAMES[text.lower()]


def _texts(path: Path, rows: pa.RecordBatch, name: str) -> list[str | None]:
    """A column as texts; None in each row where there is no such column."""
    if name not in rows.schema.names:
        return [None] * rows.num_rows
    try:
        return pc.cast(rows.column(name), pa.string()).to_pylist()
    except (pa.ArrowException, UnicodeError) as error:
        raise SourceError(f"{path}: the column {name!r} cannot be read as text ({error}).") from None


def _unsuitable_rows(
    rows: pa.RecordBatch, ids: Sequence[str | None], splits: Sequence[str | None], shapes: _Shapes, wanted: Size
) -> dict[int, tuple[Why, str]]:
    """The rows to leave out for their id, split or size, each with the reason."""
    left_out: dict[int, tuple[Why, str]] = {}
    sizes = zip(shapes.heights.tolist(), shapes.widths.tolist(), strict=True)
    for row, (image_id, split, size) in enumerate(zip(ids, splits, sizes, strict=True)):
        if image_id is None:
            left_out[row] = "unsuitable", "it has no image_id"
        elif split is not None and split.lower() not in SPLIT_NAMES:
            left_out[row] = "unsuitable", f"its split is {split!r}; wanted: {', '.join(SPLIT_NAMES)}, or none"
        elif not shapes.channels[row]:
            left_out[row] = "unsuitable", _no_image(rows.column("pixels")[row], size)
        elif size != wanted:
            left_out[row] = "another_size", another_size(size, wanted)
    return left_out


def _no_image(values: pa.Scalar, size: Size) -> str:
    if not values.is_valid:
        return "it has no pixels"
    count = len(values.as_py())
    if not all(size):
        return f"{count:,} values are not a square image in RGB or grey; give `height` and `width`"
    return f"{count:,} values are not an image {size_text(size)}, or it has over {MAX_PIXELS:,} pixels"


def _rgb(
    pixels: pa.Array, channels: np.ndarray, left_out: Mapping[int, object], wanted: Size
) -> tuple[np.ndarray, dict[int, tuple[Why, str]]]:
    """The images of the rows that are not left out, uint8 (rows, height, width, 3), and which of them cannot be used.

    What is in the other rows of the array is undefined.
    """
    usable = np.array([row not in left_out for row in range(len(pixels))], bool)
    rgb = np.empty((len(pixels), *wanted, 3), np.uint8)
    unsuitable: dict[int, tuple[Why, str]] = {}
    for count in _CHANNELS:
        chosen = np.flatnonzero(usable & (channels == count))
        if len(chosen):
            values = _values(pixels.take(pa.array(chosen))).reshape(-1, *wanted, count)
            unsuitable |= {int(chosen[place]): why for place, why in _unsuitable_values(values).items()}
            rgb[chosen] = values[..., :3]
    return rgb, unsuitable


def _values(pixels: pa.Array) -> np.ndarray:
    """The values of all rows, one after the other; -1 where one is null."""
    if hasattr(pixels.type, "value_type"):
        flat = pixels.flatten()
        flat = pc.fill_null(flat.cast(pa.int64()), -1) if flat.null_count else flat
        return flat.to_numpy(zero_copy_only=False)
    binary = pixels.cast(pa.large_binary())
    _, offsets, data = binary.buffers()
    first, last = np.frombuffer(offsets, np.int64)[[binary.offset, binary.offset + len(binary)]]
    return np.frombuffer(data, np.uint8)[first:last]


def _unsuitable_values(values: np.ndarray) -> dict[int, tuple[Why, str]]:
    """Which images, (n, height, width, channels), have a value outside 0 to 255, or are not opaque."""
    flat = values.reshape(len(values), -1)
    wrong = (flat.min(axis=1) < 0) | (flat.max(axis=1) > 255)
    clear = values[..., 3].min(axis=(1, 2)) < 255 if values.shape[3] == 4 else np.zeros(len(values), bool)
    return {int(row): ("transparent", TRANSPARENT) for row in np.flatnonzero(clear)} | {
        int(row): ("unsuitable", "it has values that are not 0 to 255") for row in np.flatnonzero(wrong)
    }
