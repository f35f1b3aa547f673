"""Channels appended to an FCS file: a new file with the events of the original, byte by byte, and numbers of our own.

Programs such as FlowJo, FlowKit and flowCore show appended channels ($PnN, $PnS) like measured ones, so that events can
be gated by them. The new file is FCS 3.1 (3.2 if the original is), with one data set, without ANALYSIS segment and with
$ORIGINALITY "Appended". Values of the original are copied without being decoded.

Source: Spidlen et al. (2010), "Data File Standard for Flow Cytometry, Version FCS 3.1", Cytometry A 77, 97-100.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from taproom.errors import InputError
from taproom.new_files import new_file
from taproom.sources.fcs_data import is_monotonic
from taproom.sources.fcs_header import HEADER_BYTES, Damage, Header, data_set_headers, refusal
from taproom.sources.packed import is_packed

EVENTS_PER_BLOCK = 100_000
# In a file of whole numbers, fractions are stored as so many times their value, with this gain ($PnG).
FRACTION_GAIN = 10_000

_DELIMITERS = "|\\/\f\x1e"
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0e-\x1f]")
_DIGITS = 12  # of an offset in TEXT, so that TEXT is as long with any
_LARGEST_IN_HEADER = 99_999_999


@dataclass(frozen=True)
class AppendedChannel:
    """A channel to append.

    `name` is $PnN, short and without commas; `label` is $PnS, what it means. `values` (events,) are at least 0 and at
    most `largest`. In a file of whole numbers, a channel that `is_fraction` is stored with 4 decimals, by a gain.
    """

    name: str
    label: str
    values: np.ndarray
    largest: int
    is_fraction: bool = False


def append_channels(source: Path, target: Path, channels: Sequence[AppendedChannel], **keywords: str) -> None:
    """Write a new FCS file: the events of `source` with `channels` appended.

    Args:
        source: an FCS file, which is only read.
        target: the file to make. It gets its name when it is complete.
        channels: what to append, with a value for each event of the file.
        keywords: keywords of our own to add to the TEXT segment.

    Raises:
        FcsError: `source` is damaged, or cannot be appended to: it is packed, has several data sets, or numbers that do
            not begin and end with a byte.
        InputError: `target` exists, a channel has another number of values than the file has events, or the file has a
            channel of its name.
        StorageError: `target` cannot be written.
    """
    source = Path(source)
    if is_packed(source):
        raise refusal(source, Damage.UNSUPPORTED_TYPE, "it is packed", "an unpacked file")
    with source.open("rb") as file:
        header = _only_header(source, file)
        _check(header, channels)
        with new_file(target) as part, part.open("wb") as new:
            new.write(_head_and_text(file, header, channels, keywords))
            for block in _events(file, header, channels):
                new.write(block)
            new.write(b"00000000")  # no CRC


def _only_header(path: Path, file: BinaryIO) -> Header:
    headers = data_set_headers(path, file, file.seek(0, os.SEEK_END))
    if len(headers) > 1:
        raise refusal(path, Damage.SEVERAL_DATA_SETS, f"it has {len(headers)} data sets", "one")
    (header,) = headers
    layout = header.layout
    if layout.is_packed or any(channel.bits % 8 for channel in layout.channels) or not is_monotonic(layout.byte_order):
        raise refusal(path, Damage.BIT_WIDTH, "it has numbers of parts of bytes, or in an unusual order", "whole bytes")
    return header


def _check(header: Header, channels: Sequence[AppendedChannel]) -> None:
    for channel in channels:
        if channel.values.shape != (header.events,):
            raise InputError(
                f"{channel.name} has values of shape {channel.values.shape}; the file has {header.events} events"
            )
        if channel.name in header.names:
            raise InputError(f"the file has a channel {channel.name} of its own; append to the original file")
        if channel.largest * _gain(channel, _dtype(header)) >= 2**16:
            raise InputError(f"{channel.name} has values up to {channel.largest}; wanted less than {2**16}")


def _dtype(header: Header) -> np.dtype:
    """The type of appended numbers: $DATATYPE, in the file's order of bytes."""
    kind = {"I": "u2", "F": "f4", "D": "f8"}[header.keywords["DATATYPE"].upper()]
    if kind == "u2" and all(channel.bits == 32 for channel in header.layout.channels):
        kind = "u4"
    return np.dtype(("<" if header.layout.byte_order[0] == 1 else ">") + kind)


