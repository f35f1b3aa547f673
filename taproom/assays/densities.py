"""Densities on a grid of two channels: of a mixture, and of a kernel around each event.

Here belong the grid, both densities on it, the levels of their contours, and the bandwidth of the kernel. Only events
with both channels count; `complete` selects them.

Source: slides "Kernel Density Estimation" of the lecture deck (Jamieson, CSE546 2016): a kernel density is "a very lazy
GMM", with a component for each event. It is computed by KDEpy's FFTKDE: events are spread over the points of a grid
(linear binning) and convolved with the kernel, which is Gaussian. Binning widens the kernel by a sixth of the squared
spacing, interpolation between the points as much again; both are taken off the kernel's variance beforehand, so that a
spacing as wide as the bandwidth is fine enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taproom.assays.mixture_starts import standardization
from taproom.assays.mixtures import Mixture
from taproom.errors import InputError

SHARES = (0.5, 0.8, 0.95, 0.99)
CANDIDATES = tuple(float(f"{bandwidth:.3g}") for bandwidth in np.geomspace(0.02, 1.0, 14))
FOLDS = 5
# In bandwidths: beyond it FFTKDE takes the kernel to be 0.
REACH = 4.5
# A side of the largest grid to compute on; the grid takes 32 MB.
MOST_POINTS = 2_000


@dataclass(frozen=True)
class KernelDensityParameters:
    """How wide kernels are.

    Attributes:
        bandwidth: standard deviation of the kernel, in standard deviations of either channel; by default the best of
            `CANDIDATES` by `choose_bandwidth`.
        seed: of the parting into events fitted and held out to choose it.
    """

    bandwidth: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Grid:
    """A regular grid: ascending `x` (m,) in the first channel, `y` (m,) in the second, float64."""

    x: np.ndarray
    y: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Distance between points in either channel: (2,)."""
        return np.array([(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (self.x, self.y)])

    def points(self) -> np.ndarray:
        """All points: (len(x) * len(y), 2), y running fastest."""
        return np.stack(np.meshgrid(self.x, self.y, indexing="ij")).reshape(2, -1).T


def complete(values: np.ndarray) -> np.ndarray:
    """The events that have both channels.

    Args:
        values: (events, 2) float64, NaN where missing.

    Raises:
        InputError: infinite values, or no event with both channels.
    """
    x, y = np.isnan(values).T
    kept = _rows(values, ~(x | y))
    if not np.isfinite(kept).all():
        raise InputError(
            f"{np.isinf(kept).any(axis=1).sum()} of {len(values)} events have an infinite value; wanted: finite ones, "
            "or NaN where nothing was measured."
        )
    if not len(kept):
        raise InputError(f"None of {len(values)} events has a value in both channels, so there is no density of these.")
    return kept


def grid_over(values: np.ndarray, points: int = 200, share: float = 0.999, margin: float = 0.05) -> Grid:
    """A regular grid over events, in the channels' units.

    Args:
        values: (events, 2) float64; events with a NaN are left out.
        points: in either channel, at least 2.
        share: of the events, those in the middle that the grid covers in either channel: 0.999 goes from the quantile
            0.05 % to 99.95 %, so that a few events far away do not take all the room; 1 covers all.
        margin: added on either side, in widths of what is covered.

    Raises:
        InputError: as `complete`; fewer than 2 points; a channel without spread.
    """
    if points < 2:
        raise InputError(f"A grid of {points} points in either channel was asked for; wanted: at least 2.")
    values = complete(values)
    standardization(values)  # refuses a constant channel
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2], axis=0, method="inverted_cdf")
    low, high = np.where(high > low, (low, high), (values.min(axis=0), values.max(axis=0)))
    x, y = np.linspace(low - margin * (high - low), high + margin * (high - low), points, axis=1)
    return Grid(x, y)


def mixture_density(mixture: Mixture, grid: Grid) -> np.ndarray:
    """The density of a mixture in the grid's two channels: (len(x), len(y)) float64, [i, j] at x[i] and y[j]."""
    return np.exp(mixture.log_density(grid.points())).reshape(len(grid.x), len(grid.y))


