"""A sample: the events of one file, in any format, with what is known about them.

Here belongs what FCS files (`taproom.sources.fcs`) and tables (`taproom.sources.plates`) have in common, on the scales
of `taproom.sources.cytometry`. A damaged or hostile FCS file is a sample without events, and with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taproom.errors import InputError, SourceError, TaproomError
from taproom.sources.cytometry import compensated, transforms_of
from taproom.sources.fcs import read_fcs
from taproom.sources.fcs_header import Damage, FcsError
from taproom.sources.inbox import file_sha256
from taproom.sources.plates import Well, read_events_table

FCS_TRANSFORM, TABLE_TRANSFORM = "arcsinh(150)", "linear"


@dataclass(frozen=True)
class Sample:
    """The events of a file.

    `values` (events, channels) is float64, NaN or infinite where they are in the file; `plates`, `wells` and `labels`
    (events,) are texts, a label None where unknown. `transforms` names a scale for each of `channels`. `compensation`
    describes the spillover matrix that was applied, `repairs` where an FCS file departs from the standard and what was
    made of that, `damage` why the file was not read, `detail` what was found in it.
    """

    file: str
    content_sha256: str
    values: np.ndarray
    channels: tuple[str, ...]
    transforms: tuple[str, ...]
    plates: Sequence[str]
    wells: Sequence[str]
    labels: Sequence[str | None]
    instrument: str | None = None
    date: str | None = None
    compensation: str | None = None
    repairs: Sequence[str] = ()
    damage: str | None = None
    detail: str | None = None


def fcs_sample(
    path: Path,
    well: Well,
    transform: str | None,
    linear: Sequence[str],
    compensate: bool,
    data_set: int | None = None,
) -> Sample:
    """The events of an FCS file, all of one well; no events, and the reason, when the file is damaged.

    `transform` (by default arcsinh(150)) is the scale of all channels except those that match a pattern of `linear`.
    With `compensate`, events are compensated where the file has a spillover matrix. `data_set` is that of
    `taproom.sources.fcs.read_fcs`.
    """
    try:
        recording = read_fcs(path, data_set=data_set)
        values = compensated(recording) if compensate else recording.values
    except FcsError as error:
        return _unread(path, str(error.damage), error)
    except InputError as error:
        return _unread(path, str(Damage.SPILLOVER), error)
    count = len(values)
    return Sample(
        file=path.name,
        content_sha256=file_sha256(path),
        values=values,
        channels=recording.channels,
        transforms=transforms_of(recording.channels, transform or FCS_TRANSFORM, linear),
        plates=[well.plate] * count,
        wells=[well.well] * count,
        labels=[well.label] * count,
        instrument=recording.instrument,
        date=recording.date,
        compensation=str(recording.spillover) if compensate and recording.spillover else None,
        repairs=recording.repairs,
    )


def _unread(path: Path, damage: str, error: TaproomError) -> Sample:
    return Sample(path.name, file_sha256(path), np.empty((0, 0)), (), (), [], [], [], damage=damage, detail=str(error))


def table_sample(
    path: Path, well: Well, columns: Mapping[str, str], transform: str | None, linear: Sequence[str]
) -> Sample:
    """The events of a table; no events, and the reason, when the file cannot be read as one.

    `columns` names the columns of plate, well and label; what it does not name is that of `well`. `transform` (by
    default linear) and `linear` are as in `fcs_sample`. Raises `SourceError` when `columns` has another key.
    """
    if unknown := columns.keys() - {"plate", "well", "label"}:
        raise SourceError(f"events: columns names {sorted(unknown)}; wanted: plate, well or label, each with a column.")
    try:
        table = read_events_table(path, **columns)
    except SourceError as error:
        return _unread(path, "unreadable", error)
    count = len(table.values)
    return Sample(
        file=path.name,
        content_sha256=file_sha256(path),
        values=table.values,
        channels=table.channels,
        transforms=transforms_of(table.channels, transform or TABLE_TRANSFORM, linear),
        plates=[well.plate] * count if table.plates is None else table.plates,
        wells=[well.well] * count if table.wells is None else table.wells,
        labels=[well.label] * count if table.labels is None else table.labels,
        detail=f"left out {', '.join(table.left_out)}: no numbers" if table.left_out else None,
    )
