"""Mixtures of Gaussians with full covariances, fitted by EM to events of which any channels may be missing.

Here belongs what a mixture is, its densities and its fit. How many components there should be is told by
`taproom.assays.mixture_sizes`, which of them are one population by `taproom.assays.populations`.

Source: part "Mixtures of Gaussians" of the lecture deck (Jamieson, CSE546 2016). Its Algorithm 8.1 is the case of two
components and one channel, its responsibilities (8.42) are `Mixture.responsibilities`. EM for what is missing:
Dempster, Laird and Rubin (JRSS B 1977); Ghahramani and Jordan (NIPS 1994); Little and Rubin, Statistical Analysis with
Missing Data. An event's density is that of its observed channels, and the M-step takes the conditional expectations of
the missing values and of their products. That is maximum likelihood where values are missing at random: whether one is
missing may depend on what is observed, but not on the missing value itself.

Complete events are but one pattern of missing channels; on them the fit is that of scikit-learn's `GaussianMixture`,
but for the 2e-15 events at 0 that it adds to each component.

Values are float64 arrays (events, channels) in which NaN is a missing value. Units are those of the values, and log
densities are in nats.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from taproom.errors import InputError
from taproom.progress import progress

if TYPE_CHECKING:
    from taproom.assays._mixture_kernels import Moments, Segments

# So many events are worked on at once: enough to be worth the calls, few enough to stay in the processor's cache. The
# sums are made block by block, so the number is part of the result.
BLOCK = 4_096
# A component that owns less than this of an event has nothing to be estimated from (scikit-learn's limit).
LEAST_EVENTS = 10 * np.finfo(np.float64).eps
# A deviation of so many roundings of the mean is none, nor is a part of the variance of so many roundings of it.
ROUNDINGS = 8
EVENTS_TO_START_FROM = 10_000


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians.

    Attributes:
        weights: (K,) float64, positive or 0, with the sum 1.
        means: (K, d) float64.
        covariances: (K, d, d) float64, symmetric and positive definite.

    Raises:
        InputError: arrays that do not fit together or are not finite, or weights that are none.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def __post_init__(self) -> None:
        """Copy the arrays into the one form that the kernels are compiled for."""
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64, order="C"))
        _check_mixture(self)

    @property
    def components(self) -> int:
        """K."""
        return self.means.shape[0]

    @property
    def channels(self) -> int:
        """d."""
        return self.means.shape[1]

    @property
    def free_parameters(self) -> int:
        """Numbers that a fit is free to choose: K - 1 weights, K d means, K d (d + 1) / 2 covariances."""
        k, d = self.means.shape
        return k - 1 + k * d + k * d * (d + 1) // 2

    def bic(self, log_likelihood: float, events: int) -> float:
        """The Bayesian information criterion, -2 log L + parameters * log(events); smaller is better (Schwarz 1978)."""
        return -2.0 * log_likelihood + self.free_parameters * np.log(events)

    def log_joint(self, values: np.ndarray) -> np.ndarray:
        """log(weight * density of the observed channels) of each event and component: (n, K) float64.

        An event without any observed channel has the density 1 under every component.

        Raises:
            InputError: another number of channels, infinite values, or a covariance that is not positive definite.
        """
        values = _checked_values(values, self)
        joint = np.empty((len(values), self.components))
        for block in _blocks(values):
            joint[block.events] = _log_joint(block, self).T
        return joint

    def log_density(self, values: np.ndarray) -> np.ndarray:
        """The log density of each event's observed channels: (n,) float64; 0 where nothing is observed.

        Raises as `log_joint`. Where the density is too small for a float64 even in logarithms, it is -inf.
        """
        values = _checked_values(values, self)
        log_density = np.empty(len(values))
        for block in _blocks(values):
            log_density[block.events] = _into_responsibilities(_log_joint(block, self))
        return log_density

    def responsibilities(self, values: np.ndarray) -> np.ndarray:
        """The probability of each component given the event's observed channels, (8.42) in the deck: (n, K) float64.

        Raises as `log_joint`, and where an event's density is 0 under all components.
        """
        values = _checked_values(values, self)
        responsibilities = np.empty((len(values), self.components))
        for block in _blocks(values):
            joint = _log_joint(block, self)
            _check_densities(_into_responsibilities(joint))
            responsibilities[block.events] = joint.T
        return responsibilities

    def marginal(self, places: Sequence[int]) -> "Mixture":
        """The mixture of these channels alone, in this order."""
        places = np.asarray(places, dtype=np.intp)
        return Mixture(self.weights, self.means[:, places], self.covariances[:, places[:, None], places])

    def scaled(self, offset: np.ndarray, scale: np.ndarray) -> "Mixture":
        """The mixture of offset + scale * x, channel by channel, where x has this one."""
        scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), self.channels)
        return Mixture(self.weights, offset + scale * self.means, self.covariances * np.outer(scale, scale))

    def order(self) -> np.ndarray:
        """Places of the components by falling weight, ties by mean, first channel first: (K,) integers."""
        return np.lexsort((*self.means.T[::-1], -self.weights))

    def take(self, places: Sequence[int]) -> "Mixture":
        """The mixture of these components in this order; all of them, as the weights must have the sum 1."""
        return Mixture(self.weights[places], self.means[places], self.covariances[places])

    def ordered(self) -> "Mixture":
        """The same mixture in the one order that does not depend on how it was found, see `order`."""
        return self.take(self.order())


@dataclass(frozen=True)
class EmParameters:
    """When EM ends, and what keeps components from collapsing.

    Attributes:
        iterations: at most so many.
        tolerance: EM has converged when the mean log-likelihood per event, in nats, changes by less than this. 0 lets
            all iterations run.
        regularization: added to all variances in each M-step, as scikit-learn's `reg_covar`, in the square of the
            values' unit.
    """

    iterations: int = 200
    tolerance: float = 1e-5
    regularization: float = 1e-6


@dataclass(frozen=True, eq=False)
class Fit:
    """What EM found.

    Attributes:
        mixture: after the last iteration.
        history: the mixture after each iteration, the start first; empty if it was not to be kept.
        log_likelihoods: (iterations + 1,) float64, of all events, after so many iterations.
        converged: whether EM stopped because nothing changed any more.
    """

    mixture: Mixture
    history: tuple[Mixture, ...]
    log_likelihoods: np.ndarray
    converged: bool


class _Block(NamedTuple):
    """Some events, sorted by what they lack: their rows among all, and which of the segments are theirs."""

    events: np.ndarray
    segments: "Segments"
    first: int
    last: int


def fit(
    values: np.ndarray,
    start: Mixture,
    parameters: EmParameters | None = None,
    keep_history: bool = False,
    n_jobs: int | None = None,
) -> Fit:
    """Fit a mixture by EM from a start.

    Without regularization the log-likelihood of what is observed never falls, up to rounding (Dempster, Laird and Rubin
    1977, theorem 1). With a regularization e the M-step maximises the expected complete log-likelihood less
    e/2 * sum_k n_k trace(inverse covariance k), where n_k = events * new weight k. So the log-likelihood falls by at
    most e/2 * sum_k n_k (trace(old inverse covariance k) - trace(new inverse covariance k)): never by more than that,
    and not at all unless covariances widen that are narrow beside e.

    A component that no event belongs to any more keeps its mean and covariance, and its weight goes to 0. Events are
    worked on in blocks of a fixed size, whose moments are added in their order.

    Args:
        values: (n, d) float64, NaN where missing.
        start: the mixture to begin with, of d channels.
        parameters: see `EmParameters`, whose defaults are taken if there are none.
        keep_history: whether to keep the mixture of each iteration.
        n_jobs: threads, counted as joblib counts workers. No bit of the result depends on it.

    Raises:
        InputError: no events, fewer events than components, infinite values, a channel that is constant or missing
            everywhere, a start of other channels or with a covariance that is not positive definite, parameters out of
            range, a component that collapses, or events so far from all components that their density is 0.
    """
    from concurrent.futures import ThreadPoolExecutor

    from joblib import effective_n_jobs

    parameters = parameters or EmParameters()
    _check_parameters(parameters)
    values = _checked_values(values, start)
    _check_events(values, start.components)
    _check_covariances(start, "at the start", parameters.regularization)
    blocks = list(_blocks(values))
    threads = min(len(blocks), effective_n_jobs(n_jobs))
    # Not joblib: a block takes a millisecond, less than joblib needs to hand it over.
    with ThreadPoolExecutor(threads) as pool:
        return _iterate(blocks, start, parameters, keep_history, pool.map if threads > 1 else map)


def _iterate(
    blocks: Sequence[_Block], start: Mixture, parameters: EmParameters, keep_history: bool, each: Callable
) -> Fit:
    """EM from a start; `each` maps over the blocks."""
    events = sum(len(block.events) for block in blocks)
    mixture, history, log_likelihoods, converged = start, [start], [], False
    while True:
        moments, log_likelihood = _expectation(blocks, mixture, each)
        log_likelihoods.append(log_likelihood)
        iteration = len(log_likelihoods) - 1
        if iteration:
            converged = abs(log_likelihood - log_likelihoods[-2]) < parameters.tolerance * events
        if converged or iteration == parameters.iterations:
            break
        mixture = _maximization(moments, mixture, parameters.regularization)
        _check_covariances(mixture, f"after {iteration + 1} iterations", parameters.regularization)
        if keep_history:
            history.append(mixture)
    return Fit(mixture, tuple(history) if keep_history else (), np.array(log_likelihoods), converged)


def fit_all(
    values: np.ndarray,
    tasks: Sequence[tuple[int, int]],
    parameters: EmParameters | None = None,
    keep_history: bool = False,
    n_jobs: int | None = None,
) -> list[Fit]:
    """Fit the same events once for each task (components, seed of `start_at`), in the tasks' order.

    Args:
        values: (n, d) float64, NaN where missing.
        tasks: numbers of components and seeds.
        parameters: see `EmParameters`.
        keep_history: whether to keep the mixture of each iteration.
        n_jobs: threads, counted as joblib counts workers. No bit of the result depends on it.

    Raises:
        InputError: as `start_at` and `fit`.
    """
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    parameters = parameters or EmParameters()

    def fitted(components: int, seed: int) -> Fit:
        return fit(values, start_at(values, components, seed, parameters.regularization), parameters, keep_history)

    with threadpool_limits(limits=1, user_api="blas"):
        fits = Parallel(n_jobs, prefer="threads", return_as="generator")(delayed(fitted)(*task) for task in tasks)
        return list(progress(fits, doing="fitting mixtures", total=len(tasks), unit="fit"))


def sizes_to_try(sizes: Sequence[int], events: int, channels: int) -> list[int]:
    """The numbers of components, ascending, of which each has at least the d + 1 events that its covariance needs.

    The smallest one is always tried.
    """
    ascending = sorted(set(sizes))
    return [size for size in ascending if size * (channels + 1) <= events] or ascending[:1]


def start_at(values: np.ndarray, components: int, seed: int, regularization: float = 1e-6) -> Mixture:
    """A mixture to start EM from: k-means++ centres (Arthur and Vassilvitskii 2007) and what is nearest to each.

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
    from sklearn.cluster import kmeans_plusplus
    from threadpoolctl import threadpool_limits

    values = _checked_values(values)
    _check_events(values, components)
    offset, scale = standardization(values)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(values))[:EVENTS_TO_START_FROM])
    standard = np.nan_to_num((values[chosen] - offset) / scale)
    typical = np.eye(values.shape[1]) * components ** (-2.0 / values.shape[1])
    with threadpool_limits(limits=1, user_api="blas"):
        centres, _ = kmeans_plusplus(standard, components, random_state=int(rng.integers(2**31)))
        nearest = np.argmin([((standard - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
        parts = [_moments_with(standard[nearest == k], centres[k], typical) for k in range(components)]
    counts, means, covariances = (np.array(part) for part in zip(*parts, strict=True))
    start = Mixture(counts / counts.sum(), means, covariances).scaled(offset, scale)
    return Mixture(start.weights, start.means, start.covariances + regularization * np.eye(values.shape[1]))


def standardization(values: np.ndarray, channels: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of what is observed of each channel: two arrays (d,) float64.

    (values - offset) / scale is standardised. `channels` are the names that an error tells instead of numbers.

    Raises:
        InputError: no events, values that are infinite or whose squares are, or a channel that is constant or missing
            everywhere.
    """
    values = _checked_values(values)
    _check_events(values, 1, channels)
    with np.errstate(over="ignore"):
        offset = np.nanmean(values, axis=0)
        scale = np.sqrt(np.nanmean((values - offset) ** 2, axis=0))
    if not np.isfinite(scale).all():
        raise InputError(
            f"The largest value, {np.nanmax(np.abs(values)):g}, has no square in float64. Look for a wrong value, or "
            "give the values in a larger unit."
        )
    return offset, scale


def _blocks(values: np.ndarray) -> Iterator[_Block]:
    """The events in blocks of a fixed size, events that lack the same channels next to each other."""
    from taproom.assays._mixture_kernels import Segments

    missing = np.isnan(values)
    events, channels = values.shape
    if not events:
        return
    packed = np.packbits(missing, axis=1)
    order = np.lexsort(packed.T)
    changes = np.flatnonzero((np.diff(packed[order], axis=0) != 0).any(axis=1)) + 1
    bounds = np.union1d(changes, np.append(np.arange(0, events, BLOCK), events))
    missing = missing[order[bounds[:-1]]]
    segments = Segments(
        np.ascontiguousarray(values[order].T),
        bounds,
        np.argsort(missing, axis=1, kind="stable"),
        channels - missing.sum(axis=1),
    )
    for start in range(0, events, BLOCK):
        stop = min(start + BLOCK, events)
        first, last = np.searchsorted(bounds, (start, stop))
        yield _Block(order[start:stop], segments, int(first), int(last))


def _log_joint(block: _Block, mixture: Mixture) -> np.ndarray:
    """log(weight * density of the observed channels) of each component and event of the block: (K, events)."""
    from taproom.assays import _mixture_kernels as kernels

    joint = np.empty((mixture.components, len(block.events)))
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights)
    singular = kernels.fill_log_joint(
        block.segments, block.first, block.last, log_weights, mixture.means, mixture.covariances, joint
    )
    if singular != kernels.NONE:
        raise InputError(
            f"The covariance of component {singular} is not positive definite. Give one that is, or add a small "
            "number to its diagonal."
        )
    return joint


def _into_responsibilities(joint: np.ndarray) -> np.ndarray:
    """Turn log joint densities (K, events), in place, into responsibilities, and give the log densities (events,).

    Where an event's density is 0 under all components, its log density is -inf, and its responsibilities are NaN.
    """
    largest = joint.max(axis=0)
    with np.errstate(invalid="ignore"):
        joint -= largest
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    joint /= total
    return np.where(np.isneginf(largest), largest, largest + np.log(total))


def _expectation(blocks: Sequence[_Block], mixture: Mixture, each: Callable) -> tuple["Moments", float]:
    """The E-step: expected moments about the means, and the log-likelihood, added block by block."""
    total, log_likelihood = _moments(mixture), 0.0
    for moments, of_block in each(partial(_block_expectation, mixture=mixture), blocks):
        for sums, more in zip(total, moments, strict=True):
            sums += more
        log_likelihood += of_block
    return total, float(log_likelihood)


def _block_expectation(block: _Block, mixture: Mixture) -> tuple["Moments", float]:
    from taproom.assays import _mixture_kernels as kernels

    joint, moments = _log_joint(block, mixture), _moments(mixture)
    log_density = _into_responsibilities(joint)
    _check_densities(log_density)
    kernels.add_moments(block.segments, block.first, block.last, mixture.means, mixture.covariances, joint, moments)
    return moments, log_density.sum()


def _moments(mixture: Mixture) -> "Moments":
    """No moments yet."""
    from taproom.assays import _mixture_kernels as kernels

    k, d = mixture.means.shape
    return kernels.Moments(np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)))


def _maximization(moments: "Moments", mixture: Mixture, regularization: float) -> Mixture:
    """The M-step, from moments about the old means."""
    owned = moments.counts > LEAST_EVENTS
    counts = np.where(owned, moments.counts, 1.0)
    shifts = moments.firsts / counts[:, None]
    covariances = moments.seconds / counts[:, None, None] - shifts[:, :, None] * shifts[:, None, :]
    covariances += regularization * np.eye(mixture.channels)
    return Mixture(
        moments.counts / moments.counts.sum(),
        np.where(owned[:, None], mixture.means + shifts, mixture.means),
        np.where(owned[:, None, None], covariances, mixture.covariances),
    )


def _moments_with(events: np.ndarray, centre: np.ndarray, typical: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Count, mean and covariance of events; the count is of one more, the covariance of d + 2 more typical ones."""
    mean = events.mean(axis=0) if len(events) else centre
    extra = len(mean) + 2
    covariance = ((events - mean).T @ (events - mean) + extra * typical) / (len(events) + extra)
    return len(events) + 1.0, mean, covariance


def _check_mixture(mixture: Mixture) -> None:
    shapes = mixture.weights.shape, mixture.means.shape, mixture.covariances.shape
    k, d = shapes[1] if mixture.means.ndim == 2 else (0, 0)
    if k < 1 or d < 1 or shapes != ((k,), (k, d), (k, d, d)):
        raise InputError(
            f"A mixture has weights (K,), means (K, d) and covariances (K, d, d) with K and d at least 1; the shapes "
            f"given are {shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    if not all(np.isfinite(part).all() for part in (mixture.weights, mixture.means, mixture.covariances)):
        raise InputError("Some parameters of the mixture are not finite. Look for what they were made from.")
    if (mixture.weights < 0).any() or not np.isclose(mixture.weights.sum(), 1.0):
        raise InputError(
            f"The weights {mixture.weights.tolist()} are no weights. Wanted are numbers from 0 with the sum 1: divide "
            "by their sum."
        )


def _check_parameters(parameters: EmParameters) -> None:
    p = parameters
    if p.iterations < 1 or not p.tolerance >= 0 or not 0 <= p.regularization < np.inf:
        raise InputError(
            f"{parameters} cannot be fitted. There must be at least 1 iteration, and tolerance and regularization "
            "must be 0 or more."
        )


def _checked_values(values: np.ndarray, mixture: Mixture | None = None) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"The events have the shape {values.shape}; wanted is (events, channels), with a channel.")
    if mixture is not None and values.shape[1] != mixture.channels:
        raise InputError(
            f"The events have {values.shape[1]} channels and the mixture {mixture.channels}. Give the same channels to "
            "both, in the same order."
        )
    if np.isinf(values).any():
        event, channel = np.argwhere(np.isinf(values))[0]
        raise InputError(
            f"Event {event} is infinite in channel {channel}. Values must be finite, or NaN where they are missing."
        )
    return values


def _check_events(values: np.ndarray, components: int, channels: Sequence[str] | None = None) -> None:
    """Raise `InputError` unless so many components can be fitted to the events."""
    if components < 1:
        raise InputError(f"A mixture of {components} components was asked for. Ask for at least 1.")
    if not len(values):
        raise InputError("There are no events. Bring some, or leave this sample out.")
    if len(values) < components:
        raise InputError(
            f"{len(values)} events are fewer than {components} components. Bring more events or ask for fewer "
            "components."
        )
    missing = np.isnan(values).all(axis=0)
    constant = np.nanmin(values[:, ~missing], axis=0) == np.nanmax(values[:, ~missing], axis=0)
    for places, what in ((missing, "missing in all events"), (np.flatnonzero(~missing)[constant], "constant")):
        for place in np.arange(values.shape[1])[places][:1]:
            name = channels[place] if channels is not None else place
            raise InputError(f"Channel {name} is {what}, and has no density to fit. Leave it out.")


def _check_covariances(mixture: Mixture, when: str, regularization: float) -> None:
    """Raise `InputError` if a covariance is singular, as far as float64 can tell."""
    variances = np.diagonal(mixture.covariances, axis1=1, axis2=2)
    deviations = np.sqrt(np.where(variances > 0, variances, 1.0))
    correlations = mixture.covariances / (deviations[:, :, None] * deviations[:, None, :])
    rounding = ROUNDINGS * np.finfo(np.float64).eps
    narrow = (variances <= (rounding * mixture.means) ** 2).any(axis=1)
    singular = narrow | (np.linalg.eigvalsh(correlations)[:, 0] <= rounding * mixture.channels)
    if singular.any():
        raise InputError(
            f"The covariance of component {np.argmax(singular)} is singular {when}: too few, equal or collinear events "
            f"are left to it. The regularization is {regularization:g}: raise it, ask for fewer components, leave out "
            "channels that follow from others, or start from another seed."
        )


def _check_densities(log_density: np.ndarray) -> None:
    if not np.isfinite(log_density).all():
        raise InputError(
            "An event is so far from all components that its density is 0 in float64. Look for a wrong value, "
            "standardise the channels, or start with wider components."
        )
