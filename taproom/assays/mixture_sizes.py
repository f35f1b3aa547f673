"""The choice of the number of components of a mixture, over several starts.

EM finds a local optimum (the deck: "In general, EM is non-convex so it can get stuck in local minima"), so every number
of components is fitted from several starts. Numbers are compared by the log density of held-out events, which decides,
and by the Bayesian information criterion (Schwarz, Annals of Statistics 6, 1978), which is reported. Both count
Gaussians, not populations: see `taproom.assays.populations`. BIC has fewer of them, so that some belong to two
populations, which no merging can separate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taproom.assays.expectation_maximization import EmParameters, fit_all
from taproom.compute import Made, derived, made_here
from taproom.errors import InputError


@dataclass(frozen=True)
class SizeParameters:
    """Numbers of components to try, starts for each, and how many events to fit and to hold out at most."""

    sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 12)
    restarts: int = 3
    events: int = 20_000


@dataclass(frozen=True)
class SizeFit:
    """A fit of one number of components from one start; log densities are means per event, in nats."""

    components: int
    seed: int
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
) -> list[SizeFit]:
    """Fit every number of components from every start to some events, and judge the fits on as many others.

    `values` is (events, channels), float64, standardised, NaN where missing. At most `parameters.events` events, drawn
    by `seed`, are fitted, and as many held out (half of all where there are fewer). Numbers for which these are too few
    are passed over. With `Made` values, a fit is a block of work on a cluster where there is one. Raises `InputError`
    where a number is below 1, and as `fit_all`.
    """
    if not parameters.sizes or min(parameters.sizes) < 1:
        raise InputError(f"numbers of components {list(parameters.sizes)} were given; wanted: numbers from 1.")
    events = len(made_here(values))
    count = min(parameters.events, (events + 1) // 2)
    drawn, held_out = derived(values, _drawn, seed, 0, count), _drawn(made_here(values), seed, count, count)
    tasks = [
        (components, seed + restart)
        for components in sizes_to_try(parameters.sizes, *made_here(drawn).shape)
        for restart in range(parameters.restarts if components > 1 else 1)
    ]
    return [
        SizeFit(
            components=components,
            seed=task_seed,
            log_density=float(fit.log_likelihoods[-1] / count),
            held_out_log_density=float(fit.mixture.log_density(held_out).mean()) if len(held_out) else np.nan,
            bic=float(fit.mixture.bic(fit.log_likelihoods[-1], count)),
            iterations=len(fit.log_likelihoods) - 1,
            converged=fit.converged,
        )
        for (components, task_seed), fit in zip(tasks, fit_all(drawn, tasks, em, n_jobs=n_jobs), strict=True)
    ]


def _drawn(values: np.ndarray, seed: int, first: int, count: int) -> np.ndarray:
    """`count` events from the place `first` on, in a random order that depends on the seed and all events' number."""
    return values[np.random.default_rng(seed).permutation(len(values))[first : first + count]]


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
