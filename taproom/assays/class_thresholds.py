"""Priors and thresholds of a class model, and how often held-out events are called right with them.

Here belongs everything that is chosen after the fits of `taproom.assays.class_mixtures`; what the thresholds mean is
in `taproom.assays.class_model`.

Priors are uniform unless given: how many wells of a class a plate has is the experimenter's choice, and not how often
the class occurs.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from taproom.assays.class_mixtures import ClassParameters, CrossFit, check_class_parameters
from taproom.assays.class_model import ClassModel, HeldOutRates, bayes

# With fewer of the held-out events, an accuracy may be reached by chance.
LEAST_SURE_SHARE = 0.01


def model_of(crossed: CrossFit, parameters: ClassParameters | None = None) -> ClassModel:
    """The mixtures with priors and thresholds, and what these do to the held-out events that they were chosen on.

    A class's anomaly threshold comes from its events without missing values, if it has any.

    >>> from taproom.assays.class_mixtures import cross_fit
    >>> from taproom.assays.class_model import call
    >>> from taproom.assays.held_out_wells import LabelledEvents
    >>> labels, wells = np.repeat(["blue", "red"], 200), np.repeat(["A1", "A2", "B1", "B2"], 100)
    >>> values = np.random.default_rng(0).normal(size=(400, 1)) + np.where(labels == "red", 9, 0)[:, None]
    >>> model = model_of(cross_fit(LabelledEvents(values, labels, wells), ClassParameters(components=1)))
    >>> calls = call(np.array([[0.0], [9.0], [40.0]]), model)
    >>> calls.called.tolist(), calls.anomalous.tolist()
    ([0, 1, 1], [False, False, True])

    Raises:
        InputError: priors of other classes, or parameters out of range.
    """
    parameters = parameters or ClassParameters()
    check_class_parameters(parameters, crossed.classes)
    priors = _priors(crossed.classes, parameters.priors)
    anomalous_below = np.array(
        [
            np.quantile(crossed.highest[_complete_first(crossed, rows), place], parameters.anomalous_share)
            for place, rows in enumerate(crossed.of_class)
        ]
    )
    posteriors, _ = bayes(crossed.log_densities, priors)
    largest, right = posteriors.max(axis=1), posteriors.argmax(axis=1) == crossed.classes_of
    weights = (priors / np.bincount(crossed.classes_of))[crossed.classes_of]
    ambiguous_below, reached = sure_threshold(largest, right, weights, parameters.wanted_accuracy)
    ambiguous, anomalous = largest < ambiguous_below, np.all(crossed.highest < anomalous_below, axis=1)
    return ClassModel(
        classes=crossed.classes,
        priors=priors,
        mixtures=crossed.mixtures,
        anomalous_below=anomalous_below,
        ambiguous_below=ambiguous_below,
        reached_accuracy=reached,
        wells=np.array([len(np.unique(crossed.wells[rows])) for rows in crossed.of_class]),
        events=np.array([len(rows) for rows in crossed.of_class]),
        held_out=tuple(_rates(right[rows], ambiguous[rows], anomalous[rows]) for rows in crossed.of_class),
    )


def held_out_fates(model: ClassModel) -> dict[str, np.ndarray]:
    """The shares of the held-out events of each class that are called right, wrong or ambiguous: (C,) each, sum 1."""
    ambiguous = np.array([rates.ambiguous_share for rates in model.held_out])
    right = np.array([rates.sure_accuracy or 0.0 for rates in model.held_out]) * (1 - ambiguous)
    return {"called right": right, "called wrong": 1 - ambiguous - right, "ambiguous": ambiguous}


def sure_threshold(
    largest: np.ndarray, right: np.ndarray, weights: np.ndarray, wanted_accuracy: float
) -> tuple[float, float]:
    """The smallest threshold at or above which calls are right often enough, and how often they are.

    If no threshold reaches the wanted accuracy, it is the one with the highest accuracy. Thresholds that leave less
    than `LEAST_SURE_SHARE` of the events are not considered.

    >>> sure_threshold(np.array([0.9, 0.8, 0.6]), np.array([True, True, False]), np.ones(3), 0.95)
    (0.8, 1.0)

    Args:
        largest: (m,) float64, the largest posterior of each event.
        right: (m,) bool, whether the call is right.
        weights: (m,) float64, of the events.
        wanted_accuracy: from 0 to 1.
    """
    order = np.argsort(-largest, kind="stable")
    largest, weights = largest[order], weights[order]
    above = np.cumsum(weights)
    accuracy = np.cumsum(weights * right[order]) / above
    last_of_equals = np.append(largest[1:] < largest[:-1], True)
    possible = np.flatnonzero(last_of_equals & (above >= LEAST_SURE_SHARE * above[-1]))
    reached = possible[accuracy[possible] >= wanted_accuracy]
    place = reached[-1] if reached.size else possible[accuracy[possible].argmax()]
    return float(largest[place]), float(accuracy[place])


def _priors(classes: Sequence[str], given: Mapping[str, float] | None) -> np.ndarray:
    priors = np.array([given[name] for name in classes] if given else [1.0] * len(classes), np.float64)
    return priors / priors.sum()


def _complete_first(crossed: CrossFit, rows: np.ndarray) -> np.ndarray:
    complete = rows[crossed.complete[rows]]
    return complete if complete.size else rows


def _rates(right: np.ndarray, ambiguous: np.ndarray, anomalous: np.ndarray) -> HeldOutRates:
    return HeldOutRates(
        events=len(right),
        accuracy=float(right.mean()),
        sure_accuracy=None if ambiguous.all() else float(right[~ambiguous].mean()),
        ambiguous_share=float(ambiguous.mean()),
        anomalous_share=float(anomalous.mean()),
    )
