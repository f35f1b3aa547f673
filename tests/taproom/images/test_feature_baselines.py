import numpy as np
import pytest

from taproom.errors import InputError
from taproom.images.feature_baselines import choose_images, compare
from taproom.images.hand_made_features import (
    FEATURES,
)
from taproom.images.image_classifier import LabelledImages
from tests.stripes import CLASSES, stripes


def labelled(count: int = 240) -> tuple[np.ndarray, LabelledImages]:
    """Some that are hard to tell apart, or all penalties would do."""
    pixels, labels = stripes(count, contrast=16, noise=50)
    part = np.arange(count) // 2 % 5
    return pixels, LabelledImages(labels, CLASSES, part < 3, part == 3, part == 4)


def test_images_are_chosen_at_random_with_two_of_each_label():
    labels = np.array([0] * 50 + [1] * 2 + [-1] * 10 + [0] * 30 + [1] * 8)
    training = np.arange(100) < 62
    rows = choose_images(labels, training, (10, 20), seed=1)
    assert (np.diff(rows) > 0).all()
    assert training[rows].sum() == 10
    assert (~training[rows]).sum() == 20
    assert labels[rows].min() == 0
    assert (labels[rows][training[rows]] == 1).sum() == 2
    assert (rows == choose_images(labels, training, (10, 20), seed=1)).all()
    assert not (rows == choose_images(labels, training, (10, 20), seed=2)).all()
    assert training[choose_images(labels, training, (1, 1))].sum() == 4


def test_test_images_of_a_label_that_no_training_image_has_are_not_chosen():
    labels, training = np.array([0, 0, 1, 1, 2, 2, 0]), np.arange(7) < 4
    assert choose_images(labels, training, (9, 9)).tolist() == [0, 1, 2, 3, 6]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 0, 0, 0, 0, 0], "of 1 classes"),
        ([-1, -1, -1, -1, 0, 1], "of 0 classes"),
        ([0, 1, 0, 1, -1, -1], "0 labelled test images"),
        ([0, 1, 0, 1, 2, 2], "0 labelled test images"),
    ],
)
def test_images_that_nothing_can_be_judged_on_are_refused(labels, told):
    with pytest.raises(InputError, match=told):
        choose_images(np.array(labels), np.arange(6) < 4, (9, 9))


@pytest.mark.slow
def test_features_that_see_gradients_tell_stripes_apart_and_the_rows_are_the_same_again():
    found = compare(*labelled(), workers=2)
    assert not found.left_out
    rows = {row["features"]: row for row in found.rows}
    assert list(rows) == list(FEATURES)
    assert rows["textons"]["low"] > rows["pixels"]["high"]
    for row in rows.values():
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert (row["training_images"], row["test_images"]) == (192, 48)
        assert row.pop("seconds") > 0
    for row in compare(*labelled(), workers=1).rows:
        del row["seconds"]
        assert row == rows[row["features"]]


def test_features_that_cannot_be_had_are_left_out_with_their_reason():
    pixels, labels = stripes(6)
    part = np.arange(6) // 2
    found = compare(pixels, LabelledImages(labels, CLASSES, part == 0, part == 1, part == 2))
    assert [row["features"] for row in found.rows] == ["pixels", "hog", "textons"]
    assert "wanted more images" in found.left_out["sift"]