def kernel_density(values: np.ndarray, grid: Grid, bandwidth: float) -> np.ndarray:
    """The kernel density of events on the grid: (len(x), len(y)) float64, [i, j] at x[i] and y[j].

    Events outside the grid count where their kernels reach into it. Where the bandwidth is below the spacing, a finer
    grid is computed on.

    Args:
        values: (events, 2) float64; events with a NaN are left out.
        grid: where the density is wanted.
        bandwidth: standard deviation of the kernel, in standard deviations of either channel.

    Raises:
        InputError: as `complete`; a constant channel; a bandwidth that is not positive, or far below the spacing.
    """
    values = complete(values)
    widths = _widths(bandwidth, standardization(values)[1])
    finer = int(np.ceil((grid.spacing / widths).max()))
    spacing = grid.spacing / finer
    beyond = finer * np.ceil(REACH * widths / grid.spacing).astype(int)
    shape = finer * (np.array([len(grid.x), len(grid.y)]) - 1) + 1
    if max(shape + 2 * beyond) > MOST_POINTS:
        raise InputError(
            f"For the bandwidth {bandwidth:.3g}, a grid of {shape[0]} x {shape[1]} points and {beyond.max()} around it "
            f"would be needed; wanted: at most {MOST_POINTS} in either channel. Take a bandwidth nearer to the spacing."
        )
    origin = np.array([grid.x[0], grid.y[0]]) - beyond * spacing
    last = origin + (shape + 2 * beyond - 1) * spacing
    x, y = ((values > origin) & (values < last)).T
    near = _rows(values, x & y)
    if not len(near):
        return np.zeros((len(grid.x), len(grid.y)))
    density = _smoothed(near, _grid_at(origin, spacing, shape + 2 * beyond), widths, widenings=1)
    inside = tuple(slice(first, first + size, finer) for first, size in zip(beyond, shape, strict=True))
    return density[inside] * (len(near) / len(values))


def choose_bandwidth(
    values: np.ndarray, seed: int, candidates: Sequence[float] | np.ndarray = CANDIDATES
) -> tuple[float, np.ndarray]:
    """The bandwidth under which held-out events are most likely, and how likely they are under each.

    Each fifth of the events is held out once, see `held_out_log_densities`.

    Args:
        values: (events, 2) float64; events with a NaN are left out.
        seed: of the parting into fifths.
        candidates: bandwidths as in `kernel_density`.

    Returns:
        The best candidate, and (candidates,) float64: the mean log density of held-out events, in nats; NaN where so
        small a bandwidth would take a grid of more than 2,000 points in a channel.

    Raises:
        InputError: as `complete`; a constant channel; no candidates, one that is not positive, all of them too small.
    """
    values = complete(values)
    scale = standardization(values)[1]
    fold = np.random.default_rng(seed).permutation(len(values)) % min(FOLDS, len(values))
    scores = np.array([_mean_held_out(values, fold, _widths(bandwidth, scale)) for bandwidth in candidates])
    if np.isnan(scores).all():
        raise InputError(
            f"None of the bandwidths {list(candidates)} can be judged; wanted: some of which {MOST_POINTS} cover the "
            "events. Give larger ones, or leave out the events that are farthest away."
        )
    return float(candidates[int(np.nanargmax(scores))]), scores


def held_out_log_densities(fitted: np.ndarray, held_out: np.ndarray, bandwidth: float) -> np.ndarray:
    """How likely events are under the kernel density of others: the log density of each, (held_out,) float64, in nats.

    An event out of reach of all kernels counts as if one were just in reach: with its true log density, a few such
    events would decide (Hall, On Kullback-Leibler Loss and Density Estimation, Annals of Statistics 15, 1987). All are
    NaN where so small a bandwidth would take a grid of more than 2,000 points in a channel.

    Args:
        fitted: (events, 2) float64, with a kernel each; events with a NaN are left out.
        held_out: (events, 2) float64; events with a NaN are left out.
        bandwidth: as in `kernel_density`, in standard deviations of `fitted`.

    Raises:
        InputError: as `complete`, of either; a constant channel; a bandwidth that is not positive.
    """
    fitted, held_out = complete(fitted), complete(held_out)
    return _log_densities(fitted, held_out, _widths(bandwidth, standardization(fitted)[1]))


