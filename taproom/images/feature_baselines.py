"""The accuracy of a classifier with hand-made features, on the same images: the rows of `feature_baselines`.

Here belong the choice of images and the comparison. The features are in `taproom.images.hand_made_features`, the
classifier in `taproom.images.classifier_choice`.
"""

import logging
import time
from dataclasses import dataclass

import numpy as np

from taproom.errors import InputError
from taproom.images.classifier_choice import TrainingImages, choose_classifier
from taproom.images.hand_made_features import FEATURES, check_images, learn
from taproom.images.image_classifier import LabelledImages
from taproom.intervals import wilson_interval
from taproom.progress import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Rows of the table `feature_baselines`, and why features are left out."""

    rows: list[dict]
    left_out: dict[str, str]


def choose_images(labels: np.ndarray, training: np.ndarray, most: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Images to compare features on: rows of training and of test images, at random, in ascending order.

    >>> choose_images(np.array([0, 0, 1, 1, 0, 2]), np.arange(6) < 4, (9, 9))
    array([0, 1, 2, 3, 4])

    Args:
        labels: (n,) int64, -1 for none; images without a label are not chosen.
        training: (n,) bool; the others are for testing. Test images with a label that no training image has are not
            chosen.
        most: how many training and how many test images, at most; but of each label's training images two at least.
        seed: of the choice.

    Raises:
        InputError: training images of fewer than two labels, or no test image of one of them.
    """
    known = np.unique(labels[training & (labels >= 0)])
    judged = ~training & np.isin(labels, known)
    if len(known) < 2 or not judged.any():
        raise InputError(
            f"the labelled training images are of {len(known)} classes, and {judged.sum()} labelled test images are of "
            "these; wanted at least two classes and one test image"
        )
    random = np.random.default_rng(seed)
    fitted = random.permutation(np.flatnonzero(training & (labels >= 0)))
    firsts = np.zeros(len(fitted), bool)
    for label in known:
        firsts[np.flatnonzero(labels[fitted] == label)[:2]] = True
    fitted = np.concatenate([fitted[firsts], fitted[~firsts]])[: max(most[0], int(firsts.sum()))]
    tested = random.permutation(np.flatnonzero(judged))[: most[1]]
    return np.sort(np.concatenate([fitted, tested]))


def compare(pixels: np.ndarray, images: LabelledImages, seed: int = 0, workers: int | None = None) -> Comparison:
    """Fit a classifier to each of the features and judge it on the test images, once.

    Width and penalty are those of best accuracy on the validation images, to which the classifier is then fitted, too.
    Rows are (features, dimensions, penalty, validation_accuracy, accuracy, low, high, training_images, test_images,
    seconds): `low` and `high` are Wilson's interval of 95 %, `seconds` is what learning the features and computing them
    of all images took. Features that cannot be computed are left out, with a warning in the log.

    Args:
        pixels: (n, height, width, 3) uint8.
        images: what they are for; all are labelled, and no test image has a class that no training image has.
        seed: of what features learn.
        workers: threads as joblib counts them; they never change a bit of the result.

    Raises:
        InputError: images without any features that can be computed and judged.
    """
    check_images(pixels)
    rows, left_out = [], {}
    for features in progress(FEATURES, doing="comparing hand-made features", unit="features"):
        try:
            rows.append({"features": features, **_judge(features, pixels, images, seed, workers)})
        except InputError as error:
            logger.warning("%s are left out of the comparison: %s", features, error)
            left_out[features] = str(error)
    if not rows:
        raise InputError(f"no features could be judged: {left_out}")
    return Comparison(rows, left_out)


def _judge(features: str, pixels: np.ndarray, images: LabelledImages, seed: int, workers: int | None) -> dict:
    started = time.perf_counter()
    learned = learn(features, pixels[images.fitted], seed, workers)
    fitted, validation, test = (
        learned.features(pixels[rows], workers) for rows in (images.fitted, images.validation, images.test)
    )
    seconds = time.perf_counter() - started
    labels = [images.labels[rows] for rows in (images.fitted, images.validation)]
    training = TrainingImages.of_two([fitted, validation], labels, len(images.classes))
    chosen = choose_classifier(training, n_jobs=workers)
    right = chosen.classifier.scores(test, workers).argmax(axis=1) == images.labels[images.test]
    accuracy = wilson_interval(int(right.sum()), len(right))
    return {
        "dimensions": fitted.shape[1],
        "penalty": chosen.penalty,
        "validation_accuracy": chosen.accuracies[chosen.penalty],
        "accuracy": accuracy.mean,
        "low": accuracy.low,
        "high": accuracy.high,
        "training_images": len(fitted) + len(validation),
        "test_images": len(test),
        "seconds": seconds,
    }