def _gain(channel: AppendedChannel, dtype: np.dtype) -> int:
    return FRACTION_GAIN if channel.is_fraction and dtype.kind == "u" else 1


def _events(file: BinaryIO, header: Header, channels: Sequence[AppendedChannel]) -> Iterator[bytes]:
    """The DATA segment, block by block: the bytes of each event, then the appended numbers."""
    dtype, width = _dtype(header), header.layout.size(1)
    for start in range(0, header.events, EVENTS_PER_BLOCK):
        count = min(EVENTS_PER_BLOCK, header.events - start)
        file.seek(header.begin + start * width)
        original = np.frombuffer(file.read(count * width), np.uint8).reshape(count, width)
        numbers = [channel.values[start : start + count] * _gain(channel, dtype) for channel in channels]
        appended = np.column_stack([np.rint(each) if dtype.kind == "u" else each for each in numbers]).astype(dtype)
        yield np.hstack([original, appended.view(np.uint8).reshape(count, -1)]).tobytes()


def _head_and_text(
    file: BinaryIO, header: Header, channels: Sequence[AppendedChannel], keywords: dict[str, str]
) -> bytes:
    """The HEADER and TEXT segments."""
    dtype = _dtype(header)
    size = header.events * (header.layout.size(1) + dtype.itemsize * len(channels))
    text = {**_kept_keywords(file, header), **_new_keywords(header, channels, dtype), **keywords}
    begin = HEADER_BYTES + len(_text(text))
    end = begin + size - 1 if size else 0
    text |= {"$BEGINDATA": f"{begin if size else 0:0{_DIGITS}d}", "$ENDDATA": f"{end:0{_DIGITS}d}"}
    places = [HEADER_BYTES, begin - 1, *((begin, end) if size and end <= _LARGEST_IN_HEADER else (0, 0)), 0, 0]
    version = max(header.version, "3.1")
    return f"FCS{version}    ".encode() + b"".join(b"%8d" % place for place in places) + _text(text)


def _kept_keywords(file: BinaryIO, header: Header) -> dict[str, str]:
    """The original's keywords, with a $ if they have one there.

    Those without a value are left out, and those that are no text: some instruments keep packed files in TEXT.
    """
    file.seek(10)
    first, last = int(file.read(8)), int(file.read(8))
    file.seek(first)
    text = file.read(last - first + 1).decode("latin-1").upper()
    return {
        f"${name}" if f"${name}{text[0]}" in text else name: value
        for name, value in header.keywords.items()
        if value and name != "GUID" and not _CONTROL_CHARACTER.search(name + value)
    }


def _new_keywords(header: Header, channels: Sequence[AppendedChannel], dtype: np.dtype) -> dict[str, str]:
    first = len(header.names) + 1
    added: dict[str, str] = {}
    for number, channel in enumerate(channels, first):
        gain = _gain(channel, dtype)
        added |= {
            f"$P{number}N": channel.name,
            f"$P{number}S": channel.label,
            f"$P{number}B": str(8 * dtype.itemsize),
            f"$P{number}E": "0,0",
            f"$P{number}R": str(channel.largest * gain + 1),
            **({f"$P{number}G": str(gain)} if gain > 1 else {}),
        }
    named = {f"$P{number}N": name for number, name in enumerate(header.names, 1)}
    no_segments = dict.fromkeys(("$BEGINANALYSIS", "$ENDANALYSIS", "$BEGINSTEXT", "$ENDSTEXT", "$NEXTDATA"), "0")
    return {
        **named,
        **added,
        **no_segments,
        "$PAR": str(first - 1 + len(channels)),
        "$TOT": str(header.events),
        "$MODE": "L",
        "$BYTEORD": ",".join(map(str, header.layout.byte_order)),
        "$ORIGINALITY": "Appended",
        "$LAST_MODIFIER": "Taproom",
        "$BEGINDATA": "0" * _DIGITS,
        "$ENDDATA": "0" * _DIGITS,
    }


def _text(keywords: dict[str, str]) -> bytes:
    """The TEXT segment, with a delimiter that no value has (or doubled, if every one occurs)."""
    content = "".join([*keywords, *keywords.values()])
    delimiter = next((each for each in _DELIMITERS if each not in content), _DELIMITERS[0])
    parts = (part.replace(delimiter, 2 * delimiter) for pair in keywords.items() for part in pair)
    return (delimiter + delimiter.join(parts) + delimiter).encode()
