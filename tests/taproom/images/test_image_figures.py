"""Figures of images."""

import io

import numpy as np
import pytest
from PIL import Image

from taproom.images.image_figures import sample_images, tiles_of


def drawn(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_tiles_are_in_rows_with_white_between_them(kind):
    pictures = np.zeros((3, 2, 2, 3), kind)
    pictures[2] = 1
    white = 255 if kind is np.uint8 else 1
    grid = tiles_of(pictures, 2)
    assert (grid.shape, grid.dtype) == ((5, 5, 3), kind)
    assert (grid[:2, :2] == 0).all()
    assert (grid[2] == white).all()
    assert (grid[3:, :2] == 1).all()
    assert (grid[3:, 3:] == white).all()


def test_samples_are_drawn_with_any_labels():
    shades = {
        label: np.full((3, 4, 6, 3), 10 * place + 5, np.uint8) for place, label in enumerate(["$a$", "b" * 99, None])
    }
    pixels = drawn(sample_images(shades, {(label, "training"): 3 for label in shades}))
    assert {5, 15, 25} <= set(pixels[pixels.std(axis=1) == 0][:, 0].tolist())
    many = {f"label {number:02}": np.zeros((1, 2, 2, 3), np.uint8) for number in range(50)}
    assert len(drawn(sample_images(many, {(label, "test"): 1 for label in many}))) > 10_000
    assert len(drawn(sample_images({}, {})))
