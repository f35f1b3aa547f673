"""Labelled events, well by well: how many of each well are used, and in which groups they are left out.

Here belong the checks of labelled events, the balanced sample of wells and the groups for cross-validation. What is
fitted to the events is in `taproom.assays.class_mixtures` and `taproom.assays.classifiers`.

A label is given to a well, and events of one well resemble each other. So the wells of a class have equal weight, and
a well is left out as a whole.
"""

from dataclasses import dataclass

import numpy as np

from taproom.assays.mixtures import checked_values
from taproom.errors import InputError

# A well that is the only one of a class cannot be left out; so many folds of its events are instead.
FOLDS = 5


@dataclass(frozen=True, eq=False)
class LabelledEvents:
    """Events, each with its class and its well.

    Attributes:
        values: (n, d) float64, NaN where missing.
        labels: (n,) str, the class of each event.
        wells: (n,) str, the well of each event, unique over plates.
    """

    values: np.ndarray
    labels: np.ndarray
    wells: np.ndarray

    def where(self, rows: np.ndarray) -> "LabelledEvents":
        """These rows (a mask, or their places)."""
        return LabelledEvents(self.values[rows], self.labels[rows], self.wells[rows])


def checked_events(events: LabelledEvents) -> LabelledEvents:
    """The same as float64 (n, d) and two str arrays (n,).

    Raises:
        InputError: no events, shapes that differ, infinite values, labels or wells that are no strings, or one class.
    """
    values = checked_values(events.values)
    names = []
    for what, given in (("label", events.labels), ("well", events.wells)):
        given = np.asarray(given)
        if given.shape != values.shape[:1]:
            raise InputError(f"{len(values)} events came with {given.shape} {what}s; wanted: one for each event.")
        if missing := sum(not isinstance(name, str) for name in given.tolist()):
            raise InputError(f"{missing} of {len(values)} events have no {what}. Leave them out, or name it.")
        names.append(given.astype(str))
    if not len(values):
        raise InputError("No event has a label, so there are no classes to fit. Give labelled events.")
    if (names[0] == names[0][0]).all():
        raise InputError(f"All labelled events are of the class {names[0][0]}; wanted: two classes or more.")
    return LabelledEvents(values, names[0], names[1])


def balanced_rows(labels: np.ndarray, wells: np.ndarray, events_per_well: int, seed: int) -> np.ndarray:
    """Places of the same number of events from each well of a class, ascending: (m,) int64.

    >>> balanced_rows(np.array(["a", "a", "a", "b"]), np.array(["w1", "w1", "w2", "w3"]), 10, seed=0)
    array([0, 2, 3])

    Args:
        labels: (n,) str.
        wells: (n,) str.
        events_per_well: at most so many; the well of the class with the fewest events limits them too.
        seed: of the draws, which depend only on the seed, the events of the well and the number that is drawn.
    """
    chosen = []
    for name in np.unique(labels):
        of_wells = [np.flatnonzero((labels == name) & (wells == well)) for well in np.unique(wells[labels == name])]
        events = min(events_per_well, *map(len, of_wells))
        chosen += [np.random.default_rng(seed).permutation(rows)[:events] for rows in of_wells]
    return np.sort(np.concatenate(chosen))


def left_out_groups(labels: np.ndarray, wells: np.ndarray) -> np.ndarray:
    """Numbers of the groups in which events are left out, from 0: (n,) int64.

    A group is a well. A well that is the only one of some class is divided into `FOLDS` folds instead, of which each is
    a group: fold i has the events i, i + FOLDS and so on of the well.

    >>> left_out_groups(np.array(["a", "a", "b", "b"]), np.array(["w1", "w2", "w3", "w3"]))
    array([0, 1, 2, 3])
    """
    _, well_of = np.unique(wells, return_inverse=True)
    fold_of = np.zeros(len(wells), np.int64)
    for well in only_wells(labels, wells):
        inside = wells == well
        fold_of[inside] = np.arange(inside.sum()) % FOLDS
    return np.unique(well_of * FOLDS + fold_of, return_inverse=True)[1]


def only_wells(labels: np.ndarray, wells: np.ndarray) -> dict[str, str]:
    """Wells that are the only one of some class, each with the first such class.

    >>> only_wells(np.array(["a", "a", "b"]), np.array(["w1", "w2", "w3"]))
    {'w3': 'b'}
    """
    found: dict[str, str] = {}
    for name in np.unique(labels):
        of_class = np.unique(wells[labels == name])
        if len(of_class) == 1:
            found.setdefault(str(of_class[0]), str(name))
    return found
