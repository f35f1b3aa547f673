import io

import numpy as np
import pytest
from PIL import Image

from taproom.drawing import PALETTE
from taproom.images import gallery_figures as figures
from taproom.images.convolution import deck_example, gallery, random_patch_filters

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(0)


def picture(png: bytes) -> Image.Image:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 300_000
    drawn = Image.open(io.BytesIO(png)).convert("RGB")
    assert max(drawn.size) < 2_500
    return drawn


def has(colour: str, png: bytes) -> bool:
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8).astype(int)
    found = np.array([found for _, found in picture(png).getcolors(maxcolors=256)])
    return np.abs(found - wanted).max(axis=1).min() < 25


def steps(count: int, height: int = 12, width: int = 12) -> list:
    images = RANDOM.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    filters = random_patch_filters(images, filters=9)
    return [gallery(image, filters) for image in images]


def accuracy(features="hog", share=0.5):
    counts = {"dimensions": 324, "training_images": 4_000, "test_images": 2_000}
    return {"features": features, "accuracy": share, "low": share - 0.02, "high": min(share + 0.02, 1.0)} | counts


def test_the_gallery_marks_the_first_window_and_tells_signs_apart():
    png = figures.gallery(deck_example(), steps(2))
    assert has(PALETTE[4], png)
    assert has(PALETTE[1], png)
    assert has(PALETTE[0], png)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (6, 32), (32, 9)])
def test_images_of_any_proportion_keep_to_their_place(height, width):
    assert (
        picture(figures.gallery(deck_example(), steps(1, height, width))).size
        == picture(figures.gallery(deck_example(), steps(6))).size
    )


def test_only_four_images_are_drawn():
    many = steps(5)
    assert figures.gallery(deck_example(), many) == figures.gallery(deck_example(), many[:4])


def test_constant_images_are_drawn():
    black = gallery(np.zeros((8, 8, 3), np.uint8), np.zeros((4, 5, 5, 3)))
    assert picture(figures.gallery(deck_example(), [black]))


def test_accuracies_are_bars_in_their_order():
    rows = [accuracy("pixels", 0.3), accuracy("hog", 1.0), accuracy("another", 0.0)]
    png = figures.feature_accuracies(rows)
    assert has(PALETTE[5], png)
    assert png == figures.feature_accuracies(rows[::-1])
    assert picture(figures.feature_accuracies([]))


@pytest.mark.parametrize(("kernel", "told"), [(np.ones((3, 3)) / 9, "1/9"), (np.array([[1, -4], [0, 2]]), "")])
def test_a_filter_of_fractions_is_told_as_whole_numbers_and_a_fraction(kernel, told):
    factor, numbers = figures._whole(kernel)
    assert factor == told
    assert numbers == pytest.approx(np.rint(numbers))
