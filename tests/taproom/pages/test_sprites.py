"""Pictures in one image."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from taproom.pages.sprites import COLUMNS, sprite


@pytest.mark.parametrize("count", [1, COLUMNS, COLUMNS + 2])
def test_a_tile_is_at_its_row_and_column(count):
    tiles = np.random.default_rng(0).integers(0, 256, (count, 3, 5, 3), np.uint8)
    found = sprite(tiles)
    assert (found["height"], found["width"], found["columns"]) == (3, 5, min(COLUMNS, count))
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(found["address"].partition(",")[2]))))
    for place, tile in enumerate(tiles):
        row, column = divmod(place, found["columns"])
        np.testing.assert_array_equal(picture[3 * row : 3 * row + 3, 5 * column : 5 * column + 5], tile)
