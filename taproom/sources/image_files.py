"""Images from a path that a person gives: a folder of image files, a Parquet file, or one image file.

Here belongs the choice of the reader, and the checks of path and size before anything is read. The readers are
`taproom.sources.image_folder`, `taproom.sources.image_parquet` and `taproom.sources.picture`.

An image is never changed silently: it is left out, with the reason, unless 8-bit RGB represents it exactly.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from taproom.errors import SourceError
from taproom.sources.image_blocks import MAX_PIXELS, Images, LeftOut, Size, UnusableImageError
from taproom.sources.image_folder import folder_images
from taproom.sources.image_parquet import parquet_images
from taproom.sources.picture import read_pixels

PARQUET_SUFFIXES = (".parquet", ".pq")


def image_files(path: Path, height: int | None = None, width: int | None = None) -> Iterator[Images | LeftOut]:
    """The images of a folder, or of a Parquet file, of one size: height x width, by default the most frequent one.

    A folder: `<label>/<file>`, or `<split>/<label>/<file>` where its folders are called train (or training) and test.
    Files are read in the order of their paths, which are the image ids. The label is the name of the first folder below
    the given one, or below the split's, however deep the image is; None for an image directly in one of these. Hidden
    files, links and what the inbox ignores are skipped. Photographs are rotated as their Exif data says; grey images
    and palettes are converted to RGB.

    A Parquet file: `pixels` (binary, or a list of whole numbers up to 255: row by row, the channels of a pixel next to
    each other), and optionally `label`, `split` (train, training or test), `image_id`, `height` and `width`. Without
    the last two, images are height x width where these are given, else square.

    Left out are images of another size, damaged images, and those that 8-bit RGB cannot represent: with an alpha
    channel that is not opaque, more bits, another colour space, several pictures in a file, or over 16 Mi pixels.

    Raises SourceError at once: there is no such folder or file, or the size is impossible; during iteration: the
    Parquet file is damaged.
    """
    path, size = Path(path), _checked_size(height, width)
    if path.is_dir():
        return folder_images(path, size)
    check_is_there(path)
    if path.suffix.lower() not in PARQUET_SUFFIXES:
        raise SourceError(
            f"{path} is neither a folder nor a file called {' or '.join(PARQUET_SUFFIXES)}. Wanted: a folder of "
            "images, or a Parquet file with their pixels."
        )
    return parquet_images(path, size)


def read_picture(path: Path) -> np.ndarray:
    """One image file of any size: uint8, shape (height, width, 3).

    Raises SourceError when there is no file at the path, or `image_files` would leave it out.
    """
    check_is_there(path)
    try:
        return read_pixels(path).pixels
    except UnusableImageError as error:
        raise SourceError(f"{path} cannot be read as an image: {error}.") from None


def check_is_there(path: Path) -> None:
    """Raise SourceError unless there is a folder or a file at the path."""
    if not path.is_dir() and not path.is_file():
        raise SourceError(f"{path} is not there, or neither file nor folder. Wanted: images; check the path.")


def _checked_size(height: int | None, width: int | None) -> Size | None:
    if height is None and width is None:
        return None
    if height is None or width is None or min(height, width) < 1 or height * width > MAX_PIXELS:
        raise SourceError(
            f"the images' height is {height} and their width {width}. Wanted: both or neither, each at least 1, and at "
            f"most {MAX_PIXELS:,} pixels."
        )
    return height, width
