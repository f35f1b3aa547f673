"""The objective of the search for class mixtures: log loss on wells that the mixtures are not fitted to.

The labelled events are divided in two parts, one that settings are searched on and a fresh one. Each is evaluated by
itself: every well in turn is left out, mixtures are fitted to the others, and the Bayes rule with uniform priors gives
the posteriors of the true classes. This is the product's own `cross_fit`, so a setting is judged by the fits that the
product would make. It needs two wells of each class in either part. If every class has four wells, the parts consist of
whole wells; if one has fewer (plates often have two or three), the events of each well are divided. Then fresh events
are still held out from fits of other wells and were in no fit of the search, but the wells are the same, so a setting
that is better for these wells may be a little less so for others.

Events of one well resemble each other: 2,000 events hold less information than 2,000 wells would. The units of the
fresh part are therefore wells, with equal weights. With fewer than five wells no difference would be significant; wells
are then divided into folds, and the result holds for these wells only.

Source: the deck's Bayes rule, as in `taproom.assays.class_mixtures`; log loss as in `taproom.assays.classifiers`.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.special import log_softmax

from taproom.assays.class_mixtures import ClassParameters, cross_fit
from taproom.assays.held_out_wells import FOLDS, LabelledEvents, balanced_rows, checked_events
from taproom.assays.plate_scales import aligned
from taproom.errors import InputError
from taproom.search.space import Parameters
from taproom.sources.events import event_matrix

# Of each class, so that two are on either side.
WELLS_TO_PART = 4
# So many wells are units; of fewer, the folds are.
WELLS_AS_UNITS = 5
MOST_EVENTS_PER_WELL = ClassParameters().events_per_well


@dataclass(frozen=True, eq=False)
class ClassMixturesObjective:
    """The log loss on left-out wells, in nats, wells alike; lower is better. The budget is the number of events a well.

    Attributes:
        searched: what `score` fits to and judges on, well by well.
        fresh: the same of `fresh_scores`.
    """

    searched: LabelledEvents
    fresh: LabelledEvents

    @classmethod
    def of(cls, events: pa.Table, wells: pa.Table, plate_scales: pa.Table, seed: int) -> "ClassMixturesObjective":
        """From the tables of these names. Raises `InputError` as `parted` and `aligned`."""
        matrix = aligned(event_matrix(events, wells), plate_scales).labelled()
        return cls.parted(matrix.values, matrix.labels, matrix.wells, seed)

    @classmethod
    def parted(cls, values: np.ndarray, labels: np.ndarray, wells: np.ndarray, seed: int) -> "ClassMixturesObjective":
        """From values (n, d), labels (n,) and wells (n,) of events.

        Raises `InputError` where there are no two classes, or a class has a single event.
        """
        given = checked_events(LabelledEvents(values, labels, wells))
        name, least = min(Counter(given.labels.tolist()).items(), key=lambda counted: counted[1])
        if least < 2:
            raise InputError(f"There is a single event of the class {name}; wanted: two at least, many if possible.")
        is_fresh = _fresh(given, seed)
        return cls(_drawn(given.where(~is_fresh), seed), _drawn(given.where(is_fresh), seed))

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The mean over wells of the searched part. Raises `InputError` as `cross_fit`."""
        return float(_log_losses(self.searched, parameters, budget, seed).mean())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The log loss of each well of the fresh part (below five wells, of each fold): (units,). Raises as `score`."""
        return _log_losses(self.fresh, parameters, budget, seed)


def _fresh(given: LabelledEvents, seed: int) -> np.ndarray:
    """A mask of the fresh events: half of each class's wells, or half of the events of each class in each well."""
    random = np.random.default_rng(seed)
    pairs = sorted(set(zip(given.labels.tolist(), given.wells.tolist(), strict=True)))
    wells_of = Counter(label for label, _ in pairs)
    pure = len(pairs) == len({well for _, well in pairs})
    if pure and min(wells_of.values()) >= WELLS_TO_PART:
        of_class = {name: [well for label, well in pairs if label == name] for name in wells_of}
        chosen = [well for wells in of_class.values() for well in random.permutation(wells)[: len(wells) // 2]]
        return np.isin(given.wells, chosen)
    fresh = np.zeros(len(given.wells), bool)
    carried = dict.fromkeys(wells_of, 0)
    for label, well in pairs:
        rows = random.permutation(np.flatnonzero((given.labels == label) & (given.wells == well)))
        # What an odd number leaves over goes to either part in turn, so that no class has all of it in one.
        half, carried[label] = divmod(len(rows) + carried[label], 2)
        fresh[rows[:half]] = True
    return fresh


def _drawn(part: LabelledEvents, seed: int) -> LabelledEvents:
    return part.where(balanced_rows(part.labels, part.wells, MOST_EVENTS_PER_WELL, seed))


def _log_losses(part: LabelledEvents, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
    """Mean log loss of each unit, by mixtures that have not seen its well: (units,) float64."""
    settled = ClassParameters(**{"events_per_well": budget, "seed": seed, **parameters})
    crossed = cross_fit(part, settled, n_jobs=1)
    log_posteriors = log_softmax(crossed.log_densities, axis=1)[np.arange(len(crossed.rows)), crossed.classes_of]
    # As in the comparison of classifiers: to be sure and wrong is not infinitely bad.
    losses = -np.maximum(log_posteriors, np.log(np.finfo(np.float64).eps))
    units = _units(crossed.wells)
    return np.bincount(units, losses) / np.bincount(units)


def _units(wells: np.ndarray) -> np.ndarray:
    """Numbers of the units that events are of, from 0: (n,) int64."""
    names, well_of = np.unique(wells, return_inverse=True)
    if len(names) >= WELLS_AS_UNITS:
        return well_of
    fold_of = np.zeros(len(wells), np.int64)
    for place in range(len(names)):
        inside = well_of == place
        fold_of[inside] = np.arange(inside.sum()) % FOLDS
    return np.unique(well_of * FOLDS + fold_of, return_inverse=True)[1]
