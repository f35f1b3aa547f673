"""Pictures of one size in a single image, so that a page has one picture instead of hundreds."""

import base64
import io
from typing import Any

import numpy as np

COLUMNS = 24


def sprite(tiles: np.ndarray) -> dict[str, Any]:
    """Tiles (n, height, width, 3) uint8, at least one, row by row in a PNG, as `Taproom.pixels.tiles` takes them."""
    from PIL import Image

    count, height, width, channels = tiles.shape
    columns = min(COLUMNS, count)
    lines = -(-count // columns)
    filled = np.zeros((lines * columns, height, width, channels), np.uint8)
    filled[:count] = tiles
    picture = filled.reshape(lines, columns, height, width, channels).swapaxes(1, 2)
    sink = io.BytesIO()
    Image.fromarray(picture.reshape(lines * height, columns * width, channels)).save(sink, "png")
    address = "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()
    return {"address": address, "width": width, "height": height, "columns": columns}
