"""What an FCS file says of itself: its segments and keywords, checked against each other and against the file.

A file has one data set or several, each with a header of fixed length, a TEXT segment and the DATA segment. Before any
number is read, all that they claim is compared with the file's size, so that damaged and hostile files are found here
and cost no more than their TEXT segments, of at most 4 MB each. Small departures from the standard that are settled by
the number of events are repaired and reported; contradictions are refused.

Source: Spidlen et al. (2010, 2021), FCS 3.1 and 3.2, sections 3.1 and 3.2 on the HEADER and TEXT segments.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast, get_args

from taproom.errors import SourceError
from taproom.sources.fcs_data import FLOAT_BITS, MAX_BITS, Channel, DataType, Layout, is_monotonic
from taproom.sources.fcs_scale import number
from taproom.sources.fcs_text import Text, parse_text

VERSIONS = ("2.0", "3.0", "3.1", "3.2")
HEADER_BYTES = 58
MAX_TEXT_BYTES = 4 * 2**20
MAX_CHANNELS = 1000
MAX_DATA_SETS = 100
# The header and TEXT may differ in where the events are by this much, where the number of events decides.
MAX_OFFSET_DIFFERENCE = 64
# So many bytes at the end of the DATA segment may be no event's.
MAX_SURPLUS = 8

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)


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
    SPILLOVER = "spillover"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"


class FcsError(SourceError):
    """An FCS file is refused: the message is for people, `damage` for machines."""

    def __init__(self, message: str, damage: Damage = Damage.UNREADABLE) -> None:
        super().__init__(message)
        self.damage = damage


@dataclass(frozen=True)
class Header:
    """What a data set says of itself, once it is found consistent and within the file.

    `names` are its $PnN. `begin` is the first byte of its events in the file. `keywords` are in upper case, without
    their $; `repairs` says in words where the data set departs from the standard and how that was understood.
    """

    version: str
    keywords: Mapping[str, str]
    names: tuple[str, ...]
    layout: Layout
    events: int
    begin: int
    repairs: tuple[str, ...]


def data_set_headers(path: Path, file: BinaryIO, size_bytes: int) -> list[Header]:
    """The header of each data set of a file of so many bytes; they follow one another by $NEXTDATA.

    Raises `FcsError` with the first damage found; `path` is for its message.
    """
    headers, start = [], 0
    while True:
        reader = _DataSet(path, file, start, size_bytes)
        header, offset = reader.header(), reader.next_data()
        following = next((at for at in (start + offset, offset) if offset and at > start and _is_fcs(file, at)), None)
        if offset and following is None:
            ignored = f"$NEXTDATA is {offset:,}, where no data set begins: ignored"
            header = replace(header, repairs=(*header.repairs, ignored))
        headers.append(header)
        if following is None:
            return headers
        if len(headers) == MAX_DATA_SETS:
            found = f"it has more than {MAX_DATA_SETS} data sets"
            raise refusal(path, Damage.SEVERAL_DATA_SETS, found, "one a file: export each well by itself")
        start = following


def _is_fcs(file: BinaryIO, at: int) -> bool:
    file.seek(at)
    return file.read(3) == b"FCS"


def refusal(path: Path, damage: Damage, found: str, wanted: str) -> FcsError:
    """The error that says what was found in a file, and what was wanted."""
    return FcsError(f"{path}: {found}; wanted {wanted}.", damage)


def _shown(value: str) -> str:
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}..."


class _DataSet:
    """One data set of a file: its header and keywords, checked against each other and against the file.

    No more of the file is read than the header and the TEXT segments, of at most 4 MB.
    """

    def __init__(self, path: Path, file: BinaryIO, start: int, size_bytes: int) -> None:
        self._path, self._file, self._start = path, file, start
        self._size_bytes = size_bytes - start
        self._head = self._bytes(0, HEADER_BYTES)
        self._version = self._checked_version()
        self._text_begin, self._text_end = self._text_place()
        self._repairs: list[str] = []
        self._keywords = self._all_keywords()

    def header(self) -> Header:
        """What the data set says of itself."""
        self._check_mode()
        channels = self._channels()
        names = self._names(len(channels))
        layouts = self._layouts(channels)
        layout, events, begin = self._events(layouts)
        repairs = tuple(dict.fromkeys(self._repairs))
        return Header(self._version, self._keywords, names, layout, events, self._start + begin, repairs)

    def next_data(self) -> int:
        """Where the next data set begins, as this one says; 0 without any."""
        offset = self._keywords.get("NEXTDATA", "")
        if not offset.strip("0"):
            return 0
        if not _WHOLE.fullmatch(offset):
            raise self._refusal(Damage.OFFSETS, f"$NEXTDATA is {_shown(offset)}", "a whole number")
        return int(offset)

    def _bytes(self, begin: int, end: int) -> bytes:
        self._file.seek(self._start + begin)
        return self._file.read(end - begin)

    def _refusal(self, damage: Damage, found: str, wanted: str) -> FcsError:
        return refusal(self._path, damage, found, wanted)

    def _beyond(self, what: str, end: int) -> FcsError:
        found = f"its {what} end at byte {end:,}, but the file has {self._size_bytes:,} bytes"
        return self._refusal(Damage.TRUNCATED, found, "a whole file (was its copy cut off?)")

    def _checked_version(self) -> str:
        wanted = " or ".join(f"FCS{version}" for version in VERSIONS)
        if not self._head.startswith(b"FCS"):
            raise self._refusal(Damage.NOT_FCS, f"it begins with {self._head[:10]!r}", wanted)
        version = self._head[3:6].decode("latin-1")
        if version not in VERSIONS:
            raise self._refusal(Damage.VERSION, f"it begins with {self._head[:6]!r}", wanted)
        if len(self._head) < HEADER_BYTES:
            raise self._beyond("header", HEADER_BYTES)
        return version

    def _offsets_in_header(self, at: int) -> tuple[str, str]:
        return self._head[at : at + 8].decode("latin-1"), self._head[at + 8 : at + 16].decode("latin-1")

    def _segment(self, what: str, first: str, last: str) -> tuple[int, int] | None:
        """A segment's first byte and the one after its last; None where the last is blank or 0."""
        numbers = [text.strip() or "0" for text in (first, last)]
        if not all(map(_WHOLE.fullmatch, numbers)):
            found = f"its {what} is said to be bytes {_shown(first)} to {_shown(last)}"
            raise self._refusal(Damage.OFFSETS, found, "whole numbers")
        return (int(numbers[0]), int(numbers[1]) + 1) if int(numbers[1]) else None

    def _text_place(self) -> tuple[int, int]:
        """Where the TEXT segment begins and ends (exclusive)."""
        begin, end = self._segment("TEXT segment", *self._offsets_in_header(10)) or (0, 0)
        if not HEADER_BYTES <= begin < end:
            found = f"its TEXT segment is said to be bytes {begin:,} to {end:,}"
            raise self._refusal(Damage.OFFSETS, found, f"a first byte from {HEADER_BYTES} and a last one after it")
        if end > self._size_bytes:
            raise self._beyond("TEXT segment", end)
        self._check_text_size(end - begin)
        return begin, end

    def _check_text_size(self, size_bytes: int) -> None:
        if size_bytes > MAX_TEXT_BYTES:
            found = f"its TEXT segment has {size_bytes:,} bytes"
            raise self._refusal(Damage.TOO_LARGE, found, f"{MAX_TEXT_BYTES:,} at most")

    def _all_keywords(self) -> dict[str, str]:
        """The keywords of the TEXT segment, and of the supplemental one what the first does not have."""
        text = self._parsed(self._bytes(self._text_begin, self._text_end))
        keywords = dict(text.keywords)
        place = (keywords.get("BEGINSTEXT", ""), keywords.get("ENDSTEXT", ""))
        try:
            segment = self._segment("supplemental TEXT segment", *place)
        except FcsError:
            self._repairs.append(f"its supplemental TEXT segment is said to be bytes {' to '.join(place)}: ignored")
            return keywords
        if segment and segment != (self._text_begin, self._text_end):
            begin, end = segment
            if not HEADER_BYTES <= begin < end or end > self._size_bytes:
                self._repairs.append(f"its supplemental TEXT segment is said to be bytes {begin:,} to {end:,}: ignored")
            else:
                self._check_text_size(end - begin)
                keywords = {**self._parsed(self._bytes(begin, end)).keywords, **keywords}
        return keywords

    def _parsed(self, segment: bytes) -> Text:
        text = parse_text(segment)
        if text.doubtful:
            found = f"its TEXT segment can be read in more than one way, which differ in {_listed(text.doubtful)}"
            raise self._refusal(Damage.KEYWORDS, found, "delimiters that are doubled where they are meant themselves")
        self._repairs += [f"its TEXT segment has {repair}" for repair in text.repairs]
        return text

    def _value(self, keyword: str, damage: Damage, wanted: str) -> str:
        if not (value := self._keywords.get(keyword, "")):
            raise self._refusal(damage, f"it has no ${keyword}", wanted)
        return value

    def _whole(self, keyword: str, damage: Damage, wanted: str) -> int:
        value = self._value(keyword, damage, wanted)
        if not _WHOLE.fullmatch(value):
            raise self._refusal(damage, f"${keyword} is {_shown(value)}", wanted)
        return int(value)

    def _check_mode(self) -> None:
        if (mode := self._keywords.get("MODE", "") or "L").upper() != "L":
            found = f"$MODE is {_shown(mode)}: a histogram, not events"
            raise self._refusal(Damage.UNSUPPORTED_TYPE, found, "L (list mode)")

    def _datatype(self, keyword: str, default: DataType | None = None) -> DataType:
        value = self._keywords.get(keyword, "").upper()
        if not value and default:
            return default
        if value not in get_args(DataType):
            raise self._refusal(Damage.UNSUPPORTED_TYPE, f"${keyword} is {_shown(value)}", "I or F or D")
        return cast(DataType, value)  # mypy does not narrow by get_args

    def _byte_order(self) -> tuple[int, ...]:
        value = self._keywords.get("BYTEORD", "")
        parts = value.replace(" ", "").split(",")
        if sorted(parts) != sorted(str(place) for place in range(1, len(parts) + 1)) or len(parts) > 8:
            wanted = "the order of the bytes of a number, such as 1,2,3,4"
            raise self._refusal(Damage.UNSUPPORTED_TYPE, f"$BYTEORD is {_shown(value)}", wanted)
        return tuple(map(int, parts))

    def _channels(self) -> tuple[Channel, ...]:
        wanted = f"a number of channels from 1 to {MAX_CHANNELS:,}"
        if not 1 <= (channels := self._whole("PAR", Damage.CHANNEL_COUNT, wanted)) <= MAX_CHANNELS:
            raise self._refusal(Damage.CHANNEL_COUNT, f"$PAR is {channels:,}", wanted)
        datatype = self._datatype("DATATYPE")
        return tuple(self._channel(number, datatype) for number in range(1, channels + 1))

    def _channel(self, number: int, datatype: DataType) -> Channel:
        datatype = self._datatype(f"P{number}DATATYPE", datatype)
        wanted = f"{FLOAT_BITS.get(datatype, f'1 to {MAX_BITS}')} bits for $DATATYPE {datatype}"
        bits = self._whole(f"P{number}B", Damage.BIT_WIDTH, wanted)
        if bits != FLOAT_BITS.get(datatype, bits) or not 1 <= bits <= MAX_BITS:
            raise self._refusal(Damage.BIT_WIDTH, f"$P{number}B is {bits:,}", wanted)
        return Channel(datatype, bits, self._range(number, datatype, bits))

    def _range(self, place: int, datatype: DataType, bits: int) -> float:
        """The range of a channel; whole numbers are masked by it, so theirs must make sense."""
        keyword = f"P{place}R"
        value = self._value(keyword, Damage.CHANNEL_RANGE, "a number")
        found = number(value)
        if found is None or not math.isfinite(found):
            raise self._refusal(Damage.CHANNEL_RANGE, f"${keyword} is {_shown(value)}", "a number")
        if datatype == "I" and not 1 <= found <= 2**bits:
            if found < 1:
                raise self._refusal(Damage.CHANNEL_RANGE, f"${keyword} is {_shown(value)}", f"1 to 2^{bits}")
            self._repairs.append(f"${keyword} is {_shown(value)}, more than {bits} bits hold: all bits count")
        return found

    def _names(self, channels: int) -> tuple[str, ...]:
        numbers = range(1, channels + 1)
        if unnamed := [number for number in numbers if f"P{number}N" not in self._keywords]:
            wanted = f"a name for each of {channels:,} channels"
            raise self._refusal(Damage.KEYWORDS, f"it has no $P{unnamed[0]}N", wanted)
        return tuple(self._keywords[f"P{number}N"] for number in numbers)

    def _layouts(self, channels: tuple[Channel, ...]) -> list[Layout]:
        """How events may be stored: numbers of odd widths begin with a byte, or follow one another bit by bit."""
        order = self._byte_order()
        if not is_monotonic(order) and any(channel.bits != 8 * len(order) for channel in channels):
            wanted = "1,2,3,4 or 4,3,2,1"
            raise self._refusal(Damage.UNSUPPORTED_TYPE, f"$BYTEORD is {self._keywords['BYTEORD']}", wanted)
        layouts = [Layout(channels, order)]
        if any(channel.bits % 8 for channel in channels) and all(channel.datatype == "I" for channel in channels):
            layouts.append(Layout(channels, order, is_packed=True))
        return layouts

    def _events(self, layouts: Sequence[Layout]) -> tuple[Layout, int, int]:
        """How the events are stored, how many there are, and the first byte of the first."""
        places = self._data_places()
        if "TOT" in self._keywords:
            wanted = "the number of events"
            layout, events, begin = self._fitting(places, layouts, self._whole("TOT", Damage.EVENT_COUNT, wanted))
        else:
            layout, events, begin = self._counted(places, layouts)
        end = begin + layout.size(events)
        if end > self._size_bytes:
            raise self._beyond("events", end)
        if events and (begin < HEADER_BYTES or (begin < self._text_end and self._text_begin < end)):
            found = (
                f"its events (from byte {begin:,}) lie over its header or its TEXT segment (from byte "
                f"{self._text_begin:,})"
            )
            raise self._refusal(Damage.OFFSETS, found, "segments one after the other")
        return layout, events, begin

    def _data_places(self) -> list[tuple[int, int]]:
        """Where the events may be (begin, end exclusive): as the header says first, then as TEXT does.

        The header leaves it to TEXT where eight digits do not suffice, and in FCS 2.0 TEXT does not have it.
        """
        offsets = {"the header": self._offsets_in_header(26)}
        if self._version != "2.0":
            offsets["TEXT"] = (
                self._keywords.get("BEGINDATA", ""),
                self._keywords.get("ENDDATA", ""),
            )
        segments = [self._segment(f"DATA segment ({where})", *given) for where, given in offsets.items()]
        places = [segment for segment in dict.fromkeys(segments) if segment is not None]
        for begin, end in places:
            if end < begin:
                found = f"its events are said to be bytes {begin:,} to {end - 1:,}"
                raise self._refusal(Damage.OFFSETS, found, "a last byte after the first")
        if len(places) > 1:
            differences = [abs(one - other) for one, other in zip(*places, strict=True)]
            found = " but ".join(
                f"{where} says {' to '.join(map(str.strip, given))}" for where, given in offsets.items()
            )
            same_length = differences[0] == differences[1]  # then the one that follows the TEXT segment counts
            if max(differences) > MAX_OFFSET_DIFFERENCE and not same_length:
                raise self._refusal(Damage.OFFSETS, f"of where the events are, {found}", "the same")
            self._repairs.append(f"of where the events are, {found}")
        return places

    def _fitting(
        self, places: Sequence[tuple[int, int]], layouts: Sequence[Layout], events: int
    ) -> tuple[Layout, int, int]:
        """The place and the layout in which so many events fit."""
        places = places or [(0, 0)]
        fits = [
            (layout, begin, end - begin - layout.size(events))
            for begin, end in places
            for layout in layouts
            if self._is_surplus(end - begin - layout.size(events), layout)
        ]
        exact = [fit for fit in fits if not fit[2]] or fits
        if not exact:
            if min(end for _, end in places) > self._size_bytes:
                raise self._beyond("events", min(end for _, end in places))
            lengths = " or ".join(f"{end - begin:,}" for begin, end in places)
            found = (
                f"$TOT says {events:,} events, which at {layouts[0].size(1):,} bytes each are "
                f"{layouts[0].size(events):,}, but the DATA segment has {lengths}"
            )
            raise self._refusal(Damage.EVENT_COUNT, found, "as many as there are events")
        if len({begin for _, begin, _ in exact}) > 1:  # both say as many bytes: the events follow the TEXT segment
            exact = [fit for fit in exact if fit[1] == self._text_end]
            if not exact:
                raise self._refusal(Damage.OFFSETS, "header and TEXT differ in where the events are", "the same")
        layout, begin, surplus = exact[0]
        if surplus:
            self._repairs.append(f"its DATA segment is said to have {surplus} bytes more than its events")
        if layout.is_packed and events:
            self._repairs.append("its numbers follow one another bit by bit")
        elif len(layouts) > 1:
            self._repairs.append("its numbers begin with a byte, though their bits are no multiple of 8")
        return layout, events, begin

    def _is_surplus(self, surplus: int, layout: Layout) -> bool:
        """Whether so many bytes more than the events' are a slip: instruments often give the byte after the last."""
        return surplus in (0, 1) or 0 < surplus <= min(MAX_SURPLUS, layout.size(1) - 1)

    def _counted(self, places: Sequence[tuple[int, int]], layouts: Sequence[Layout]) -> tuple[Layout, int, int]:
        """The events of a file that does not say how many there are."""
        wanted = "$TOT, the number of events"
        if len(places) != 1 or len(layouts) != 1:
            raise self._refusal(Damage.EVENT_COUNT, "it has no $TOT", wanted)
        ((begin, end),), (layout,) = places, layouts
        events, surplus = divmod(end - begin, layout.size(1))
        if surplus > 1:
            found = f"it has no $TOT, and its DATA segment of {end - begin:,} bytes is no multiple of an event's"
            raise self._refusal(Damage.EVENT_COUNT, found, wanted)
        self._repairs.append(f"it has no $TOT: its DATA segment holds {events:,} events")
        return layout, events, begin


def _listed(keywords: Sequence[str]) -> str:
    return ", ".join(f"${keyword}" for keyword in keywords[:5]) + (" ..." if len(keywords) > 5 else "")