def enclosing_levels(density: np.ndarray, shares: Sequence[float] = SHARES) -> np.ndarray:
    """The densities at which contours enclose these shares of the probability on the grid: (shares,) float64.

    Args:
        density: on a regular grid, not 0 everywhere.
        shares: each above 0, at most 1; the higher the share, the lower the level.

    Source: the highest density regions of Hyndman, Computing and Graphing Highest Density Regions, American
    Statistician 50, 1996.
    """
    falling = np.sort(density, axis=None)[::-1]
    within = np.cumsum(falling)
    places = np.searchsorted(within, np.asarray(shares) * within[-1])
    return falling[np.minimum(places, len(falling) - 1)]


def enclosed(density: np.ndarray) -> np.ndarray:
    """The share of the grid's probability where the density is higher than at each point: 0 at the highest.

    A point is within the contour of a share in `enclosing_levels` if this is less than the share.

    Args:
        density: on a regular grid, not 0 everywhere.

    Returns:
        float64 in 0 to 1, of the density's shape.
    """
    falling = np.sort(density, axis=None)[::-1]
    before = np.concatenate([[0.0], np.cumsum(falling)])
    higher = np.searchsorted(-falling, -density)
    return before[higher] / before[-1]


def _rows(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The chosen rows, column after column in memory: FFTKDE and NumPy take twice as long along short rows."""
    return np.asfortranarray(values[chosen])


def _widths(bandwidth: float, scale: np.ndarray) -> np.ndarray:
    """The kernel's standard deviations in the channels' units."""
    if not (np.isfinite(bandwidth) and bandwidth > 0):
        raise InputError(f"The bandwidth {bandwidth} was given; wanted: a positive number of standard deviations.")
    return bandwidth * scale


def _mean_held_out(values: np.ndarray, fold: np.ndarray, widths: np.ndarray) -> float:
    """Mean log density of the events, each under the kernels of the other folds; NaN if the grid would be too large."""
    total = 0.0
    for number in range(fold.max() + 1):
        total += _log_densities(_rows(values, fold != number), values[fold == number], widths).sum()
    return total / len(values)


def _log_densities(fitted: np.ndarray, held_out: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """As `held_out_log_densities`, of complete events and with the kernel's widths in the channels' units."""
    from scipy.ndimage import map_coordinates

    low = np.minimum(fitted.min(axis=0), held_out.min(axis=0)) - REACH * widths
    high = np.maximum(fitted.max(axis=0), held_out.max(axis=0)) + REACH * widths
    shape = np.ceil((high - low) / widths).astype(int) + 1
    if max(shape) > MOST_POINTS:
        return np.full(len(held_out), np.nan)
    density = _smoothed(fitted, _grid_at(low, widths, shape), widths, widenings=2)
    of_held_out = map_coordinates(density, ((held_out - low) / widths).T, order=1)
    least = np.exp(-(REACH**2) / 2) / (2 * np.pi * widths.prod() * len(fitted))
    return np.log(np.maximum(of_held_out, least))


def _grid_at(origin: np.ndarray, spacing: np.ndarray, shape: np.ndarray) -> Grid:
    return Grid(*(start + step * np.arange(size) for start, step, size in zip(origin, spacing, shape, strict=True)))


def _smoothed(values: np.ndarray, grid: Grid, widths: np.ndarray, widenings: int) -> np.ndarray:
    """The kernel density on a grid that encloses the values, its kernel narrowed by what so many steps widen it."""
    from KDEpy import FFTKDE

    narrowed = np.sqrt(widths**2 - widenings * grid.spacing**2 / 6)
    density = FFTKDE(kernel="gaussian", bw=1.0).fit(values / narrowed).evaluate(grid.points() / narrowed)
    # The Fourier transform leaves rounding errors of either sign where the density is 0.
    return np.maximum(density, 0.0).reshape(len(grid.x), len(grid.y)) / narrowed.prod()
