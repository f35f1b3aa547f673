"""The choice of the number of components of a mixture, over several starts.

EM finds a local optimum (the deck: "In general, EM is non-convex so it can get stuck in local minima"), so every number
of components is fitted from several starts, and the best one from more. Numbers are compared by the log density of
held-out events, which decides, and by the Bayesian information criterion (Schwarz, Annals of Statistics 6, 1978), which
is reported. Both count Gaussians, not populations: see `taproom.assays.populations`. BIC has fewer of them, so that
some belong to two populations, which no merging can separate.

Components of the best fit are split in two (`taproom.assays.component_splits`) as long as held-out events become
likelier.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taproom.assays.component_splits import split
from taproom.assays.expectation_maximization import EmParameters, Fit, fit, fit_all
from taproom.assays.mixtures import Mixture
from taproom.blas import blas_threads
from taproom.compute import Made, derived, made_here
from taproom.errors import InputError

# So much of the restarts each number has, and the best one then has the rest.
COMPARED_SHARE = 1 / 3


@dataclass(frozen=True)
class SizeParameters:
    """Numbers of components to try, starts of the best one, and how many events to fit and to hold out at most."""

    sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 12)
    restarts: int = 8
    events: int = 20_000


@dataclass(frozen=True)
class SizeFit:
    """A fit of one number of components from one start; log densities are means per event, in nats.

    `splits` is how many rounds of splitting came before: 0 for a fit from a random start.
    """

    components: int
    seed: int
    splits: int
    log_density: float
    held_out_log_density: float
    bic: float
    iterations: int
    converged: bool


def fit_sizes(
    values: np.ndarray | Made[np.ndarray],
    parameters: SizeParameters,
    em: EmParameters,
    seed: int,
    n_jobs: int | None = None,
) -> dict[SizeFit, Mixture]:
    """Fit every number of components from some starts to some events, and judge the fits on as many others.

    Every number has a third of the restarts, rounded up, and the number that `best_held_out` chooses then has all. One
    component has a single start.

    `values` is (events, channels), float64, standardised, NaN where missing. At most `parameters.events` events, drawn
    by `seed`, are fitted, and as many held out (half of all where there are fewer). Numbers for which these are too few
    are passed over. With `Made` values, a fit is a block of work on a cluster where there is one. Returns the mixtures
    by how they were judged. Raises `InputError` where a number is below 1, and as `fit_all`.
    """
    if not parameters.sizes or min(parameters.sizes) < 1:
        raise InputError(f"numbers of components {list(parameters.sizes)} were given; wanted: numbers from 1.")
    drawn, held_out = drawn_events(values, parameters.events, seed)
    events = len(made_here(drawn))

    def judged_fits(sizes: Sequence[int], first: int, last: int) -> dict[SizeFit, Mixture]:
        tasks = [(size, seed + start) for size in sizes for start in range(first, last if size > 1 else 1)]
        fits = fit_all(drawn, tasks, em, n_jobs=n_jobs) if tasks else []
        return {_judged(fit, events, held_out, task[1]): fit.mixture for task, fit in zip(tasks, fits, strict=True)}

    sizes = sizes_to_try(parameters.sizes, *made_here(drawn).shape)
    some = math.ceil(parameters.restarts * COMPARED_SHARE) if len(sizes) > 1 else parameters.restarts
    found = judged_fits(sizes, 0, some)
    best = best_held_out(list(found)).components
    return found | judged_fits([best], some, parameters.restarts)


def drawn_events(
    values: np.ndarray | Made[np.ndarray], events: int, seed: int
) -> tuple[np.ndarray | Made[np.ndarray], np.ndarray]:
    """Of the values (events, channels), those to fit, `Made` where the values are, and as many others to hold out.

    At most `events` are drawn by the seed to be fitted; half of all where there are fewer.
    """
    here = made_here(values)
    count = min(events, (len(here) + 1) // 2)
    return derived(values, _drawn, seed, 0, count), _drawn(here, seed, count, count)


def _drawn(values: np.ndarray, seed: int, first: int, count: int) -> np.ndarray:
    """`count` events from the place `first` on, in a random order that depends on the seed and all events' number."""
    return values[np.random.default_rng(seed).permutation(len(values))[first : first + count]]


def _judged(fit: Fit, events: int, held_out: np.ndarray, seed: int, splits: int = 0) -> SizeFit:
    return SizeFit(
        components=fit.mixture.components,
        seed=seed,
        splits=splits,
        log_density=float(fit.log_likelihoods[-1] / events),
        held_out_log_density=float(fit.mixture.log_density(held_out).mean()) if len(held_out) else np.nan,
        bic=float(fit.mixture.bic(fit.log_likelihoods[-1], events)),
        iterations=len(fit.log_likelihoods) - 1,
        converged=fit.converged,
    )


def split_further(
    first: Mixture,
    judged: SizeFit,
    drawn: np.ndarray,
    held_out: np.ndarray,
    em: EmParameters,
    n_jobs: int | None = None,
) -> dict[SizeFit, Mixture]:
    """Split components of a mixture and fit again, as long as held-out events become likelier.

    Returns:
        The mixture after each round, and how it was judged; under the last one, held-out events may be less likely.

    Args:
        first: a mixture fitted to `drawn`.
        judged: how it was judged; its seed is that of the starts.
        drawn: (events, channels) float64, standardised, NaN where missing.
        held_out: others like them; without any, nothing is split.
        em: see `EmParameters`.
        n_jobs: threads, counted as joblib counts workers. No bit of the result depends on it.
    """
    rounds = {judged: first}
    improved = len(held_out) > 0
    while improved:
        last, mixture = next(reversed(rounds.items()))
        start = split(drawn, mixture, em, judged.seed, n_jobs)
        if start.components == mixture.components:
            break
        try:
            with blas_threads():
                fitted = fit(drawn, start, em, n_jobs=n_jobs)
        except InputError:  # a component collapses
            break
        found = _judged(fitted, len(drawn), held_out, judged.seed, last.splits + 1)
        rounds[found] = fitted.mixture
        improved = found.held_out_log_density > last.held_out_log_density
    del rounds[judged]
    return rounds


def sizes_to_try(sizes: Sequence[int], events: int, channels: int) -> list[int]:
    """The numbers of components, ascending, of which each has at least the d + 1 events that its covariance needs.

    The smallest one is always tried.

    >>> sizes_to_try((8, 2, 4), events=13, channels=2)
    [2, 4]
    """
    ascending = sorted(set(sizes))
    return [size for size in ascending if size * (channels + 1) <= events] or ascending[:1]


def best_by_bic(fits: Sequence[SizeFit]) -> SizeFit:
    """The fit with the smallest criterion; of equals the one with fewer components, then the smaller seed."""
    return min(fits, key=lambda fit: (fit.bic, fit.components, fit.seed))


def best_held_out(fits: Sequence[SizeFit]) -> SizeFit:
    """The fit under which unseen events are most likely; of equals the one with fewer components.

    If there were no events to hold out, it is that of `best_by_bic`.
    """
    if np.isnan(fits[0].held_out_log_density):
        return best_by_bic(fits)
    return max(fits, key=lambda fit: (fit.held_out_log_density, -fit.components, -fit.seed))
