"""Mixtures of Gaussians with full covariances, and their densities of events of which any value may be missing.

Here belongs what a mixture is. It is fitted by `taproom.assays.expectation_maximization`; the number of components is
chosen in `taproom.assays.mixture_sizes`, and components are merged into populations in `taproom.assays.populations`.

Source: part "Mixtures of Gaussians" of the lecture deck (Jamieson, CSE546 2016), whose responsibilities (8.42) are
`Mixture.responsibilities`. The density of an event is that of its observed channels.

Values are float64 arrays (events, channels) in which NaN is a missing value. Units are those of the values, and log
densities are in nats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from taproom.errors import InputError

if TYPE_CHECKING:
    from taproom.assays._mixture_kernels import Segments

# So many events are worked on at once: enough to be worth the calls, few enough to stay in the processor's cache. The
# sums are made block by block, so the number is part of the result.
BLOCK = 4_096


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians.

    >>> mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [4.0, 0.0]], [np.eye(2), np.eye(2)])
    >>> mixture.responsibilities(np.array([[2.0, 1.0], [np.nan, 1.0]]))
    array([[0.5, 0.5],
           [0.5, 0.5]])

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
        values = checked_values(values, self)
        joint = np.empty((len(values), self.components))
        for block in blocks_of(values):
            joint[block.events] = log_joint_of(block, self).T
        return joint

    def log_density(self, values: np.ndarray) -> np.ndarray:
        """The log density of each event's observed channels: (n,) float64; 0 where nothing is observed.

        Raises as `log_joint`. Where the density is too small for a float64 even in logarithms, it is -inf.
        """
        values = checked_values(values, self)
        log_density = np.empty(len(values))
        for block in blocks_of(values):
            log_density[block.events] = into_responsibilities(log_joint_of(block, self))
        return log_density

    def responsibilities(self, values: np.ndarray) -> np.ndarray:
        """The probability of each component given the event's observed channels, (8.42) in the deck: (n, K) float64.

        Raises as `log_joint`, and where an event's density is 0 under all components.
        """
        values = checked_values(values, self)
        responsibilities = np.empty((len(values), self.components))
        for block in blocks_of(values):
            joint = log_joint_of(block, self)
            check_densities(into_responsibilities(joint))
            responsibilities[block.events] = joint.T
        return responsibilities

    def moments(self, places: Sequence[int] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Mean (d,) and covariance (d, d) of the mixture, or of some of its components together.

        >>> mean, covariance = Mixture([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]]).moments()
        >>> mean.tolist(), covariance.tolist()
        ([2.0], [[5.0]])
        """
        chosen = list(places or range(self.components))
        # A component whose weight is 0 has a place too.
        weights = self.weights[chosen] + np.finfo(float).tiny
        weights = weights / weights.sum()
        mean = np.einsum("k,kd->d", weights, self.means[chosen])
        apart = self.means[chosen] - mean
        return mean, np.einsum("k,kde->de", weights, self.covariances[chosen] + apart[:, :, None] * apart[:, None, :])

    def marginal(self, places: Sequence[int]) -> "Mixture":
        """The mixture of these channels alone, in this order."""
        chosen = np.asarray(places, dtype=np.intp)
        return Mixture(self.weights, self.means[:, chosen], self.covariances[:, chosen[:, None], chosen])

    def scaled(self, offset: np.ndarray, scale: np.ndarray) -> "Mixture":
        """The mixture of offset + scale * x, channel by channel, where x has this one."""
        scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), self.channels)
        return Mixture(self.weights, offset + scale * self.means, self.covariances * np.outer(scale, scale))

    def order(self) -> np.ndarray:
        """Places of the components by falling weight, ties by mean, first channel first: (K,) integers."""
        return np.lexsort((*self.means.T[::-1], -self.weights))

    def take(self, places: np.ndarray) -> "Mixture":
        """The mixture of these components in this order; all of them, as the weights must have the sum 1."""
        return Mixture(self.weights[places], self.means[places], self.covariances[places])

    def ordered(self) -> "Mixture":
        """The same mixture in the one order that does not depend on how it was found, see `order`."""
        return self.take(self.order())


class Block(NamedTuple):
    """Some events, sorted by what they lack: their rows among all, and which of the segments are theirs."""

    events: np.ndarray
    segments: "Segments"
    first: int
    last: int


def blocks_of(values: np.ndarray) -> Iterator[Block]:
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
        yield Block(order[start:stop], segments, int(first), int(last))


def log_joint_of(block: Block, mixture: Mixture) -> np.ndarray:
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


def into_responsibilities(joint: np.ndarray) -> np.ndarray:
    """Turn log joint densities (K, events), in place, into responsibilities, and give the log densities (events,).

    Where an event's density is 0 under all components, its log density is -inf, and its responsibilities are NaN.
    """
    from taproom.assays import _mixture_kernels as kernels

    log_density = np.empty(joint.shape[1])
    kernels.into_responsibilities(joint, log_density)
    return log_density


def _check_mixture(mixture: Mixture) -> None:
    shapes = mixture.weights.shape, mixture.means.shape, mixture.covariances.shape
    k, d = shapes[1] if mixture.means.ndim == 2 else (0, 0)
    if k < 1 or d < 1 or shapes != ((k,), (k, d), (k, d, d)):
        raise InputError(
            f"A mixture has weights (K,), means (K, d) and covariances (K, d, d) with K and d at least 1; the shapes "
            f"given are {shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    if not all(np.isfinite(part).all() for part in (mixture.weights, mixture.means, mixture.covariances)):
        raise InputError("Some parameters of the mixture are not finite. Check the values that they were made from.")
    if (mixture.weights < 0).any() or not np.isclose(mixture.weights.sum(), 1.0):
        raise InputError(
            f"The weights {mixture.weights.tolist()} are no weights; wanted: numbers from 0 with the sum 1. Divide "
            "by their sum."
        )


def checked_values(values: np.ndarray, mixture: Mixture | None = None) -> np.ndarray:
    """The values as float64 (events, channels).

    Raises:
        InputError: another shape, other channels than the mixture has, or infinite values.
    """
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


def check_densities(log_density: np.ndarray) -> None:
    """Raise `InputError` unless every event has a density above 0."""
    if not np.isfinite(log_density).all():
        raise InputError(
            "An event is so far from all components that its density is 0 in float64. Look for a wrong value, "
            "standardise the channels, or start with wider components."
        )
