"""The HEADER and TEXT segments of an FCS file: from bytes to keywords.

Here belongs what a file says of itself: its version, where its segments are, and its keywords with their values as
texts. What keywords mean is in `taproom.sources.fcs_data` (the bytes of events) and `taproom.sources.fcs_channels`
(names and scales). At most the HEADER and 4 MB of TEXT are read, whatever the file says.

Source: Spidlen et al. (2010), "Data File Standard for Flow Cytometry, version FCS 3.1", Cytometry A 77, 97-100.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from taproom.sources.fcs_damage import Damage, FcsError, refusal, shown, truncation

VERSIONS = ("2.0", "3.0", "3.1", "3.2")
HEADER_BYTES = 58
MAX_TEXT_BYTES = 4 * 2**20

_WHOLE_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True)
class Keywords:
    """The keywords of a file, in upper case and without their $, and their values as texts.

    >>> keywords = Keywords(Path("a.fcs"), {"PAR": "16", "CYT": " LSRII "})
    >>> keywords.whole_number("PAR", Damage.CHANNEL_COUNT, "a number of channels")
    16
    >>> keywords.stripped("CYT"), keywords.stripped("DATE")
    ('LSRII', '')
    """

    path: Path
    values: Mapping[str, str]

    def __contains__(self, keyword: str) -> bool:
        """Whether the file has this keyword."""
        return keyword in self.values

    def get(self, keyword: str, default: str = "") -> str:
        """The value as it is in the file."""
        return self.values.get(keyword, default)

    def stripped(self, keyword: str) -> str:
        """The value without the blanks around it; an empty text where the file has none."""
        return self.get(keyword).strip()

    def required(self, keyword: str, damage: Damage, wanted: str) -> str:
        """The value without the blanks around it. Raises `FcsError` where there is none."""
        if not (value := self.stripped(keyword)):
            raise refusal(self.path, damage, f"it has no ${keyword}", wanted)
        return value

    def whole_number(self, keyword: str, damage: Damage, wanted: str) -> int:
        """The value as a whole number. Raises `FcsError` where there is none, or it is not one."""
        value = self.required(keyword, damage, wanted)
        if not _WHOLE_NUMBER.fullmatch(value):
            raise refusal(self.path, damage, f"${keyword} is {shown(value)}", wanted)
        return int(value)


@dataclass(frozen=True)
class Header:
    """What the HEADER and TEXT segments of a file say.

    `text` are the first byte of the TEXT segment and the one after its last; `data` the offsets of the DATA segment in
    the HEADER, as they are written there.
    """

    path: Path
    size_bytes: int
    version: str
    text: tuple[int, int]
    data: tuple[str, str]
    keywords: Keywords


def read_header(path: Path) -> Header:
    """Read the HEADER and TEXT segments of a file.

    Supplemental TEXT and ANALYSIS segments are ignored. Raises `FcsError` when there is no such file, it is not an FCS
    file of version 2.0 to 3.2, or its TEXT segment is not inside the file or has more than 4 MB.
    """
    path = Path(path)
    try:
        if not path.is_file():  # a pipe, for example, would block
            raise FcsError(f"{path} is not a file; wanted: an FCS file.")
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            start = file.read(HEADER_BYTES)
            version = _version(path, start)
            begin, end = _text_segment(path, start, size_bytes)
            file.seek(begin)
            keywords = Keywords(path, parse_keywords(file.read(end - begin)))
    except OSError as error:
        raise FcsError(f"{path} cannot be read: {error.strerror}; wanted: an FCS file.") from error
    return Header(path, size_bytes, version, (begin, end), _offsets(start, 26), keywords)


def parse_keywords(segment: bytes) -> dict[str, str]:
    """The keywords of a TEXT segment, in upper case and without their $, and their values.

    The first character of the segment is the delimiter; where a value contains it, it is doubled.

    >>> parse_keywords(b"/$PAR/2/$CYT/A//B/")
    {'PAR': '2', 'CYT': 'A/B'}
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


def segment_bounds(path: Path, what: str, first: str, last: str) -> tuple[int, int] | None:
    """A segment's first byte and the one after its last, from offsets as they are written.

    None where the last one is blank or 0, which means that the offsets are somewhere else. Raises `FcsError` where
    they are not whole numbers.

    >>> segment_bounds(Path("a.fcs"), "TEXT segment", "      58", "    1023")
    (58, 1024)
    """
    numbers = [text.strip() or "0" for text in (first, last)]
    if not all(map(_WHOLE_NUMBER.fullmatch, numbers)):
        found = f"its {what} is said to be bytes {shown(first)} to {shown(last)}"
        raise refusal(path, Damage.OFFSETS, found, "whole numbers")
    return (int(numbers[0]), int(numbers[1]) + 1) if int(numbers[1]) else None


def _version(path: Path, start: bytes) -> str:
    wanted = " or ".join(f"FCS{version}" for version in VERSIONS)
    if not start.startswith(b"FCS"):
        raise refusal(path, Damage.NOT_FCS, f"it begins with {start[:10]!r}", wanted)
    version = start[3:6].decode("latin-1")
    if version not in VERSIONS:
        raise refusal(path, Damage.VERSION, f"it begins with {start[:6]!r}", wanted)
    if len(start) < HEADER_BYTES:
        raise truncation(path, "header", HEADER_BYTES, len(start))
    return version


def _offsets(start: bytes, place: int) -> tuple[str, str]:
    """Two offsets of 8 characters in the HEADER."""
    return start[place : place + 8].decode("latin-1"), start[place + 8 : place + 16].decode("latin-1")


def _text_segment(path: Path, start: bytes, size_bytes: int) -> tuple[int, int]:
    begin, end = segment_bounds(path, "TEXT segment", *_offsets(start, 10)) or (0, 0)
    if not HEADER_BYTES <= begin < end:
        found = f"its TEXT segment is said to be bytes {begin:,} to {end:,}"
        raise refusal(path, Damage.OFFSETS, found, f"a first byte from {HEADER_BYTES} and a last one after it")
    if end > size_bytes:
        raise truncation(path, "TEXT segment", end, size_bytes)
    if end - begin > MAX_TEXT_BYTES:
        found = f"its TEXT segment has {end - begin:,} bytes"
        raise refusal(path, Damage.TOO_LARGE, found, f"{MAX_TEXT_BYTES:,} at most")
    return begin, end
