"""Recordings of flow cytometers, out of files of the Flow Cytometry Standard (FCS).

FlowIO reads the events, but believes what a file says of itself. So a guard looks first: it reads the header and the
TEXT segment and nothing else, and compares what they claim with the file's size. Then FlowIO reads the file in a
process of its own under limits (`taproom.sources._fcs_process`), and must find what the header says. What belongs here
is a file's way to numbers; what is done with these is in `taproom.sources.cytometry`.

Files come from people and may be damaged or hostile. Each is either read whole or refused with an `FcsError`, which
says what was found and has a `Damage` that machines can count.

Source: Spidlen et al. (2010), "Data File Standard for Flow Cytometry, version FCS 3.1", Cytometry A 77, 97-100. FlowIO
and FlowUtils: https://github.com/whitews
"""

import json
import logging
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from taproom.errors import SourceError
from taproom.sources import _fcs_process

logger = logging.getLogger(__name__)

VERSIONS = ("2.0", "3.0", "3.1", "3.2")
HEADER_BYTES = 58
MAX_TEXT_BYTES = 4 * 2**20
MAX_CHANNELS = 1000
# Bits of a number, by $DATATYPE: single, double, and whole numbers. These are what FlowIO reads.
WIDTHS = {"F": (32,), "D": (64,), "I": (8, 16, 32)}
BYTE_ORDERS = ("1,2,3,4", "4,3,2,1", "1,2", "2,1")
# The standard's keyword first. Others by what they hold: BD, Guava, and MACSQuant, which calls the well the source.
WELL_KEYWORDS = ("WELLID", "WELL ID", "BDPMWELL", "GTIWELL", "SRC")

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_WELL = re.compile(r"[A-Z]{1,2}0*[1-9]\d?", re.ASCII | re.IGNORECASE)


class Damage(StrEnum):
    """Why a file was refused."""

    NOT_FCS = "not_fcs"
    VERSION = "version"
    OFFSETS = "offsets"
    TRUNCATED = "truncated"
    KEYWORDS = "keywords"
    UNSUPPORTED_TYPE = "unsupported_type"
    SEVERAL_DATA_SETS = "several_data_sets"
    CHANNEL_COUNT = "channel_count"
    BIT_WIDTH = "bit_width"
    CHANNEL_RANGE = "channel_range"
    EVENT_COUNT = "event_count"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    UNREADABLE = "unreadable"


class FcsError(SourceError):
    """An FCS file is refused: the message is for people, `damage` for machines."""

    def __init__(self, message: str, damage: Damage = Damage.UNREADABLE):
        super().__init__(message)
        self.damage = damage


@dataclass(frozen=True)
class Limits:
    """What reading one file may take; a value is one channel of one event.

    `memory_bytes` has room for Python and NumPy (0.1 GB) and comes on top of the file's own size. FlowIO takes 20 to 60
    bytes and, at its slowest (channels of different widths), half a second per million values. The wall clock and the
    processor's time have the same limit.
    """

    values: int = 200_000_000
    memory_bytes: int = 512 * 2**20
    memory_bytes_per_value: int = 64
    seconds: float = 20.0
    seconds_per_million_values: float = 5.0


DEFAULT_LIMITS = Limits()


class Spillover(NamedTuple):
    """How much of each dye is seen in each channel: `matrix` (dyes, channels), float64, for the `channels` named."""

    channels: tuple[str, ...]
    matrix: np.ndarray


@dataclass(frozen=True)
class Header:
    """What a file says of itself, once that is found consistent and within the file.

    `channels` are its $PnN, `begin` and `end` (exclusive) the bytes of its events; `keywords` are in upper case,
    without their $.
    """

    path: Path
    size_bytes: int
    version: str
    keywords: Mapping[str, str]
    channels: tuple[str, ...]
    events: int
    begin: int
    end: int


