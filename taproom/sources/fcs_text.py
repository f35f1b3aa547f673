"""The TEXT segment of an FCS file: bytes become keywords and values, as writers really write them.

The standard separates keywords and values by the segment's first character, doubles that character where it is meant
literally, and forbids empty values. Many instruments write empty values all the same, leave the last value unclosed, or
never double. So the segment is read in several ways, and the reading that finds the most keywords of the standard is
taken. Where that leaves a keyword in doubt which changes numbers, the segment is refused: a lost logarithmic scale or
spillover matrix would give wrong numbers without any error. What a segment's keywords mean belongs to
`taproom.sources.fcs` and `taproom.sources.fcs_data`.

Source: Spidlen et al. (2021), "Data File Standard for Flow Cytometry, Version FCS 3.2", Cytometry A 99, 100-102;
section 3.2 on the TEXT segment.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# Keywords, without their $, that change what numbers are read.
_THAT_MATTER = (
    r"PAR|TOT|MODE|DATATYPE|BYTEORD|NEXTDATA|TIMESTEP|SPILLOVER|SPILL|COMP|BEGINDATA|ENDDATA|BEGINSTEXT|ENDSTEXT"
    r"|P\d{1,4}(?:[BNREG]|DATATYPE)"
)
_MATTERS = re.compile(_THAT_MATTER)
_STANDARD = re.compile(
    _THAT_MATTER + r"|BEGINANALYSIS|ENDANALYSIS|ABRT|BTIM|CELLS|COM|CYT|CYTSN|DATE|ETIM|EXP|FIL|GATE|INST|LOST|OP|PROJ"
    r"|SMNO|SRC|SYS|TR|UNICODE|VOL|WELLID|PLATEID|PLATENAME|P\d{1,4}[SFLOPTVD]"
)
_REQUIRED_OF_A_CHANNEL = "BNRE"


@dataclass(frozen=True)
class Text:
    """The keywords of a TEXT segment.

    `keywords` are in upper case and without the $ of the standard's; values are as they stand, without the blanks
    around them. `repairs` says in words where the segment departs from the standard; `doubtful` names keywords that
    change numbers and cannot be made out.
    """

    keywords: Mapping[str, str]
    repairs: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


@dataclass
class _Reading:
    """One way to read a segment."""

    keywords: dict[str, str] = field(default_factory=dict)
    oddities: list[str] = field(default_factory=list)
    standard: set[str] = field(default_factory=set)

    def add(self, keyword: str, value: str) -> None:
        """Take a pair; of two pairs of one name, the standard's (with a $) counts, else the first."""
        name = keyword.strip().upper()
        is_standard, name = name.startswith("$"), name.removeprefix("$")
        if not name:
            self.oddities.append("a keyword without a name")
        elif name not in self.keywords or (is_standard and name not in self.standard):
            self.keywords[name] = value.strip()
        if is_standard:
            self.standard.add(name)

    @property
    def rank(self) -> tuple[bool, int, int]:
        found = sum(bool(_STANDARD.fullmatch(name)) for name in self.keywords)
        return _is_complete(self.keywords), found, -len(self.oddities)

    @property
    def what_matters(self) -> dict[str, str]:
        return {name: value for name, value in self.keywords.items() if _MATTERS.fullmatch(name)}


def parse_text(segment: bytes) -> Text:
    r"""The keywords of a TEXT segment, from its first delimiter to its last byte.

    Text that is not UTF-8 is read as Latin-1. A segment without a delimiter has no keywords.

    >>> parse_text(b"/$PAR/2/$P1S//$COM/one//two/").keywords
    {'PAR': '2', 'P1S': '', 'COM': 'one/two'}
    """
    text = _decoded(segment).rstrip("\0 \r\n\t" if segment[:1] not in b"\0 \r\n\t" else "")
    if len(text) < 2:
        return Text({})
    delimiter, body = text[0], text[1:]
    readings = [read(delimiter, body) for read in (_lenient, _strict, _undoubled)]
    best = max(readings, key=lambda reading: reading.rank)
    rivals = [reading for reading in readings if reading.rank[:2] == best.rank[:2]]
    doubtful = {
        name
        for rival in rivals
        for name in rival.what_matters.keys() | best.what_matters.keys()
        if rival.keywords.get(name) != best.keywords.get(name)
    }
    doubtful |= set(_written(delimiter, body)) - best.keywords.keys()
    return Text(best.keywords, tuple(dict.fromkeys(best.oddities)), tuple(sorted(doubtful)))


