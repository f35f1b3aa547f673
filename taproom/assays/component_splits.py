"""Components of a mixture split in two, where their events say so.

From a random start, a rare population often shares a component with other events, and EM does not part them: the
likelihood is at a local optimum. Here belongs which components are split; how often is decided by held-out events, in
`taproom.assays.mixture_sizes`.

Splitting the components that describe their events worst is the way out of such optima of Ueda, Nakano, Ghahramani and
Hinton (SMEM algorithm for mixture models, Neural Computation 12, 2000).
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from taproom.assays.expectation_maximization import EmParameters, Fit, fit
from taproom.assays.mixture_starts import start_at
from taproom.assays.mixtures import Mixture
from taproom.blas import blas_threads
from taproom.compute import workers
from taproom.errors import InputError

# Of one component and of two: numbers of components, and what is added to the seed.
STARTS = ((1, 0), (2, 0), (2, 1))
# A half has at least as many events as its covariance needs, and what is split has several times as many.
SEVERAL = 4


def split(values: np.ndarray, mixture: Mixture, em: EmParameters, seed: int, n_jobs: int | None = None) -> Mixture:
    """The mixture with each component in two whose events are likelier under two Gaussians by more than these cost.

    An event counts for its most likely component. Two Gaussians cost a nat for each parameter more than one has
    (Akaike's information criterion). They are fitted by EM from two random starts.

    >>> values = np.concatenate([np.linspace(0, 2, 60), np.linspace(10, 12, 60)])[:, None]
    >>> split(values, Mixture([1.0], [[6.0]], [[[26.0]]]), EmParameters(), seed=0).ordered().means.round(1).tolist()
    [[1.0], [11.0]]

    Args:
        values: (events, channels) float64, standardised, NaN where missing.
        mixture: fitted to them.
        em: see `EmParameters`.
        seed: of the starts.
        n_jobs: threads, counted as joblib counts workers. No bit of the result depends on it.
    """
    likeliest = mixture.log_joint(values).argmax(axis=1)
    events = [values[likeliest == component] for component in range(mixture.components)]
    with blas_threads(), workers(events, n_jobs) as run:
        parts = list(run(_parts, ((place, mixture, em, seed) for place in range(mixture.components))))
    weights, means, covariances = (np.array(list(chain(*each))) for each in zip(*parts, strict=True))
    return Mixture(weights, means, covariances)


def _parts(
    events: Sequence[np.ndarray], place: int, mixture: Mixture, em: EmParameters, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and covariances of a component's two halves, or of itself."""
    halves = _halves(events[place], em, seed)
    if halves is None:
        only = slice(place, place + 1)
        return mixture.weights[only], mixture.means[only], mixture.covariances[only]
    return mixture.weights[place] * halves.weights, halves.means, halves.covariances


def _halves(events: np.ndarray, em: EmParameters, seed: int) -> Mixture | None:
    """The mixture of two components that describes the events better than one, if there is one."""
    count, channels = events.shape
    least = channels + 2
    if count < SEVERAL * least:
        return None
    one, *twos = (_fitted(events, components, seed + start, em) for components, start in STARTS)
    large = [two for two in twos if two is not None and two.mixture.weights.min() * count >= least]
    if one is None or not large:
        return None
    best = max(large, key=lambda two: two.log_likelihoods[-1])
    cost = best.mixture.free_parameters - one.mixture.free_parameters
    return best.mixture if best.log_likelihoods[-1] - one.log_likelihoods[-1] > cost else None


def _fitted(events: np.ndarray, components: int, seed: int, em: EmParameters) -> Fit | None:
    """A fit; None where a channel is constant in these events, or a component collapses."""
    try:
        return fit(events, start_at(events, components, seed, em.regularization), em, n_jobs=1)
    except InputError:
        return None