@dataclass(frozen=True)
class Recording:
    """What an instrument recorded.

    `values` (events, channels) is float64, not compensated. `instrument` is $CYT, `date` $DATE as it is written; `well`
    is $WELLID, or another keyword's value that looks like a well. None where the file does not say.
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

    Values are on the linear scale, as FlowIO's preprocessing makes them: logarithmic channels ($PnE) are raised to
    powers of ten, then divided by the gain ($PnG), and the channel Time is multiplied by $TIMESTEP. NaN and infinity in
    the file stay as they are. Names are $PnN without the blanks around them; the second FL1 becomes `FL1 (2)`, and a
    channel without a name `P3`, by its number. A spillover matrix that FlowUtils cannot read counts as none, with a
    warning in the log.

    Raises `FcsError` where the file is damaged, is of a kind that FlowIO does not read, or takes more than `limits`;
    and `SourceError` where it is this machine that has no room.
    """
    header = read_header(path)
    return Recording(
        channels=_unique(header.channels),
        values=_values(header, limits),
        instrument=header.keywords.get("CYT", "").strip() or None,
        date=header.keywords.get("DATE", "").strip() or None,
        well=_well(header.keywords),
        spillover=_spillover(header),
        version=header.version,
    )


def read_header(path: Path) -> Header:
    """The guard: read the header and the TEXT segment (at most 4 MB), and check what they claim against the file.

    Whatever the file says, no more of it is read than that. Supplemental TEXT and ANALYSIS segments are not looked at.
    Raises `FcsError` with the first damage found.
    """
    path = Path(path)
    try:
        if not path.is_file():  # nor a pipe, which would have to be waited for
            raise FcsError(f"{path} is no file; wanted an FCS file.")
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            start = file.read(HEADER_BYTES)
            version = _version(path, start)
            begin, end = _text_segment(path, start, size_bytes)
            file.seek(begin)
            text = _Text(path, _keywords(file.read(end - begin)))
    except OSError as error:
        raise FcsError(f"{path} cannot be read: {error.strerror}; wanted an FCS file.") from error
    text.check_kind()
    channels, event_bytes = _channels(text)
    events = text.whole("TOT", Damage.EVENT_COUNT, "the number of events")
    data_begin, data_bytes = _data_segment(text, version, start, size_bytes)
    _check_count(text, events, event_bytes, data_bytes)
    data_end = data_begin + events * event_bytes
    if data_end > size_bytes:
        raise _beyond(path, "events", data_end, size_bytes)
    if events and (data_begin < HEADER_BYTES or (data_begin < end and begin < data_end)):
        found = f"its events (from byte {data_begin:,}) lie over its header or its TEXT segment (from byte {begin:,})"
        raise _refusal(path, Damage.OFFSETS, found, "segments one after the other")
    return Header(path, size_bytes, version, text.keywords, channels, events, data_begin, data_end)


def _refusal(path: Path, damage: Damage, found: str, wanted: str) -> FcsError:
    return FcsError(f"{path}: {found}; wanted {wanted}.", damage)


def _beyond(path: Path, what: str, end: int, size_bytes: int) -> FcsError:
    found = f"its {what} end at byte {end:,}, but the file has {size_bytes:,} bytes"
    return _refusal(path, Damage.TRUNCATED, found, "a whole file (was its copy cut off?)")


def _shown(value: str) -> str:
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}..."


def _version(path: Path, start: bytes) -> str:
    wanted = " or ".join(f"FCS{version}" for version in VERSIONS)
    if not start.startswith(b"FCS"):
        raise _refusal(path, Damage.NOT_FCS, f"it begins with {start[:10]!r}", wanted)
    version = start[3:6].decode("latin-1")
    if version not in VERSIONS:
        raise _refusal(path, Damage.VERSION, f"it begins with {start[:6]!r}", wanted)
    if len(start) < HEADER_BYTES:
        raise _beyond(path, "header", HEADER_BYTES, len(start))
    return version


def _text_segment(path: Path, start: bytes, size_bytes: int) -> tuple[int, int]:
    """Where the TEXT segment begins and ends (exclusive)."""
    first, last = start[10:18].decode("latin-1"), start[18:26].decode("latin-1")
    begin, end = _segment(path, "TEXT segment", first, last) or (0, 0)
    if not HEADER_BYTES <= begin < end:
        found = f"its TEXT segment is said to be bytes {begin:,} to {end:,}"
        raise _refusal(path, Damage.OFFSETS, found, f"a first byte from {HEADER_BYTES} and a last one after it")
    if end > size_bytes:
        raise _beyond(path, "TEXT segment", end, size_bytes)
    if end - begin > MAX_TEXT_BYTES:
        found = f"its TEXT segment has {end - begin:,} bytes"
        raise _refusal(path, Damage.TOO_LARGE, found, f"{MAX_TEXT_BYTES:,} at most")
    return begin, end


