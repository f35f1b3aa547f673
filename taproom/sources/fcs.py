"""Recordings of flow cytometers, read from files of the Flow Cytometry Standard (FCS).

A file is read in steps, each in a module of its own: where its segments are and what it says of itself (`fcs_header`,
`fcs_text`), the numbers that its bytes are (`fcs_data`), the scale on which they were measured (`fcs_scale`) and its
spillover matrix (`fcs_spillover`). Here these are joined, and one of several data sets is chosen. What is done with a
recording belongs to `taproom.sources.cytometry`.

A file is either read whole, with a list of what had to be repaired, or refused with an `FcsError`, which says what was
found and has a `Damage` that programs can count.

Source: Spidlen et al. (2010, 2021), "Data File Standard for Flow Cytometry", FCS 3.1, Cytometry A 77, 97-100, and
FCS 3.2, Cytometry A 99, 100-102.
"""

import io
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import BinaryIO

import numpy as np

from taproom.errors import SourceError
from taproom.sources.fcs_header import Damage, FcsError, Header, data_set_headers, refusal
from taproom.sources.fcs_scale import amplifications, amplify, time_step
from taproom.sources.fcs_spillover import Spillover, find_spillover
from taproom.sources.packed import UNREADABLE, damage, is_packed, open_unpacked

# The standard's keyword first. Others by what they hold: BD, Guava, and MACSQuant, which calls the well the source.
WELL_KEYWORDS = ("WELLID", "WELL ID", "BDPMWELL", "GTIWELL", "SRC")

# One channel of one event is a value. Reading takes at most 8 bytes for each, and three times the bytes of the events.
MAX_VALUES = 200_000_000

