"""Recordings of flow cytometers, from files of the Flow Cytometry Standard (FCS).

Here belongs the way from a file to a `Recording`, each step of which has a module of its own:

- bytes to keywords: `taproom.sources.fcs_text`
- keywords to the place of the events, checked: `taproom.sources.fcs_data`
- keywords and bytes to a matrix: `taproom.sources.fcs_process`, which runs FlowIO in a process with limits
- keywords and matrix to named channels on the linear scale: `taproom.sources.fcs_channels`

What is done with a recording is in `taproom.sources.cytometry`. Files come from people and may be damaged or hostile.
Each is either read whole or refused with an `FcsError` (`taproom.sources.fcs_damage`).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taproom.sources.fcs_channels import Spillover, channel_names, scale_linearly, spillover_of
from taproom.sources.fcs_data import find_data
from taproom.sources.fcs_process import DEFAULT_LIMITS, Limits, read_matrix
from taproom.sources.fcs_text import Keywords, read_header

# The standard's keyword first. Then those of others: BD, Guava, and MACSQuant, which calls the well the source.
WELL_KEYWORDS = ("WELLID", "WELL ID", "BDPMWELL", "GTIWELL", "SRC")

_WELL = re.compile(r"[A-Z]{1,2}0*[1-9]\d?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Recording:
    """What an instrument recorded.

    `values` (events, channels) is float64, on the linear scale, not compensated. `instrument` is $CYT, `date` $DATE as
    it is written; `well` is $WELLID, or the value of another keyword that looks like a well. None where the file has
    none.
    """

    channels: tuple[str, ...]
    values: np.ndarray
    instrument: str | None
    date: str | None
    well: str | None
    spillover: Spillover | None
    version: str


def read_fcs(path: Path, limits: Limits = DEFAULT_LIMITS) -> Recording:
    """Read one FCS file (2.0 to 3.2, list mode, one data set) whole.

    Values are on the linear scale (`taproom.sources.fcs_channels.scale_linearly`); NaN and infinity in the file stay.
    Names of channels are $PnN, made unique. A spillover matrix that FlowUtils cannot read counts as none, with a
    warning in the log.

    Raises `FcsError` when the file is damaged, is of a kind that FlowIO does not read, or takes more than `limits`;
    `SourceError` when this machine has no room.
    """
    header = read_header(path)
    data = find_data(header)
    keywords = header.keywords
    values = read_matrix(header, data, limits)
    scale_linearly(keywords, data.channels, values)
    return Recording(
        channels=channel_names(data.channels),
        values=values,
        instrument=keywords.stripped("CYT") or None,
        date=keywords.stripped("DATE") or None,
        well=_well(keywords),
        spillover=spillover_of(keywords),
        version=header.version,
    )


def _well(keywords: Keywords) -> str | None:
    values = map(keywords.stripped, WELL_KEYWORDS)
    return next((value for value in values if _WELL.fullmatch(value)), None)
