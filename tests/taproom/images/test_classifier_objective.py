import pickle
from dataclasses import replace

import numpy as np
import pytest

from taproom.errors import InputError
from taproom.images.classifier_objective import IMAGES, LEARNING, ClassifierObjective, Labelled
from taproom.images.image_features import learn_encoder
from taproom.images.landmarks import Landmarks
from tests.planted_images import few_test_images, images_table, planted_images

PIXELS, NAMES = planted_images(each=60, noise=60.0)
TABLE = images_table(PIXELS, NAMES, few_test_images(180))
SMALL = {"patches": 500, "iterations": 2, "patch_size": 4, "pools": 2}
BUDGET = 8


@pytest.fixture(scope="module")
def objective() -> ClassifierObjective:
    return ClassifierObjective.of(TABLE, PIXELS, seed=0)


def parts_of(objective):
    return objective.fitted, objective.validation, objective.fresh


def places_of(part) -> set[int]:
    """Where its images are among all."""
    every = {image.tobytes(): place for place, image in enumerate(PIXELS)}
    return {every[image.tobytes()] for image in part.pixels}


def test_each_training_image_is_in_one_part_and_no_test_image_in_any(objective):
    places = [places_of(part) for part in parts_of(objective)]
    assert sum(map(len, places)) == len(set.union(*places)) == 135
    assert set.union(*places) == {place for place in range(180) if place % 4}
    for part, found in zip(parts_of(objective), places, strict=True):
        assert len(found) == len(part.labels)
        classes = sorted(set(NAMES))
        by_place = {image.tobytes(): NAMES[place] for place, image in enumerate(PIXELS)}
        assert [classes[label] for label in part.labels] == [by_place[image.tobytes()] for image in part.pixels]


