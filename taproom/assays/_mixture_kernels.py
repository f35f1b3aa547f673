"""Compiled loops of `taproom.assays.mixtures` and of EM, apart from them so that importing these loads no numba.

Events lie channel by channel, so that the innermost loops run over events and the compiler vectorises them. They are
sorted into segments: events that lack the same channels, of one block. All that depends on nothing but which channels
are missing (factors of covariances, regressions of the missing channels on the observed ones) is done once a segment.
"""

from math import factorial
from typing import NamedTuple

import numpy as np
from numba import njit

NONE = -1
# Events in the innermost loops: some rows of so many float64 stay in the processor's first cache.
STRETCH = 512
# The compiler may reorder a sum to vectorise it, but only in loops that store nothing. A loop that stores is vectorised
# with a test whether its arrays overlap, whose outcome depends on where they lie, and so would the order of its sums.
REORDERED = {"reassoc", "contract"}

# exp(x) = 2^n exp(r) with |r| <= log(2) / 2: log(2) in two parts, of which n times the first is exact, and the Taylor
# polynomial of degree 13, whose next term is below a rounding error.
LOG2_HIGH, LOG2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
TAYLOR = tuple(1 / factorial(degree) for degree in range(14))
# A float64 to which an n is added has n in its last bits.
WHOLE_NUMBERS = 1.5 * 2.0**52
# The exponent of a float64 begins at this bit.
EXPONENT = 52
# exp of less is taken for 0, beside which is a 1. Products of smaller numbers would no longer be normal, and slow.
LEAST_LOG = -500.0


class Segments(NamedTuple):
    """Events sorted by what they lack.

    Attributes:
        columns: (d, n) float64, the events.
        bounds: (s + 1,) int64, where the segments begin and the last one ends.
        channels: (s, d) int64, the channels of each segment, the observed ones first.
        observed: (s,) int64, how many channels of each are observed.
    """

    columns: np.ndarray
    bounds: np.ndarray
    channels: np.ndarray
    observed: np.ndarray


class Moments(NamedTuple):
    """Of each component, about its mean: responsibilities (K,), first (K, d) and second moments (K, d, d), summed."""

    counts: np.ndarray
    firsts: np.ndarray
    seconds: np.ndarray


@njit(nogil=True, cache=True)
def fill_log_joint(
    segments: Segments,
    first: int,
    last: int,
    log_weights: np.ndarray,
    means: np.ndarray,
    covariances: np.ndarray,
    joint: np.ndarray,
) -> int:
    """Fill `joint` (K, events) with log(weight * density of what is observed), segments `first` to `last`.

    Returns the first component whose covariance is not positive definite, `NONE` if all are.
    """
    components, dimension = means.shape
    factor, white = np.empty((dimension, dimension)), np.empty((dimension, STRETCH))
    begin = segments.bounds[first]
    for segment in range(first, last):
        channels, observed = segments.channels[segment], segments.observed[segment]
        for k in range(components):
            if not _factorise(covariances[k], channels, observed, factor):
                return k
            constant = log_weights[k] - 0.5 * observed * np.log(2.0 * np.pi)
            for i in range(observed):
                constant -= np.log(factor[i, i])
            for start in range(segments.bounds[segment], segments.bounds[segment + 1], STRETCH):
                stop = min(start + STRETCH, segments.bounds[segment + 1])
                _deviations(segments.columns, start, stop, channels, observed, means[k], white)
                _whiten(white, stop - start, observed, factor)
                _fill_log_density(white, stop - start, observed, constant, joint[k, start - begin : stop - begin])
    return NONE


@njit(nogil=True, cache=True)
def into_responsibilities(joint: np.ndarray, log_density: np.ndarray) -> None:
    """Turn log joint densities (K, events), in place, into responsibilities, and fill the log densities (events,).

    Where an event's density is 0 under all components, its log density is -inf, and its responsibilities are NaN.
    """
    components, events = joint.shape
    total, power, mantissa = np.empty(STRETCH), np.empty(STRETCH), np.empty(STRETCH)
    for start in range(0, events, STRETCH):
        stop = min(start + STRETCH, events)
        largest = log_density[start:stop]
        largest[:] = -np.inf
        total[:] = 0.0
        for k in range(components):
            _raise(largest, joint[k, start:stop])
        for k in range(components):
            _exponentiate(joint[k, start:stop], largest, power, mantissa)
            _add(total, joint[k, start:stop])
        for event in range(stop - start):
            largest[event] += np.log(total[event])
            total[event] = 1.0 / total[event]
        for k in range(components):
            _multiply(joint[k, start:stop], total)
        for event in range(stop - start):
            if np.isnan(largest[event]):
                largest[event] = -np.inf


