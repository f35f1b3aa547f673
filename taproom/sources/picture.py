"""One image file as 8-bit RGB, or the reason why it cannot be that.

Here belongs everything that is asked of Pillow about a file: its format, size, orientation, colours, and whether it is
whole. What its name and its folder mean is `taproom.sources.image_folder`'s.

Sources: the PNG specification (W3C), 5.3, for the checksums of chunks; Exif 2.3, tag 0x0112, for the orientation.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from taproom.sources.image_blocks import MAX_PIXELS, TRANSPARENT, Size, UnusableImageError, another_size

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_GREY_MODES = ("1", "L", "LA")
_MODES = (*_GREY_MODES, "P", "PA", "RGB", "RGBA")
_ORIENTATION = 0x0112
_ROTATED_BY_A_QUARTER = (5, 6, 7, 8)


class Pixels(NamedTuple):
    """The pixels of a picture, uint8 (height, width, 3); whether it was grey, and had an (opaque) alpha channel."""

    pixels: np.ndarray
    was_grey: bool
    had_alpha: bool


def picture_size(path: Path) -> Size:
    """Height and width by the file's header and its Exif data, without decoding the pixels.

    Raises UnusableImageError when the file cannot be opened, is no image, or has too many pixels.
    """
    with _opened(path) as image:
        return _upright_size(image)


def read_pixels(path: Path, wanted: Size | None = None) -> Pixels:
    """The pixels of a file in RGB, rotated as its Exif data says.

    Raises UnusableImageError when it is of another size than `wanted`, is damaged, or 8-bit RGB cannot represent it.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        if wanted and (size := _upright_size(image)) != wanted:
            raise UnusableImageError("another_size", another_size(size, wanted))
        # A photograph may have its preview in the same file (MPO).
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise UnusableImageError("unsuitable", "it has several pictures; wanted: one in a file")
        if image.mode not in _MODES or _has_more_bits(image):
            raise UnusableImageError(
                "unsuitable", f"it is of mode {image.mode}, or has more than 8 bits a channel; convert it to RGB"
            )
        if image.format == "PNG":
            _check_all_checksums(path)
        return _rgb(image if _orientation(image) == 1 else ImageOps.exif_transpose(image))


def _check_all_checksums(path: Path) -> None:
    """Decoding stops at the last pixel, and so does not check what follows."""
    with _opened(path) as image:
        image.verify()


@contextmanager
def _opened(path: Path) -> "Iterator[ImageFile]":
    """Open a file as an image, before anything is decoded. Errors, then and later, become UnusableImageError."""
    from PIL import Image

    too_large = UnusableImageError("unsuitable", f"it has over {MAX_PIXELS:,} pixels; cut it up or scale it down")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise too_large
            yield image
    except UnusableImageError:
        raise
    except Image.DecompressionBombError:
        raise too_large from None
    except Image.UnidentifiedImageError:
        raise UnusableImageError(
            "unreadable", "it is empty or damaged, or not an image of the formats that are read"
        ) from None
    except Exception as error:  # decoders raise all kinds of errors when a file is damaged
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnusableImageError("unreadable", f"it is damaged or cannot be opened ({reason})") from None


def _orientation(image: "Image") -> int:
    # Only where there is Exif data before the pixels: to look for more, Pillow would decode a whole PNG.
    return image.getexif().get(_ORIENTATION, 1) if "exif" in image.info else 1


def _upright_size(image: "Image") -> Size:
    """Height and width of an image once it is rotated as its Exif data says."""
    is_rotated = _orientation(image) in _ROTATED_BY_A_QUARTER
    return (image.width, image.height) if is_rotated else (image.height, image.width)


def _has_more_bits(image: "ImageFile") -> bool:
    """Whether decoding would reduce channels to 8 bits; by Pillow's raw modes, and by the largest value of a PPM."""
    codings = [(tile[0], tile[3] if isinstance(tile[3], tuple) else (tile[3],)) for tile in image.tile]
    return any(
        re.search(";16[BLN]", str(coding)) or (codec.startswith("ppm") and coding[1:] > (255,))
        for codec, coding in codings
    )


def _rgb(image: "Image") -> Pixels:
    is_grey, has_alpha = image.mode in _GREY_MODES, image.has_transparency_data
    if not has_alpha:
        return Pixels(np.asarray(image.convert("RGB")), is_grey, False)
    pixels = np.asarray(image.convert("RGBA"))
    if pixels[..., 3].min() < 255:
        raise UnusableImageError("transparent", TRANSPARENT)
    return Pixels(pixels[..., :3], is_grey, True)
