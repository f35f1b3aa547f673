"""The DATA segment of an FCS file: where its events are, and what numbers they are stored as.

Here belongs the check that HEADER, keywords and the size of the file agree, before any event is read. The events are
read in `taproom.sources.fcs_process`.

Source: Spidlen et al. (2010), "Data File Standard for Flow Cytometry, version FCS 3.1", Cytometry A 77, 97-100.
"""

import math
import re
from dataclasses import dataclass

from taproom.sources.fcs_damage import Damage, refusal, shown, truncation
from taproom.sources.fcs_text import HEADER_BYTES, Header, Keywords, segment_bounds

MAX_CHANNELS = 1000
# Bits of a number by $DATATYPE: single precision, double precision, whole numbers. These are what FlowIO reads.
WIDTHS = {"F": (32,), "D": (64,), "I": (8, 16, 32)}
BYTE_ORDERS = ("1,2,3,4", "4,3,2,1", "1,2", "2,1")


@dataclass(frozen=True)
class DataSegment:
    """Where the events of a file are, checked against its keywords and its size.

    `channels` are the values of $PnN as they are written; `begin` is the first byte of the events, `end` the one after
    their last.
    """

    channels: tuple[str, ...]
    events: int
    begin: int
    end: int


def find_data(header: Header) -> DataSegment:
    """Find the events of a file, and check what it says of them; no event is read.

    Raises `FcsError`, for the first damage found: the file is of a kind that FlowIO does not read (or would read as
    another), numbers that the keywords must give are missing or impossible, or the segment's offsets, $TOT, the
    channels' widths and the size of the file do not agree.
    """
    keywords = header.keywords
    _check_kind(keywords)
    channels, event_bytes = _channels(keywords)
    events = keywords.whole_number("TOT", Damage.EVENT_COUNT, "the number of events")
    begin, data_bytes = _data_segment(header)
    _check_count(keywords, events, event_bytes, data_bytes)
    end = begin + events * event_bytes
    if end > header.size_bytes:
        raise truncation(header.path, "events", end, header.size_bytes)
    text_begin, text_end = header.text
    if events and (begin < HEADER_BYTES or (begin < text_end and text_begin < end)):
        found = f"its events (from byte {begin:,}) overlap its HEADER or its TEXT segment (from byte {text_begin:,})"
        raise refusal(header.path, Damage.OFFSETS, found, "segments one after the other")
    return DataSegment(channels, events, begin, end)


def _check_kind(keywords: Keywords) -> None:
    """Refuse what FlowIO does not read, or would read as something else."""
    for keyword, known in (("MODE", ("L", "l")), ("DATATYPE", (*"FDIfdi",)), ("BYTEORD", BYTE_ORDERS)):
        # With its blanks: FlowIO reads a byte order that it does not know as the machine's own.
        if (value := keywords.get(keyword)) not in known:
            raise refusal(keywords.path, Damage.UNSUPPORTED_TYPE, f"${keyword} is {shown(value)}", " or ".join(known))
    if own := [keyword for keyword in keywords.values if re.fullmatch(r"P\d+DATATYPE", keyword)]:
        wanted = "the same type of number in all channels"
        raise refusal(keywords.path, Damage.UNSUPPORTED_TYPE, f"it has ${shown(own[0])[1:-1]}", wanted)
    if (offset := keywords.get("NEXTDATA", "0").strip()) != "0" * len(offset):
        found = f"it has another data set after this one ($NEXTDATA is {shown(offset)})"
        raise refusal(keywords.path, Damage.SEVERAL_DATA_SETS, found, "one in a file: export each well by itself")