@njit(nogil=True, cache=True)
def add_moments(
    segments: Segments,
    first: int,
    last: int,
    means: np.ndarray,
    covariances: np.ndarray,
    responsibilities: np.ndarray,
    moments: Moments,
) -> None:
    """Add what the segments `first` to `last` contribute, given their `responsibilities` (K, events).

    Expectations given the observed channels: what is missing is put in by its regression on them, and its conditional
    covariance added to the second moments. Both are linear in the observed moments, so no event is completed itself.
    """
    components, dimension = means.shape
    factor, apart = np.empty((dimension, dimension)), np.empty((dimension, STRETCH))
    weighted = np.empty(STRETCH)
    sums, products = np.empty(dimension), np.empty((dimension, dimension))
    begin = segments.bounds[first]
    for segment in range(first, last):
        channels, observed = segments.channels[segment], segments.observed[segment]
        for k in range(components):
            count = 0.0
            sums[:] = 0.0
            products[:] = 0.0
            for start in range(segments.bounds[segment], segments.bounds[segment + 1], STRETCH):
                stop = min(start + STRETCH, segments.bounds[segment + 1])
                share = responsibilities[k, start - begin : stop - begin]
                _deviations(segments.columns, start, stop, channels, observed, means[k], apart)
                count += _sum(share, stop - start)
                _add_observed(apart, share, observed, weighted, sums, products)
            if observed < dimension:
                _factorise(covariances[k], channels, dimension, factor)
                _add_missing(count, observed, factor, sums, products)
            moments.counts[k] += count
            for i in range(dimension):
                moments.firsts[k, channels[i]] += sums[i]
                for j in range(i):
                    moments.seconds[k, channels[i], channels[j]] += products[i, j]
                    moments.seconds[k, channels[j], channels[i]] += products[i, j]
                moments.seconds[k, channels[i], channels[i]] += products[i, i]


@njit(nogil=True, cache=True)
def _factorise(covariance: np.ndarray, channels: np.ndarray, size: int, factor: np.ndarray) -> bool:
    """The Cholesky factor of the first so many channels; False if their covariance is not positive definite."""
    for i in range(size):
        for j in range(i + 1):
            rest = covariance[channels[i], channels[j]]
            for m in range(j):
                rest -= factor[i, m] * factor[j, m]
            if j < i:
                factor[i, j] = rest / factor[j, j]
            elif rest > 0.0:
                factor[i, i] = np.sqrt(rest)
            else:
                return False
    return True


@njit(nogil=True, cache=True)
def _deviations(
    columns: np.ndarray, start: int, stop: int, channels: np.ndarray, observed: int, mean: np.ndarray, apart: np.ndarray
) -> None:
    for i in range(observed):
        column, row, centre = columns[channels[i], start:stop], apart[i], mean[channels[i]]
        for event in range(stop - start):
            row[event] = column[event] - centre


@njit(nogil=True, cache=True, fastmath={"contract"})
def _whiten(white: np.ndarray, events: int, observed: int, factor: np.ndarray) -> None:
    """Forward substitution, for all events at once and in place."""
    for i in range(observed):
        row = white[i]
        for j in range(i):
            known, slope = white[j], factor[i, j]
            for event in range(events):
                row[event] -= slope * known[event]
        inverse = 1.0 / factor[i, i]
        for event in range(events):
            row[event] *= inverse


@njit(nogil=True, cache=True, fastmath={"contract"})
def _fill_log_density(white: np.ndarray, events: int, observed: int, constant: float, log_density: np.ndarray) -> None:
    for event in range(events):
        log_density[event] = constant
    for i in range(observed):
        row = white[i]
        for event in range(events):
            log_density[event] -= 0.5 * row[event] * row[event]
    for event in range(events):
        # Infinite distances in several directions may give NaN.
        if np.isnan(log_density[event]):
            log_density[event] = -np.inf


