"""The Bayes classifier from one mixture of Gaussians per class, and the events that it flags.

Here belong the model and the calls that it makes: posteriors, their argmax, and the flags "ambiguous" and "anomalous".
The mixtures are fitted in `taproom.assays.class_mixtures`, thresholds are chosen in `taproom.assays.class_thresholds`,
the shares of the classes are estimated in `taproom.assays.class_shares`.

Source: the lecture deck (Jamieson, CSE546): "What is the Bayes optimal classification rule?" (slides "Kernel Density
Estimation"): predict the class with the largest product of density and prior.

An event is anomalous if its density is below the thresholds of all classes, not only of the called one: an event that
any class explains is no anomaly, whatever the priors. Of the held-out events of a class, at most `anomalous_share` are
flagged. A threshold on the density of all channels does not apply to fewer channels, so an event with missing values is
compared by an upper bound on its density (see `taproom.assays.class_densities`): it is anomalous only if it would be so
whatever the missing values are.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax

from taproom.assays.class_densities import finite_log_density, highest_log_density
from taproom.assays.mixtures import Mixture, checked_values
from taproom.blas import blas_threads


@dataclass(frozen=True)
class HeldOutRates:
    """How the held-out events of a class are called: their number, and shares of them.

    `sure_accuracy` is that of the calls that are not ambiguous, None where all are.
    """

    events: int
    accuracy: float
    sure_accuracy: float | None
    ambiguous_share: float
    anomalous_share: float


@dataclass(frozen=True)
class ClassModel:
    """One mixture per class, priors and thresholds.

    Attributes:
        classes: in alphabetical order.
        priors: (C,) float64, sum 1.
        mixtures: of each class, in the units of the values.
        anomalous_below: (C,) float64, log densities, in nats.
        ambiguous_below: a posterior probability.
        reached_accuracy: of the held-out calls at or above `ambiguous_below`, classes by prior and wells alike; below
            the wanted one, if no threshold reaches that.
        wells, events: (C,) int64, what the mixtures were fitted to.
        held_out: of each class.
    """

    classes: tuple[str, ...]
    priors: np.ndarray
    mixtures: tuple[Mixture, ...]
    anomalous_below: np.ndarray
    ambiguous_below: float
    reached_accuracy: float
    wells: np.ndarray
    events: np.ndarray
    held_out: tuple[HeldOutRates, ...]

    def log_densities(self, values: np.ndarray) -> np.ndarray:
        """(n, C) float64: each class's log density of `values` (n, d), of the channels that are not NaN."""
        return np.column_stack([finite_log_density(mixture, values) for mixture in self.mixtures])


@dataclass(frozen=True)
class Calls:
    """The Bayes rule on events.

    Attributes:
        log_densities: (n, C) float64, of each class.
        posteriors: (n, C) float64, rows sum to 1.
        called: (n,) int64, place of the class with the largest posterior, the first of equals.
        log_density: (n,) float64, of all classes together, weighted by the priors.
        ambiguous: (n,) bool, the largest posterior is below its threshold.
        anomalous: (n,) bool, the density is below the thresholds of all classes.
    """

    log_densities: np.ndarray
    posteriors: np.ndarray
    called: np.ndarray
    log_density: np.ndarray
    ambiguous: np.ndarray
    anomalous: np.ndarray


def call(values: np.ndarray, model: ClassModel) -> Calls:
    """Call each event by the Bayes rule, on the channels that it has.

    An event without any value has the priors for posteriors, the log density 0, and is not anomalous.

    Args:
        values: (n, d) float64, channels in the order of the model's, NaN where missing; n may be 0.
        model: as `model_of` or `model_from_rows` gave it.

    Raises:
        InputError: other channels than the model's, or infinite values.
    """
    values = checked_values(values, model.mixtures[0])
    with blas_threads():
        log_densities = model.log_densities(values)
        highest = [
            highest_log_density(mixture, values, own)
            for mixture, own in zip(model.mixtures, log_densities.T, strict=True)
        ]
    posteriors, log_density = bayes(log_densities, model.priors)
    return Calls(
        log_densities=log_densities,
        posteriors=posteriors,
        called=posteriors.argmax(axis=1),
        log_density=log_density,
        ambiguous=posteriors.max(axis=1) < model.ambiguous_below,
        anomalous=np.all(np.column_stack(highest) < model.anomalous_below, axis=1),
    )


def bayes(log_densities: np.ndarray, priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors (n, C) and the log density of all classes together (n,)."""
    joint = log_densities + np.log(priors)
    return softmax(joint, axis=1), logsumexp(joint, axis=1)
