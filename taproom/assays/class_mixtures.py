"""The Bayes classifier from one mixture of Gaussians per class, and what it calls doubtful.

Here belong the density of each class, posteriors and their argmax, and the two flags with thresholds from held-out
events. How large classes are is told by `taproom.assays.class_shares`, EM for a mixture is in
`taproom.assays.mixtures`, other classifiers are in `taproom.assays.classifiers`.

Source: the lecture deck (Jamieson, CSE546): "What is the Bayes optimal classification rule?" (slides "Kernel Density
Estimation"): predict the class with the largest product of density and prior.

Priors are uniform unless given: how many wells of a class a plate has is the experimenter's choice and says nothing of
how often the class occurs. A label is the well's, so the density of a class is that of all events of such a well,
debris included, and wells differ. Therefore each well of a class counts the same, and what is told of held-out events
is told of wells that the densities have never seen.

An event is anomalous where it lies below the thresholds of all classes, not only of the called one: what any class
explains is no anomaly, whatever the priors, and of the held-out events of a class no more than `anomalous_share` are
flagged. A threshold on a density says nothing of the density of fewer channels. An event with missing values is
measured by the highest density that any values in their place could give it (a bound on it, the sum of the components'
highest), so it is anomalous only if it would be whatever they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pyarrow as pa
from scipy.special import logsumexp, softmax

from taproom.assays.event_mixture import gaussian_columns, mixture_from
from taproom.assays.mixtures import EmParameters, Mixture, fit_all, sizes_to_try, standardization
from taproom.errors import InputError
from taproom.progress import progress

# A well that is the only one of a class cannot be left out; so many folds of its events are instead.
FOLDS = 5
# An accuracy that is reached by fewer of the held-out events is reached by chance.
LEAST_SURE_SHARE = 0.01
LOWEST_LOG_DENSITY = -1e300
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
class HeldOutRates:
    """What the thresholds do to a class's held-out events: how many these are, and shares of them.

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
        return np.column_stack([_log_density(mixture, values) for mixture in self.mixtures])


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
    values: np.ndarray,
    labels: Sequence[str],
    wells: Sequence[str],
    parameters: ClassParameters | None = None,
    n_jobs: int | None = None,
) -> CrossFit:
    """Fit each class's mixture with all of its wells, and once without each of them.

    A class's mixture depends on no other class, so leaving a well out costs fits of the classes that it has. Numbers of
    components are chosen anew in each fit.

    Args:
        values: (n, d) float64, NaN where missing.
        labels: (n,) str, the class of each event.
        wells: (n,) str, the well of each event, unique over plates. A well may have events of several classes.
        parameters: see `ClassParameters`, whose defaults are taken if there are none.
        n_jobs: workers as joblib counts them; they never change a bit of the result.

    Raises:
        InputError: no events, one class only, a class without events, missing labels, shapes that differ, fewer events
            than components, a constant or entirely missing channel in a class, or parameters out of range.
    """
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    parameters = parameters or ClassParameters()
    values, labels, wells = checked_events(values, labels, wells)
    _check_parameters(parameters, np.unique(labels))
    rows = balanced_rows(labels, wells, parameters.events_per_well, parameters.seed)
    values, labels, wells = values[rows], labels[rows], wells[rows]
    classes, classes_of = np.unique(labels, return_inverse=True)
    groups = left_out_groups(labels, wells)
    pairs = [(place, None) for place in range(len(classes))]
    pairs += sorted({(int(place), int(group)) for place, group in zip(classes_of, groups, strict=True)})
    sizes = [_sizes_for(name, parameters) for name in classes]

    def fitted(place: int, group: int | None) -> Mixture:
        seen = (classes_of == place) & (groups != group if group is not None else True)
        try:
            return _best_mixture(values[seen], sizes[place], parameters)
        except InputError as error:
            without = "" if group is None else f" without the well {wells[groups == group][0]}"
            raise InputError(
                f"The class {classes[place]}{without} ({seen.sum()} events) has no mixture: {error}"
            ) from None

    with threadpool_limits(limits=1, user_api="blas"):
        fits = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
            delayed(fitted)(*pair) for pair in pairs
        )
        mixtures = dict(zip(pairs, progress(fits, doing="fitting classes", total=len(pairs), unit="fit"), strict=True))
        log_densities, highest = _held_out_densities(values, groups, mixtures)
    return CrossFit(
        classes=tuple(classes.tolist()),
        mixtures=tuple(mixtures[place, None] for place in range(len(classes))),
        rows=rows,
        classes_of=classes_of,
        wells=wells,
        log_densities=log_densities,
        highest=highest,
        complete=~np.isnan(values).any(axis=1),
    )


