"""Components of a mixture merged into populations of cells.

A density needs more Gaussians than it has populations, as a population of cells is no Gaussian: bent or skewed, it
takes some.
Here belongs which components are one population; the mixture itself stays as it is.

Two populations have a valley between them: a place from which the density of their events rises towards the one and
towards the other. Components are merged, those first whose events are most often taken for each other's
(`misclassification`; Hennig, Methods for merging Gaussian mixture components, Advances in Data Analysis and
Classification 4, 2010), but a pair only if there is no sign of a valley. Either of two signs is enough:

- in one of three projections, events are too few in between for a density with one mode (`valley_p_value`), at a level
  of significance, which needs some hundred events;
- on the ways from components of the one group to those of the other, the density of the mixture itself falls below a
  share of the lower one of the two peaks (`saddles`), which also shows valleys between rare populations. Between two
  groups of many events it does not count: a large population has several components, whose density has valleys by
  chance, and projections show real ones. Where values are missing in all events, there are no projections but single
  channels, so it counts.

That a population of cells has one mode is how gates are drawn (Johnsson, Linderoth and Fontes, What is a "unimodal"
cell population?, Cytometry A 89, 2016).

A projection is on the direction in which two groups are apart by Fisher's discriminant. Three are looked at, since a
valley in one of them is enough: with the covariances of the groups, with their variances alone (which many channels
need, where covariances hold little but noise), and with the covariances of the heaviest component of each (which a
group of several components needs, as its covariance is mostly that between its components).
"""

import numpy as np

from taproom.assays.mixtures import Mixture
from taproom.errors import InputError

LEVEL = 0.05
# Of the density at the lower peak: less than that is a valley of the mixture.
VALLEY = 0.75
# Events of the smaller group, from which on that does not count. This and the share were chosen on three labelled sets
# (`benchmarks/bench_populations.py`).
MANY = 1_200
# Places on the way between two components, both of their means included.
WAY = 21
# Places of a valley that are tried, of equal distance, between the centres of two groups.
BINS = 32


def merge(mixture: Mixture, values: np.ndarray, level: float = LEVEL, valley: float = VALLEY) -> np.ndarray:
    """The population of each component: (components,) int32, from 0 by falling weight.

    An event counts for its most likely component. A valley is to come from populations, not from channels that were not
    measured, so only events with all channels count. If a component has none of these, all events do, and valleys are
    looked for in single channels.

    Args:
        mixture: fitted to `values`.
        values: (events, channels) float64, NaN where missing.
        level: groups of components are not merged if that they have one mode is rejected at this level; in 0 to 1.
        valley: nor, if the smaller one has less than 1,200 of the events that count, where the density between them
            falls below this share of that at the lower peak; in 0 to 1.

    Raises:
        InputError: no events, a level that is no probability, or a valley that is no share.
    """
    if not 0 <= valley <= 1:
        raise InputError(f"A valley of {valley} was given for merging; wanted: a share of a density, 0 to 1.")
    if not 0 <= level <= 1:
        raise InputError(f"The level {level} was given for merging; wanted: a probability, 0 to 1.")
    if not len(values):
        raise InputError("No events were given to merge components by; wanted: those that the mixture was fitted to.")
    responsibilities = mixture.responsibilities(values)
    complete = ~np.isnan(values).any(axis=1)
    if complete.any() and responsibilities[complete].sum(axis=0).min() >= 1:
        values, responsibilities = values[complete], responsibilities[complete]
    valleys = _Valleys(mixture, values, responsibilities.argmax(axis=1), level, valley)
    members: list[tuple[int, ...]] = [(component,) for component in range(mixture.components)]
    while pair := _pair_to_merge(responsibilities, members, valleys):
        first, second = pair
        responsibilities[:, first] += responsibilities[:, second]
        responsibilities = np.delete(responsibilities, second, axis=1)
        members[first] = tuple(sorted(members[first] + members.pop(second)))
    return _numbered(members, mixture.weights)


