import io

import numpy as np
import pytest
from PIL import Image

from taproom.search.search_comparison import DECK_SETTINGS, METHODS
from taproom.search.search_comparison_figures import deck_settings, sample_digits, search_comparison


def opened(png):
    return Image.open(io.BytesIO(png)).convert("RGB")


def different(first, second):
    return first.size != second.size or np.asarray(first).tobytes() != np.asarray(second).tobytes()


def settings(losses):
    return [
        {
            "setting": place + 1,
            "published_loss": setting.loss,
            "loss": loss,
            "error": None if loss is None else loss / 9,
        }
        for place, (setting, loss) in enumerate(zip(DECK_SETTINGS, losses, strict=True))
    ]


def curves(medians, seeds=3):
    return [
        {
            "method": method,
            "epochs": 9 * place,
            "median": median,
            "low": None if median is None else median - 0.1,
            "high": None if median is None else median + 0.1,
            "losses": [median] * seeds,
        }
        for method in METHODS
        for place, median in enumerate(medians[method] if isinstance(medians, dict) else medians, 1)
    ]


def test_digits_are_drawn_dark_on_white_a_row_a_label():
    pixels = np.zeros((30, 784), np.uint8)
    pixels[::2] = 255
    labels = ["7", "$x"] * 15
    picture = np.asarray(opened(sample_digits(pixels, labels)))
    assert (picture == 0).all(axis=-1).any()
    middle = picture[:, picture.shape[1] // 2].min(axis=1)
    assert 0.2 < (middle < 40).mean() < 0.8  # one row of the two
    assert opened(sample_digits(pixels[:4], labels[:4])).width > 400


def test_no_more_labels_are_drawn_than_can_be_seen():
    many = [f"{number:03}" for number in range(60)]
    tall = opened(sample_digits(np.zeros((60, 784), np.uint8), many)).height
    assert tall <= opened(sample_digits(np.zeros((20, 784), np.uint8), many[:20])).height + 2


def test_settings_are_drawn_and_those_that_diverge_are_not():
    losses = [0.5, 0.9, 0.4, 0.6, 0.7, 0.8, 1.0, 0.3, 0.2, 0.35]
    whole = opened(deck_settings(settings(losses)))
    assert whole.width > 800
    assert different(whole, opened(deck_settings(settings([None, *losses[1:]]))))


@pytest.mark.parametrize("loss", [0.4, None])
def test_settings_that_are_all_alike_are_drawn(loss):
    assert opened(deck_settings(settings([loss] * 10))).width > 800


def test_curves_are_drawn_with_where_they_reach_random_search():
    late = {method: [0.9, 0.8, 0.6] for method in METHODS} | {"hyperband": [0.9, 0.5, 0.4]}
    never = {**late, "hyperband": [0.9, 0.8, 0.7]}
    pictures = [opened(search_comparison(curves(medians))) for medians in (late, never)]
    assert all(picture.width > 700 for picture in pictures)
    assert different(*pictures)


@pytest.mark.parametrize("medians", [[0.5], [None, 0.5], [None, None], [None]])
def test_curves_with_little_in_them_are_drawn(medians):
    assert opened(search_comparison(curves(medians, seeds=1))).width > 700
