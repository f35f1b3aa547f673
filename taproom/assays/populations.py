"""Components of a mixture merged into populations of cells.

BIC counts the Gaussians that a density needs, and a population of cells is no Gaussian: bent or skewed, it takes some.
Here belongs which components are one population; the mixture itself stays as it is.

Components are merged by directly estimated misclassification probabilities: how often an event of one population would
be taken for one of another. The pair with the highest probability becomes one population, and so on until all are low.

Source: Hennig, Methods for merging Gaussian mixture components, Advances in Data Analysis and Classification 4, 2010
(DEMP). The other candidate was the entropy of the classification (Baudry, Raftery, Celeux, Lo and Gottardo, Combining
Mixture Components for Clustering, Journal of Computational and Graphical Statistics 19, 2010; for cytometry Finak,
Bashashati, Brinkmann and Gottardo, Advances in Bioinformatics, 2009). It sums over events, so that large populations
swallow a smaller one before that one's own pieces have joined: of 110,000 bacteria in 16 components, the dim yellow
ones (12 %) join the dark ones (62 %) while the bright yellow and the red ones are still in pieces. Misclassification is
relative to each population's own size, so that rare ones count as much as common ones; and its threshold is a
probability, which a reader can judge, where the entropy needs the place at which a curve bends.

Hennig proposes a threshold of 0.025 and says that it should depend on which populations are to be separated. In fits of
16 to 22 components to these bacteria (5 channels), populations with a visible gap between them (dark, dim yellow,
bright yellow, the red ones of either day) have probabilities up to 0.052, and pieces of one cloud, when they are
merged, 0.072 and more. Hence the default of 0.06; with 0.025 the dim yellow ones are lost. Fewer components leave gaps
less clear.
"""

from dataclasses import dataclass

import numpy as np

from taproom.assays.mixtures import Mixture
from taproom.errors import InputError

MERGE_ABOVE = 0.06


@dataclass(frozen=True)
class Merge:
    """Two populations that became one, each as the numbers of its components, in ascending order.

    `probability` is the larger of those that an event of the one is taken for the other's; `populations` are left.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    probability: float
    populations: int


def merge(mixture: Mixture, values: np.ndarray, threshold: float = MERGE_ABOVE) -> np.ndarray:
    """The population of each component: (components,) int32, from 0 by falling weight.

    Args:
        mixture: fitted to `values`.
        values: (events, channels) float64, NaN where missing; see `merges` for how these count.
        threshold: populations are merged while the probability that an event of one is taken for another's is above
            this; in 0 to 1.

    Raises:
        InputError: no events, or a threshold that is no probability.
    """
    return populations_of(mixture.weights, merges(mixture, values), threshold)


def merges(mixture: Mixture, values: np.ndarray) -> tuple[Merge, ...]:
    """All merges, first to last, down to one population.

    An event belongs to a merged population by the sum of its components' responsibilities, and is taken for the one
    that it belongs to most.

    Misclassification is to come from populations that overlap, not from channels that were not measured, so only events
    with all channels count, unless a component has none of these; then all events do.

    Args:
        mixture: as for `merge`.
        values: as for `merge`.

    Raises:
        InputError: no events.
    """
    responsibilities = _responsibilities(mixture, values)
    members: list[tuple[int, ...]] = [(component,) for component in range(mixture.components)]
    history = []
    while len(members) > 1:
        probabilities = misclassification(responsibilities)
        pairs = np.triu(np.maximum(probabilities, probabilities.T), k=1)
        first, second = divmod(int(pairs.argmax()), len(members))
        if pairs[first, second] == 0:  # no overlap at all: the upper triangle's first pair
            first, second = 0, 1
        history.append(Merge(members[first], members[second], float(pairs[first, second]), len(members) - 1))
        responsibilities[:, first] += responsibilities[:, second]
        responsibilities = np.delete(responsibilities, second, axis=1)
        members[first] = tuple(sorted(members[first] + members.pop(second)))
    return tuple(history)


def populations_of(weights: np.ndarray, history: tuple[Merge, ...], threshold: float = MERGE_ABOVE) -> np.ndarray:
    """The population of each component, from 0 by falling weight, after the merges above the threshold.

    Args:
        weights: (components,), the mixture's.
        history: what `merges` gave for that mixture.
        threshold: as for `merge`.

    Returns:
        (components,) int32; of populations with equal weights, the one with the first component is first.

    Raises:
        InputError: a threshold that is no probability.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"The threshold {threshold} was given for merging; wanted: a probability, 0 to 1.")
    population = np.arange(len(weights))
    for step in history:
        # The first merge that is too unlikely ends it, even if a later one is likelier: that one presumes this one.
        if step.probability <= threshold:
            break
        population[list(step.second)] = population[step.first[0]]
    _, first, population = np.unique(population, return_index=True, return_inverse=True)
    order = np.lexsort((first, -np.bincount(population, weights)))
    return np.argsort(order)[population].astype(np.int32)


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


def _responsibilities(mixture: Mixture, values: np.ndarray) -> np.ndarray:
    if not len(values):
        raise InputError("No events were given to merge components by; wanted: those that the mixture was fitted to.")
    responsibilities = mixture.responsibilities(values)
    complete = responsibilities[~np.isnan(values).any(axis=1)]
    return complete if len(complete) and complete.sum(axis=0).min() >= 1 else responsibilities