def _channels(keywords: Keywords) -> tuple[tuple[str, ...], int]:
    """The channels' names, and the bytes of one event."""
    wanted = f"a number of channels from 1 to {MAX_CHANNELS:,}"
    if not 1 <= (channels := keywords.whole_number("PAR", Damage.CHANNEL_COUNT, wanted)) <= MAX_CHANNELS:
        raise refusal(keywords.path, Damage.CHANNEL_COUNT, f"$PAR is {channels:,}", wanted)
    datatype = keywords.get("DATATYPE").upper()
    numbers = range(1, channels + 1)
    bits = [_width(keywords, number, datatype) for number in numbers]
    for number, width in zip(numbers, bits, strict=True):
        _check_range(keywords, number, datatype, width)
    if unnamed := [number for number in numbers if f"P{number}N" not in keywords]:
        found = f"it has no $P{unnamed[0]}N"
        raise refusal(keywords.path, Damage.KEYWORDS, found, f"a name for each of {channels:,} channels")
    return tuple(keywords.get(f"P{number}N") for number in numbers), sum(bits) // 8


def _width(keywords: Keywords, number: int, datatype: str) -> int:
    wanted = f"{' or '.join(map(str, WIDTHS[datatype]))} bits for $DATATYPE {datatype}"
    width = keywords.whole_number(f"P{number}B", Damage.BIT_WIDTH, wanted)
    if width not in WIDTHS[datatype]:
        raise refusal(keywords.path, Damage.BIT_WIDTH, f"$P{number}B is {width:,}", wanted)
    return width


def _check_range(keywords: Keywords, number: int, datatype: str, width: int) -> None:
    """A range must be a number; where events are whole numbers it is their bit mask, and must be a possible one."""
    if datatype == "I":
        wanted = f"a whole number from 1 to 2^{width}"
        if not 1 <= (largest := keywords.whole_number(f"P{number}R", Damage.CHANNEL_RANGE, wanted)) <= 2**width:
            raise refusal(keywords.path, Damage.CHANNEL_RANGE, f"$P{number}R is {largest:,}", wanted)
        return
    value = keywords.required(f"P{number}R", Damage.CHANNEL_RANGE, "a number")
    if not _is_finite(value):
        raise refusal(keywords.path, Damage.CHANNEL_RANGE, f"$P{number}R is {shown(value)}", "a number")


def _is_finite(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _data_segment(header: Header) -> tuple[int, int]:
    """First byte and length of the DATA segment, from the HEADER or the TEXT segment.

    The HEADER has zeros where eight digits do not suffice. In FCS 2.0, TEXT does not have the offsets.
    """
    offsets = {"HEADER": header.data}
    if header.version != "2.0":
        offsets["$BEGINDATA and $ENDDATA"] = (header.keywords.get("BEGINDATA"), header.keywords.get("ENDDATA"))
    bounds = {segment_bounds(header.path, f"DATA segment ({where})", *offsets[where]) for where in offsets} - {None}
    if len(bounds) > 1:
        found = " but ".join(f"{where} say {' to '.join(map(str, given))}" for where, given in offsets.items())
        raise refusal(header.path, Damage.OFFSETS, f"the offsets of its events differ: {found}", "the same")
    begin, end = bounds.pop() if bounds else (0, 0)
    if end < begin:
        found = f"its events are said to be bytes {begin:,} to {end - 1:,}"
        raise refusal(header.path, Damage.OFFSETS, found, "a last byte after the first")
    if end - 1 > header.size_bytes:  # not `end`: see _check_count
        raise truncation(header.path, "events", end, header.size_bytes)
    return begin, end - begin


def _check_count(keywords: Keywords, events: int, event_bytes: int, data_bytes: int) -> None:
    """One byte more than the events need is no damage: many instruments write the byte after the last as the last."""
    if data_bytes - events * event_bytes not in (0, 1):
        found = (
            f"$TOT says {events:,} events, which at {event_bytes:,} bytes each are {events * event_bytes:,}, "
            f"but the DATA segment has {data_bytes:,}"
        )
        raise refusal(keywords.path, Damage.EVENT_COUNT, found, "as many bytes as the events need")
