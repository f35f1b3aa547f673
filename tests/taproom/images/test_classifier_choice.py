from dataclasses import replace

import numpy as np
import pytest

from taproom.errors import InputError
from taproom.images.calibration import best_temperature, calibration_error, probabilities
from taproom.images.classifier_choice import PENALTIES, TrainingImages, choose_classifier
from taproom.images.kernel_regression import fit_kernel_regression, gaussian_kernel
from taproom.images.landmark_regression import LandmarkKernel, LandmarkRegression
from taproom.images.landmarks import Landmarks
from taproom.images.least_squares import one_hot

COUNT, CLASSES = 600, 3
SOME_WIDTHS = (0.5, 1.0, 2.0)


def images_of(noise=1.0, count=COUNT, seed=0):
    """Three classes on rings about the centre, which no linear classifier tells apart, in four features.

    Every fourth is for validation, and every second of the others is a landmark.
    """
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=count)
    angles = random.uniform(0, 2 * np.pi, count)
    radii = 2.0 * labels + noise * random.normal(size=count)
    features = np.column_stack([radii * np.cos(angles), radii * np.sin(angles), random.normal(size=(count, 2))])
    validation = np.arange(count) % 4 == 0
    landmarks = np.flatnonzero(~validation)[::2]
    others = np.setdiff1d(np.arange(count), landmarks)
    order, features = np.concatenate([others, landmarks]), features.astype(np.float32)
    blocks = [features[others[:100]], features[others[100:]]]
    compared = Landmarks.of(features[landmarks])
    return TrainingImages(blocks, compared, labels[order], validation[order], CLASSES), features[order]


IMAGES, FEATURES = images_of()


@pytest.fixture(scope="module")
def chosen():
    return choose_classifier(IMAGES, SOME_WIDTHS)


def scores_of(width, penalty, fitted, images=IMAGES, features=FEATURES):
    """Scores of all images by a fit to some."""
    kernel = LandmarkKernel(images.landmarks, width).of(features)
    targets = one_hot(images.labels, CLASSES)
    intercept = targets[fitted].mean(axis=0)
    regression = LandmarkRegression(kernel)
    return regression.scores(regression.fit(targets - intercept, fitted, penalty)) + intercept


def accuracy(scores, images=IMAGES):
    return np.mean((scores.argmax(axis=1) == images.labels)[images.validation])


def test_the_best_width_and_penalty_on_the_validation_images_are_chosen(chosen):
    assert set(PENALTIES) <= chosen.accuracies.keys()
    assert chosen.accuracies[chosen.penalty] == max(chosen.accuracies.values()) > 0.6
    unit, width = IMAGES.landmarks.typical_distance, chosen.classifier.kernel.width
    widths = {each: accuracy(scores_of(unit * each, np.median(PENALTIES), ~IMAGES.validation)) for each in SOME_WIDTHS}
    assert widths[min(SOME_WIDTHS, key=lambda each: abs(unit * each - width))] == max(widths.values())
    for penalty, found in chosen.accuracies.items():
        assert found == pytest.approx(accuracy(scores_of(width, penalty, ~IMAGES.validation)), abs=0.02)


def test_it_is_fitted_to_all_images_in_the_end(chosen):
    everything = np.ones(COUNT, bool)
    scores = scores_of(chosen.classifier.kernel.width, chosen.penalty * 4 / 3, everything)
    np.testing.assert_allclose(chosen.classifier.scores(FEATURES), scores, atol=0.02)


def test_the_temperature_is_the_best_before_the_last_fit(chosen):
    scores = scores_of(chosen.classifier.kernel.width, chosen.penalty, ~IMAGES.validation)[IMAGES.validation]
    labels = IMAGES.labels[IMAGES.validation]
    assert chosen.classifier.temperature == pytest.approx(best_temperature(scores, labels), rel=0.02)
    error = calibration_error(probabilities(scores, chosen.classifier.temperature), labels)
    assert chosen.calibration_error == pytest.approx(error, abs=0.02)


@pytest.mark.slow
def test_images_may_come_in_any_blocks_and_on_any_number_of_threads(chosen):
    whole = replace(IMAGES, features=[FEATURES[: -len(IMAGES.landmarks)]])
    again, threads = (choose_classifier(whole, SOME_WIDTHS, n_jobs=count) for count in (1, 2))
    assert threads.classifier.weights.tobytes() == again.classifier.weights.tobytes()
    assert again.penalty == chosen.penalty
    np.testing.assert_allclose(again.classifier.scores(FEATURES), chosen.classifier.scores(FEATURES), atol=0.02)


def test_what_is_asked_for_is_taken():
    found = choose_classifier(IMAGES, widths=[0.9], penalties=[7.0])
    assert found.classifier.kernel.width == pytest.approx(0.9 * IMAGES.landmarks.typical_distance)
    assert (found.penalty, list(found.accuracies)) == (7.0, [7.0])


@pytest.mark.slow
def test_where_all_images_are_landmarks_those_for_validation_are_not_fitted_to_before_the_end():
    order = np.argsort(IMAGES.validation, kind="stable")
    features, labels, validation = FEATURES[order], IMAGES.labels[order], IMAGES.validation[order]
    full = TrainingImages([], Landmarks.of(features), labels, validation, CLASSES)
    found = choose_classifier(full, n_jobs=2)
    kernel = gaussian_kernel(full.landmarks.scaled, full.landmarks.scaled, found.classifier.kernel.width)

    def exact_scores(fitted, penalty):
        targets = one_hot(labels, CLASSES).astype(np.float64)
        intercept = targets[fitted].mean(axis=0)
        weights = fit_kernel_regression(kernel[np.ix_(fitted, fitted)], targets[fitted] - intercept, penalty)
        return kernel[:, fitted] @ weights + intercept

    for penalty, share in found.accuracies.items():
        assert share == pytest.approx(accuracy(exact_scores(~validation, penalty), full), abs=0.02)
    wanted = exact_scores(np.ones(COUNT, bool), found.penalty * 4 / 3)
    np.testing.assert_allclose(found.classifier.scores(features), wanted, atol=0.05)


@pytest.mark.parametrize(
    ("penalties", "upwards", "noise", "width"), [([1e-3, 3e-3], True, 2.0, 0.5), ([10, 30], False, 0.5, 0.5)]
)
def test_the_range_grows_while_that_is_better(penalties, upwards, noise, width):
    images, _ = images_of(noise)
    found = choose_classifier(images, [width], penalties)
    tried = sorted(found.accuracies, reverse=not upwards)
    assert found.penalty == tried[-2]
    assert found.penalty > max(penalties) if upwards else found.penalty < min(penalties)
    assert found.accuracies[tried[-1]] <= found.accuracies[tried[-2]]


def test_of_equally_good_penalties_the_largest_of_those_that_were_asked_for_is_taken():
    images, _ = images_of(noise=0.05)
    found = choose_classifier(images, [0.5], [0.011, 0.01])
    assert len(set(found.accuracies.values())) == 1
    assert found.penalty == 0.011


def test_a_penalty_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"penalty lambda is -1.0; wanted a number above 0"):
        choose_classifier(IMAGES, penalties=[-1.0])
