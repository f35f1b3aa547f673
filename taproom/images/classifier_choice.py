"""Which kernel classifier is best on validation images: its width, its penalty and its temperature.

Here belongs the choice. The regression is in `taproom.images.landmark_regression`, and in
`taproom.images.full_regression` where all images are landmarks; which images are for validation, and which are
landmarks, is in `taproom.images.image_classifier`.

Penalties are compared from the largest to the smallest, each fit starting from the one before. Each width needs a
kernel of its own, so by default there is one. Few landmarks do not tell the best width of many: they prefer wider ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from taproom.errors import InputError
from taproom.images.calibration import best_temperature, calibration_error, probabilities
from taproom.images.full_regression import FullRegression
from taproom.images.landmark_regression import KernelClassifier, LandmarkKernel, LandmarkRegression
from taproom.images.landmarks import Landmarks
from taproom.images.least_squares import one_hot

# In units of the median distance of landmarks.
WIDTHS = (1.4,)
PENALTIES = (0.01, 0.001)
MOST_PENALTIES = 12


@dataclass(frozen=True)
class TrainingImages:
    """Images to fit a classifier to; the last ones are landmarks.

    Attributes:
        features: blocks (n - m, D) float32 of the features of those that are no landmarks, which are looked at several
            times.
        landmarks: the m landmarks, which are to be fitted to; where all images are, those for validation are the last.
        labels: (n,) int64, places among the classes.
        validation: (n,) bool, those that choices are made by; the others are fitted to.
        classes: how many there are.
    """

    features: Iterable[np.ndarray]
    landmarks: Landmarks
    labels: np.ndarray
    validation: np.ndarray
    classes: int

    @classmethod
    def of_two(
        cls,
        features: Sequence[np.ndarray],
        labels: Sequence[np.ndarray],
        classes: int,
        most_landmarks: int | None = None,
    ) -> "TrainingImages":
        """Images to fit to, and those for validation: the features and the labels of both.

        The first `most_landmarks` of the images to fit to are landmarks; all of them if None.
        """
        landmarks = Landmarks.of(features[0][:most_landmarks])
        others, judged = features[0][len(landmarks) :], features[1]
        in_order = [labels[0][len(landmarks) :], labels[1], labels[0][: len(landmarks)]]
        validation = np.repeat([False, True, False], [len(each) for each in in_order])
        return cls([others, judged], landmarks, np.concatenate(in_order), validation, classes)


@dataclass(frozen=True)
class Chosen:
    """A classifier, fitted to all images with the width and the penalty that were best on the validation images.

    Attributes:
        classifier: with the temperature that was best on these.
        penalty: the best one.
        accuracies: on the validation images at each penalty that was tried.
        calibration_error: of the probabilities of the validation images.
    """

    classifier: KernelClassifier
    penalty: float
    accuracies: dict[float, float]
    calibration_error: float


def choose_classifier(
    images: TrainingImages,
    widths: Sequence[float] = WIDTHS,
    penalties: Sequence[float] = PENALTIES,
    n_jobs: int | None = None,
) -> Chosen:
    """Compare widths and penalties by the validation images, then fit to these too.

    Where the best penalty is an end of the range, the range grows by tenfold steps. Of equally good widths or
    penalties the largest is taken. In the fit to all images, lambda is larger in proportion to their number.

    Args:
        images: what the classifier is fitted to.
        widths: of the kernel, in units of the landmarks' median distance.
        penalties: lambda.
        n_jobs: threads, as joblib counts workers; nothing depends on them.

    Raises:
        InputError: as `LandmarkRegression` does.
    """
    width = _best_width(images, widths, float(np.median(penalties)), n_jobs)
    fits = _Fits(images, LandmarkKernel(images.landmarks, width), n_jobs)
    penalty = _best_penalty(fits, penalties)
    scores, labels = fits.scores(penalty)[images.validation], images.labels[images.validation]
    temperature = best_temperature(scores, labels)
    error = calibration_error(probabilities(scores, temperature), labels)
    return Chosen(fits.of_all(penalty, temperature), penalty, fits.accuracies, error)


class _Fits:
    """The fits with a kernel at several penalties, and their accuracies on the validation images."""

    def __init__(self, images: TrainingImages, kernel: LandmarkKernel, n_jobs: int | None) -> None:
        rows = kernel.of_all(images.features, len(images.labels), n_jobs)
        regression = FullRegression if len(images.landmarks) == len(images.labels) else LandmarkRegression
        self._regression = regression(rows, n_jobs)
        self._images, self._kernel = images, kernel
        self._targets = one_hot(images.labels, images.classes)
        self._weights: dict[float, np.ndarray] = {}
        self.accuracies: dict[float, float] = {}

    def judge(self, penalty: float) -> float:
        """Fit at a penalty, from the fit at the penalty that is nearest to it, and give the accuracy."""
        nearest = min(self._weights, key=lambda known: max(known / penalty, penalty / known), default=None)
        start = None if nearest is None else self._weights[nearest]
        self._weights[penalty], _ = self._fit(~self._images.validation, penalty, start)
        right = self.scores(penalty).argmax(axis=1) == self._images.labels
        self.accuracies[penalty] = float(right[self._images.validation].mean())
        return self.accuracies[penalty]

    def scores(self, penalty: float) -> np.ndarray:
        """The scores (n, C) float32 of all images by the fit at a penalty."""
        intercept = self._targets[~self._images.validation].mean(axis=0)
        return self._regression.scores(self._weights[penalty]) + intercept

    def of_all(self, penalty: float, temperature: float) -> KernelClassifier:
        """The classifier that is fitted to all images."""
        all_images = np.ones(len(self._targets), bool)
        scaled = penalty * len(all_images) / np.sum(~self._images.validation)
        weights, intercept = self._fit(all_images, scaled, self._weights[penalty])
        return KernelClassifier(self._kernel, weights, intercept, temperature)

    def _fit(self, fitted: np.ndarray, penalty: float, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        intercept = self._targets[fitted].mean(axis=0)
        return self._regression.fit(self._targets - intercept, fitted, penalty, start), intercept


def _best_width(images: TrainingImages, widths: Sequence[float], penalty: float, n_jobs: int | None) -> float:
    """The width, as a distance, that is best at a penalty."""
    unit = images.landmarks.typical_distance
    if len(widths) == 1:
        return unit * widths[0]
    kernels = {width: LandmarkKernel(images.landmarks, unit * width) for width in widths}
    return unit * _best({width: _Fits(images, kernel, n_jobs).judge(penalty) for width, kernel in kernels.items()})


def _best_penalty(fits: _Fits, penalties: Sequence[float]) -> float:
    """The best of the penalties and of those that follow where an end of the range is best."""
    for penalty in sorted(penalties, reverse=True):
        fits.judge(penalty)
    tried, best = fits.accuracies, _best(fits.accuracies)
    while len(penalties) > 1 and len(tried) < MOST_PENALTIES and best in (ends := (min(tried), max(tried))):
        further = best / 10 if best == ends[0] else best * 10
        try:
            fits.judge(further)
        except InputError:  # so small that rounding hides it
            break
        if tried[further] <= tried[best]:
            break
        best = further
    return best


def _best(accuracies: dict[float, float]) -> float:
    """The number of the highest accuracy, the largest of several."""
    return max(accuracies, key=lambda number: (accuracies[number], number))
