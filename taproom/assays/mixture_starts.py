"""Before EM: the standardization of the channels, and the mixtures that EM starts from.

EM itself is in `taproom.assays.expectation_maximization`.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from taproom.assays.mixtures import Mixture, checked_values
from taproom.blas import blas_threads
from taproom.errors import InputError

EVENTS_TO_START_FROM = 10_000


def standardization(values: np.ndarray, channels: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the observed values of each channel: two arrays (d,) float64.

    (values - offset) / scale is standardised. `channels` are names for error messages, by default the places.

    >>> standardization(np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 9.0]]))
    (array([2., 7.]), array([1., 2.]))

    Raises:
        InputError: no events, values that are infinite or whose squares are, or a channel that is constant or missing
            everywhere.
    """
    values = checked_values(values)
    check_events(values, 1, channels)
    with np.errstate(over="ignore"):
        offset = np.nanmean(values, axis=0)
        scale = np.sqrt(np.nanmean((values - offset) ** 2, axis=0))
    if not np.isfinite(scale).all():
        raise InputError(
            f"The largest value, {np.nanmax(np.abs(values)):g}, has no square in float64. Look for a wrong value, or "
            "give the values in a larger unit."
        )
    return offset, scale


def start_at(values: np.ndarray, components: int, seed: int, regularization: float = 1e-6) -> Mixture:
    """A mixture to start EM from: k-means++ centres (Arthur and Vassilvitskii 2007) and the events nearest to each.

    Channels are standardised and missing values replaced by the channel's mean to find the centres. At most 10,000
    events are looked at, drawn by the seed. A centre's covariance is that of its events and of d + 2 more with the
    variances of all events divided by K^(2/d): the volume that one of K components should have (Fraley and Raftery
    2007), so that it is positive definite however few the events.

    Args:
        values: (n, d) float64, NaN where missing.
        components: K, at least 1 and at most n.
        seed: of the draws; the same arguments give the same start.
        regularization: added to all variances.

    Raises:
        InputError: K below 1, or as `fit`.
    """
    return next(starts_at(values, [(components, seed)], regularization))


def starts_at(values: np.ndarray, tasks: Sequence[tuple[int, int]], regularization: float = 1e-6) -> Iterator[Mixture]:
    """`start_at` of each task (components, seed), with one standardization of the events for all."""
    from sklearn.cluster import kmeans_plusplus

    values = checked_values(values)
    for components, _ in tasks:
        check_components(values, components)
    offset, scale = standardization(values)
    for components, seed in tasks:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.permutation(len(values))[:EVENTS_TO_START_FROM])
        standard = np.nan_to_num((values[chosen] - offset) / scale)
        with blas_threads():
            centres, _ = kmeans_plusplus(standard, components, random_state=int(rng.integers(2**31)))
        yield _around(standard, centres, offset, scale, regularization)


def start_around(values: np.ndarray, centres: np.ndarray, regularization: float = 1e-6) -> Mixture:
    """A mixture to start EM from, of these centres (K, d) and all events nearest to each, as in `start_at`.

    Raises:
        InputError: more centres than events, or as `fit`.
    """
    values = checked_values(values)
    check_events(values, len(centres))
    offset, scale = standardization(values)
    standard = np.nan_to_num((values - offset) / scale)
    return _around(standard, (centres - offset) / scale, offset, scale, regularization)


def _around(
    standard: np.ndarray, centres: np.ndarray, offset: np.ndarray, scale: np.ndarray, regularization: float
) -> Mixture:
    """The mixture of the standardised events nearest to each centre, in the units of the values."""
    components, channels = centres.shape
    typical = np.eye(channels) * components ** (-2.0 / channels)
    with blas_threads():
        nearest = _nearest(standard, centres)
        parts = [_moments_with(standard[nearest == k], centres[k], typical) for k in range(components)]
    counts, means, covariances = (np.array(part) for part in zip(*parts, strict=True))
    start = Mixture(counts / counts.sum(), means, covariances).scaled(offset, scale)
    return Mixture(start.weights, start.means, start.covariances + regularization * np.eye(channels))


def _nearest(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The place of the nearest centre to each of the values; of equally near ones the first."""
    nearest, least = np.zeros(len(values), np.intp), np.full(len(values), np.inf)
    for place, centre in enumerate(centres):
        distance = ((values - centre) ** 2).sum(axis=1)
        nearest[distance < least] = place
        np.minimum(least, distance, out=least)
    return nearest


def two_component_start(values: np.ndarray, seed: int) -> Mixture:
    """Initial guesses for the deck's Algorithm 8.1: `values` (events, 1), NaN where missing; two components.

    Means are two different values drawn by `seed`, both variances that of all values, the mixing probability a half
    (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition, section 8.5.1).
    """
    present = np.unique(values[~np.isnan(values)])
    if len(present) < 2:
        raise InputError(f"{len(present)} different values were given; wanted: two at least, for two components.")
    means = np.random.default_rng(seed).choice(present, 2, replace=False)
    variance = np.nanvar(values)
    return Mixture(np.array([0.5, 0.5]), means[:, None], np.full((2, 1, 1), variance))


def _moments_with(events: np.ndarray, centre: np.ndarray, typical: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Count, mean and covariance of events; the count is of one more, the covariance of d + 2 more typical ones."""
    mean = events.mean(axis=0) if len(events) else centre
    extra = len(mean) + 2
    covariance = ((events - mean).T @ (events - mean) + extra * typical) / (len(events) + extra)
    return len(events) + 1.0, mean, covariance


def check_events(values: np.ndarray, components: int, channels: Sequence[str] | None = None) -> None:
    """Raise `InputError` unless so many components can be fitted to the events."""
    check_components(values, components)
    missing = np.isnan(values).all(axis=0)
    constant = np.nanmin(values[:, ~missing], axis=0) == np.nanmax(values[:, ~missing], axis=0)
    for places, what in ((missing, "missing in all events"), (np.flatnonzero(~missing)[constant], "constant")):
        for place in np.arange(values.shape[1])[places][:1]:
            name = channels[place] if channels is not None else place
            raise InputError(f"Channel {name} is {what}, and has no density to fit. Leave it out.")


def check_components(values: np.ndarray, components: int) -> None:
    """Raise `InputError` unless there is a component, and no more of them than events."""
    if components < 1:
        raise InputError(f"A mixture of {components} components was asked for. Ask for at least 1.")
    if not len(values):
        raise InputError("There are no events. Bring some, or leave this sample out.")
    if len(values) < components:
        raise InputError(
            f"{len(values)} events are fewer than {components} components. Bring more events or ask for fewer "
            "components."
        )