def misclassification(responsibilities: np.ndarray) -> np.ndarray:
    """The probability that an event of one population is taken for one of another.

    >>> misclassification(np.array([[1.0, 0.0], [0.6, 0.4], [0.0, 1.0]])).round(3)
    array([[0.   , 0.286],
           [0.   , 0.   ]])

    Args:
        responsibilities: (events, populations) float64, rows sum to 1.

    Returns:
        (populations, populations) float64: [i, j] is the estimated probability that an event of j is most likely i's,
        with 0 on the diagonal, and for a j that no event belongs to.

    Source: Hennig 2010, section 4.3: the mean of z_j where i is most likely, over the mean of z_j.
    """
    count = responsibilities.shape[1]
    taken_for = responsibilities.argmax(axis=1)
    # Not a matrix product: its order of sums would depend on the number of threads.
    sums = np.column_stack([np.bincount(taken_for, column, minlength=count) for column in responsibilities.T])
    totals = sums.sum(axis=0)
    np.fill_diagonal(sums, 0.0)
    return np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)


def valley_p_value(projected: np.ndarray, first: float, second: float) -> float:
    """How likely so deep a valley between two places is, if the density has one mode: a bound, in 0 to 1.

    The density of one mode does not rise from any place towards both sides. From a cut to `second`, the distribution
    function of the events there is at least that of a uniform distribution if their density does not rise; by the
    largest distance D below it, that has a probability of at most exp(-2 n D^2) (Massart, The Annals of Probability 18,
    1990). The same holds towards `first`, and the larger one of both counts. Of all cuts, the smallest one does, times
    their number (Bonferroni).

    >>> two = np.concatenate([np.linspace(-1, 1, 99), np.linspace(4, 6, 99)])
    >>> valley_p_value(two, 0, 5) < 1e-6, valley_p_value(np.linspace(-1, 6, 99), 0, 5)
    (True, 1.0)

    Args:
        projected: (events,) float64 of both groups; those beyond the two places and NaN do not count.
        first: centre of the one group.
        second: centre of the other; at equal centres there is no valley.
    """
    if first == second:
        return 1.0
    counts, _ = np.histogram((projected - first) / (second - first), BINS, (0.0, 1.0))
    at_cuts = np.maximum(_rise_p_values(counts), _rise_p_values(counts[::-1])[::-1])
    return min(1.0, float(at_cuts.min() * len(at_cuts)))


def _rise_p_values(counts: np.ndarray) -> np.ndarray:
    """For each cut between bins, a bound for the probability of such counts above it, if the density does not rise."""
    bins = len(counts)
    below = np.append(0, np.cumsum(counts))
    cut, end = np.arange(1, bins)[:, None], np.arange(bins + 1)
    events = below[-1] - below[cut]
    share = (below - below[cut]) / np.maximum(events, 1)
    distance = np.where(end >= cut, (end - cut) / (bins - cut) - share, 0.0).max(axis=1)
    return np.exp(-2.0 * events[:, 0] * distance**2)


def saddles(mixture: Mixture) -> np.ndarray:
    """The least log density of the mixture on the way from one component to another: (components, components) float64.

    The way is the ridgeline of the two, on which all modes of these two lie (Ray and Lindsay, The topography of
    multivariate normal mixtures, The Annals of Statistics 33, 2005), at `WAY` places. On the diagonal is the log
    density at the mean. Components in between count: they may fill the valley.

    >>> apart = Mixture([0.5, 0.5], [[0.0], [6.0]], [[[1.0]], [[1.0]]])
    >>> np.exp(saddles(apart)).round(4)
    array([[0.1995, 0.0044],
           [0.0044, 0.1995]])
    """
    precisions = np.linalg.inv(mixture.covariances)
    pulled = np.einsum("kde,ke->kd", precisions, mixture.means)
    share = np.linspace(0, 1, WAY)
    least = np.diag(mixture.log_density(mixture.means))
    for first in range(mixture.components - 1):
        others = slice(first + 1, None)
        weighed, means = (
            np.multiply.outer(1 - share, each[first])[None] + np.multiply.outer(share, each[others]).swapaxes(0, 1)
            for each in (precisions, pulled)
        )
        places = np.linalg.solve(weighed, means[..., None]).reshape(-1, mixture.channels)
        least[first, others] = mixture.log_density(places).reshape(-1, WAY).min(axis=1)
        least[others, first] = least[first, others]
    return least


