"""Bayesian search: a Gaussian process predicts where in [0, 1]^d the next settings are likely to do best.

Here belong the model of scores and the choice of the next places. `taproom.search.trials` turns places into settings
and tries them. Optuna's own Gaussian process needs PyTorch, so this one is scikit-learn's.

Source: Jones, Schonlau and Welch, Efficient global optimization of expensive black-box functions, 1998 (expected
improvement); Snoek, Larochelle and Adams, Practical Bayesian optimization of machine learning algorithms, 2012 (a
Matern 5/2 kernel with a length scale per parameter); Rasmussen and Williams, Gaussian processes for machine learning,
2006, chapter 5 (the kernel's own parameters where they are most probable); Ginsbourger, Le Riche and Carraro, Kriging
is well-suited to parallelize optimization, 2010 (batches by the kriging believer).
"""

from typing import TYPE_CHECKING

import numpy as np

from taproom.blas import blas_threads
from taproom.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sklearn.gaussian_process import GaussianProcessRegressor

# The prior of the kernel's parameters: log-normal, by median and standard deviation of the logarithm. With few scores,
# maximum likelihood alone fits pure noise, or no noise at all.
AMPLITUDE, AMPLITUDE_SPREAD = 1.0, 1.0
LENGTH, LENGTH_SPREAD = 0.5, 1.0
NOISE, NOISE_SPREAD = 1e-3, 2.0
# Of their most probable values; more digits change no result.
TOLERANCE = 1e-5
# Scores are cut off so far above the median, in distances from the best to the median.
CUT = 0.5
# Candidates for improvement: 2^10 quasi-random places, then clouds of 2^6 around the best ones.
SPREAD_LOG2, CLOUD, BEST = 10, 64, 4
RADII = (0.1, 0.03, 0.01, 0.003)
# Places that are nearer to each other in every parameter are the same.
SAME = 1e-6


