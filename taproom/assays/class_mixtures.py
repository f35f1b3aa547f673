"""One mixture of Gaussians per class, fitted with all wells of the class and once without each of them.

Here belong the fits and the held-out densities that they give. Thresholds are chosen from these in
`taproom.assays.class_thresholds`, and events are called in `taproom.assays.class_model`. EM for a mixture is in
`taproom.assays.expectation_maximization`, other classifiers are in `taproom.assays.classifiers`.

Source: the lecture deck (Jamieson, CSE546), slides "Kernel Density Estimation": "What is the Bayes optimal
classification rule?"

The label of an event is that of its well, so the density of a class is that of all events of its wells, debris
included. Wells of a class differ; each has equal weight, and held-out densities are those of left-out wells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from taproom.assays.class_densities import finite_log_density, highest_log_density
from taproom.assays.expectation_maximization import EmParameters, fit_all
from taproom.assays.held_out_wells import LabelledEvents, balanced_rows, checked_events, left_out_groups
from taproom.assays.mixture_sizes import sizes_to_try
from taproom.assays.mixture_starts import standardization
from taproom.assays.mixtures import Mixture
from taproom.blas import blas_threads
from taproom.compute import Made, derived, made_here, workers
from taproom.errors import InputError
from taproom.progress import progress

# Of EM; 1e-5 takes twice as long, to the same accuracy.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class ClassParameters:
    """How classes are fitted and thresholds chosen.

    Few wells decide little about the defaults. On seven wells of bacteria (three classes, five channels; standard error
    over wells 0.07), two draws gave these accuracies on left-out wells: 3 components 0.61 and 0.69, 4 0.62 and 0.64,
    6 0.67 and 0.62, 8 0.65 and 0.66, 10 0.64 and 0.66, BIC 0.64 and 0.67; a regularization of 0.01 instead of 1e-6
    changes the last to 0.64 and 0.66, 0.1 to 0.61 and 0.61. Five restarts instead of two gain 0.007.

    Attributes:
        components: of each class's mixture, or of all; by default the number among `sizes` with the lowest BIC.
        sizes: numbers of components to choose from.
        restarts: fits of each number, from starts of their own; the best by BIC is taken.
        events_per_well: at most so many events of a well, drawn at random. A class's well with the fewest events
            decides for all its wells, so that they weigh the same.
        priors: of each class, in any unit; uniform by default.
        anomalous_share: share of a class's held-out events below the class's threshold.
        wanted_accuracy: of the held-out calls that are not ambiguous.
        regularization: of each fit, added to all variances in each M-step, on channels that are standardised by class.
        seed: of the draws and of the starts.
    """

    components: int | Mapping[str, int] | None = None
    sizes: tuple[int, ...] = (2, 4, 8)
    restarts: int = 2
    events_per_well: int = 2_000
    priors: Mapping[str, float] | None = None
    anomalous_share: float = 0.01
    wanted_accuracy: float = 0.95
    regularization: float = 1e-6
    seed: int = 0


@dataclass(frozen=True)
class CrossFit:
    """The classes' mixtures, and sampled events under mixtures that have never seen their wells.

    Attributes:
        classes: in alphabetical order.
        mixtures: of each class, fitted to all of its sample.
        rows: (m,) int64, places of the sample among the values.
        classes_of: (m,) int64, place of each event's class.
        wells: (m,) str, of each event.
        log_densities: (m, C) float64, each class's held-out log density.
        highest: (m, C) float64, the same at the best values in place of missing ones.
        complete: (m,) bool, no value is missing.
    """

    classes: tuple[str, ...]
    mixtures: tuple[Mixture, ...]
    rows: np.ndarray
    classes_of: np.ndarray
    wells: np.ndarray
    log_densities: np.ndarray
    highest: np.ndarray
    complete: np.ndarray

    @cached_property
    def of_class(self) -> list[np.ndarray]:
        """Places of each class's events in the sample."""
        return [np.flatnonzero(self.classes_of == place) for place in range(len(self.classes))]


def cross_fit(
    events: LabelledEvents | Made[LabelledEvents],
    parameters: ClassParameters | None = None,
    n_jobs: int | None = None,
) -> CrossFit:
    """Fit each class's mixture with all of its wells, and once without each of them.

    A class's mixture depends on no other class, so leaving a well out costs fits of the classes that it has. Numbers of
    components are chosen anew in each fit.

    Args:
        events: n events; a well may have events of several classes. Mixtures are fitted to `Made` events on a cluster
            where there is one.
        parameters: see `ClassParameters`, whose defaults are taken if there are none.
        n_jobs: workers as joblib counts them; they never change a bit of the result.

    Raises:
        InputError: no events, one class only, a class without events, missing labels, shapes that differ, fewer events
            than components, a constant or entirely missing channel in a class, or parameters out of range.
        ComputeError: as `taproom.compute.workers` does.
    """
    parameters = parameters or ClassParameters()
    checked = derived(events, checked_events)
    check_class_parameters(parameters, np.unique(made_here(checked).labels).tolist())
    drawn = derived(checked, _sample, parameters.events_per_well, parameters.seed)
    sample = made_here(drawn)
    classes = range(len(sample.classes))
    pairs: list[tuple[int, int | None]] = [(place, None) for place in classes]
    pairs += sorted({(int(place), int(group)) for place, group in zip(sample.classes_of, sample.groups, strict=True)})
    with blas_threads(), workers(drawn, n_jobs) as run:
        fits = run(_fitted, ((*pair, parameters) for pair in pairs))
        mixtures = dict(zip(pairs, progress(fits, doing="fitting classes", total=len(pairs), unit="fit"), strict=True))
        log_densities, highest = _held_out_densities(sample.values, sample.groups, mixtures)
    return CrossFit(
        classes=tuple(sample.classes.tolist()),
        mixtures=tuple(mixtures[place, None] for place in classes),
        rows=sample.rows,
        classes_of=sample.classes_of,
        wells=sample.wells,
        log_densities=log_densities,
        highest=highest,
        complete=~np.isnan(sample.values).any(axis=1),
    )


