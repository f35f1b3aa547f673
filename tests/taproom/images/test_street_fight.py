import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from taproom.errors import InputError
from taproom.images import street_fight
from taproom.images.kernel_regression import LOSSES
from taproom.images.street_fight import (
    SPOILT,
    TREATMENTS,
    Sizes,
    balanced_accuracy,
    class_weights,
    compare,
    draw,
    interval,
    noise_images,
    recalls,
    resampled,
    wild_targets,
    with_enough_images,
    wrong_labels,
)
from taproom.images.street_fight_figures import street_fight as picture

NAMES = ["bars", "dots", "rings"]
TINY = Sizes(2, 150, 90, 90, filters=8, patches=500, iterations=2, pools=2)


def textures(each=100, classes=3, side=10, noise=25.0, seed=0):
    """Images of waves, in another direction in each class, under noise; and their labels."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    y, x = np.mgrid[:side, :side]
    angles = np.pi * labels / classes
    phase = random.uniform(0, 2 * np.pi, len(labels))[:, None, None]
    along = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
    waves = 128 + 60 * np.sin(1.8 * along + phase)[..., None] + noise * random.normal(size=(len(labels), side, side, 3))
    order = random.permutation(len(labels))
    return np.clip(waves, 0, 255).astype(np.uint8)[order], labels[order]


@pytest.fixture(scope="module")
def rows():
    return compare(*textures(), NAMES, TINY, n_jobs=1)


def of(rows, experiment, **wanted):
    return [
        row
        for row in rows
        if row["experiment"] == experiment and all(row[name] == value for name, value in wanted.items())
    ]


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_every_setting_has_its_row_in_order(rows):
    assert [row["setting"] for row in of(rows, "standardization")] == ["none", "de-mean", "norm 1", "whiten", "all"]
    assert [row["setting"] for row in of(rows, "encoding")] == ["relu", "two signs", "triangle"]
    assert [row["setting"] for row in of(rows, "filters")] == ["spherical k-means", "k-means", "random patches"]
    assert [row["setting"] for row in of(rows, "number of filters")] == ["2", "4", "8", "16"]
    assert of(rows, "penalty")[-1]["setting"] == "chosen"
    assert [row["setting"] for row in of(rows, "class imbalance", measure="accuracy")] == list(TREATMENTS)
    assert [(row["condition"], row["setting"]) for row in of(rows, "outliers")] == [
        (f"{spoilt}, {kernel} kernel", loss)
        for spoilt in SPOILT
        for kernel in ("Gaussian", "linear")
        for loss in LOSSES
    ]
    keys = [(row["experiment"], row["condition"], row["setting"], row["measure"]) for row in rows]
    assert len(set(keys)) == len(keys) == 15 + 8 + 15 + 16


def test_means_intervals_and_differences_are_those_of_the_values(rows):
    by_key = {(row["experiment"], row["condition"], row["setting"], row["measure"]): row for row in rows}
    for row in rows:
        assert len(row["values"]) == 2
        assert row["value"] == pytest.approx(np.mean(row["values"]))
        assert row["low"] <= row["value"] <= row["high"]
        assert all(0 <= value <= 1 for value in row["values"])
        if row["base"] is None:
            assert row["difference"] is row["difference_low"] is row["difference_high"] is None
            continue
        base = by_key[row["experiment"], row["condition"], row["base"], row["measure"]]
        assert base["base"] is None
        by_seed = np.subtract(row["values"], base["values"])
        assert (row["difference"], row["difference_low"], row["difference_high"]) == interval(by_seed)


def test_all_experiments_of_the_encoder_have_one_base_in_common(rows):
    bases = [
        row["values"]
        for experiment in ("standardization", "encoding", "filters", "number of filters", "penalty")
        for row in of(rows, experiment, base=None)
    ]
    assert len(bases) == 5
    assert all(values == bases[0] for values in bases)
    assert np.mean(bases[0]) > 0.6  # chance is 1/3


def test_what_images_were_trained_on_is_counted(rows):
    assert {row["images"] for row in of(rows, "standardization")} == {150}
    assert {row["images"] for row in of(rows, "outliers")} == {90}
    assert {row["images"] for row in of(rows, "class imbalance")} == {2 * 50 + 5}


def test_rare_classes_are_missed_and_treatments_find_them(rows):
    rare = {row["setting"]: row["value"] for row in of(rows, "class imbalance", measure="recall of rare classes")}
    assert rare["nothing"] < min(rare["class weights"], rare["oversampling"], rare["undersampling"])
    accuracy = {row["setting"]: row["value"] for row in of(rows, "class imbalance", measure="accuracy")}
    balanced = {row["setting"]: row["value"] for row in of(rows, "class imbalance", measure="balanced accuracy")}
    assert accuracy["nothing"] > balanced["nothing"]


def test_wild_targets_ruin_the_squared_loss_and_not_hubers(rows):
    (clean,) = of(rows, "outliers", condition="clean, Gaussian kernel", setting="squared")
    (squared, ours) = of(rows, "outliers", condition="wild targets, Gaussian kernel")
    assert squared["value"] < clean["value"] - 0.1
    assert ours["difference"] > 0.1


def test_the_same_rows_come_out_whatever_the_workers(rows):
    assert without_seconds(compare(*textures(), NAMES, TINY, n_jobs=2)) == without_seconds(rows)


def test_another_seed_draws_other_images():
    images, labels = textures()
    first, again, other = (draw(images, labels, TINY, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def test_one_seed_has_no_interval():
    assert interval(np.array([0.5])) == (0.5, None, None)


def test_the_interval_is_students():
    mean, low, high = interval(np.array([1.0, 2.0, 3.0]))
    assert (mean, low, high) == (
        2.0,
        pytest.approx(2 - 4.3027 / 3**0.5, 1e-4),
        pytest.approx(2 + 4.3027 / 3**0.5, 1e-4),
    )


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


def test_images_without_a_label_take_no_part(rows):
    images, labels = textures()
    more, none = np.zeros((50, *images.shape[1:]), np.uint8), np.full(50, -1)
    again = compare(np.concatenate([images, more]), np.append(labels, none), NAMES, TINY, n_jobs=1)
    assert without_seconds(again) == without_seconds(rows)


def test_balanced_accuracy_is_the_mean_recall():
    called, labels = np.array([0, 0, 0, 1, 0]), np.array([0, 0, 0, 1, 1])
    assert recalls(called, labels) == {0: 1.0, 1: 0.5}
    assert balanced_accuracy(called, labels) == 0.75


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=40), each=st.integers(1, 30), seed=st.integers(0, 99))
def test_weights_and_resampling_make_classes_alike(labels, each, seed):
    labels = np.array(labels)
    weights = class_weights(labels)
    sums = np.bincount(labels, weights)[np.unique(labels)]
    np.testing.assert_allclose(sums, len(labels) / len(sums))
    rows = resampled(np.arange(len(labels)), labels, each, np.random.default_rng(seed))
    assert set(np.bincount(labels[rows])[np.unique(labels)]) == {each}
    for number in np.unique(labels):
        distinct = np.unique(rows[labels[rows] == number])
        assert len(distinct) == min(each, np.sum(labels == number))


def test_only_so_many_are_spoilt_and_the_originals_stay():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 4
    assert np.sum(wrong_labels(labels, 4, 0.25, random) != labels) == 50
    images = np.zeros((50, 4, 4, 3), np.uint8)
    spoilt = noise_images(images, 0.2, random)
    assert np.sum(spoilt.any(axis=(1, 2, 3))) == 10
    assert not images.any()
    targets = np.ones((100, 3), np.float32)
    wild = wild_targets(targets, 0.1, random)
    assert np.sum((wild != 1).all(axis=1)) == 10
    assert np.sum((wild == 1).all(axis=1)) == 90
    assert np.abs(wild).max() > 10


def test_the_images_that_judge_change_nothing_that_is_fitted(monkeypatch):
    seen = []
    learn = street_fight.learn_encoder
    monkeypatch.setattr(
        street_fight,
        "learn_encoder",
        lambda images, *given, **more: seen.append(images) or learn(images, *given, **more),
    )
    drawn = draw(*textures(), TINY, 0)
    street_fight._vary(drawn, TINY, "encoding", "relu")
    (learned_from,) = seen
    assert np.array_equal(learned_from, drawn.images[: drawn.training])


def test_fewer_than_two_classes_are_refused():
    images, labels = textures(classes=1)
    with pytest.raises(InputError, match=r"one class .*\(bars: 100\).*at least two"):
        compare(images, labels, ["bars"], TINY)
    with pytest.raises(InputError, match="none has one"):
        compare(images, np.full(len(images), -1), [], TINY)


def test_a_class_with_too_few_images_is_named():
    images, labels = textures(each=40)
    labels[np.flatnonzero(labels == 1)[:11]] = -1
    with pytest.raises(InputError, match=r"1 of 3 classes \(dots: 29\); wanted at least 30 of each"):
        compare(images, labels, NAMES, TINY)


def test_a_class_without_a_training_image_is_named():
    images, labels = textures(each=40)
    with pytest.raises(InputError, match=r"\(stripes: 0\)"):
        compare(images, labels, [*NAMES, "stripes"], TINY)


def test_the_fewest_images_are_enough():
    images, labels = textures(each=30, classes=2)
    rows = compare(
        images, labels, NAMES[:2], Sizes(1, 10, 10, 10, filters=8, patches=300, iterations=1, pools=2), n_jobs=1
    )
    assert all(row["low"] is row["difference_low"] is None for row in rows)
    assert {row["images"] for row in of(rows, "class imbalance")} == {20 + 2}


def test_constant_images_are_refused_with_a_reason():
    images, labels = textures(each=30)
    with pytest.raises(InputError, match="flat"):
        compare(np.full_like(images, 90), labels, NAMES, TINY, n_jobs=1)


@pytest.mark.filterwarnings("error")
def test_the_picture_is_drawn_of_any_rows(rows):
    single = [row | dict.fromkeys(("low", "high", "difference_low", "difference_high")) for row in rows]
    for given_rows in (rows, single, rows[:5], rows[:1]):
        drawn = Image.open(io.BytesIO(picture(given_rows)))
        assert drawn.format == "PNG"
        assert 100 < min(drawn.size) <= max(drawn.size) < 2_500


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
