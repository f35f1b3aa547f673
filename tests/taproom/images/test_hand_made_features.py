import cv2
import joblib
import numpy as np
import pytest

from taproom.errors import InputError
from taproom.images.hand_made_features import (
    FEATURES,
    HOG_CELLS,
    TEXTONS,
    _gabor,
    _gabor_bank,
    _k_means,
    _sift,
    learn,
    reduced,
)
from tests.stripes import stripes

RANDOM = np.random.default_rng(0)


IMAGES, LABELS = stripes(150)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (13, 21), (16, 16), (50, 40)])
def test_features_are_finite_numbers_of_images_of_any_size(features, height, width):
    images, _ = stripes(40, height, width)
    found = learn(features, images).features(images[:3])
    assert found.dtype == np.float32
    assert found.ndim == 2
    assert np.isfinite(found).all()
    assert len(found) == 3


@pytest.mark.slow
@pytest.mark.parametrize("features", FEATURES)
def test_features_are_the_same_with_any_number_of_workers_and_of_an_image_by_itself(features):
    images = stripes(200)[0]
    found = learn(features, images, seed=5, workers=1).features(images, 1)
    again = learn(features, images, seed=5, workers=2)
    with joblib.parallel_config(backend="loky"):
        assert (again.features(images, 2) == found).all()
    assert again.features(images[70:71])[0] == pytest.approx(found[70], abs=1e-6)


@pytest.mark.parametrize("features", ["sift", "textons"])
def test_another_seed_finds_other_words(features):
    assert not (learn(features, IMAGES, 0).features(IMAGES) == learn(features, IMAGES, 1).features(IMAGES)).all()


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images_have_finite_features(features, level):
    constant = np.full((40, 16, 16, 3), level, np.uint8)
    assert np.isfinite(learn(features, constant).features(constant)).all()
    assert np.isfinite(learn(features, IMAGES).features(constant)).all()


def test_pixels_are_the_image():
    assert (learn("pixels", IMAGES).features(IMAGES) == IMAGES.reshape(len(IMAGES), -1) / np.float32(255)).all()


def test_hog_has_nine_directions_in_overlapping_blocks_and_finds_the_gradient_s():
    found = learn("hog", IMAGES).features(IMAGES)
    assert found.shape[1] == (HOG_CELLS - 1) ** 2 * 4 * 9
    across, down = (found[label == LABELS].reshape(-1, 9).mean(axis=0) for label in (0, 1))
    assert across.argmax() in (4,)  # a gradient straight down: 90 of 180 degrees
    assert down.argmax() in (0, 8)


def test_sift_descriptors_have_roots_of_shares():
    found = _sift(IMAGES[:2])
    assert found.shape == (2, 8, 8, 128)
    assert (found**2).sum(axis=3) == pytest.approx(1, abs=1e-4)


def test_gabor_filters_are_blind_to_brightness_and_reflect_at_the_border_of_each_image():
    bank = _gabor_bank()
    assert [kernel.sum() for kernel in bank] == pytest.approx([0] * len(bank), abs=1e-6)
    together, alone = _gabor(IMAGES[:3]), _gabor(IMAGES[1:2])
    assert (together[1] == alone[0]).all()
    grey = IMAGES[1, :, :, 0].astype(np.float32) / 255
    direct = [cv2.filter2D(grey, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101) for kernel in bank]
    direct = np.stack(direct, axis=-1)
    ratio = alone[0][np.abs(direct) > 1e-3] / direct[np.abs(direct) > 1e-3]
    assert (ratio > 0).all()


def test_a_quarter_s_words_are_roots_of_shares():
    found = learn("textons", IMAGES).features(IMAGES)
    assert found.shape[1] == 4 * TEXTONS
    assert (found.reshape(len(IMAGES), 4, TEXTONS) ** 2).sum(axis=2) == pytest.approx(1, abs=1e-5)


def test_words_are_counted_where_they_are():
    image = IMAGES[:1].copy()
    changed = image.copy()
    changed[0, :4, :4] = 255 - changed[0, :4, :4]
    learned = learn("textons", IMAGES)
    before, after = (learned.features(of).reshape(4, -1) for of in (image, changed))
    assert not (before[0] == after[0]).all()
    assert (before[1:] == after[1:]).all()


def test_larger_images_are_made_smaller_by_averages():
    image = RANDOM.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    means = image.reshape(1, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(reduced(image, 32, 32) - means).max() <= 0.5
    assert reduced(image, 64, 64) is image
    assert learn("pixels", image).features(image).shape == (1, 32 * 32 * 3)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((3, 7, 16, 3), np.uint8), "7 x 16 pixels are too small.*at least 8 x 8"),
        (np.zeros((0, 16, 16, 3), np.uint8), "no image"),
        (np.zeros((3, 16, 16), np.uint8), r"wanted \(images, height, width, 3\)"),
        (np.zeros((3, 16, 16, 3)), "of uint8"),
    ],
)
@pytest.mark.parametrize("features", FEATURES)
def test_images_that_have_no_features_are_refused(features, images, told):
    with pytest.raises(InputError, match=told):
        learn(features, images)


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match="16 x 18 pixels were given, and features for 16 x 16"):
        learn("hog", IMAGES).features(np.zeros((1, 16, 18, 3), np.uint8))


def test_features_that_are_unknown_are_refused():
    with pytest.raises(InputError, match="'gloh'; wanted one of pixels, hog, sift, textons"):
        learn("gloh", IMAGES)


def test_more_words_than_descriptors_are_refused():
    with pytest.raises(InputError, match="256 words are to be found among 64 descriptors"):
        learn("sift", IMAGES[:1])
    assert _k_means(np.eye(3, dtype=np.float32), 3, 0).sum() == pytest.approx(3)
