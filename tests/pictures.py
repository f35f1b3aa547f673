"""What tests of figures look at: a figure's pixels."""

import io

import numpy as np
from PIL import Image


def picture(png: bytes) -> Image.Image:
    """The PNG as an image, if its size and the number of its bytes are those of a figure."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 150_000
    drawn = Image.open(io.BytesIO(png)).convert("RGB")
    assert min(drawn.size) > 50
    assert max(drawn.size) < 2_500
    return drawn


def has(colour: str, png: bytes) -> bool:
    """Whether some pixel has the palette's colour, up to the rounding to 256 colours."""
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8).astype(int)
    found = np.array([found for _, found in picture(png).getcolors(maxcolors=256)])
    return np.abs(found - wanted).max(axis=1).min() < 25


# Names that labels must take as they come.
ODD_WORDS = [r"$\frac{", r"_a\$b$", "слово 中国", "עברית", "two\nlines", "\udc80", "x" * 5_000]
