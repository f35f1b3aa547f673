import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.errors import InputError
from taproom.images.street_fight_draws import draw, draw_all, with_enough_images
from tests.textures import NAMES, TINY, textures


def test_another_seed_draws_other_images():
    images, labels = textures()
    first, again, other = (draw(images, labels, TINY, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 5), fewest=st.integers(30, 60))
def test_a_draw_takes_classes_in_turn_and_no_image_twice_or_without_a_label(seed, classes, fewest):
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(np.arange(classes), fewest + random.integers(0, 9, classes)), [-1] * 20])
    random.shuffle(labels)
    numbered = np.arange(len(labels))
    drawn = draw(numbered, labels, TINY, seed)
    assert np.array_equal(drawn.labels, np.arange(len(drawn.labels)) % classes)
    assert np.array_equal(labels[drawn.images], drawn.labels)
    assert len(set(drawn.images)) == len(drawn.images)
    assert drawn.training % classes == 0
    assert drawn.training / classes >= 20
    assert (len(drawn.labels) - drawn.training) / classes >= 10


def test_classes_with_too_few_images_are_left_out_while_two_are_left():
    names = ["ant", "bee", "cow", "dog"]
    labels = np.repeat([0, 1, 2, -1], [30, 29, 31, 5])
    kept, fighting = with_enough_images(labels, names)
    assert fighting == ["ant", "cow"]
    np.testing.assert_array_equal(kept, np.repeat([0, -1, 1, -1], [30, 29, 31, 5]))
    for few in (labels[labels < 2], np.full(4, -1)):
        kept, fighting = with_enough_images(few, names)
        assert fighting == names
        np.testing.assert_array_equal(kept, few)


def test_fewer_than_two_classes_are_refused():
    images, labels = textures(classes=1)
    with pytest.raises(InputError, match=r"one class .*\(bars: 100\).*at least two"):
        draw_all(images, labels, ["bars"], TINY, seed=0)
    with pytest.raises(InputError, match="none has one"):
        draw_all(images, np.full(len(images), -1), [], TINY, seed=0)


def test_a_class_with_too_few_images_is_named():
    images, labels = textures(each=40)
    labels[np.flatnonzero(labels == 1)[:11]] = -1
    with pytest.raises(InputError, match=r"1 of 3 classes \(dots: 29\); wanted at least 30 of each"):
        draw_all(images, labels, NAMES, TINY, seed=0)


def test_a_class_without_a_training_image_is_named():
    images, labels = textures(each=40)
    with pytest.raises(InputError, match=r"\(stripes: 0\)"):
        draw_all(images, labels, [*NAMES, "stripes"], TINY, seed=0)