def _segment(path: Path, what: str, first: str, last: str) -> tuple[int, int] | None:
    """A segment's first byte and the one after its last; None where the last is blank or 0: it is told elsewhere."""
    numbers = [text.strip() or "0" for text in (first, last)]
    if not all(map(_WHOLE.fullmatch, numbers)):
        found = f"its {what} is said to be bytes {_shown(first)} to {_shown(last)}"
        raise _refusal(path, Damage.OFFSETS, found, "whole numbers")
    return (int(numbers[0]), int(numbers[1]) + 1) if int(numbers[1]) else None


def _keywords(segment: bytes) -> dict[str, str]:
    """A TEXT segment's keywords (upper case, without $) and values, understood as FlowIO does.

    The segment's first character parts them, and is doubled where it is meant itself.
    """
    try:
        text = segment.decode()
    except UnicodeDecodeError:
        text = segment.decode("latin-1")
    delimiter = text[:1]
    once = re.escape(delimiter)
    parts = re.split(f"(?<!{once}){once}(?!{once})", text[1:-1].replace("$", ""))
    parts = [part.replace(2 * delimiter, delimiter) for part in parts]
    return {keyword.upper(): value for keyword, value in zip(parts[::2], parts[1::2], strict=False)}


@dataclass(frozen=True)
class _Text:
    """The TEXT segment of a file."""

    path: Path
    keywords: Mapping[str, str]

    def value(self, keyword: str, damage: Damage, wanted: str) -> str:
        if not (value := self.keywords.get(keyword, "").strip()):
            raise _refusal(self.path, damage, f"it has no ${keyword}", wanted)
        return value

    def whole(self, keyword: str, damage: Damage, wanted: str) -> int:
        value = self.value(keyword, damage, wanted)
        if not _WHOLE.fullmatch(value):
            raise _refusal(self.path, damage, f"${keyword} is {_shown(value)}", wanted)
        return int(value)

    def check_kind(self) -> None:
        """Refuse what FlowIO does not read, or would read as something else."""
        for keyword, known in (("MODE", ("L", "l")), ("DATATYPE", (*"FDIfdi",)), ("BYTEORD", BYTE_ORDERS)):
            # As it stands, with its blanks: FlowIO takes a byte order that it does not know for the machine's own.
            if (value := self.keywords.get(keyword, "")) not in known:
                wanted = " or ".join(known)
                raise _refusal(self.path, Damage.UNSUPPORTED_TYPE, f"${keyword} is {_shown(value)}", wanted)
        if own := [keyword for keyword in self.keywords if re.fullmatch(r"P\d+DATATYPE", keyword)]:
            wanted = "the same type of number in all channels"
            raise _refusal(self.path, Damage.UNSUPPORTED_TYPE, f"it has ${_shown(own[0])[1:-1]}", wanted)
        if (offset := self.keywords.get("NEXTDATA", "0").strip()) != "0" * len(offset):
            found = f"after this one it has another data set ($NEXTDATA is {_shown(offset)})"
            raise _refusal(self.path, Damage.SEVERAL_DATA_SETS, found, "one a file: export each well by itself")


def _channels(text: _Text) -> tuple[tuple[str, ...], int]:
    """The channels' names, and the bytes of one event."""
    wanted = f"a number of channels from 1 to {MAX_CHANNELS:,}"
    if not 1 <= (channels := text.whole("PAR", Damage.CHANNEL_COUNT, wanted)) <= MAX_CHANNELS:
        raise _refusal(text.path, Damage.CHANNEL_COUNT, f"$PAR is {channels:,}", wanted)
    datatype = text.keywords["DATATYPE"].upper()
    numbers = range(1, channels + 1)
    bits = [_width(text, number, datatype) for number in numbers]
    for number, width in zip(numbers, bits, strict=True):
        _check_range(text, number, datatype, width)
    if unnamed := [number for number in numbers if f"P{number}N" not in text.keywords]:
        found = f"it has no $P{unnamed[0]}N"
        raise _refusal(text.path, Damage.KEYWORDS, found, f"a name for each of {channels:,} channels")
    return tuple(text.keywords[f"P{number}N"] for number in numbers), sum(bits) // 8