def model_of(crossed: CrossFit, parameters: ClassParameters | None = None) -> ClassModel:
    """The mixtures with priors and thresholds, and what these do to the held-out events that they were chosen on.

    A class's anomaly threshold comes from its events without missing values, if it has any.

    Raises:
        InputError: priors of other classes, or parameters out of range.
    """
    parameters = parameters or ClassParameters()
    _check_parameters(parameters, crossed.classes)
    priors = _priors(crossed.classes, parameters.priors)
    anomalous_below = np.array(
        [
            np.quantile(crossed.highest[_complete_first(crossed, rows), place], parameters.anomalous_share)
            for place, rows in enumerate(crossed.of_class)
        ]
    )
    posteriors, _ = _bayes(crossed.log_densities, priors)
    largest, right = posteriors.max(axis=1), posteriors.argmax(axis=1) == crossed.classes_of
    weights = (priors / np.bincount(crossed.classes_of))[crossed.classes_of]
    ambiguous_below, reached = sure_threshold(largest, right, weights, parameters.wanted_accuracy)
    ambiguous, anomalous = largest < ambiguous_below, (crossed.highest < anomalous_below).all(axis=1)
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


def call(values: np.ndarray, model: ClassModel) -> Calls:
    """Call each event by the Bayes rule, on the channels that it has.

    An event without any value has the priors for posteriors, the log density 0, and is not anomalous.

    Args:
        values: (n, d) float64, channels in the order of the model's, NaN where missing; n may be 0.
        model: as `model_of` or `model_from_rows` gave it.

    Raises:
        InputError: other channels than the model's, or infinite values.
    """
    from threadpoolctl import threadpool_limits

    values = _checked_values(values)
    if values.shape[1] != model.mixtures[0].channels:
        raise InputError(
            f"Events with {values.shape[1]} channels were given; the classes have {model.mixtures[0].channels}. Give "
            "the same channels in the same order, with NaN where one was not measured."
        )
    with threadpool_limits(limits=1, user_api="blas"):
        log_densities = model.log_densities(values)
        highest = [
            _highest_density(mixture, values, own) for mixture, own in zip(model.mixtures, log_densities.T, strict=True)
        ]
    posteriors, log_density = _bayes(log_densities, model.priors)
    return Calls(
        log_densities=log_densities,
        posteriors=posteriors,
        called=posteriors.argmax(axis=1),
        log_density=log_density,
        ambiguous=posteriors.max(axis=1) < model.ambiguous_below,
        anomalous=(np.column_stack(highest) < model.anomalous_below).all(axis=1),
    )


def held_out_fates(model: ClassModel) -> dict[str, np.ndarray]:
    """What share of each class's held-out events is called right or wrong, or ambiguous: (C,) each, with the sum 1."""
    ambiguous = np.array([rates.ambiguous_share for rates in model.held_out])
    right = np.array([rates.sure_accuracy or 0.0 for rates in model.held_out]) * (1 - ambiguous)
    return {"called right": right, "called wrong": 1 - ambiguous - right, "ambiguous": ambiguous}


