"""Events of wells for a page: where each event belongs, and the values of those that are shown."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.sources.events import from_lists


@dataclass(frozen=True)
class ShownEvents:
    """All events, by ascending `keys` (events,), and the values of the shown ones.

    `well` (events,) is the place of each event's well, and `place` (events,) its place among the shown ones, -1 for an
    event that is not shown. `values` (shown, channels) are on the transformed scale, NaN where missing; wells are in
    their order.
    """

    samples: pa.Array
    keys: np.ndarray
    well: np.ndarray
    place: np.ndarray
    values: np.ndarray

    def find(self, rows: pa.RecordBatch) -> np.ndarray:
        """The place among all events of each row (sample, event); -1 for one that is not among them."""
        keys = _keys(rows, self.samples)
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)


def read_events(batches: Iterable[pa.RecordBatch], wells: pa.Table, most: int) -> ShownEvents:
    """The events of `wells`, with the values of at most `most` of each well, evenly spread over its events."""
    samples = wells["sample"].combine_chunks().unique()
    names, counts = _well_names(wells), wells["events"].to_numpy()
    places_of = [np.array([-1 if place is None else place for place in row]) for row in wells["places"].to_pylist()]
    seen = np.zeros(len(wells), np.int64)
    keys, well, chosen_well, chosen_keys, values = [], [], [], [], []
    for batch in batches:
        of_well = pc.fill_null(pc.index_in(_well_names(batch), value_set=names), -1).to_numpy()
        batch_keys = _keys(batch, samples)
        for each in np.unique(of_well[of_well >= 0]):
            rows = np.flatnonzero(of_well == each)
            rank, shown = seen[each] + np.arange(len(rows)), min(most, counts[each])
            seen[each] += len(rows)
            chosen = rows[rank * shown // counts[each] != (rank + 1) * shown // counts[each]]
            keys.append(batch_keys[rows])
            well.append(np.full(len(rows), each))
            chosen_keys.append(batch_keys[chosen])
            chosen_well.append(np.full(len(chosen), each))
            values.append(_measured(batch["transformed"].take(pa.array(chosen)), places_of[each]))
    all_keys, all_wells = np.concatenate(keys), np.concatenate(well)
    order = np.argsort(all_keys)
    shown_keys = np.concatenate(chosen_keys)
    shown_order = np.lexsort((shown_keys, np.concatenate(chosen_well)))
    place = np.full(len(order), -1)
    place[np.searchsorted(all_keys[order], shown_keys[shown_order])] = np.arange(len(shown_order))
    return ShownEvents(samples, all_keys[order], all_wells[order], place, np.concatenate(values)[shown_order])


def _keys(rows: pa.RecordBatch, samples: pa.Array) -> np.ndarray:
    """A number for each (sample, event), in the order of `samples`; -1 for another sample."""
    codes = pc.fill_null(pc.index_in(rows["sample"], value_set=samples), -1).to_numpy().astype(np.int64)
    return np.where(codes < 0, -1, (codes << 40) + rows["event"].to_numpy())


def _well_names(rows: pa.Table | pa.RecordBatch) -> pa.Array:
    joined = pc.binary_join_element_wise(rows["sample"], rows["plate"], rows["well"], "\0")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _measured(lists: pa.Array, places: np.ndarray) -> np.ndarray:
    """The values of a sample's events at `places` in their lists; NaN where missing and at the place -1."""
    if not len(lists):
        return np.empty((0, len(places)))
    values = from_lists(lists, len(lists[0]))
    return np.where(places < 0, np.nan, values[:, places])