def _width(text: _Text, number: int, datatype: str) -> int:
    wanted = f"{' or '.join(map(str, WIDTHS[datatype]))} bits for $DATATYPE {datatype}"
    width = text.whole(f"P{number}B", Damage.BIT_WIDTH, wanted)
    if width not in WIDTHS[datatype]:
        raise _refusal(text.path, Damage.BIT_WIDTH, f"$P{number}B is {width:,}", wanted)
    return width


def _check_range(text: _Text, number: int, datatype: str, width: int) -> None:
    """Whole numbers are masked by their range, so it must be one; for others it only has to be a number."""
    if datatype == "I":
        wanted = f"a whole number from 1 to 2^{width}"
        if not 1 <= (largest := text.whole(f"P{number}R", Damage.CHANNEL_RANGE, wanted)) <= 2**width:
            raise _refusal(text.path, Damage.CHANNEL_RANGE, f"$P{number}R is {largest:,}", wanted)
        return
    value = text.value(f"P{number}R", Damage.CHANNEL_RANGE, "a number")
    if not _is_finite(value):
        raise _refusal(text.path, Damage.CHANNEL_RANGE, f"$P{number}R is {_shown(value)}", "a number")


def _is_finite(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _data_segment(text: _Text, version: str, start: bytes, size_bytes: int) -> tuple[int, int]:
    """First byte and length of the segment of events, as the header or the TEXT segment says.

    The header leaves it to TEXT where eight digits do not suffice, and in FCS 2.0 TEXT does not have it.
    """
    told = {"HEADER": (start[26:34].decode("latin-1"), start[34:42].decode("latin-1"))}
    if version != "2.0":
        told["$BEGINDATA and $ENDDATA"] = (text.keywords.get("BEGINDATA", ""), text.keywords.get("ENDDATA", ""))
    segments = {where: _segment(text.path, f"DATA segment ({where})", *offsets) for where, offsets in told.items()}
    if len(different := set(segments.values()) - {None}) > 1:
        found = " but ".join(f"{where} say {' to '.join(map(str, offsets))}" for where, offsets in told.items())
        raise _refusal(text.path, Damage.OFFSETS, f"of where the events are, {found}", "the same")
    begin, end = different.pop() if different else (0, 0)
    if end < begin:
        found = f"its events are said to be bytes {begin:,} to {end - 1:,}"
        raise _refusal(text.path, Damage.OFFSETS, found, "a last byte after the first")
    if end - 1 > size_bytes:  # not `end`: see _check_count
        raise _beyond(text.path, "events", end, size_bytes)
    return begin, end - begin


def _check_count(text: _Text, events: int, event_bytes: int, data_bytes: int) -> None:
    """Instruments that give the byte after the last for the last are common, so one byte more is no damage."""
    if data_bytes - events * event_bytes not in (0, 1):
        found = (
            f"$TOT says {events:,} events, which at {event_bytes:,} bytes each are {events * event_bytes:,}, "
            f"but the DATA segment has {data_bytes:,}"
        )
        raise _refusal(text.path, Damage.EVENT_COUNT, found, "as many as there are events")


def _values(header: Header, limits: Limits) -> np.ndarray:
    """The events of a guarded file, by FlowIO in a process under limits; float64, shape (events, channels)."""
    shape = (header.events, len(header.channels))
    size = math.prod(shape)
    if size > limits.values:
        found = f"it has {shape[0]:,} events in {shape[1]:,} channels"
        raise _refusal(header.path, Damage.TOO_LARGE, found, f"{limits.values:,} values at most")
    memory_bytes = limits.memory_bytes + header.size_bytes + size * limits.memory_bytes_per_value
    seconds = limits.seconds + size / 1e6 * limits.seconds_per_million_values
    try:
        with tempfile.TemporaryFile() as answer:
            process = _run(header, memory_bytes, seconds, answer)
            if process.returncode:
                raise _failure(header.path, process, memory_bytes, seconds)
            answer.seek(0)
            told = json.loads(answer.readline())
            values = np.fromfile(answer)
    except subprocess.TimeoutExpired as error:
        raise _late(header.path, seconds) from error
    except OSError as error:
        raise SourceError(f"{header.path}: no process could be run to read it: {error}. Try again.") from error
    if told != {"events": header.events, "channels": list(header.channels)}:
        found = f"FlowIO finds {told['events']:,} events in {len(told['channels']):,} channels"
        damage = Damage.UNREADABLE if told["events"] == header.events else Damage.EVENT_COUNT
        raise _refusal(header.path, damage, found, f"{shape[0]:,} in the {shape[1]:,} channels that its TEXT names")
    return values.reshape(shape)


def _run(header: Header, memory_bytes: int, seconds: float, answer: BinaryIO) -> subprocess.CompletedProcess:
    options = (header.path.absolute(), header.begin, header.end, memory_bytes, math.ceil(seconds))
    # By path and not with -m, and with -P: imports are looked for among the installed packages and nowhere else.
    command = [sys.executable, "-P", "-W", "ignore", _fcs_process.__file__, *map(str, options)]
    # Each thread of OpenBLAS reserves address space, on large machines more than the limit.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    streams = {"stdin": subprocess.DEVNULL, "stdout": answer, "stderr": subprocess.PIPE}
    return subprocess.run(command, env=environment, timeout=seconds, **streams)


def _failure(path: Path, process: subprocess.CompletedProcess, memory_bytes: int, seconds: float) -> SourceError:
    status = process.returncode
    if status == _fcs_process.NO_ROOM:
        return SourceError(f"{path}: {tempfile.gettempdir()} has no room for its values. Free it, or set TMPDIR.")
    if status in (_fcs_process.OUT_OF_MEMORY, -signal.SIGKILL):
        return _over(path, Damage.MEMORY, f"{memory_bytes / 1e6:,.0f} MB")
    if status == -signal.SIGXCPU:
        return _late(path, seconds)
    complaint = process.stderr.decode(errors="replace").strip().splitlines()
    found = f"FlowIO cannot read it ({complaint[-1][:200] if complaint else f'status {status}'})"
    return _refusal(path, Damage.UNREADABLE, found, "an FCS file that keeps the standard")


def _late(path: Path, seconds: float) -> FcsError:
    return _over(path, Damage.TIMEOUT, f"{seconds:.3g} s")


def _over(path: Path, damage: Damage, allowed: str) -> FcsError:
    return _refusal(path, damage, f"reading it takes more than {allowed}", "a file that can be read within the limits")


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names without blanks around them, each but the first of a name numbered."""
    names = [name.strip() or f"P{number}" for number, name in enumerate(names, 1)]
    unique: list[str] = []
    for name in names:
        numbered = (f"{name} ({number})" for number in count(2))
        unique.append(name if name not in unique else next(new for new in numbered if new not in {*names, *unique}))
    return tuple(unique)


def _well(keywords: Mapping[str, str]) -> str | None:
    values = (keywords.get(keyword, "").strip() for keyword in WELL_KEYWORDS)
    return next((value for value in values if _WELL.fullmatch(value)), None)


def _spillover(header: Header) -> Spillover | None:
    from flowutils.compensate import get_spill

    keyword = next((name for name in ("SPILLOVER", "SPILL", "COMP") if header.keywords.get(name, "").strip()), None)
    if keyword is None:
        return None
    try:
        matrix, channels = get_spill(header.keywords[keyword])
    except (ValueError, OverflowError) as error:
        logger.warning("%s: $%s is no spillover matrix (%s); read without one", header.path, keyword, error)
        return None
    if not np.isfinite(matrix).all():
        logger.warning("%s: $%s is no spillover matrix (not finite); read without one", header.path, keyword)
        return None
    return Spillover(tuple(channels), matrix) if channels else None