def test_parts_have_as_many_images_of_each_class_in_the_shares_wanted(objective):
    for part, share in zip(parts_of(objective), IMAGES, strict=True):
        counts = np.bincount(part.labels, minlength=3)
        assert set(counts) == {45 * share // sum(IMAGES)}


def test_no_more_images_are_kept_than_wanted():
    pixels, names = planted_images(each=3_100, height=4, width=4)
    objective = ClassifierObjective.of(images_table(pixels, names, ["training"] * len(names)), pixels, seed=0)
    assert [len(part.labels) for part in parts_of(objective)] == pytest.approx(IMAGES, abs=3)  # of three classes
    assert len(pickle.dumps(objective)) < 1.1 * sum(IMAGES) * (pixels[0].size + 8)


def test_a_class_with_few_images_has_some_in_each_part():
    keep = [place for place, name in enumerate(NAMES) if name != "down" or place < 9]
    few = images_table(PIXELS[keep], [NAMES[place] for place in keep], ["training"] * len(keep))
    objective = ClassifierObjective.of(few, PIXELS[keep], seed=0)
    assert [int((part.labels == 2).sum()) for part in parts_of(objective)] == [1, 1, 1]


def test_an_offset_that_leaves_no_response_scores_as_chance_and_the_default_better(objective):
    best, none = objective.score(SMALL, BUDGET, 0), objective.score({**SMALL, "offset": 1e3}, BUDGET, 0)
    assert none == pytest.approx(1 / 3, abs=0.01)
    assert best > none + 0.2
    gain = objective.fresh_scores(SMALL, BUDGET, 0) - objective.fresh_scores({**SMALL, "offset": 1e3}, BUDGET, 0)
    assert gain.mean() > 0.2


def test_fresh_and_test_images_never_reach_a_score(objective):
    searched = places_of(objective.fitted) | places_of(objective.validation)
    garbled = PIXELS.copy()
    garbled[[place for place in range(180) if place not in searched]] //= 3
    other = ClassifierObjective.of(TABLE, garbled, seed=0)
    assert other.score(SMALL, BUDGET, 0) == objective.score(SMALL, BUDGET, 0)
    np.testing.assert_array_equal(other.validation.pixels, objective.validation.pixels)
    assert not np.array_equal(other.fresh.pixels, objective.fresh.pixels)


def test_the_encoder_is_learned_from_the_fitted_images_alone_with_the_budget_as_filters(objective):
    encoder, _ = objective._fit({"patch_size": 4}, BUDGET, 1, most=10_000)
    settled = replace(LEARNING, filters=BUDGET, patch_size=4)
    assert encoder.parameters == settled
    np.testing.assert_array_equal(encoder.filters, learn_encoder(objective.fitted.pixels, settled, 1).filters)


def test_units_are_the_fresh_images_whatever_the_parameters(objective):
    for changed in ({}, {"encoding": "triangle"}, {"standardization": "de-mean", "power": 1.0}, {"patch_size": 3}):
        right = objective.fresh_scores({**SMALL, **changed}, BUDGET, 0)
        assert right.shape == objective.fresh.labels.shape
        assert right.dtype == np.float64
        assert set(right) <= {0.0, 1.0}


def test_the_same_bits_come_out_each_time_and_another_seed_parts_otherwise(objective):
    sent, again = pickle.loads(pickle.dumps(objective)), ClassifierObjective.of(TABLE, PIXELS, seed=0)
    assert len({each.score(SMALL, BUDGET, 3) for each in (objective, sent, again)}) == 1
    assert sent.fresh_scores(SMALL, BUDGET, 3).tobytes() == objective.fresh_scores(SMALL, BUDGET, 3).tobytes()
    other = ClassifierObjective.of(TABLE, PIXELS, seed=1)
    assert places_of(other.fresh) != places_of(objective.fresh)


def test_images_without_a_label_and_classes_of_the_test_alone_do_not_count(objective):
    labels = [None if place % 4 == 1 else "other" if place % 4 == 0 else name for place, name in enumerate(NAMES)]
    found = ClassifierObjective.of(images_table(PIXELS, labels, few_test_images(180)), PIXELS, seed=0)
    assert found.classes == 3
    assert sum(len(part.labels) for part in parts_of(found)) == 90
    assert found.score(SMALL, BUDGET, 0) > 0.4


def test_a_score_is_of_fewer_fitted_images_than_the_fresh_scores(objective, monkeypatch):
    fresh = objective.fresh_scores(SMALL, BUDGET, 0)
    fewer = replace(objective, fitted=Labelled(objective.fitted.pixels[:12], objective.fitted.labels[:12]))
    monkeypatch.setattr("taproom.images.classifier_objective.FITTED_FOR_SCORE", 12)
    assert objective.score(SMALL, BUDGET, 0) == fewer.score(SMALL, BUDGET, 0)
    np.testing.assert_array_equal(objective.fresh_scores(SMALL, BUDGET, 0), fresh)


def test_the_first_of_many_fitted_images_are_landmarks(objective, monkeypatch):
    monkeypatch.setattr("taproom.images.classifier_objective.MOST_LANDMARKS", 20)
    encoder, chosen = objective._fit(SMALL, BUDGET, 0, most=10_000)
    landmarks = encoder.features(objective.fitted.pixels[:20])
    np.testing.assert_array_equal(chosen.classifier.kernel.landmarks.scaled, Landmarks.of(landmarks).scaled)
    assert chosen.classifier.weights.shape == (20, 3)
    assert objective.fresh_scores(SMALL, BUDGET, 0).mean() > 0.5


def test_too_few_images_or_classes_and_parameters_that_there_are_none_of_are_refused(objective):
    with pytest.raises(InputError, match=r"1 classes \(across\); wanted at least two"):
        ClassifierObjective.of(images_table(PIXELS[:1], ["across"], ["training"]), PIXELS[:1], seed=0)
    with pytest.raises(InputError, match="2 training images of the class 'across'"):
        ClassifierObjective.of(images_table(PIXELS[:8], NAMES[:8], few_test_images(8)), PIXELS[:8], seed=0)
    with pytest.raises(InputError, match="encoding"):
        objective.score({**SMALL, "encoding": "none"}, BUDGET, 0)
    with pytest.raises(InputError, match="patch"):
        objective.score({"patch_size": 13}, BUDGET, 0)
