"""Events (what an instrument measured of a cell, or any row of numbers) as rows of tables and as a matrix.

Here belongs what is between reading a file (`taproom.sources.fcs`, `taproom.sources.plates`) and the numerics: the rows
of a sample, the list of wells, the channels that wells are compared in, and the matrix of these. Every instrument has
its own channels, so a channel is a place in a list. Where a sample lacks a channel, or a value is not a number, it is
missing: null in tables, NaN in arrays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError
from taproom.sources.cytometry import transformed


@dataclass(frozen=True)
class EventMatrix:
    """Events in the channels that wells are compared in.

    `rows` (sample, event, plate, well, label) identifies them; `values` (events, channels) is float64 on the
    transformed scale, NaN where missing; `channels` and `transforms` are the names and transforms of its columns.
    """

    rows: pa.Table
    values: np.ndarray
    channels: tuple[str, ...]
    transforms: tuple[str, ...]

    @cached_property
    def labels(self) -> np.ndarray:
        """Each event's label, object, shape (events,); None where it has none."""
        return self.rows["label"].to_numpy(zero_copy_only=False)

    @cached_property
    def wells(self) -> np.ndarray:
        """Each event's plate and well in one text, object, shape (events,)."""
        return pc.binary_join_element_wise(self.rows["plate"], self.rows["well"], " ").to_numpy(zero_copy_only=False)

    def where(self, chosen: np.ndarray) -> "EventMatrix":
        """The events for which `chosen` (bool, shape (events,)) is true."""
        return EventMatrix(self.rows.filter(pa.array(chosen)), self.values[chosen], self.channels, self.transforms)

    def take(self, rows: pa.Table) -> "EventMatrix":
        """The events of `rows` (sample, event), in its order. Raises `InputError` when one is not among these."""
        import pandas as pd

        mine, wanted = (
            pd.MultiIndex.from_arrays([each["sample"].to_numpy(), each["event"].to_numpy()])
            for each in (self.rows, rows)
        )
        chosen = mine.get_indexer(wanted)
        if (chosen < 0).any():
            raise InputError(f"there is no event {wanted[chosen.argmin()]}; materialize the table that has it again.")
        return EventMatrix(self.rows.take(pa.array(chosen)), self.values[chosen], self.channels, self.transforms)

    def labelled(self) -> "EventMatrix":
        """The events that have a label."""
        return self.where(pc.is_valid(self.rows["label"]).to_numpy())

    def places(self, channels: Sequence[str]) -> list[int]:
        """The columns of `values` with these channels. Raises `InputError` when there is no such channel."""
        if unknown := [name for name in channels if name not in self.channels]:
            raise InputError(f"there are no channels {unknown}; wanted: some of {list(self.channels)}, see `wells`.")
        return [self.channels.index(name) for name in channels]


def transform_all(values: np.ndarray, transforms: Sequence[str]) -> np.ndarray:
    """Each column of `values` (events, channels) on its transformed scale; infinite values become missing (NaN).

    >>> transform_all(np.array([[1.0, 150.0], [np.inf, 0.0]]), ["linear", "arcsinh(150)"]).round(3)
    array([[1.   , 0.881],
           [  nan, 0.   ]])
    """
    finite = np.where(np.isfinite(values), values, np.nan)
    columns = [transformed(finite[:, place], how) for place, how in enumerate(transforms)]
    return np.column_stack(columns) if columns else finite


def as_lists(values: np.ndarray) -> pa.Array:
    """A list of doubles for each row of `values` (rows, columns); NaN becomes null.

    >>> as_lists(np.array([[1.0, np.nan]])).to_pylist()
    [[1.0, None]]
    """
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).ravel(), from_pandas=True))


def from_lists(lists: pa.Array | pa.ChunkedArray, width: int) -> np.ndarray:
    """The matrix of the lists that `as_lists` makes; float64, shape (rows, `width`).

    >>> from_lists(pa.array([[1.0, None], [3.0, 4.0]]), width=2)
    array([[ 1., nan],
           [ 3.,  4.]])
    """
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return whole.flatten().to_numpy(zero_copy_only=False).astype(float, copy=False).reshape(len(whole), width)


def compared_channels(
    channels: Iterable[Sequence[str]], transforms: Iterable[Sequence[str]], patterns: Sequence[str] = ()
) -> dict[str, str]:
    """The channels in which samples are compared, each with its transform.

    `channels` and `transforms` are those of each sample. With `patterns` (those of a shell), the channels that match
    one, of any sample; values of a sample without such a channel are missing. Without patterns, of the channels that
    all samples have: the areas (names that end in -A), or if there are none, those that are not linear, or if there are
    none, all.

    Raises `InputError` when fewer than two channels are left, or samples differ in a channel's transform.

    >>> compared_channels([["Time", "FL1-A", "FL2-A"]], [["linear", "arcsinh(150)", "arcsinh(150)"]])
    {'FL1-A': 'arcsinh(150)', 'FL2-A': 'arcsinh(150)'}
    """
    found: dict[str, str] = {}
    channels = list(channels)
    for names, hows in zip(channels, transforms, strict=True):
        for name, how in zip(names, hows, strict=True):
            if found.setdefault(name, how) != how and (not patterns or _matches(name, patterns)):
                raise InputError(
                    f"the channel {name} is {found[name]} in one sample and {how} in another; wanted: one transform. "
                    "Materialize one of them again with the `transform` of the other."
                )
    if patterns:
        chosen = [name for name in found if _matches(name, patterns)]
    else:
        common = [name for name in found if all(name in names for names in channels)]
        chosen = _usual_channels({name: found[name] for name in common})
    if len(chosen) < 2:
        how = f"match {list(patterns)}" if patterns else "are in all samples"
        raise InputError(
            f"{len(chosen)} channels {how}; wanted: at least two. There are {list(found)}: set `channels` of `wells`."
        )
    return {name: found[name] for name in chosen}


