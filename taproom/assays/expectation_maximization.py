"""Fits of a mixture of Gaussians by expectation-maximization (EM), where any value may be missing.

Here belong EM and fits from several starts. What a mixture is and its densities are in `taproom.assays.mixtures`, the
mixtures that EM starts from in `taproom.assays.mixture_starts`, the choice of the number of components in
`taproom.assays.mixture_sizes`.

Source: part "Mixtures of Gaussians" of the lecture deck (Jamieson, CSE546 2016), whose Algorithm 8.1 is the case of two
components and one channel. EM with missing values: Dempster, Laird and Rubin (JRSS B 1977); Ghahramani and Jordan (NIPS
1994); Little and Rubin, Statistical Analysis with Missing Data. The M-step takes the conditional expectations of the
missing values and of their products. That is maximum likelihood where values are missing at random: whether a value is
missing may depend on observed values, but not on the missing value itself.

On complete events the fit is that of scikit-learn's `GaussianMixture`, except that scikit-learn adds a weight of
2e-15 events to each component.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from taproom.assays.mixture_starts import check_events, start_at, starts_at
from taproom.assays.mixtures import (
    BLOCK,
    Block,
    Mixture,
    blocks_of,
    check_densities,
    checked_values,
    into_responsibilities,
    log_joint_of,
)
from taproom.blas import blas_threads
from taproom.compute import Made, goes_to_cluster, made_here, workers
from taproom.errors import InputError
from taproom.progress import progress

if TYPE_CHECKING:
    from taproom.assays._mixture_kernels import Moments

    # Of an E-step: expected moments about the means, and the log-likelihood.
    Expected = tuple[Moments, float]

# The moments of so many blocks are added first, then those of these groups: the number is part of the result. On a
# cluster, the sums of groups are sent. Those of each block of events would be 64 times as many bytes: 7 MB for each
# second that a worker computes, with twelve components in five channels.
GROUP = 64
# A block of work is so many groups. To send one takes the step and the scheduler 4 ms, a worker computes it in 60 ms.
GROUPS_OF_A_BLOCK = 2
# A component with responsibility for less than this of an event cannot be estimated (scikit-learn's limit).
LEAST_EVENTS = 10 * np.finfo(np.float64).eps
# A standard deviation counts as 0 if it is at most so many rounding errors of the mean; likewise parts of a variance.
ROUNDINGS = 8


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
    """The result of EM.

    Attributes:
        mixture: after the last iteration.
        history: the mixture after each iteration, the start first; empty if it was not to be kept.
        log_likelihoods: (iterations + 1,) float64, of all events, after so many iterations.
        converged: whether EM stopped because the log-likelihood no longer changed.
    """

    mixture: Mixture
    history: tuple[Mixture, ...]
    log_likelihoods: np.ndarray
    converged: bool


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

    A component that no event belongs to any longer keeps its mean and covariance, and its weight goes to 0. Events are
    worked on in blocks of a fixed size, whose moments are added in their order, by groups of a fixed number of blocks.

    >>> values = np.array([[0.0], [0.2], [5.0], [5.2]])
    >>> fit(values, Mixture([0.5, 0.5], [[1.0], [4.0]], [[[1.0]], [[1.0]]])).mixture.means.round(3).tolist()
    [[0.1], [5.1]]

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

    values = _checked_events(values, start)
    em = _Em(len(values), start, parameters or EmParameters(), keep_history)
    blocks = list(blocks_of(values))
    threads = min(len(blocks), effective_n_jobs(n_jobs))
    # Not joblib: a block takes a millisecond, less than joblib needs to hand it over.
    with ThreadPoolExecutor(threads) as pool:
        while em.advance(expectation(blocks, em.mixture, pool.map if threads > 1 else map)):
            pass
    return em.fit()


def fit_all(
    values: np.ndarray | Made[np.ndarray],
    tasks: Sequence[tuple[int, int]],
    parameters: EmParameters | None = None,
    n_jobs: int | None = None,
) -> list[Fit]:
    """Fit the same events once for each task (components, seed of `start_at`), in the tasks' order.

    On a cluster, a task is a block of work. If there are more events than in a group (262,144), a block of work is an
    iteration of a task on at most two groups.

    Args:
        values: (n, d) float64, NaN where missing. Mixtures are fitted to `Made` values on a cluster where there is one.
        tasks: numbers of components and seeds.
        parameters: see `EmParameters`.
        n_jobs: threads, counted as joblib counts workers. No bit of the result depends on it.

    Raises:
        InputError: as `start_at` and `fit`.
        ComputeError: as `taproom.compute.workers` does.
    """
    parameters = parameters or EmParameters()
    with blas_threads():
        if _in_groups(values):
            starts = starts_at(values.here, tasks, parameters.regularization)
            return _fit_on_cluster(values, starts, len(tasks), parameters, keep_history=False)
        with workers(values, n_jobs) as run:
            fits = run(_fit_from_seed, ((*task, parameters) for task in tasks))
            return list(progress(fits, doing="fitting mixtures", total=len(tasks), unit="fit"))


def fit_there(
    values: np.ndarray | Made[np.ndarray],
    start: Mixture,
    parameters: EmParameters,
    keep_history: bool = False,
    n_jobs: int | None = None,
) -> Fit:
    """`fit`, on a cluster where there is one: in one block of work or by groups, as `fit_all`."""
    with blas_threads():
        if _in_groups(values):
            _checked_events(values.here, start)
            return _fit_on_cluster(values, iter([start]), 1, parameters, keep_history)[0]
        if goes_to_cluster(values):
            with workers(values) as run:
                (fitted,) = run(fit, [(start, parameters, keep_history)])
                return fitted
        return fit(made_here(values), start, parameters, keep_history, n_jobs)


def _in_groups(values: np.ndarray | Made[np.ndarray]) -> TypeGuard[Made[np.ndarray]]:
    """Whether there is a cluster and these are more events than in a group of blocks."""
    return goes_to_cluster(values) and len(values.here) > GROUP * BLOCK


def _fit_from_seed(values: np.ndarray, components: int, seed: int, parameters: EmParameters) -> Fit:
    return fit(values, start_at(values, components, seed, parameters.regularization), parameters)


def _fit_on_cluster(
    values: Made[np.ndarray], starts: Iterator[Mixture], number: int, parameters: EmParameters, keep_history: bool
) -> list[Fit]:
    """So many fits to checked events on a cluster: a block of work is some groups of events, for an iteration of a fit.

    The next iteration of a fit is sent as soon as its last one has been added up, whatever the other fits do. Each
    worker keeps all events, so that any worker can compute any group, also those of a worker that was lost.
    """
    events = len(values.here)
    groups = [slice(first, first + GROUP) for first in range(0, -(-events // BLOCK), GROUP)]
    of_blocks = [groups[first : first + GROUPS_OF_A_BLOCK] for first in range(0, len(groups), GROUPS_OF_A_BLOCK)]
    fits: list[_Em] = []
    waiting, sent = deque[_Em](), deque[_Em]()

    def blocks() -> Iterator[tuple[Mixture, list[slice]] | None]:
        # Workers compute the first fits while the others are begun.
        for start in starts:
            fits.append(em := _Em(events, start, parameters, keep_history))
            waiting.append(em)
            yield from next_iteration()
        while True:
            yield from next_iteration() if waiting else [None]

    def next_iteration() -> Iterator[tuple[Mixture, list[slice]]]:
        sent.append(em := waiting.popleft())
        yield from ((em.mixture, of_block) for of_block in of_blocks)

    with (
        workers(Made(_blocks_of_made, (values.make, values.given))) as run,
        progress(doing="fitting mixtures", total=number, unit="fit") as bar,
    ):
        sums = chain.from_iterable(run(_groups_expectation, blocks()))
        for first in sums:
            em = sent.popleft()
            if em.advance(_sum(em.mixture, chain([first], islice(sums, len(groups) - 1)))):
                waiting.append(em)
            else:
                bar.update()
    return [em.fit() for em in fits]


def _blocks_of_made(make: Callable[..., np.ndarray], given: tuple) -> list[Block]:
    """On a worker: all blocks of the values that it makes."""
    return list(blocks_of(checked_values(make(*given))))


class _Em:
    """EM under way: `mixture` is that after the iterations so far."""

    def __init__(self, events: int, start: Mixture, parameters: EmParameters, keep_history: bool) -> None:
        """Begin at the start, with so many events; raises `InputError` for the start and the parameters as `fit`."""
        _check_parameters(parameters)
        _check_covariances(start, "at the start", parameters.regularization)
        self.mixture = start
        self._events = events
        self._parameters = parameters
        self._history = [start] if keep_history else []
        self._log_likelihoods: list[float] = []
        self._converged = False

    def advance(self, expected: "Expected") -> bool:
        """Do the M-step, given the E-step of the mixture; False if EM has ended, and the mixture stays."""
        moments, log_likelihood = expected
        self._log_likelihoods.append(log_likelihood)
        iteration = len(self._log_likelihoods) - 1
        if iteration:
            change = abs(log_likelihood - self._log_likelihoods[-2])
            self._converged = change < self._parameters.tolerance * self._events
        if self._converged or iteration == self._parameters.iterations:
            return False
        self.mixture = _maximization(moments, self.mixture, self._parameters.regularization)
        _check_covariances(self.mixture, f"after {iteration + 1} iterations", self._parameters.regularization)
        if self._history:
            self._history.append(self.mixture)
        return True

    def fit(self) -> Fit:
        """The result so far."""
        return Fit(self.mixture, tuple(self._history), np.array(self._log_likelihoods), self._converged)


def expectation(blocks: Sequence[Block], mixture: Mixture, each: Callable = map) -> "Expected":
    """The E-step: the moments of all events about the components' means, and the log-likelihood.

    `blocks` are of `taproom.assays.mixtures.blocks_of`, and `each` maps over them. Raises `InputError` where an event's
    density is 0 under all components.
    """
    of_blocks = iter(each(partial(_block_expectation, mixture=mixture), blocks))
    return _sum(mixture, (_sum(mixture, islice(of_blocks, GROUP)) for _ in range(0, len(blocks), GROUP)))


def _groups_expectation(blocks: Sequence[Block], mixture: Mixture, groups: Sequence[slice]) -> list["Expected"]:
    """The E-step of each of some groups of the blocks."""
    return [_sum(mixture, (_block_expectation(block, mixture) for block in blocks[group])) for group in groups]


def _sum(mixture: Mixture, parts: Iterable["Expected"]) -> "Expected":
    """Moments and log-likelihoods, added in their order."""
    total, log_likelihood = _moments(mixture), 0.0
    for moments, of_part in parts:
        for sums, more in zip(total, moments, strict=True):
            sums += more
        log_likelihood += of_part
    return total, float(log_likelihood)


def _block_expectation(block: Block, mixture: Mixture) -> "Expected":
    from taproom.assays import _mixture_kernels as kernels

    joint, moments = log_joint_of(block, mixture), _moments(mixture)
    log_density = into_responsibilities(joint)
    check_densities(log_density)
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


def _checked_events(values: np.ndarray, start: Mixture) -> np.ndarray:
    """The values, if the start's components can be fitted to them."""
    values = checked_values(values, start)
    check_events(values, start.components)
    return values


def _check_parameters(parameters: EmParameters) -> None:
    p = parameters
    if p.iterations < 1 or not p.tolerance >= 0 or not 0 <= p.regularization < np.inf:
        raise InputError(
            f"{parameters} cannot be fitted. There must be at least 1 iteration, and tolerance and regularization "
            "must be 0 or more."
        )


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
