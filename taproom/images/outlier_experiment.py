"""The experiment with outliers: squared loss against Huber's where training images or their targets are spoilt.

Here belong the experiment "outliers" of `taproom.images.street_fight` and the ways in which images and targets are
spoilt. The regressions are in `taproom.images.kernel_regression`.

A share of the training images has wrong labels, or is noise, or has targets of any size. The images that penalties are
chosen on are spoilt as well.
"""

import time
from collections.abc import Sequence

import numpy as np

from taproom.images.encoder_experiment import base_parameters, encoded
from taproom.images.kernel_regression import (
    LOSSES,
    MOST_POINTS,
    fit_kernel_regression,
    gaussian_kernel,
    linear_kernel,
    median_distance,
)
from taproom.images.least_squares import one_hot
from taproom.images.street_fight_draws import FEWEST_TRAINED, Draw, Outcome, Sizes, best_choice, fitted_first

KERNELS = ("Gaussian", "linear")
SPOILT = ("clean", "wrong labels", "images of noise", "wild targets")
# Kernels are scaled so that a point's own is about 1.
KERNEL_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
WRONG_LABELS, NOISE_IMAGES, WILD_TARGETS = 0.25, 0.2, 0.1
WILD = 10.0


def wrong_labels(labels: np.ndarray, classes: int, share: float, random: np.random.Generator) -> np.ndarray:
    """A copy in which a share of the labels is of another class, each with the same probability."""
    spoilt = labels.copy()
    chosen = random.permutation(len(labels))[: round(share * len(labels))]
    spoilt[chosen] = (labels[chosen] + random.integers(1, classes, len(chosen))) % classes
    return spoilt


def noise_images(images: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A copy in which a share of the images (n, ...) uint8 is uniform noise."""
    spoilt = images.copy()
    chosen = random.permutation(len(images))[: round(share * len(images))]
    spoilt[chosen] = random.integers(0, 256, (len(chosen), *images.shape[1:]), dtype=np.uint8)
    return spoilt


def wild_targets(targets: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A copy in which a share of the targets (n, C), which are 1 or -1, is normal with a standard deviation of 10."""
    spoilt = targets.astype(np.float64)
    chosen = random.permutation(len(targets))[: round(share * len(targets))]
    spoilt[chosen] = WILD * random.normal(size=(len(chosen), targets.shape[1]))
    return spoilt


def regress(drawn: Draw, sizes: Sizes, conditions: Sequence[str]) -> list[Outcome]:
    """Both losses with both kernels where images or targets are spoilt; all conditions are of the same images."""
    count = kernel_training(drawn, sizes)
    images, labels = drawn.images[:count], drawn.labels[:count]
    judging, judging_labels = (part[drawn.training :] for part in (drawn.images, drawn.labels))
    if conditions == ("images of noise",):
        images = noise_images(images, NOISE_IMAGES, drawn.random("outliers"))
    features = encoded(np.concatenate([images, judging]), count, base_parameters(sizes), drawn.seed)
    outcomes = []
    for kernel in KERNELS:
        matrix = _kernel_matrix(features, count, kernel)
        for condition in conditions:
            targets = _targets(condition, labels, drawn)
            for loss in LOSSES:
                started = time.perf_counter()
                scores = _regressed(matrix, targets, drawn.classes, loss)
                value = float(np.mean(scores.argmax(axis=1) == judging_labels))
                name = condition_name(condition, kernel)
                outcomes.append(Outcome("outliers", name, loss, "accuracy", value, time.perf_counter() - started))
    return outcomes


def _targets(condition: str, labels: np.ndarray, drawn: Draw) -> np.ndarray:
    random = drawn.random("outliers")
    if condition == "wrong labels":
        labels = wrong_labels(labels, drawn.classes, WRONG_LABELS, random)
    targets = one_hot(labels, drawn.classes)
    return wild_targets(targets, WILD_TARGETS, random) if condition == "wild targets" else targets


def _kernel_matrix(features: np.ndarray, count: int, kernel: str) -> np.ndarray:
    """The kernel of all images (rows) with the first `count`, on features that these standardize."""
    spread = features[:count].std(axis=0)
    standard = (features - features[:count].mean(axis=0)) / np.where(spread > 1e-6, spread, 1)
    if kernel == "Gaussian":
        return gaussian_kernel(standard, standard[:count], median_distance(standard[:count]))
    return linear_kernel(standard, standard[:count]) / standard.shape[1]


def _regressed(matrix: np.ndarray, targets: np.ndarray, classes: int, loss: str) -> np.ndarray:
    """Scores of the images that are not trained on, with the penalty that does best on the last fifth of the others.

    These are judged by the labels that their targets have, right or wrong: the right ones are not known.
    """
    count = len(targets)
    first = fitted_first(count, classes)
    last = targets[first:].argmax(axis=1)

    def right(penalty: float) -> float:
        coefficients = fit_kernel_regression(matrix[:first, :first], targets[:first], penalty, loss)
        return float(np.mean((matrix[first:count, :first] @ coefficients).argmax(axis=1) == last))

    penalty = best_choice(KERNEL_PENALTIES, right)
    return matrix[count:] @ fit_kernel_regression(matrix[:count], targets, penalty, loss)


def kernel_training(drawn: Draw, sizes: Sizes) -> int:
    """How many of the images that are trained on the kernels take, equally many of each class."""
    each = max(sizes.kernel_training // drawn.classes, FEWEST_TRAINED)
    return min(min(each, MOST_POINTS // drawn.classes) * drawn.classes, drawn.training)


def condition_name(spoilt: str, kernel: str) -> str:
    """The condition of a row, from one of `SPOILT` and one of `KERNELS`."""
    return f"{spoilt}, {kernel} kernel"