@njit(nogil=True, cache=True)
def _raise(largest: np.ndarray, row: np.ndarray) -> None:
    for event in range(len(row)):
        largest[event] = row[event] if row[event] > largest[event] else largest[event]


@njit(nogil=True, cache=True)
def _add(total: np.ndarray, row: np.ndarray) -> None:
    for event in range(len(row)):
        total[event] += row[event]


@njit(nogil=True, cache=True)
def _multiply(row: np.ndarray, factors: np.ndarray) -> None:
    for event in range(len(row)):
        row[event] *= factors[event]


@njit(nogil=True, cache=True, fastmath={"contract"})
def _exponentiate(row: np.ndarray, largest: np.ndarray, power: np.ndarray, mantissa: np.ndarray) -> None:
    """exp(row - largest), in place, to three rounding errors; NaN stays. `power` and `mantissa` are scratch.

    NumPy's, which is as exact, takes five times as long on processors without AVX-512.
    """
    c = TAYLOR
    for event in range(len(row)):
        row[event] -= largest[event]
        # In this order, the larger one of NaN and a number is NaN.
        x = max(row[event], LEAST_LOG)
        power[event] = x * (1 / np.log(2.0)) + WHOLE_NUMBERS
        n = power[event] - WHOLE_NUMBERS
        r = (x - n * LOG2_HIGH) - n * LOG2_LOW
        # Estrin's scheme: Horner's, whose steps wait for each other, takes longer.
        r2 = r * r
        r4 = r2 * r2
        low = ((c[0] + c[1] * r) + r2 * (c[2] + c[3] * r)) + r4 * ((c[4] + c[5] * r) + r2 * (c[6] + c[7] * r))
        high = ((c[8] + c[9] * r) + r2 * (c[10] + c[11] * r)) + r4 * (c[12] + c[13] * r)
        mantissa[event] = low + r4 * r4 * high
    exponents, bits = power.view(np.int64), mantissa.view(np.int64)
    for event in range(len(row)):
        bits[event] += exponents[event] << EXPONENT
    for event in range(len(row)):
        row[event] = 0.0 if row[event] < LEAST_LOG else mantissa[event]


@njit(nogil=True, cache=True)
def _add_observed(
    apart: np.ndarray, share: np.ndarray, observed: int, weighted: np.ndarray, sums: np.ndarray, products: np.ndarray
) -> None:
    for i in range(observed):
        row = apart[i]
        for event in range(len(share)):
            weighted[event] = share[event] * row[event]
        sums[i] += _sum(weighted, len(share))
        for j in range(i + 1):
            products[i, j] += _dot(weighted, apart[j], len(share))


@njit(nogil=True, cache=True, fastmath=REORDERED)
def _sum(values: np.ndarray, events: int) -> float:
    total = 0.0
    for event in range(events):
        total += values[event]
    return total


@njit(nogil=True, cache=True, fastmath=REORDERED)
def _dot(one: np.ndarray, other: np.ndarray, events: int) -> float:
    total = 0.0
    for event in range(events):
        total += one[event] * other[event]
    return total


@njit(nogil=True, cache=True)
def _add_missing(count: float, observed: int, factor: np.ndarray, sums: np.ndarray, products: np.ndarray) -> None:
    """Complete the moments, whose observed channels stand first, by the missing ones; lower triangle only."""
    dimension = len(sums)
    for i in range(observed, dimension):
        # Solving slopes @ factor_observed = factor[i] turns the factor's row into the regression on what is observed.
        slopes = factor[i, :observed].copy()
        for j in range(observed - 1, -1, -1):
            for m in range(j + 1, observed):
                slopes[j] -= slopes[m] * factor[m, j]
            slopes[j] /= factor[j, j]
        for j in range(observed):
            sums[i] += slopes[j] * sums[j]
            for m in range(observed):
                products[i, j] += slopes[m] * products[max(j, m), min(j, m)]
        for j in range(observed, i + 1):
            for m in range(observed):
                products[i, j] += slopes[m] * products[j, m]
            for m in range(observed, j + 1):
                products[i, j] += count * factor[i, m] * factor[j, m]
