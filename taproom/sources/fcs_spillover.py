"""The spillover matrix of an FCS file: how much of each dye is seen in each channel.

Files name the matrix's channels in many ways: by $PnN in another case or with the prefix `Comp-`, by $PnS, by number;
and write its numbers as shares or in percent. Here a matrix is parsed and its channels are found. What takes the
spillover out of the values is in `taproom.sources.cytometry`.

Source: Spidlen et al. (2010), FCS 3.1, section 3.2.20 on $SPILLOVER; Bagwell and Adams (1993).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

KEYWORDS = ("SPILLOVER", "SPILL", "COMP")


class Spillover(NamedTuple):
    """`matrix` (dyes, channels) float64: how much of each dye is seen in each of the `channels`, a share of 1.

    `keyword` is where it stood, `is_percent` whether it was written in percent.
    """

    channels: tuple[str, ...]
    matrix: np.ndarray
    keyword: str = "SPILLOVER"
    is_percent: bool = False

    def __str__(self) -> str:
        """As the table of samples has it."""
        return f"${self.keyword} of {', '.join(self.channels)}{' (in percent)' if self.is_percent else ''}"


def find_spillover(keywords: Mapping[str, str], names: Sequence[str], labels: Sequence[str]) -> Spillover | None:
    """The spillover matrix that a file has; None where it has none.

    `names` are those of the channels, in their order ($PnN, made unique), `labels` their $PnS.

    Raises:
        ValueError: it is not a square matrix of finite numbers, or it names a channel that is missing or ambiguous; the
            message says which.
    """
    keyword = next((name for name in KEYWORDS if keywords.get(name, "").strip()), None)
    if keyword is None:
        return None
    given, numbers = _parsed(keywords[keyword])
    if not given:
        return None
    found = [_channel(name, names, labels) for name in given]
    if len(set(found)) < len(found):
        raise ValueError(f"it names the channels {given}, of which two are the same")
    matrix = np.array(numbers, np.float64).reshape(len(given), len(given))
    is_percent = bool(np.allclose(np.diag(matrix), 100.0))
    return Spillover(tuple(found), matrix / 100.0 if is_percent else matrix, keyword, is_percent)


def _parsed(text: str) -> tuple[list[str], list[float]]:
    """Names and numbers: `n,name 1,...,name n,number 1,...`; a semicolon or a line end separates as well."""
    separators = r"[;\n\r\t]" if ";" in text and text.count(";") > text.count(",") else r"[,;\n\r\t]"
    parts = [part.strip().strip('"') for part in re.split(separators, text)]
    while parts and not parts[-1]:
        del parts[-1]
    if not parts or not re.fullmatch(r"\d{1,4}", parts[0], re.ASCII):
        raise ValueError(f"it begins with {parts[0] if parts else ''!r}, which is no number of channels")
    count = int(parts[0])
    names, rest = parts[1 : count + 1], parts[count + 1 :]
    if len(rest) != count**2:
        raise ValueError(f"it has {len(rest):,} numbers for {count:,} channels, which need {count**2:,}")
    try:
        numbers = [float(part.replace(",", ".")) for part in rest]
    except ValueError as error:
        raise ValueError(f"of its numbers, {error}") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not all of its numbers are finite")
    return names, numbers


def _channel(given: str, names: Sequence[str], labels: Sequence[str]) -> str:
    """The channel that a name of the matrix means: by the first way of understanding it that finds one."""
    for candidates in (
        [name for name in names if name == given],
        [name for name in names if _plain(name) == _plain(given)],
        [name for name, label in zip(names, labels, strict=True) if _plain(label) == _plain(given)],
        _by_number(given, names),
    ):
        if len(candidates) > 1:
            raise ValueError(f"it names {given!r}, which may be {' or '.join(candidates)}")
        if candidates:
            return candidates[0]
    raise ValueError(f"it names {given!r}, and the channels are {', '.join(names)}")


def _plain(name: str) -> str:
    """A name without what writers add or change: blanks, case, the prefix of compensated channels."""
    return re.sub(r"^comp-", "", name.strip().casefold())


def _by_number(given: str, names: Sequence[str]) -> list[str]:
    match = re.fullmatch(r"P?(\d{1,4})", given.strip(), re.ASCII | re.IGNORECASE)
    return list(names[int(match[1]) - 1 : int(match[1])]) if match and int(match[1]) else []
