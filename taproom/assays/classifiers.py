"""Generative against discriminative: classifiers of events, compared on wells that they have never seen.

Here belong the comparison and the other methods. The class mixtures of `taproom.assays.class_mixtures` come with their
held-out densities, and the comparison uses the events that these were fitted to.

Source: the lecture deck (Jamieson, CSE546), slide "Generative vs Discriminative" after the Bayes rule for mixtures and
kernel density estimates ("a very 'lazy' GMM"). scikit-learn has the other methods. Calibration: Guo, Pleiss, Sun and
Weinberger, On Calibration of Modern Neural Networks, ICML 2017.

Events of one well resemble each other more than those of two wells of a class do, so a well is left out with all of its
events. All methods see the same events, on channels that are standardised by the training wells, and all give classes
the same weight: uniform priors, or balanced weights where a method has none. Their other parameters are the defaults,
except that the bandwidth of the kernel densities is chosen by the held-out likelihood among the training wells.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, cycle
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from taproom.assays.held_out_wells import LabelledEvents, checked_events, left_out_groups, only_wells
from taproom.assays.mixture_starts import standardization
from taproom.blas import one_thread
from taproom.compute import Made, derived, made_here, workers
from taproom.progress import progress

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

# Of kernel densities, on standardised channels.
BANDWIDTHS = (0.1, 0.14, 0.2, 0.28, 0.4, 0.56)
# Of a class, to score bandwidths with: all of them together take about as long as the events of the left-out well.
EVENTS_FOR_BANDWIDTH = 200
# Relative error of a kernel density, which moves its logarithm by half of that; exact ones take three times as long.
DENSITY_TOLERANCE = 1e-2
CALIBRATION_BINS = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fold:
    """A well that is left out, and the events of the others, which methods are fitted to.

    Attributes:
        values: (m, d) float64, standardised.
        labels: (m,) str.
        wells: (m,) str.
        held_out: (k, d) float64, events of the well that is left out, on the scale of `values`.
        seed: of the random numbers of a method.
    """

    values: np.ndarray
    labels: np.ndarray
    wells: np.ndarray
    held_out: np.ndarray
    seed: int

    @cached_property
    def classes(self) -> np.ndarray:
        """(C,) str, in alphabetical order."""
        return np.unique(self.labels)

    @cached_property
    def priors(self) -> np.ndarray:
        """(C,) float64, uniform."""
        return np.full(len(self.classes), 1 / len(self.classes))


@dataclass(frozen=True)
class Comparison:
    """How the methods did; wells weigh the same in all means.

    Attributes:
        rows: (method, well, events, accuracy, log_loss), of each well that was left out.
        summary: (method, kind, wells, accuracy, accuracy_error, difference, difference_error, log_loss, log_loss_error,
            calibration_error): means over wells and their standard errors (None for one well). `difference` is the
            accuracy less that of class_mixtures, well by well; `calibration_error` is the expected one.
        bins: (method, bin, confidence, observed, events): events by their largest posterior, its mean, and the share of
            right calls; bins without events have no row.
        skipped: why a well was not left out, by well.
        left_out: why a method is missing, by method.
        incomplete_events: events with missing values, which most methods cannot take; they were set aside.
    """

    rows: list[dict]
    summary: list[dict]
    bins: list[dict]
    skipped: dict[str, str]
    left_out: dict[str, str]
    incomplete_events: int


def compare(
    events: LabelledEvents | Made[LabelledEvents], ours: np.ndarray, seed: int = 0, n_jobs: int | None = None
) -> Comparison:
    """Leave each well out, fit all other methods to the rest, and judge them and the class mixtures on it.

    A well that has all events of some class cannot be left out: it is skipped, and always there to fit with. If that
    leaves no well, or not two classes have events without missing values, there are no rows. A method that cannot be
    fitted is left out, with a warning in the log.

    Args:
        events: n events; those with NaN are set aside. Methods are fitted to `Made` events on a cluster where there is
            one.
        ours: (n, C) float64, each class's log density by mixtures that have never seen the event's well, as
            `taproom.assays.class_mixtures.cross_fit` gives them.
        seed: of the random numbers of the methods.
        n_jobs: workers as joblib counts them; they never change a bit of the result.

    Raises:
        InputError: no events, one class only, missing labels, shapes that differ, infinite values, or a constant
            channel.
        ComputeError: as `taproom.compute.workers` does.
    """
    checked = derived(events, checked_events)
    compared = derived(checked, _with_all_values)
    complete, all_labels = _are_complete(made_here(checked)), made_here(checked).labels
    labels, wells = made_here(compared).labels, made_here(compared).wells
    # A class may have no complete event: it is not among those that are compared.
    ours = ours[complete][:, np.isin(np.unique(all_labels), labels)]
    if len(set(labels)) < 2:
        return Comparison([], [], [], {}, {}, int((~complete).sum()))
    only = only_wells(labels, wells)
    judged = [well for well in np.unique(wells).tolist() if well not in only]
    mixed = softmax(ours, axis=1)
    posteriors, left_out = {OURS: [mixed[wells == well] for well in judged]} if judged else {}, {}
    for method, found in _posteriors(compared, judged, seed, n_jobs).items():
        reason = next((why for _, why in found if why), None)
        if reason:
            left_out[method] = reason
        else:
            posteriors[method] = [each for each, _ in found]
    for method, reason in left_out.items():
        logger.warning("%s is left out of the comparison: %s", method, reason)
    classes_of = np.unique(labels, return_inverse=True)[1]
    truths = [classes_of[wells == well] for well in judged]
    rows = {
        method: [_row(method, *each) for each in zip(judged, truths, found, strict=True)]
        for method, found in posteriors.items()
    }
    bins = {method: _calibration(method, truths, found) for method, found in posteriors.items()}
    return Comparison(
        rows=list(chain.from_iterable(rows.values())),
        summary=[_summary(rows[method], rows[OURS], error) for method, (_, error) in bins.items()],
        bins=list(chain.from_iterable(of_method for of_method, _ in bins.values())),
        skipped={
            well: f"It is the only well of the class {name}, which would be empty." for well, name in only.items()
        },
        left_out=left_out,
        incomplete_events=int((~complete).sum()),
    )


def calibration_bins(largest: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple[list[dict], float]:
    """Rows (bin, confidence, observed, events) of `CALIBRATION_BINS` bins of equal width, and the expected error.

    The expected calibration error is the mean of |confidence - observed| over the bins, by weight.

    >>> rows, error = calibration_bins(np.array([0.95, 0.95, 0.65]), np.array([True, False, True]), np.ones(3))
    >>> [(row["bin"], row["observed"]) for row in rows], round(error, 3)
    ([(6, 1.0), (9, 0.5)], 0.417)

    Args:
        largest: (m,) float64, the largest posterior of each event.
        right: (m,) bool, whether the call is right.
        weights: (m,) float64, of the events.
    """
    bin_of = np.minimum((largest * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    rows, error = [], 0.0
    for place in np.unique(bin_of):
        inside = bin_of == place
        confidence, observed = (np.average(each[inside], weights=weights[inside]) for each in (largest, right))
        error += abs(confidence - observed) * weights[inside].sum()
        rows.append(
            {
                "bin": int(place),
                "confidence": float(confidence),
                "observed": float(observed),
                "events": int(inside.sum()),
            }
        )
    return rows, float(error / weights.sum())


def kernel_density(fold: Fold) -> np.ndarray:
    """The Bayes rule with a Gaussian kernel density for each class: posteriors (k, C)."""
    from sklearn.neighbors import KernelDensity

    density = KernelDensity(bandwidth=best_bandwidth(fold), rtol=DENSITY_TOLERANCE)
    own = [density.fit(fold.values[fold.labels == name]).score_samples(fold.held_out) for name in fold.classes]
    return softmax(np.column_stack(own), axis=1)


def best_bandwidth(fold: Fold) -> float:
    """The one of `BANDWIDTHS` under which events of the training wells are most likely, given their class's others.

    Classes weigh the same. Of a class with a single training well, folds of its events are held out.
    """
    from sklearn.neighbors import KernelDensity

    groups = left_out_groups(fold.labels, fold.wells)
    scores = np.zeros(len(BANDWIDTHS))
    for name in fold.classes:
        rows = np.flatnonzero(fold.labels == name)
        # The step is odd, or a class with a few folds would have events of some of them only.
        scored = rows[:: len(rows) // EVENTS_FOR_BANDWIDTH | 1]
        for group in np.unique(groups[scored]):
            fitted, held_out = rows[groups[rows] != group], scored[groups[scored] == group]
            for place, bandwidth in enumerate(BANDWIDTHS):
                density = KernelDensity(bandwidth=bandwidth, rtol=DENSITY_TOLERANCE).fit(fold.values[fitted])
                scores[place] += density.score(fold.values[held_out]) / len(scored)
    return BANDWIDTHS[scores.argmax()]


def linear_discriminant(fold: Fold) -> np.ndarray:
    """A Gaussian per class, with one covariance for all: posteriors (k, C)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return _predicted(LinearDiscriminantAnalysis(priors=fold.priors), fold)