def _decoded(segment: bytes) -> str:
    try:
        return segment.decode()
    except UnicodeDecodeError:
        return segment.decode("latin-1")


def _is_complete(keywords: Mapping[str, str]) -> bool:
    """Whether the keywords that the standard requires of each channel are there."""
    channels = keywords.get("PAR", "").strip()
    if not re.fullmatch(r"\d{1,4}", channels, re.ASCII):
        return False
    return all(
        f"P{number}{letter}" in keywords for number in range(1, int(channels) + 1) for letter in _REQUIRED_OF_A_CHANNEL
    )


def _written(delimiter: str, body: str) -> Iterator[str]:
    """Names of keywords that change numbers and stand between two delimiters, whatever a reading makes of them."""
    parts = body.split(delimiter)
    yield from (part[1:].upper() for part in parts if part.startswith("$") and _MATTERS.fullmatch(part[1:].upper()))


def _runs(delimiter: str, body: str) -> Iterator[tuple[str, int]]:
    """Pieces of text, each with the number of delimiters that follow it; 0 after the last, where it is not closed."""
    for match in re.finditer(f"([^{re.escape(delimiter)}]*)({re.escape(delimiter)}*)", body, re.DOTALL):
        if match[0]:
            yield match[1], len(match[2])


def _lenient(delimiter: str, body: str) -> _Reading:
    """Keywords hold no delimiter; two of them after a keyword are an empty value, and in a value one that is meant."""
    reading, keyword, value = _Reading(), None, ""
    for piece, count in _runs(delimiter, body):
        if keyword is None:
            # The first separates; of the others each two are one that the value begins with, and a last one closes it.
            keyword, value = piece, delimiter * ((count - 1) // 2)
            if count and count % 2 == 0:
                reading.add(keyword, value) if value else _add_empty(reading, keyword)
                keyword = None
        else:
            value += piece + delimiter * (count // 2)
            if count % 2:
                reading.add(keyword, value)
                keyword = None
    if keyword is not None:
        _add_last(reading, keyword, value)
    return reading


def _strict(delimiter: str, body: str) -> _Reading:
    """As the standard has it: two delimiters are one that is meant, in keywords too, and no value is empty."""
    reading, parts, part = _Reading(), [], ""
    for piece, count in _runs(delimiter, body):
        part += piece + delimiter * (count // 2)
        if count % 2:
            parts.append(part)
            part = ""
    for keyword, value in zip(parts[::2], parts[1::2], strict=False):
        reading.add(keyword, value)
    if len(parts) % 2:
        _add_last(reading, parts[-1], part)
    elif part:
        reading.oddities.append("a last keyword without a value")
    return reading


def _undoubled(delimiter: str, body: str) -> _Reading:
    """Each delimiter separates; values may be empty, and one more delimiter before a keyword is skipped."""
    reading, keyword = _Reading(), None
    *parts, last = body.split(delimiter)
    for part in parts:
        if keyword is None:
            keyword = part or None
            if not part:
                reading.oddities.append("a delimiter too many")
        else:
            reading.add(keyword, part) if part else _add_empty(reading, keyword)
            keyword = None
    if keyword is not None:
        _add_last(reading, keyword, last)
    elif last:
        reading.oddities.append("a last keyword without a value")
    return reading


def _add_empty(reading: _Reading, keyword: str) -> None:
    reading.oddities.append("empty values")
    reading.add(keyword, "")


def _add_last(reading: _Reading, keyword: str, value: str) -> None:
    """Take the last value, which no delimiter closes."""
    reading.oddities.append("the last value is not closed")
    reading.add(keyword, value)