def widest_channels(values: np.ndarray, channels: Sequence[str], transforms: Sequence[str]) -> list[int]:
    """The columns of the two compared channels in which `values` (events, channels) vary most.

    Channels that do not vary are left out, so there may be fewer.

    >>> values = np.array([[0.0, 1, 5, 2], [9, 3, 6, 2], [0, 5, 5, 2]])
    >>> widest_channels(values, ["Time", "a-A", "b-A", "c-A"], 4 * ["linear"])
    [1, 2]
    """
    if not len(values):
        return []
    spread = np.nanstd(values[:, ~np.isnan(values).all(axis=0)], axis=0)
    of_channel = np.zeros(len(channels))
    of_channel[~np.isnan(values).all(axis=0)] = spread
    usual = _usual_channels(dict(zip(channels, transforms, strict=True)))
    compared = [list(channels).index(name) for name in usual]
    return sorted((place for place in compared if of_channel[place]), key=lambda place: -of_channel[place])[:2]


def _usual_channels(transform_of: Mapping[str, str]) -> list[str]:
    """The areas; if there are none, the channels that are not linear; if there are none, all."""
    areas = [name for name in transform_of if name.endswith("-A")]
    return areas or [name for name, how in transform_of.items() if how != "linear"] or list(transform_of)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def roll_up(events: Iterable[pa.RecordBatch], samples: pa.Table, left_out: Sequence[str] = ()) -> list[Mapping]:
    """The wells of all samples except those `left_out`: plate, well, sample, label and number of events, sorted.

    `events` has the columns sample, plate, well and label, `samples` a row with the `content_sha256` of each sample. A
    well whose events have several labels has none itself.

    Raises `InputError` when a sample to leave out does not exist, two samples are the same well or the same file, or
    there are no events.

    >>> events = pa.record_batch({"sample": ["s"] * 2, "plate": ["P1"] * 2, "well": ["A1"] * 2, "label": ["x"] * 2})
    >>> (well,) = roll_up([events], pa.table({"sample": ["s"], "content_sha256": ["0" * 64]}))
    >>> well["plate"], well["well"], well["label"], well["events"]
    ('P1', 'A1', 'x', 2)
    """
    if unknown := set(left_out) - set(samples["sample"].to_pylist()):
        raise InputError(f"cannot leave out {sorted(unknown)}: there are no such samples. Correct `leave_out`.")
    parts = [
        pa.table(batch).group_by(["sample", "plate", "well", "label"]).aggregate([([], "count_all")])
        for batch in events
        if batch.num_rows
    ]
    if not parts:
        raise InputError("no sample has any event; the table `samples` says which files could not be read, and why.")
    counted = pa.concat_tables(parts).group_by(["sample", "plate", "well", "label"]).aggregate([("count_all", "sum")])
    _check_files(samples, left_out)
    wells: dict[tuple[str, str], dict] = {}
    for row in counted.sort_by([(name, "ascending") for name in ("plate", "well", "sample", "label")]).to_pylist():
        if row["sample"] in left_out:
            continue
        name = (row["plate"], row["well"])
        well = wells.setdefault(name, {**row, "events": 0})
        if well["sample"] != row["sample"]:
            raise InputError(
                f"{well['sample']} and {row['sample']} are both well {name[1]} of {name[0]}; wanted: one sample for "
                "each well. Put one of them into `leave_out` of `wells`."
            )
        well["label"] = well["label"] if well["label"] == row["label"] else None
        well["events"] += row["count_all_sum"]
    if not wells:
        raise InputError("every sample is left out; wanted: at least one. Shorten `leave_out`.")
    return list(wells.values())


def _check_files(samples: pa.Table, left_out: Sequence[str]) -> None:
    """Refuse one file as two samples: when a well is renamed, the sample with its old name remains."""
    first_of: dict[str, str] = {}
    for row in samples.sort_by("sample").select(["sample", "content_sha256"]).to_pylist():
        sample = row["sample"]
        if sample in left_out:
            continue
        if (first := first_of.setdefault(row["content_sha256"], sample)) != sample:
            raise InputError(
                f"{first} and {sample} are the same file; wanted: each file once. Put the one with the wrong name into "
                "`leave_out` of `wells`."
            )


def event_matrix(events: pa.Table, wells: pa.Table) -> EventMatrix:
    """The events of all `wells` in the channels that these are compared in.

    `events` has the columns sample, event, plate, well, label and transformed, with the rows of a sample together.
    `wells` is the table of that name: its `channels` are the same in every row, and its `places` are the positions of
    these in the lists of the sample (null: not measured). Raises `InputError` when no well has events.
    """
    channels, transforms = (tuple(wells[name][0].as_py()) for name in ("channels", "transforms"))
    places = dict(zip(wells["sample"].to_pylist(), wells["places"].to_pylist(), strict=True))
    names = pc.run_end_encode(events["sample"].combine_chunks())
    ends = names.run_ends.to_pylist()
    rows, values = [], []
    for sample, start, end in zip(names.values.to_pylist(), [0, *ends], ends, strict=False):
        if sample not in places:
            continue
        part = events.slice(start, end - start)
        width = len(part["transformed"][0])
        measured = from_lists(part["transformed"], width)
        absent = np.full((len(part), 1), np.nan)
        values.append(np.hstack([absent if place is None else measured[:, [place]] for place in places[sample]]))
        rows.append(part.drop_columns("transformed"))
    if not rows:
        raise InputError("the wells' samples have no events; materialize `wells` again.")
    return EventMatrix(pa.concat_tables(rows), np.vstack(values), channels, transforms)