def quadratic_discriminant(fold: Fold) -> np.ndarray:
    """A Gaussian per class: posteriors (k, C)."""
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    return _predicted(QuadraticDiscriminantAnalysis(priors=fold.priors), fold)


def logistic_regression(fold: Fold) -> np.ndarray:
    """Multinomial logistic regression: posteriors (k, C)."""
    from sklearn.linear_model import LogisticRegression

    return _predicted(LogisticRegression(class_weight="balanced", max_iter=1_000), fold)


def gradient_boosting(fold: Fold) -> np.ndarray:
    """Gradient boosted trees on histograms: posteriors (k, C).

    With weights, scikit-learn takes longer to find the 255 bins that it comes with than to fit. Here are 64; on seven
    wells of bacteria the mean accuracy was 0.648 with them and 0.649 with 255.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosting = HistGradientBoostingClassifier(class_weight="balanced", max_bins=64, random_state=fold.seed)
    return _predicted(boosting, fold)


OURS = "class_mixtures"
OTHERS: dict[str, Callable[[Fold], np.ndarray]] = {
    "kernel_density": kernel_density,
    "linear_discriminant": linear_discriminant,
    "quadratic_discriminant": quadratic_discriminant,
    "logistic_regression": logistic_regression,
    "gradient_boosting": gradient_boosting,
}
KINDS = {
    OURS: "generative",
    "kernel_density": "generative",
    "linear_discriminant": "generative",
    "quadratic_discriminant": "generative",
    "logistic_regression": "discriminative",
    "gradient_boosting": "discriminative",
}


def _posteriors(
    events: LabelledEvents | Made[LabelledEvents], judged: Sequence[str], seed: int, n_jobs: int | None
) -> dict[str, list[tuple[np.ndarray | None, str | None]]]:
    """Posteriors (k, C) of the events of each well by each method, each with the reason where there are none."""
    found: dict[str, list] = {method: [] for method in OTHERS} if judged else {}
    # Processes: most of these methods hold the interpreter's lock, and threads gain nothing.
    with workers(events, n_jobs, prefer="processes") as run:
        fits = run(_attempt, ((method, well, seed) for well in judged for method in OTHERS))
        fits = progress(fits, doing="comparing classifiers", total=len(judged) * len(OTHERS), unit="fit")
        for each, method in zip(fits, cycle(OTHERS), strict=False):
            found[method].append(each)
    return found


def _are_complete(events: LabelledEvents) -> np.ndarray:
    return ~np.isnan(events.values).any(axis=1)


def _with_all_values(events: LabelledEvents) -> LabelledEvents:
    return events.where(_are_complete(events))


def _fold(events: LabelledEvents, well: str, seed: int) -> Fold:
    seen = events.wells != well
    offset, scale = standardization(events.values[seen])
    standard = (events.values - offset) / scale
    return Fold(standard[seen], events.labels[seen], events.wells[seen], standard[~seen], seed)


def _attempt(events: LabelledEvents, method: str, well: str, seed: int) -> tuple[np.ndarray | None, str | None]:
    """The method's posteriors of a well's events, or why there are none."""
    fold = _fold(events, well, seed)  # in the worker, since a fold is about as large as all events
    try:
        with one_thread():
            return OTHERS[method](fold), None
    except ValueError as error:  # scikit-learn's, and NumPy's LinAlgError
        return None, str(error)


def _predicted(classifier: "BaseEstimator", fold: Fold) -> np.ndarray:
    return classifier.fit(fold.values, fold.labels).predict_proba(fold.held_out)


def _row(method: str, well: str, truth: np.ndarray, posteriors: np.ndarray) -> dict:
    of_truth = posteriors[np.arange(len(truth)), truth]
    return {
        "method": method,
        "well": well,
        "events": len(truth),
        "accuracy": float((posteriors.argmax(axis=1) == truth).mean()),
        # Clipped as by scikit-learn: a method that is sure and wrong is not infinitely bad.
        "log_loss": float(-np.log(np.maximum(of_truth, np.finfo(np.float64).eps)).mean()),
    }


def _calibration(
    method: str, truths: Sequence[np.ndarray], posteriors: Sequence[np.ndarray]
) -> tuple[list[dict], float]:
    largest = np.concatenate([each.max(axis=1) for each in posteriors])
    right = np.concatenate([each.argmax(axis=1) == truth for each, truth in zip(posteriors, truths, strict=True)])
    weights = np.concatenate([np.full(len(truth), 1 / len(truth)) for truth in truths])
    rows, error = calibration_bins(largest, right, weights)
    return [{"method": method, **row} for row in rows], error


def _summary(rows: Sequence[Mapping], ours: Sequence[Mapping], calibration_error: float) -> dict:
    accuracies, log_losses = (np.array([row[name] for row in rows]) for name in ("accuracy", "log_loss"))
    accuracy, accuracy_error = _mean_and_error(accuracies)
    log_loss, log_loss_error = _mean_and_error(log_losses)
    difference, difference_error = _mean_and_error(accuracies - [row["accuracy"] for row in ours])
    return {
        "method": rows[0]["method"],
        "kind": KINDS[rows[0]["method"]],
        "wells": len(rows),
        "accuracy": accuracy,
        "accuracy_error": accuracy_error,
        "difference": difference,
        "difference_error": difference_error,
        "log_loss": log_loss,
        "log_loss_error": log_loss_error,
        "calibration_error": calibration_error,
    }


def _mean_and_error(values: np.ndarray) -> tuple[float, float | None]:
    """The mean and its standard error, which one value does not have."""
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(values.mean()), error