class _Valleys:
    """Signs of valleys between groups of components, each computed once."""

    def __init__(
        self, mixture: Mixture, values: np.ndarray, components: np.ndarray, level: float, valley: float
    ) -> None:
        """`components` (events,) is the most likely one of each event."""
        self._mixture, self._values, self._saddles, self._level = mixture, values, saddles(mixture), level
        with np.errstate(divide="ignore"):
            self._least_fall = -np.log(valley)
        self._rows = [np.flatnonzero(components == component) for component in range(mixture.components)]
        self._complete = not np.isnan(values).any()
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}

    def between(self, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
        """Whether there is a valley between two groups."""
        events = min(sum(len(self._rows[k]) for k in group) for group in (first, second))
        counts = events < MANY or not self._complete
        return (counts and self.fall(first, second) > self._least_fall) or self.p_value(first, second) <= self._level

    def fall(self, first: tuple[int, ...], second: tuple[int, ...]) -> float:
        """How much lower the log density of the mixture is on the best way than at the lower peak."""
        peaks = min(self._saddles[group, group].max() for group in (list(first), list(second)))
        return float(peaks - self._saddles[np.ix_(first, second)].max())

    def p_value(self, first: tuple[int, ...], second: tuple[int, ...]) -> float:
        """Of the deepest valley in all projections, times their number (Bonferroni)."""
        if (first, second) not in self._known:
            one, other = (self._values[np.concatenate([self._rows[k] for k in group])] for group in (first, second))
            directions = self._directions(first, second)
            found = [_projected_p_value(one, other, direction) for direction in directions]
            self._known[first, second] = min(1.0, min(found) * len(directions))
        return self._known[first, second]

    def _directions(self, first: tuple[int, ...], second: tuple[int, ...]) -> list[np.ndarray]:
        if not self._complete:
            return list(np.eye(self._mixture.channels))
        apart, within = self._between(first, second)
        heaviest = ((min(group, key=lambda k: (-self._mixture.weights[k], k)),) for group in (first, second))
        cores_apart, within_cores = self._between(*heaviest)
        return [
            np.linalg.solve(within, apart),
            apart / np.diagonal(within),
            np.linalg.solve(within_cores, cores_apart),
        ]

    def _between(self, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The difference of the groups' means, and the sum of their covariances."""
        (mean, covariance), (other_mean, other_covariance) = map(self._mixture.moments, (first, second))
        return other_mean - mean, covariance + other_covariance


def _projected_p_value(one: np.ndarray, other: np.ndarray, direction: np.ndarray) -> float:
    # Not a matrix product, as above. NaN are kept out of sums by a direction that is a single channel.
    used = np.flatnonzero(direction)
    one, other = (np.einsum("nd,d->n", part[:, used], direction[used]) for part in (one, other))
    one, other = one[~np.isnan(one)], other[~np.isnan(other)]
    if not len(one) or not len(other):
        return 1.0
    return valley_p_value(np.concatenate([one, other]), float(np.median(one)), float(np.median(other)))


def _pair_to_merge(
    responsibilities: np.ndarray, members: list[tuple[int, ...]], valleys: _Valleys
) -> tuple[int, int] | None:
    """The places of the two groups that are taken for each other most, of those without a valley between them."""
    probabilities = misclassification(responsibilities)
    pairs = np.triu(np.maximum(probabilities, probabilities.T), k=1)
    for place in np.argsort(-pairs, axis=None, kind="stable")[: np.count_nonzero(pairs)]:
        first, second = divmod(int(place), len(members))
        if not valleys.between(members[first], members[second]):
            return first, second
    return None


def _numbered(members: list[tuple[int, ...]], weights: np.ndarray) -> np.ndarray:
    """The population of each component; of equal weights, the population with the first component is first."""
    population = np.empty(len(weights), np.int32)
    for number, group in enumerate(sorted(members, key=lambda group: (-weights[list(group)].sum(), group))):
        population[list(group)] = number
    return population
