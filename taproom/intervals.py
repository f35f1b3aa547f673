"""Confidence intervals: of a mean (Student) and of a share (Wilson).

Bootstrap intervals of a single estimate are with that estimate.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from taproom.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval; all three are equal where the values do not vary."""

    mean: float
    low: float
    high: float


def student_interval(values: np.ndarray) -> Interval:
    """The mean of values (n,) float64, n at least 2, with Student's interval of 95 % confidence.

    >>> student_interval(np.array([1.0, 2.0, 3.0]))
    Interval(mean=2.0, low=-0.484..., high=4.484...)

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    from scipy.stats import t

    values = np.asarray(values, np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        raise InputError(
            f"{len(values)} values, {np.isfinite(values).sum()} of them finite, were given; wanted: at least two, all "
            "finite. Bring more data."
        )
    mean = float(values.mean())
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - reach, mean + reach)


def wilson_interval(successes: int, trials: int) -> Interval:
    """The share successes / trials with Wilson's interval of 95 % confidence (Wilson 1927), which stays within 0 to 1.

    >>> wilson_interval(9, 10)
    Interval(mean=0.9, low=0.595..., high=0.982...)

    Raises:
        InputError: no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or not trials:
        raise InputError(
            f"{successes} successes in {trials} trials were given; wanted: at least 1 trial, and no more "
            "successes than trials"
        )
    # Not by scipy.stats, which takes more than a second to load, for one number on a page.
    share, square = successes / trials, NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2
    middle = share + square / (2 * trials)
    reach = sqrt(square * (share * (1 - share) + square / (4 * trials)) / trials)
    low, high = ((middle + end) / (1 + square / trials) for end in (-reach, reach))
    return Interval(share, float(np.clip(low, 0, share)), float(np.clip(high, share, 1)))