def check_class_parameters(parameters: ClassParameters, classes: Sequence[str]) -> None:
    """Raise `InputError` unless the parameters are in range and those of each class are of these classes."""
    p = parameters
    if min(p.sizes, default=0) < 1 or p.restarts < 1 or p.events_per_well < 1:
        raise InputError(
            f"sizes {p.sizes}, {p.restarts} restarts and {p.events_per_well} events per well were given; wanted: 1 or "
            "more of each."
        )
    if not 0 <= p.anomalous_share < 1 or not 0 <= p.wanted_accuracy <= 1:
        raise InputError(
            f"An anomalous share of {p.anomalous_share} and an accuracy of {p.wanted_accuracy} were given; wanted: "
            "shares from 0 to 1, the first below 1."
        )
    for what, given in (("prior", p.priors), ("number of components", p.components)):
        if isinstance(given, Mapping) and set(given) != set(classes):
            absent = sorted(set(given) - set(classes))
            raise InputError(
                f"A {what} is given for {sorted(given)}; labelled events are of the classes {sorted(classes)}"
                + (f", so {', '.join(absent)} has no well" if absent else "")
                + f". Give a {what} for each class that has wells, and for no other."
            )
    if p.priors is not None and not all(0 < prior < np.inf for prior in p.priors.values()):
        raise InputError(f"The priors {dict(p.priors)} were given; wanted: positive numbers.")


def _sizes_for(name: str, parameters: ClassParameters) -> tuple[int, ...]:
    wanted = parameters.components
    if isinstance(wanted, Mapping):
        wanted = wanted[name]
    return tuple(sorted(set(parameters.sizes))) if wanted is None else (wanted,)


class _Sample(NamedTuple):
    """The events that mixtures are fitted to, (m, ...) as in `CrossFit`, with the group that each is left out in."""

    rows: np.ndarray
    values: np.ndarray
    wells: np.ndarray
    classes: np.ndarray
    classes_of: np.ndarray
    groups: np.ndarray


def _sample(events: LabelledEvents, events_per_well: int, seed: int) -> _Sample:
    rows = balanced_rows(events.labels, events.wells, events_per_well, seed)
    drawn = events.where(rows)
    classes, classes_of = np.unique(drawn.labels, return_inverse=True)
    return _Sample(rows, drawn.values, drawn.wells, classes, classes_of, left_out_groups(drawn.labels, drawn.wells))


def _fitted(sample: _Sample, place: int, group: int | None, parameters: ClassParameters) -> Mixture:
    """The mixture of a class, without the events of a group."""
    seen = (sample.classes_of == place) & (sample.groups != group if group is not None else True)
    name = sample.classes[place]
    try:
        return _best_mixture(sample.values[seen], _sizes_for(name, parameters), parameters)
    except InputError as error:
        without = "" if group is None else f" without the well {sample.wells[sample.groups == group][0]}"
        raise InputError(f"The class {name}{without} ({seen.sum()} events) has no mixture: {error}") from None


def _best_mixture(values: np.ndarray, sizes: tuple[int, ...], parameters: ClassParameters) -> Mixture:
    """The fit with the lowest BIC, in the units of the values."""
    offset, scale = standardization(values)
    possible = sizes_to_try(sizes, *values.shape)
    tasks = [(size, parameters.seed + restart) for size in possible for restart in range(parameters.restarts)]
    em = EmParameters(tolerance=TOLERANCE, regularization=parameters.regularization)
    fits = fit_all((values - offset) / scale, tasks, em)
    best = min(fits, key=lambda fit: fit.mixture.bic(fit.log_likelihoods[-1], len(values)))
    return best.mixture.scaled(offset, scale).ordered()


def _held_out_densities(
    values: np.ndarray, groups: np.ndarray, mixtures: Mapping[tuple[int, int | None], Mixture]
) -> tuple[np.ndarray, np.ndarray]:
    """Log densities and highest log densities, (n, C) each, by mixtures that have not seen an event's group.

    `mixtures` has, by place of the class, each class's mixture without each group that it has events in, and with all.
    """
    classes = sum(group is None for _, group in mixtures)
    log_densities, highest = np.empty((2, len(values), classes))
    for group in np.unique(groups).tolist():
        held_out = groups == group
        for place in range(classes):
            mixture = mixtures.get((place, group), mixtures[place, None])
            own = finite_log_density(mixture, values[held_out])
            log_densities[held_out, place] = own
            highest[held_out, place] = highest_log_density(mixture, values[held_out], own)
    return log_densities, highest
