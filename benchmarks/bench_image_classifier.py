"""Claim: images are classified as accurately as by scikit-learn's kernel methods on the same features, and sooner.

    python benchmarks/bench_image_classifier.py [IMAGES [LANDMARKS]]

Training images of CIFAR-10, four fifths to fit to, the others to judge by; the features of the preset `small`. Ours are
the defaults of the table `classifier`. Peers, on features of unit spread, with the width that is the median distance
times 1 or 2, and the best of three penalties: Nystroem's features of as many landmarks and ridge regression, and the
support vector machine, on as many images as there are landmarks and on all of them. The test images are not used.
"""

import sys
import time
from collections.abc import Callable
from itertools import product

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from taproom.images.classifier_choice import TrainingImages, choose_classifier
from taproom.images.image_features import BUDGETS, EncoderParameters, learn_encoder
from taproom.images.kernel_regression import median_distance
from taproom.sources.cifar10 import cifar10
from taproom.sources.fetching import read_sources

WORKERS, CLASSES = 2, 10
WIDTHS, PENALTIES, COSTS = (1, 2), (0.1, 0.01, 0.001), (3, 10, 30)


def main(images: int = 25_000, landmarks: int = 5_000) -> None:
    """Compute features, and print accuracy and time of each method."""
    features, labels = features_of(images)
    fitted, judged = np.split(np.arange(len(labels)), [len(labels) * 4 // 5])
    print(f"{len(fitted):,} images to fit to, {len(judged):,} to judge by, {features.shape[1]:,} features")
    standard = (features - features[fitted].mean(axis=0)) / features[fitted].std(axis=0)
    methods = {
        f"ours, {landmarks:,} landmarks": lambda: ours(features, labels, fitted, judged, landmarks),
        f"Nystroem and ridge, {landmarks:,} landmarks": lambda: nystroem(standard, labels, fitted, judged, landmarks),
        f"support vectors, {landmarks:,} images": lambda: vectors(standard, labels, fitted[:landmarks], judged),
        f"support vectors, {len(fitted):,} images": lambda: vectors(standard, labels, fitted, judged, (10,)),
    }
    with threadpool_limits(limits=WORKERS):
        for name, method in methods.items():
            report(name, method)


def report(name: str, method: Callable[[], float]) -> None:
    """Print the accuracy of a method, and how long it takes."""
    started = time.perf_counter()
    accuracy = method()
    print(f"{name}: {accuracy:.1%}, {time.perf_counter() - started:.0f} s", flush=True)


def features_of(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of training images, in random order."""
    training = [block for block in cifar10(read_sources()) if block.splits[0] == "training"]
    pixels = np.concatenate([block.pixels for block in training])
    names = np.concatenate([block.labels for block in training])
    chosen = np.random.default_rng(0).permutation(len(names))[:images]
    encoder = learn_encoder(pixels[chosen], EncoderParameters(**BUDGETS["small"]), seed=0, n_jobs=WORKERS)
    return encoder.features(pixels[chosen], WORKERS), np.unique(names, return_inverse=True)[1][chosen]


def ours(features: np.ndarray, labels: np.ndarray, fitted: np.ndarray, judged: np.ndarray, landmarks: int) -> float:
    """The best accuracy on the images to judge by."""
    parts = [features[fitted], features[judged]]
    images = TrainingImages.of_two(parts, [labels[fitted], labels[judged]], CLASSES, landmarks)
    chosen = choose_classifier(images, n_jobs=WORKERS)
    return max(chosen.accuracies.values())


def nystroem(standard: np.ndarray, labels: np.ndarray, fitted: np.ndarray, judged: np.ndarray, landmarks: int) -> float:
    """The same of Nystroem's features and ridge regression."""
    accuracies = []
    for width in WIDTHS:
        gamma = 0.5 / (width * median_distance(standard[fitted])) ** 2
        mapped = Nystroem(gamma=gamma, n_components=landmarks, random_state=0, n_jobs=WORKERS).fit(standard[fitted])
        some, others = (mapped.transform(standard[rows]) for rows in (fitted, judged))
        for penalty in PENALTIES:
            found = RidgeClassifier(alpha=penalty, solver="cholesky").fit(some, labels[fitted])
            accuracies.append(found.score(others, labels[judged]))
    return max(accuracies)


def vectors(
    standard: np.ndarray, labels: np.ndarray, fitted: np.ndarray, judged: np.ndarray, costs: tuple = COSTS
) -> float:
    """The same of support vector machines."""
    unit = median_distance(standard[fitted])
    found = [
        SVC(C=cost, gamma=0.5 / (width * unit) ** 2, cache_size=2_000).fit(standard[fitted], labels[fitted])
        for width, cost in product(WIDTHS[-1:], costs)
    ]
    return max(each.score(standard[judged], labels[judged]) for each in found)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