_WELL = re.compile(r"[A-Z]{1,2}0*[1-9]\d?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Recording:
    """What an instrument recorded.

    `values` (events, channels) is float64, not compensated. `instrument` is $CYT, `date` $DATE as it is written; `well`
    is $WELLID, or another keyword's value that looks like a well. None where the file does not say. `repairs` says in
    words where the file departs from the standard, and what was made of that. `spillover_damage` says why a spillover
    matrix that the file has cannot be used.
    """

    channels: tuple[str, ...]
    values: np.ndarray
    instrument: str | None
    date: str | None
    well: str | None
    spillover: Spillover | None
    version: str
    repairs: tuple[str, ...] = ()
    spillover_damage: str | None = None


def read_fcs(path: Path, max_values: int = MAX_VALUES, data_set: int | None = None) -> Recording:
    """Read one FCS file (2.0 to 3.2, list mode), which may be packed by gzip or bzip2.

    Values are on the linear scale: logarithmic channels ($PnE) are raised to powers of ten, all are divided by the gain
    ($PnG), and the channel Time is multiplied by $TIMESTEP instead. NaN and infinity in the file stay as they are.
    Names are $PnN without the blanks around them; the second FL1 becomes `FL1 (2)`, and a channel without a name `P3`,
    by its number.

    Args:
        path: the file.
        max_values: of a file with more values nothing is read.
        data_set: which of several in the file, from 1. By default there may be several only if they are copies of one
            recording, as Beckman Coulter's are; then the one with the newest version and the most bits is read.

    Raises:
        FcsError: the file is damaged, of a kind that is not read, or has more values than `max_values`.
    """
    path = Path(path)
    with _opened(path) as (file, size_bytes):
        header = _chosen(path, data_set_headers(path, file, size_bytes), data_set)
        _check_size(path, header, max_values)
        values = _stored(path, file, header)
    channels = _unique(header.names)
    repairs = [*header.repairs, *_scale(header, values)]
    spillover, spillover_damage = _spillover(header, channels)
    return Recording(
        channels=channels,
        values=values,
        instrument=header.keywords.get("CYT") or None,
        date=header.keywords.get("DATE") or None,
        well=_well(header.keywords),
        spillover=spillover,
        version=header.version,
        repairs=tuple(repairs),
        spillover_damage=spillover_damage,
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file's bytes, and how many they are."""
    try:
        if not path.is_file():  # nor a pipe, which would have to be waited for
            raise FcsError(f"{path} is no file; wanted an FCS file.")
        with _unpacked(path) if is_packed(path) else path.open("rb") as file:
            yield file, file.seek(0, os.SEEK_END)
    except OSError as error:
        raise FcsError(f"{path} cannot be read: {error.strerror}; wanted an FCS file.") from error


def _unpacked(path: Path) -> BinaryIO:
    try:
        with open_unpacked(path) as packed:
            return io.BytesIO(packed.read())
    except UNREADABLE as error:
        raise FcsError(str(damage(path, error, "its start", at_start=True))) from None
    except SourceError as error:  # a decompression bomb
        raise FcsError(str(error), Damage.TOO_LARGE) from None


def _chosen(path: Path, headers: Sequence[Header], data_set: int | None) -> Header:
    """The data set to read, with a word on the others."""
    if data_set is not None and not 1 <= data_set <= len(headers):
        found = f"data set {data_set} was asked for, and it has {len(headers)}"
        raise refusal(path, Damage.SEVERAL_DATA_SETS, found, "`data_set` from 1 to that")
    if len(headers) == 1:
        return headers[0]
    if data_set is None:
        if len({header.events for header in headers}) > 1:
            events = ", ".join(f"{header.events:,}" for header in headers)
            found = f"it has {len(headers)} data sets, of {events} events"
            wanted = "one recording a file: export each well by itself, or name one by `data_set`"
            raise refusal(path, Damage.SEVERAL_DATA_SETS, found, wanted)
        data_set = max(range(1, len(headers) + 1), key=lambda place: _resolution(headers[place - 1]))
    chosen = headers[data_set - 1]
    note = f"it has {len(headers)} data sets: number {data_set} is read (FCS {chosen.version})"
    return replace(chosen, repairs=(*chosen.repairs, note))


def _resolution(header: Header) -> tuple[str, float]:
    """What makes one copy of a recording better than another."""
    return header.version, sum(math.log2(max(channel.range, 1)) for channel in header.layout.channels)


def _check_size(path: Path, header: Header, max_values: int) -> None:
    if header.events * len(header.names) > max_values:
        found = f"it has {header.events:,} events in {len(header.names):,} channels"
        raise refusal(path, Damage.TOO_LARGE, found, f"{max_values:,} values at most")


def _stored(path: Path, file: BinaryIO, header: Header) -> np.ndarray:
    """The numbers as they are in the file."""
    file.seek(header.begin)
    try:
        return header.layout.decode(file.read(header.layout.size(header.events)), header.events)
    except ValueError as error:
        raise refusal(path, Damage.TRUNCATED, str(error), "the file as it was when its header was read") from None


def _scale(header: Header, values: np.ndarray) -> list[str]:
    """Bring stored numbers to the scale that was measured, in place; give in words what could not be used."""
    channels = header.layout.channels
    found, unused = amplifications(header.keywords, channels)
    timed = [place for place, name in enumerate(header.names) if name.strip().lower() == "time"][-1:]
    for place in timed:  # some instruments give the time step as its gain, too
        found[place] = found[place].without_gain()
    amplify(values, channels, found)
    if timed:
        seconds, unused_step = time_step(header.keywords)
        values[:, timed[0]] *= seconds
        unused += unused_step
    return unused


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names without blanks around them, each but the first of a name numbered."""
    names = [name.strip() or f"P{number}" for number, name in enumerate(names, 1)]
    unique: list[str] = []
    for name in names:
        numbered = (f"{name} ({number})" for number in count(2))
        unique.append(name if name not in unique else next(new for new in numbered if new not in {*names, *unique}))
    return tuple(unique)


def _well(keywords: Mapping[str, str]) -> str | None:
    values = (keywords.get(keyword, "") for keyword in WELL_KEYWORDS)
    return next((value for value in values if _WELL.fullmatch(value)), None)


def _spillover(header: Header, channels: Sequence[str]) -> tuple[Spillover | None, str | None]:
    """The spillover matrix, or why the one that the file has cannot be used."""
    labels = [header.keywords.get(f"P{number}S", "") for number in range(1, len(channels) + 1)]
    try:
        return find_spillover(header.keywords, channels, labels), None
    except ValueError as error:
        return None, str(error)
