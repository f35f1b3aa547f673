"""Events: what an instrument measured of one cell (or any row of numbers), as rows of tables and as a matrix.

Here belongs what lies between a file that was read (`taproom.sources.fcs`, `taproom.sources.plates`) and the numerics:
a sample's rows, which wells there are, which channels all of them are looked at in, and the matrix of these. A channel
is a place in a list, because every instrument has its own; where a sample lacks one, or a number is none, the value is
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

    `rows` tells whose they are (sample, event, plate, well, label), `values` (events, channels) is float64 on the
    transformed scale, NaN where missing; `channels` and `transforms` name its columns and how they were made.
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
        """Each event's plate and well in one word, object, shape (events,)."""
        return pc.binary_join_element_wise(self.rows["plate"], self.rows["well"], " ").to_numpy(zero_copy_only=False)

    def where(self, chosen: np.ndarray) -> "EventMatrix":
        """The events that `chosen` (bool, shape (events,)) picks."""
        return EventMatrix(self.rows.filter(pa.array(chosen)), self.values[chosen], self.channels, self.transforms)

    def take(self, rows: pa.Table) -> "EventMatrix":
        """The events that `rows` names by sample and event, in its order; `InputError` for one not among these."""
        import pandas as pd

        mine, wanted = (
            pd.MultiIndex.from_arrays([each["sample"].to_numpy(), each["event"].to_numpy()])
            for each in (self.rows, rows)
        )
        chosen = mine.get_indexer(wanted)
        if (chosen < 0).any():
            raise InputError(f"there is no event {wanted[chosen.argmin()]}; materialize what names it again.")
        return EventMatrix(self.rows.take(pa.array(chosen)), self.values[chosen], self.channels, self.transforms)

    def labelled(self) -> "EventMatrix":
        """The events that have a label."""
        return self.where(pc.is_valid(self.rows["label"]).to_numpy())

    def places(self, channels: Sequence[str]) -> list[int]:
        """Columns of the named channels. Raises `InputError` for one that is not there."""
        if unknown := [name for name in channels if name not in self.channels]:
            raise InputError(f"there are no channels {unknown}; wanted: some of {list(self.channels)}, see `wells`.")
        return [self.channels.index(name) for name in channels]


def transform_all(values: np.ndarray, transforms: Sequence[str]) -> np.ndarray:
    """Each column of `values` (events, channels) on its transformed scale; infinite values become missing (NaN)."""
    finite = np.where(np.isfinite(values), values, np.nan)
    columns = [transformed(finite[:, place], how) for place, how in enumerate(transforms)]
    return np.column_stack(columns) if columns else finite


def as_lists(values: np.ndarray) -> pa.Array:
    """A list of doubles for each row of `values` (rows, columns); NaN becomes null."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).ravel(), from_pandas=True))


def from_lists(lists: pa.Array | pa.ChunkedArray, width: int) -> np.ndarray:
    """The matrix that `as_lists` made lists of; float64, shape (rows, `width`)."""
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return whole.flatten().to_numpy(zero_copy_only=False).astype(float, copy=False).reshape(len(whole), width)


def compared_channels(
    channels: Iterable[Sequence[str]], transforms: Iterable[Sequence[str]], patterns: Sequence[str] = ()
) -> dict[str, str]:
    """The channels in which samples are compared, each with its transform.

    `channels` and `transforms` are those of each sample. Taken are the channels that match one of `patterns` (as shells
    match names), of any sample: where another lacks one, it is missing. Without patterns, of the channels that all
    samples have, the areas (names that end in -A); where none is one, those that are transformed, and where none is,
    all. Raises `InputError` where fewer than two channels are left or samples disagree on a transform.
    """
    found: dict[str, str] = {}
    channels = list(channels)
    for names, hows in zip(channels, transforms, strict=True):
        for name, how in zip(names, hows, strict=True):
            if found.setdefault(name, how) != how and (not patterns or _matches(name, patterns)):
                raise InputError(
                    f"the channel {name} is {found[name]} in one sample and {how} in another; wanted: one transform. "
                    "Materialize one of them again with the other's `transform`."
                )
    if patterns:
        chosen = [name for name in found if _matches(name, patterns)]
    else:
        common = [name for name in found if all(name in names for names in channels)]
        chosen = _usual_channels({name: found[name] for name in common})
    if len(chosen) < 2:
        how = f"match {list(patterns)}" if patterns else "are in all samples"
        raise InputError(
            f"{len(chosen)} channels {how}; wanted: two at least. There are {list(found)}: set `channels` of `wells`."
        )
    return {name: found[name] for name in chosen}


def widest_channels(values: np.ndarray, channels: Sequence[str], transforms: Sequence[str]) -> list[int]:
    """Places of the two compared channels in which `values` (events, channels) vary most; fewer where there are fewer.

    Channels without two different values have nothing to be seen.
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
    """The areas; where no channel is one, those that are transformed; where none is, all."""
    areas = [name for name in transform_of if name.endswith("-A")]
    return areas or [name for name, how in transform_of.items() if how != "linear"] or list(transform_of)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def roll_up(events: Iterable[pa.RecordBatch], samples: pa.Table, left_out: Sequence[str] = ()) -> list[Mapping]:
    """The wells of all samples but those `left_out`: plate, well, sample, label and number of events, sorted.

    `events` has the columns sample, plate, well and label, `samples` one row a sample with its `content_sha256`. A well
    whose events have several labels has none itself. Raises `InputError` for a sample to leave out that is not there,
    where two samples claim to be one well or are one file, and where there are no events at all.
    """
    if unknown := set(left_out) - set(samples["sample"].to_pylist()):
        raise InputError(f"cannot leave out {sorted(unknown)}: there are no such samples. Mend `leave_out`.")
    parts = [
        pa.table(batch).group_by(["sample", "plate", "well", "label"]).aggregate([([], "count_all")])
        for batch in events
        if batch.num_rows
    ]
    if not parts:
        raise InputError("no sample has any event; see `samples` for the files that could not be read, and why.")
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
                f"{well['sample']} and {row['sample']} are both well {name[1]} of {name[0]}; wanted: one sample a "
                "well. Put one of them into `leave_out` of `wells`."
            )
        well["label"] = well["label"] if well["label"] == row["label"] else None
        well["events"] += row["count_all_sum"]
    if not wells:
        raise InputError("every sample is left out; wanted: one at least. Shorten `leave_out`.")
    return list(wells.values())


def _check_files(samples: pa.Table, left_out: Sequence[str]) -> None:
    """Refuse one file as two samples: a well that was named anew leaves its old name behind."""
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

    `events` has the columns sample, event, plate, well, label and transformed, a sample's rows together; `wells` is
    the table of that name, whose `channels` are the same in every row and whose `places` say where in a sample's lists
    each one is (null: not measured).
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