def model_rows(model: ClassModel, channels: Sequence[str], transforms: Sequence[str]) -> tuple[list[dict], list[dict]]:
    """The model as rows of two tables, a component of a class and a class, that `model_from_rows` rebuilds it from.

    Covariances are lists row by row. Each class has the names of all channels and how they were transformed.
    """
    component_rows = [
        {"class": name, "component": component, **row}
        for name, mixture in zip(model.classes, model.mixtures, strict=True)
        for component, row in enumerate(pa.table(gaussian_columns(mixture)).to_pylist())
    ]
    class_rows = [
        {
            "class": name,
            "prior": float(model.priors[place]),
            "wells": int(model.wells[place]),
            "events": int(model.events[place]),
            "components": model.mixtures[place].components,
            "channels": list(channels),
            "transforms": list(transforms),
            "anomalous_below": float(model.anomalous_below[place]),
            "ambiguous_below": model.ambiguous_below,
            "reached_accuracy": model.reached_accuracy,
            "held_out_events": model.held_out[place].events,
            "held_out_accuracy": model.held_out[place].accuracy,
            "held_out_sure_accuracy": model.held_out[place].sure_accuracy,
            "held_out_ambiguous_share": model.held_out[place].ambiguous_share,
            "held_out_anomalous_share": model.held_out[place].anomalous_share,
        }
        for place, name in enumerate(model.classes)
    ]
    return component_rows, class_rows


def model_from_rows(
    component_rows: Sequence[Mapping], class_rows: Sequence[Mapping]
) -> tuple[ClassModel, tuple[str, ...], tuple[str, ...]]:
    """The model of which `model_rows` made these rows, in any order, with its channels and transforms; the same bits.

    Raises:
        InputError: the rows do not fit together.
    """
    class_rows = sorted(class_rows, key=lambda row: row["class"])
    parts = {row["class"]: [] for row in class_rows}
    for row in sorted(component_rows, key=lambda row: row["component"]):
        parts.setdefault(row["class"], []).append(row)
    wanted = {row["class"]: row["components"] for row in class_rows}
    given = {name: len(part) for name, part in parts.items()}
    if not wanted or given != wanted:
        raise InputError(
            f"Components {given} were given for classes with {wanted}. Read both tables at versions of one making."
        )

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in class_rows])

    model = ClassModel(
        classes=tuple(parts),
        priors=column("prior"),
        mixtures=tuple(mixture_from(pa.Table.from_pylist(part)) for part in parts.values()),
        anomalous_below=column("anomalous_below"),
        ambiguous_below=class_rows[0]["ambiguous_below"],
        reached_accuracy=class_rows[0]["reached_accuracy"],
        wells=column("wells"),
        events=column("events"),
        held_out=tuple(
            HeldOutRates(**{each.name: row[f"held_out_{each.name}"] for each in fields(HeldOutRates)})
            for row in class_rows
        ),
    )
    return model, tuple(class_rows[0]["channels"]), tuple(class_rows[0]["transforms"])


def balanced_rows(labels: np.ndarray, wells: np.ndarray, events_per_well: int, seed: int) -> np.ndarray:
    """Places of the same number of events from each well of a class, ascending: (m,) int64.

    Args:
        labels: (n,) str.
        wells: (n,) str.
        events_per_well: at most so many; the class's well with the fewest events limits them too.
        seed: of the draws, which depend on nothing else than the well, its events and how many are wanted.
    """
    chosen = []
    for name in np.unique(labels):
        of_wells = [np.flatnonzero((labels == name) & (wells == well)) for well in np.unique(wells[labels == name])]
        events = min(events_per_well, *map(len, of_wells))
        chosen += [np.random.default_rng(seed).permutation(rows)[:events] for rows in of_wells]
    return np.sort(np.concatenate(chosen))


def left_out_groups(labels: np.ndarray, wells: np.ndarray) -> np.ndarray:
    """Numbers of the groups in which events are left out, from 0: (n,) int64.

    A group is a well. A well without which some class would have no events is cut into folds instead, groups of which
    each has every so many-th of its events.
    """
    _, well_of = np.unique(wells, return_inverse=True)
    fold_of = np.zeros(len(wells), np.int64)
    for well in only_wells(labels, wells):
        inside = wells == well
        fold_of[inside] = np.arange(inside.sum()) % FOLDS
    return np.unique(well_of * FOLDS + fold_of, return_inverse=True)[1]


