"""The shares of classes among events of unknown classes, their intervals, and their errors on known shares.

Here belongs what follows from the densities of the classes alone. These come from `taproom.assays.class_mixtures`.

Source: Saerens, Latinne and Decaestecker, Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural
Computation 14, 2002: EM over the priors.
"""

import numpy as np

from taproom.assays.class_mixtures import CrossFit
from taproom.blas import blas_threads
from taproom.errors import InputError

# Log-likelihood per event, in nats, by which shares may fall short of the best ones.
SHARE_TOLERANCE = 1e-9
# A start of exactly 0 would stay there.
LEAST_START = 1e-9
MOST_SHARE_STEPS = 10_000


def shares(log_densities: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """The maximum likelihood shares of the classes among events of unknown classes: (C,) float64, sum 1.

    EM over the priors with the densities fixed. The log-likelihood is concave in the shares, so there is one maximum,
    and the distance to it is bounded: an EM step multiplies the shares by factors, and the largest factor less 1 is the
    bound, in nats per event. EM alone takes hundreds of steps where classes overlap, so a Newton step is taken wherever
    it raises the likelihood more.

    >>> shares(np.log([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])).round(3)
    array([0.708, 0.292])

    Args:
        log_densities: (n, C) float64, of each event under each class; a constant may be added to a row.
        start: (C,) float64, positive; uniform by default. It changes the steps, not the maximum.

    Raises:
        InputError: no events, values that are not finite, or a start that is not positive.
    """
    ratios = _likelihood_ratios(log_densities)
    with blas_threads():
        return _shares(ratios, np.ones(len(ratios)), _checked_start(start, ratios.shape[1]))


def share_intervals(
    log_densities: np.ndarray, resamples: int = 200, confidence: float = 0.95, seed: int = 0
) -> np.ndarray:
    """Percentile bootstrap intervals of `shares` over events: (2, C) float64, low and high.

    They show how well these events determine the shares if the class densities are right. They do not include how much
    wells of a class differ: `blend_errors` shows that.

    Args:
        log_densities: (n, C) float64, as for `shares`.
        resamples: how often n events are drawn with replacement.
        confidence: share of the resamples within the interval.
        seed: of the draws.

    Raises:
        InputError: as `shares` does, or parameters out of range.
    """
    if resamples < 1 or not 0 < confidence < 1:
        raise InputError(
            f"{resamples} resamples at confidence {confidence} were given; wanted: 1 or more, and between 0 and 1."
        )
    ratios = _likelihood_ratios(log_densities)
    events = len(ratios)
    random = np.random.default_rng(seed)
    with blas_threads():
        start = _shares(ratios, np.ones(events), _checked_start(None, ratios.shape[1]))
        resampled = []
        for _ in range(resamples):
            counts = np.bincount(random.integers(events, size=events), minlength=events)
            drawn = counts > 0
            resampled.append(_shares(ratios[drawn], counts[drawn].astype(float), start))
    tail = (1 - confidence) / 2
    return np.quantile(resampled, [tail, 1 - tail], axis=0)


def argmax_shares(log_densities: np.ndarray) -> np.ndarray:
    """Each class's share of the events whose density is largest under it: (C,) float64.

    This is what counting the calls under uniform priors gives. It is biased where classes overlap: see `blend_errors`.

    >>> argmax_shares(np.log([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.6, 0.4]]))
    array([0.75, 0.25])
    """
    return np.bincount(log_densities.argmax(axis=1), minlength=log_densities.shape[1]) / len(log_densities)


def blend_errors(crossed: CrossFit, events: int = 3_000, seed: int = 0) -> list[dict]:
    """The errors of shares on blends with known shares, made from held-out events.

    Blends are one class alone, and shares as 1 : 3 : 6 (triangular numbers, for other numbers of classes too) in every
    rotation of either direction, for three classes all permutations. Events are drawn without replacement from those of
    the class, its wells alike, and scored by mixtures that have never seen their wells.

    Args:
        crossed: of `cross_fit`.
        events: of a blend, at most; the smallest class limits them too.
        seed: of the draws.

    Returns:
        Rows (blend, class, events, true_share, share, argmax_share), `blend` numbered from 0.
    """
    events = min(events, *map(len, crossed.of_class))
    rows: list[dict] = []
    with blas_threads():
        for blend, wanted in enumerate(_blends(len(crossed.classes))):
            random = np.random.default_rng([seed, blend])
            counts = _whole_counts(wanted, events)
            drawn = np.concatenate(
                [
                    random.choice(pool, count, replace=False)
                    for pool, count in zip(crossed.of_class, counts, strict=True)
                ]
            )
            log_densities = crossed.log_densities[drawn]
            found, counted = shares(log_densities), argmax_shares(log_densities)
            rows.extend(
                {
                    "blend": blend,
                    "class": name,
                    "events": events,
                    "true_share": float(counts[place] / events),
                    "share": float(found[place]),
                    "argmax_share": float(counted[place]),
                }
                for place, name in enumerate(crossed.classes)
            )
    return rows


def _likelihood_ratios(log_densities: np.ndarray) -> np.ndarray:
    """Densities (n, C), each event's divided by its largest."""
    log_densities = np.asarray(log_densities, np.float64)
    if log_densities.ndim != 2 or not log_densities.size or not np.isfinite(log_densities).all():
        raise InputError(
            f"Log densities of the shape {log_densities.shape} were given; wanted: (events, classes), one event at "
            "least, all finite."
        )
    return np.exp(log_densities - log_densities.max(axis=1, keepdims=True))


def _checked_start(start: np.ndarray | None, classes: int) -> np.ndarray:
    start = np.ones(classes) if start is None else np.asarray(start, np.float64)
    if start.shape != (classes,) or not ((start > 0) & np.isfinite(start)).all():
        raise InputError(f"Shares cannot start at {start}; wanted: {classes} positive numbers, one for each class.")
    # Smaller shares are the same to EM, but their squares would be 0.
    start = np.maximum(start / start.max(), LEAST_START)
    return start / start.sum()


def _shares(ratios: np.ndarray, counts: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The best shares for events that occur `counts` (n,) times."""
    for _ in range(MOST_SHARE_STEPS):
        mixed = ratios @ found
        gains = (counts / mixed) @ ratios / counts.sum()
        if gains.max() - 1 < SHARE_TOLERANCE:
            break
        step = found * gains
        # A share that a step would make 0 stays a thousandth: EM could not bring it back.
        leap = np.maximum(_newton(ratios, counts, mixed, gains), step / 1000)
        leap /= leap.sum()
        found = max(step, leap, key=lambda candidate: counts @ np.log(ratios @ candidate))
    return found / found.sum()


def _newton(ratios: np.ndarray, counts: np.ndarray, mixed: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """The shares that maximise the log-likelihood's second-order expansion, none of them negative: (C,)."""
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import nnls

    curvature = (ratios * (counts / mixed**2)[:, None]).T @ ratios / counts.sum()
    # Classes with the same densities leave it singular.
    curvature.flat[:: len(curvature) + 1] += 1e-12 * np.trace(curvature)
    factor = cholesky(curvature)
    return nnls(factor, solve_triangular(factor, 2 * gains - 1, trans="T"))[0]


def _blends(classes: int) -> list[np.ndarray]:
    """Shares (C,) of each class alone, and of all in falling and rising order, rotated."""
    falling = np.cumsum(np.arange(1, classes + 1))[::-1] / (classes * (classes + 1) * (classes + 2) / 6)
    rotations = {tuple(np.roll(order, places)) for order in (falling, falling[::-1]) for places in range(classes)}
    return [*np.eye(classes), *map(np.array, sorted(rotations))]


def _whole_counts(wanted: np.ndarray, events: int) -> np.ndarray:
    """Numbers of events (C,) int64 with about the wanted shares and the wanted sum."""
    ends = np.rint(np.cumsum(wanted) * events).astype(np.int64)
    return np.diff(ends, prepend=0)
