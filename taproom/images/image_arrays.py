"""Rows of the table `images` as arrays: pixels, and labels as numbers.

Here belongs what every reader of that table starts with. The rows are made by `taproom.sources.image_reader`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError


def pixels_of(table: pa.Table | pa.RecordBatch) -> np.ndarray:
    """The images in rows of the table `images`: uint8, shape (images, height, width, 3).

    A read-only view of Arrow's memory where the rows are one batch, else a copy. Raises InputError when there are no
    rows, they differ in size, or a value of `pixels` does not have the bytes of its height and width.

    >>> rows = pa.table({"height": [1], "width": [2], "pixels": [bytes([255, 0, 0, 0, 0, 255])]})
    >>> pixels_of(rows).tolist()
    [[[[255, 0, 0], [0, 0, 255]]]]
    """
    sizes = [pc.unique(table[name]).to_pylist() for name in ("height", "width")]
    if not table.num_rows:
        raise InputError("there is no image; wanted: at least one")
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
            f"there are images without the 3 x {height} x {width} bytes of pixels that their height and width need"
        )
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].reshape(-1, height, width, 3)


def labels_of(table: pa.Table | pa.RecordBatch) -> tuple[np.ndarray, list[str]]:
    """The labels in rows of the table `images`: their numbers, int64, -1 for none; and their names, sorted.

    >>> labels_of(pa.table({"label": ["dog", None, "cat"]}))
    (array([ 1, -1,  0]), ['cat', 'dog'])
    """
    names = sorted(pc.unique(table["label"]).drop_null().to_pylist())
    numbers = pc.fill_null(pc.index_in(table["label"], pa.array(names, pa.string())), -1)
    return np.asarray(numbers).astype(np.int64), names