def only_wells(labels: np.ndarray, wells: np.ndarray) -> dict[str, str]:
    """Wells that are the only one of some class, each with the first such class."""
    found = {}
    for name in np.unique(labels):
        of_class = np.unique(wells[labels == name])
        if len(of_class) == 1:
            found.setdefault(str(of_class[0]), str(name))
    return found


def sure_threshold(
    largest: np.ndarray, right: np.ndarray, weights: np.ndarray, wanted_accuracy: float
) -> tuple[float, float]:
    """The smallest threshold at or above which calls are right often enough, and how often they are.

    Where no threshold reaches the wanted accuracy, it is the one that reaches the highest. Thresholds that leave less
    than `LEAST_SURE_SHARE` of the events are not considered.

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


def checked_events(
    values: np.ndarray, labels: Sequence[str], wells: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same as float64 (n, d) and two str arrays (n,).

    Raises:
        InputError: no events, shapes that differ, infinite values, labels or wells that are no strings, or one class.
    """
    values = _checked_values(values)
    names = []
    for what, given in (("label", labels), ("well", wells)):
        given = np.asarray(given)
        if given.shape != values.shape[:1]:
            raise InputError(f"{len(values)} events came with {given.shape} {what}s; wanted: one for each event.")
        if missing := sum(not isinstance(name, str) for name in given.tolist()):
            raise InputError(f"{missing} of {len(values)} events have no {what}. Leave them out, or name it.")
        names.append(given.astype(str))
    if not len(values):
        raise InputError("No event has a label, so there are no classes to fit. Give labelled events.")
    if (names[0] == names[0][0]).all():
        raise InputError(f"All labelled events are of the class {names[0][0]}; wanted: two classes or more.")
    return values, *names


def _checked_values(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"Values of the shape {values.shape} were given; wanted: (events, channels).")
    if infinite := int(np.isinf(values).sum()):
        raise InputError(
            f"{infinite} values are infinite. Leave those events out, or give NaN where a value is missing."
        )
    return values


def _check_parameters(parameters: ClassParameters, classes: Sequence[str]) -> None:
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
            own = _log_density(mixture, values[held_out])
            log_densities[held_out, place] = own
            highest[held_out, place] = _highest_density(mixture, values[held_out], own)
    return log_densities, highest


def _log_density(mixture: Mixture, values: np.ndarray) -> np.ndarray:
    """Finite even where the density is too small for a number: there no class is more likely than another."""
    return np.maximum(mixture.log_density(values), LOWEST_LOG_DENSITY)


def _highest_density(mixture: Mixture, values: np.ndarray, log_density: np.ndarray) -> np.ndarray:
    """A bound on the log density at the best values in place of missing ones; the log density where none is missing."""
    missing = np.isnan(values)
    incomplete = np.flatnonzero(missing.any(axis=1))
    highest = log_density.copy()
    patterns, pattern_of = np.unique(missing[incomplete], axis=0, return_inverse=True)
    peaks = np.array([_conditional_peaks(mixture.covariances, pattern) for pattern in patterns])
    if incomplete.size:
        highest[incomplete] = logsumexp(mixture.log_joint(values[incomplete]) + peaks[pattern_of], axis=1)
    return np.maximum(highest, LOWEST_LOG_DENSITY)


def _conditional_peaks(covariances: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Each Gaussian's highest conditional log density of the missing channels, whatever the others are: (K,)."""
    observed = covariances[:, ~missing][:, :, ~missing]
    conditional = np.linalg.slogdet(covariances)[1] - np.linalg.slogdet(observed)[1]
    return -0.5 * (missing.sum() * np.log(2 * np.pi) + conditional)


def _bayes(log_densities: np.ndarray, priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors (n, C) and the log density of all classes together (n,)."""
    joint = log_densities + np.log(priors)
    return softmax(joint, axis=1), logsumexp(joint, axis=1)


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
