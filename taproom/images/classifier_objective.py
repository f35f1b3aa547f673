"""The objective of the search for an encoder: the accuracy of a classifier with its features.

A classifier of all images takes minutes, so a sample is drawn, equally many images of each class: an encoder and a
classifier are fitted to the first part, settings are judged on the second, and the rest is fresh. All are training
images; test images are not used. With so few images, filters and patches, accuracies are far below those of the
product; only their differences count.

The kernel's width and the penalty are not searched: the best ones depend on all other parameters, so the product
chooses them whenever it is made, by the accuracy on validation images (`choose_classifier`). The same holds here: a
setting is judged at the width and the penalty that are best for it, with up to 2,000 fitted images as landmarks. For
fresh images the classifier is refitted with these to the fitted and the validation images, as the product does.

Source: the deck's slide "Mini case study", and its "Hyperparameter Optimization"; Coates, Lee and Ng 2011, section 4,
for which parameters matter.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from taproom.errors import InputError
from taproom.images.classifier_choice import Chosen, TrainingImages, choose_classifier
from taproom.images.image_arrays import labels_of
from taproom.images.image_features import Encoder, EncoderParameters, learn_encoder
from taproom.images.stored_pixels import Pixels
from taproom.search.space import Parameters

# Images at most, over all classes: fitted, for validation, fresh. Scores use fewer fitted images than the fresh scores
# that decide, since the best setting for few images may not be the best for many.
IMAGES = (6_000, 1_000, 2_000)
FITTED_FOR_SCORE = 1_500
# The first of the fitted images, which are in random order. The time of a fit grows with their number cubed.
MOST_LANDMARKS = 2_000
# How filters are learned, so that k-means does not take longer than everything else.
LEARNING = EncoderParameters(patches=10_000, iterations=3)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pixels (n, height, width, 3) uint8 and labels (n,) int64, which are places among the classes."""

    pixels: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class ClassifierObjective:
    """The accuracy of a classifier on images that it was not fitted to; higher is better. The budget is filters.

    Attributes:
        fitted, validation, fresh: images of each class.
        classes: how many there are.
    """

    fitted: Labelled
    validation: Labelled
    fresh: Labelled
    classes: int

    @classmethod
    def of(cls, images: pa.Table, pixels: Pixels, seed: int) -> "ClassifierObjective":
        """From the columns `split` and `label` of the table `images`, and its pixels.

        Raises `InputError` where its labelled training images are not of two classes, or a class has fewer than three.
        """
        numbers, names = labels_of(images)
        trained = (np.array(images["split"]) == "training") & (numbers >= 0)
        present, labels = np.unique(numbers[trained], return_inverse=True)
        _check_classes([names[number] for number in present], np.bincount(labels))
        parts = _parts(labels, len(present), seed)
        places = np.flatnonzero(trained)
        fitted, validation, fresh = (Labelled(pixels[places[rows]], labels[rows]) for rows in parts)
        return cls(fitted, validation, fresh, classes=len(present))

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The accuracy on the validation images, with the best penalty. Raises `InputError` as `learn_encoder`."""
        return max(self._fit(parameters, budget, seed, FITTED_FOR_SCORE)[1].accuracies.values())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """Whether each fresh image is called right: (images,) float64 of 1.0 and 0.0. Raises as `score`."""
        encoder, chosen = self._fit(parameters, budget, seed, len(self.fitted.labels))
        scores = chosen.classifier.scores(encoder.features(self.fresh.pixels, n_jobs=1), n_jobs=1)
        return (scores.argmax(axis=1) == self.fresh.labels).astype(np.float64)

    def _fit(self, parameters: Parameters, budget: int, seed: int, most: int) -> tuple[Encoder, Chosen]:
        settled = replace(LEARNING, **{"filters": budget, **parameters})
        fitted = Labelled(self.fitted.pixels[:most], self.fitted.labels[:most])
        encoder = learn_encoder(fitted.pixels, settled, seed, n_jobs=1)
        features = [encoder.features(part.pixels, n_jobs=1) for part in (fitted, self.validation)]
        labels = [fitted.labels, self.validation.labels]
        images = TrainingImages.of_two(features, labels, self.classes, MOST_LANDMARKS)
        return encoder, choose_classifier(images, n_jobs=1)


def _check_classes(names: list[str], counts: np.ndarray) -> None:
    if len(names) < 2:
        raise InputError(
            f"the labelled training images are of {len(names)} classes ({', '.join(names)}); wanted at least two"
        )
    if counts.min() < len(IMAGES):
        raise InputError(
            f"there are {counts.min()} training images of the class {names[counts.argmin()]!r}; wanted at least "
            f"{len(IMAGES)} of each class: to fit to, to judge on, and fresh ones"
        )


def _parts(labels: np.ndarray, classes: int, seed: int) -> list[np.ndarray]:
    """Places of the images of each part, in random order; a class with too few has fewer in all parts, one at least."""
    random = np.random.default_rng(seed)
    ends = np.cumsum(IMAGES) / sum(IMAGES)
    parts: list[list[np.ndarray]] = [[] for _ in IMAGES]
    for label in range(classes):
        rows = random.permutation(np.flatnonzero(labels == label))
        rows = rows[: max(len(IMAGES), sum(IMAGES) // classes)]
        first, second = np.round(ends[:-1] * len(rows)).astype(int)
        first = min(max(first, 1), len(rows) - 2)
        cuts = first, min(max(second, first + 1), len(rows) - 1)
        for part, some in zip(parts, np.split(rows, cuts), strict=True):
            part.append(some)
    return [random.permutation(np.concatenate(part)) for part in parts]