def suggest(places: np.ndarray, scores: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The places to try next, the first of them where the largest improvement on the best so far is expected.

    Those after it are chosen as if the ones before had already got the scores that are predicted for them. No place is
    suggested that has been tried, or twice. The same bits each time.

    Args:
        places: (n, d) float64 in [0, 1], n and d at least 1, what was tried.
        scores: (n,) float64, finite, the lower the better.
        count: how many places are wanted, at least 1.
        seed: of where improvement is looked for.

    Returns:
        (count, d) float64 in [0, 1].

    Raises:
        InputError: nothing was tried, shapes that do not fit, places outside of [0, 1] or scores that are not finite.

    Source: see the module.
    """
    places, scores = np.asarray(places, np.float64), np.asarray(scores, np.float64)
    _check(places, scores, count)
    random = np.random.default_rng(seed)
    tried, believed = np.clip(places, 0, 1), standardized(scores)
    with blas_threads():
        model = _fitted(tried, believed, random)
        spread = _spread(tried.shape[1], random)
        tried = np.vstack([tried, _most_promising(model, tried, spread, random)])
        while len(tried) < len(places) + count:
            believed = np.append(believed, model.predict(tried[-1:]))
            model = _observing(model, tried, believed)
            tried = np.vstack([tried, _most_promising(model, tried, spread, random)])
    return tried[len(places) :]


def standardized(scores: np.ndarray) -> np.ndarray:
    """Scores (n,) with mean 0 and standard deviation 1 (all 0 where they are equal), very bad ones cut off.

    A rate of learning at which training diverges scores worse than others by orders of magnitude; by its distance, all
    settings worth a look would be the same, and the surface too steep for any length scale. All that is left of it is
    that it is bad.
    """
    best, median = scores.min(), np.median(scores)
    kept = np.minimum(scores, median + CUT * (median - best)) if median > best else scores
    spread = kept.std()
    return (kept - kept.mean()) / spread if spread > 0 else np.zeros(len(scores))


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """log E[max(best - f, 0)] of f ~ N(mean, deviation^2); all (n,), deviations above 0.

    The logarithm, because the improvement itself is 0 in floating point wherever there is little hope, and no such
    place would be better than another.

    Source: Jones, Schonlau and Welch 1998, equation 15; the expansion for little hope by erfcx(x) = exp(x^2) erfc(x).
    """
    from scipy.special import erfcx, ndtr

    z = np.maximum((best - mean) / deviation, -1e6)
    log_density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    near, far = np.maximum(z, -1), np.minimum(z, -1)
    hopeful = np.log(np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi) + near * ndtr(near))
    hopeless = log_density + np.log1p(far * np.sqrt(np.pi / 2) * erfcx(-far / np.sqrt(2)))
    return np.log(deviation) + np.where(z > -1, hopeful, hopeless)


def _check(places: np.ndarray, scores: np.ndarray, count: int) -> None:
    if places.ndim != 2 or scores.shape != places.shape[:1] or not places.size:
        raise InputError(
            f"places of the shape {places.shape} and scores of the shape {scores.shape} were given; wanted: (n, d) and "
            "(n,), n and d at least 1. Try some random settings first."
        )
    if count < 1:
        raise InputError(f"{count} places were asked for; wanted: at least 1")
    if not np.isfinite(scores).all():
        raise InputError("scores that are not finite were given; leave out the trials that failed")
    if not ((places >= -SAME) & (places <= 1 + SAME)).all():
        raise InputError("places outside of [0, 1] were given; leave out the trials outside of the space")


def _fitted(places: np.ndarray, scores: np.ndarray, random: np.random.Generator) -> "GaussianProcessRegressor":
    """The process by the kernel whose parameters are most probable, from the median and from a random start."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    dimensions = places.shape[1]
    kernel = ConstantKernel(AMPLITUDE) * Matern(np.full(dimensions, LENGTH), nu=2.5) + WhiteKernel(NOISE)
    spread = np.array([AMPLITUDE_SPREAD, *[LENGTH_SPREAD] * dimensions, NOISE_SPREAD])
    model = GaussianProcessRegressor(kernel, optimizer=_most_probable(spread, random))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of bounds, which priors make of no account
        return model.fit(places, scores)


def _most_probable(spread: np.ndarray, random: np.random.Generator) -> "Callable":
    """What scikit-learn is to find a kernel's parameters with; they are logarithms, normal about where it starts."""
    from scipy.optimize import minimize

    def search(negative_log_likelihood: "Callable", medians: np.ndarray, bounds: np.ndarray) -> tuple:
        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = negative_log_likelihood(parameters)
            away = (parameters - medians) / spread
            return value + 0.5 * away @ away, slope + away / spread

        starts = (medians, medians + spread * random.normal(size=len(medians)))
        found = [
            minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": TOLERANCE})
            for start in starts
        ]
        best = min(found, key=lambda one: one.fun)
        return best.x, best.fun

    return search


def _observing(model: "GaussianProcessRegressor", places: np.ndarray, scores: np.ndarray) -> "GaussianProcessRegressor":
    """The process of the same kernel, of more observations."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(model.kernel_, optimizer=None).fit(places, scores)


def _spread(dimensions: int, random: np.random.Generator) -> np.ndarray:
    """Places all over [0, 1]^d: (2^10, d)."""
    from scipy.stats.qmc import Sobol

    return Sobol(dimensions, rng=random).random_base2(SPREAD_LOG2)


def _most_promising(
    model: "GaussianProcessRegressor", tried: np.ndarray, spread: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """The new place (d,) of the largest expected improvement."""
    best = model.predict(tried).min()  # scores are noisy: the best of them may be luck
    candidates = _new(spread, tried)
    promise = _promise(model, candidates, best)
    for radius in RADII:
        centers = candidates[np.argsort(-promise, kind="stable")[:BEST]]
        cloud = centers[:, None] + radius * random.normal(size=(len(centers), CLOUD, centers.shape[1]))
        near = np.clip(cloud.reshape(-1, centers.shape[1]), 0, 1)
        candidates = np.vstack([centers, _new(near, tried)])
        promise = _promise(model, candidates, best)
    return candidates[np.argmax(promise)]


def _promise(model: "GaussianProcessRegressor", candidates: np.ndarray, best: float) -> np.ndarray:
    """The logarithms of the expected improvements (n,) of candidates (n, d), without the noise of a score."""
    mean, deviation = model.predict(candidates, return_std=True)
    noise = model.kernel_.k2.noise_level
    certain = np.sqrt(np.maximum(deviation**2 - noise, 1e-12))
    return log_expected_improvement(mean, certain, best)


def _new(places: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """The places that have not been tried."""
    from scipy.spatial.distance import cdist

    return places[cdist(places, tried, "chebyshev").min(axis=1) > SAME]
