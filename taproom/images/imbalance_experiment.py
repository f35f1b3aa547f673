"""The experiment with class imbalance: how often rare classes are found, and what helps them.

Here belong the experiment "class imbalance" of `taproom.images.street_fight`, the treatments that it compares, and the
least squares fit to a draw that it shares with `taproom.images.encoder_experiment`.

Only a tenth of the labels of half of the classes are kept. Filters need no labels, so the encoder is the same. The
penalty, and the strength of the threshold, are chosen on the last fifth of the images that are trained on, before all
of them are fitted.

Source: Menon et al., Long-tail learning via logit adjustment, 2021, for the threshold.
"""

import time
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from taproom.images.least_squares import LinearClassifier, Ridge, one_hot
from taproom.images.street_fight_draws import Draw, Outcome, best_choice, fitted_first

MEASURES = ("accuracy", "balanced accuracy", "recall of rare classes")
TREATMENTS = ("nothing", "class weights", "oversampling", "undersampling", "threshold")
PENALTIES = (10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)
# The penalty whose factor serves all others, in the middle of them.
FACTORED = 300.0
THRESHOLDS = tuple(np.linspace(0, 0.4, 9))
IMBALANCE = 10


_ByPenalty = Callable[[float], LinearClassifier]


def balanced_accuracy(called: np.ndarray, labels: np.ndarray) -> float:
    """The mean over the classes that labels have of the share that is called right.

    >>> balanced_accuracy(np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1]))
    0.75
    """
    return float(np.mean(list(recalls(called, labels).values())))


def recalls(called: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Of each class among the labels, the share that is called right.

    >>> recalls(np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1]))
    {0: 1.0, 1: 0.5}
    """
    return {int(number): float(np.mean(called[labels == number] == number)) for number in np.unique(labels)}


def class_weights(labels: np.ndarray) -> np.ndarray:
    """A weight for each image (n,) float64, so that all classes have the same weight; the mean is 1.

    >>> class_weights(np.array([0, 0, 0, 1])).round(3)
    array([0.667, 0.667, 0.667, 2.   ])
    """
    numbers, of_image, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return len(labels) / (len(numbers) * counts[of_image])


def resampled(rows: np.ndarray, labels: np.ndarray, each: int, random: np.random.Generator) -> np.ndarray:
    """`each` of the rows of each class: some of them where there are more, all and some again where there are fewer."""
    chosen = []
    for number in np.unique(labels):
        of_class = rows[labels == number]
        again = random.choice(of_class, max(each - len(of_class), 0))
        chosen.append(np.append(random.permutation(of_class)[:each], again))
    return np.concatenate(chosen)


def imbalanced(drawn: Draw, features: np.ndarray) -> Iterator[Outcome]:
    """The measures of each treatment, on a training set in which half of the classes are rare."""
    random = drawn.random("class imbalance")
    rare = np.sort(random.permutation(drawn.classes)[: drawn.classes // 2])
    rows = with_rare(drawn, rare)
    counts = np.bincount(drawn.labels[rows], minlength=drawn.classes)
    labels = drawn.labels[drawn.training :]
    for setting in TREATMENTS:
        started = time.perf_counter()
        fit = DrawFit(drawn, features, rows, setting)
        scores = fit.on_all(fit.penalty).scores(features[drawn.training :])
        if setting == "threshold":
            scores = scores - fit.threshold() * np.log(counts / counts.sum())
        found = recalls(scores.argmax(axis=1), labels)
        of_class = np.array([found[number] for number in range(drawn.classes)])
        # The images that judge are of all classes alike; accuracy is of images in the proportions of the training set.
        measured = (counts @ of_class / counts.sum(), of_class.mean(), of_class[rare].mean())
        seconds = time.perf_counter() - started
        for measure, value in zip(MEASURES, measured, strict=True):
            yield Outcome("class imbalance", f"{IMBALANCE}:1", setting, measure, float(value), seconds)


def with_rare(drawn: Draw, rare: np.ndarray) -> np.ndarray:
    """Rows to train on: all of the frequent classes, every tenth of the rare ones."""
    rows = np.arange(drawn.training)
    kept = (rows // drawn.classes) % IMBALANCE == IMBALANCE - 1
    return rows[kept | ~np.isin(drawn.labels[: drawn.training], rare)]


class DrawFit:
    """Least squares on some rows of a draw under a treatment, the penalty chosen on those that are set apart for it."""

    def __init__(
        self, drawn: Draw, features: np.ndarray, rows: np.ndarray | None = None, treatment: str = TREATMENTS[0]
    ) -> None:
        self._draw, self._features, self._treatment = drawn, features, treatment
        self._rows = np.arange(drawn.training) if rows is None else rows
        first = fitted_first(drawn.training, drawn.classes)
        self._first, self._last = self._rows[self._rows < first], self._rows[self._rows >= first]

    @cached_property
    def on_all(self) -> _ByPenalty:
        """Fitted to all rows."""
        return self._least_squares(self._rows)

    @cached_property
    def penalty(self) -> float:
        """The penalty that does best on the last rows when the first are fitted."""
        return best_choice(
            PENALTIES, lambda penalty: self._right(self._on_first(penalty).scores(self._features[self._last]))
        )

    def threshold(self) -> float:
        """How much of the logarithm of a class's share is best taken from its scores, on the last rows."""
        scores = self._on_first(self.penalty).scores(self._features[self._last])
        counts = np.bincount(self._draw.labels[self._first], minlength=self._draw.classes)
        return best_choice(
            THRESHOLDS, lambda threshold: self._right(scores - threshold * np.log(counts / counts.sum()))
        )

    @cached_property
    def _on_first(self) -> _ByPenalty:
        return self._least_squares(self._first)

    def _right(self, scores: np.ndarray) -> float:
        return balanced_accuracy(scores.argmax(axis=1), self._draw.labels[self._last])

    def _least_squares(self, rows: np.ndarray) -> _ByPenalty:
        """From a penalty to the classifier that is fitted to the rows as the treatment has them."""
        rows, weights = self._treated(rows)
        targets = one_hot(self._draw.labels[rows], self._draw.classes)
        return Ridge(self._features[rows], targets, FACTORED, weights).fit

    def _treated(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        labels = self._draw.labels[rows]
        counts = np.unique(labels, return_counts=True)[1]
        random = self._draw.random("class imbalance", part=1)
        match self._treatment:
            case "class weights":
                return rows, class_weights(labels)
            case "oversampling":
                return resampled(rows, labels, counts.max(), random), None
            case "undersampling":
                return resampled(rows, labels, counts.min(), random), None
            case _:
                return rows, None
