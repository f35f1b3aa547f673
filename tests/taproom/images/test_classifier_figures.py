import io

import numpy as np
import pytest
from PIL import Image

from taproom.images import classifier_figures as figures
from taproom.images.patches import fit_whitening

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(0)
LEVELS = RANDOM.integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)


def picture(png: bytes) -> Image.Image:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 1_000_000
    return Image.open(io.BytesIO(png)).convert("RGB")


def colours(png):
    return {colour for _, colour in picture(png).getcolors(maxcolors=2**24)}


def test_patches_are_drawn_in_their_own_colours_and_numbers_about_grey():
    assert tuple(LEVELS[0, 2, 2].tolist()) in colours(figures.patch_grid("Patches", LEVELS[:4]))
    about = np.zeros((4, 6, 6, 3), np.float32)
    about[:, :3] = 5.0
    found = colours(figures.patch_grid("Filters", about))
    assert {(255, 255, 255), (127, 127, 127)} & found or {(128, 128, 128)} & found


@pytest.mark.parametrize("count", [1, 5, 450])
def test_any_number_of_patches_is_drawn(count):
    patches = np.resize(LEVELS, (count, 6, 6, 3))
    assert picture(figures.patch_grid("Patches", patches)).size[0] > 300
    assert picture(figures.patch_grid("Flat", np.zeros((count, 2, 2, 3), np.float32))).size[0] > 300


@pytest.mark.parametrize("count", [3, 200])
def test_whitening_is_drawn(count):
    patches = RANDOM.normal(size=(count, 27)).astype(np.float32)
    assert picture(figures.whitening(fit_whitening(patches, "all", 0.1), patches)).size[0] > 300


@pytest.mark.parametrize("accuracies", [{10.0: 0.7}, {0.0: 0.5, 1.0: 0.6}, {1.0: 0.6, 3.0: 0.8, 9.0: 0.75}])
def test_penalties_are_drawn(accuracies):
    best = max(accuracies, key=accuracies.get)
    other = figures.penalties(accuracies, min(accuracies, key=accuracies.get))
    assert (figures.penalties(accuracies, best) == other) is (len(accuracies) == 1)


def test_the_surest_images_are_drawn_right_and_wrong():
    labels, predicted = ["ale", "ale", None, "$bock"], ["ale", "$bock", "ale", "$bock"]
    scores = np.array([[1, -1], [-1, 1], [1, 0], [0, 0.5]])
    png = figures.predictions(LEVELS[:4], labels, predicted, scores)
    drawn = colours(png)
    for place in (0, 1, 3):
        assert tuple(LEVELS[place, 2, 2].tolist()) in drawn
    assert tuple(LEVELS[2, 2, 2].tolist()) not in drawn  # nobody knows whether it is right


@pytest.mark.parametrize("classes", [1, 2, 25])
def test_confusion_is_drawn(classes):
    counts = RANDOM.integers(0, 9, (classes, classes))
    counts[0] = 0
    assert picture(figures.confusion(counts, [f"class_{place}" for place in range(classes)])).size[0] > 100
