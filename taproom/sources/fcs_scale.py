"""The scale of an FCS file's channels: stored numbers become what was measured.

Here belong amplification ($PnE, $PnG) and time ($TIMESTEP). What a keyword says that is no number, or does not apply,
is left out and reported: a file whose time step cannot be read still has its events.

Source: Spidlen et al. (2010), FCS 3.1, section 3.2.20 on $PnE, $PnG and $TIMESTEP.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from taproom.sources.fcs_data import Channel

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Amplification:
    """How a channel's numbers were amplified.

    A logarithmic one has `decades` above 0 and begins at `first`: the value is first * 10^(decades * stored / range).
    The value is divided by the `gain`.
    """

    decades: float = 0.0
    first: float = 0.0
    gain: float = 1.0

    def without_gain(self) -> "Amplification":
        """The same without its gain."""
        return replace(self, gain=1.0)


def number(text: str) -> float | None:
    """A number with a decimal point or comma; None where the text is none.

    >>> number("0.01"), number(" 0,5 "), number("4,1,0"), number("n/a")
    (0.01, 0.5, None, None)
    """
    return float(text.strip().replace(",", ".")) if _NUMBER.fullmatch(text.strip()) else None


def amplifications(keywords: Mapping[str, str], channels: Sequence[Channel]) -> tuple[list[Amplification], list[str]]:
    """The amplification of each channel, and in words what of it could not be used.

    A logarithmic amplification of floating point numbers does not count, as the standard wants: they are linear.

    >>> amplifications({"P1E": "4,1", "P1G": "none"}, [Channel("I", 16, 1024)])
    ([Amplification(decades=4.0, first=1.0, gain=1.0)], ["$P1G is 'none', which is no number: not applied"])
    """
    found, unused = [], []
    for place, channel in enumerate(channels, 1):
        decades, first = 0.0, 0.0
        pair = _pair(given := keywords.get(f"P{place}E", ""))
        if pair is None and given:
            unused.append(f"$P{place}E is {given!r}, which are no two numbers: not applied")
        elif pair and pair[0] > 0:
            if channel.datatype == "I" and channel.range > 0:
                decades, first = pair[0], pair[1] or 1.0  # 0 is often written for 1, as a logarithm has no 0
            else:
                unused.append(f"$P{place}E is {given!r}, but its numbers are linear already: not applied")
        gain = number(given := keywords.get(f"P{place}G", ""))
        if gain is None and given:
            unused.append(f"$P{place}G is {given!r}, which is no number: not applied")
        found.append(Amplification(decades, first, gain or 1.0))
    return found, unused


def _pair(text: str) -> tuple[float, float] | None:
    """Two numbers with a comma between; where the decimals have commas too, there are four pieces."""
    parts = text.replace(" ", "").split(",")
    if len(parts) == 4:
        parts = [".".join(parts[:2]), ".".join(parts[2:])]
    numbers = [number(part) for part in parts]
    if len(numbers) != 2 or None in numbers:
        return None
    return float(parts[0]), float(parts[1])


def amplify(values: np.ndarray, channels: Sequence[Channel], amplification: Sequence[Amplification]) -> None:
    """Change stored numbers (events, channels) float64 to what was measured, in place."""
    with np.errstate(all="ignore"):  # what is no number stays none
        for place, (channel, how) in enumerate(zip(channels, amplification, strict=True)):
            column = values[:, place]
            if how.decades:
                column[:] = how.first * 10 ** (how.decades * column / channel.range)
            if how.gain != 1.0:
                column /= how.gain


def time_step(keywords: Mapping[str, str]) -> tuple[float, list[str]]:
    """Seconds for each unit of the channel Time (1 where the file does not say), and what could not be used.

    >>> time_step({"TIMESTEP": "0,01"}), time_step({"TIMESTEP": "fast"})
    ((0.01, []), (1.0, ["$TIMESTEP is 'fast', which is no number: not applied"]))
    """
    given = keywords.get("TIMESTEP", "")
    seconds = number(given)
    if seconds is None:
        return 1.0, [f"$TIMESTEP is {given!r}, which is no number: not applied"] if given else []
    return seconds, []
