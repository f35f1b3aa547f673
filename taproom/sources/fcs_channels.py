"""The channels of an FCS file: their names, their values on the linear scale, and the spillover between them.

Here belongs what keywords say about the columns of the matrix of events, whatever reads the matrix. Compensation
itself, and the scales that cytometrists look at events in, are in `taproom.sources.cytometry`.

Source: Spidlen et al. (2010), "Data File Standard for Flow Cytometry, version FCS 3.1", Cytometry A 77, 97-100.
FlowUtils: https://github.com/whitews/FlowUtils
"""

import logging
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from taproom.sources.fcs_damage import Damage, refusal, shown
from taproom.sources.fcs_text import Keywords

logger = logging.getLogger(__name__)


class Spillover(NamedTuple):
    """How much of each dye is seen in each channel: `matrix` (dyes, channels), float64, for the `channels` named."""

    channels: tuple[str, ...]
    matrix: np.ndarray


def channel_names(names: Sequence[str]) -> tuple[str, ...]:
    """Unique names of the channels, without blanks around them: numbered where repeated, `P3` where the third is blank.

    >>> channel_names(["FL1", " FL1 ", " "])
    ('FL1', 'FL1 (2)', 'P3')
    """
    names = [name.strip() or f"P{number}" for number, name in enumerate(names, 1)]
    unique: list[str] = []
    for name in names:
        numbered = (f"{name} ({number})" for number in count(2))
        unique.append(name if name not in unique else next(new for new in numbered if new not in {*names, *unique}))
    return tuple(unique)


def scale_linearly(keywords: Keywords, names: Sequence[str], values: np.ndarray) -> None:
    """Bring `values`, float64 (events, channels), to the linear scale, in place.

    Logarithmic channels, whose $PnE is `decades,offset` with decades above 0, become
    10^(decades * value / $PnR) * offset. Then every channel is divided by its gain ($PnG), except Time, which is
    multiplied by $TIMESTEP: instruments write a gain for it that was never applied. `names` are the values of $PnN.

    This is what FlowIO calls preprocessing. Raises `FcsError` where one of these keywords is not the number(s) it
    should be.

    >>> from pathlib import Path
    >>> values = np.array([[512.0, 30.0]])
    >>> scale_linearly(Keywords(Path("a.fcs"), {"P1E": "4,1", "P1R": "1024", "P2G": "2"}), ["FL1", "FL2"], values)
    >>> values.tolist()
    [[100.0, 15.0]]
    """
    times = [place for place, name in enumerate(names) if name.lower() == "time"]
    with np.errstate(all="ignore"):
        for place in times[-1:]:  # of several, FlowIO takes the last for the time
            values[:, place] *= _numbers(keywords, "TIMESTEP", keywords.stripped("TIMESTEP") or "1")[0]
        for place, number in enumerate(range(1, len(names) + 1)):
            decades, offset = _numbers(keywords, f"P{number}E", keywords.get(f"P{number}E", "0,0"), wanted=2)
            (largest,) = _numbers(keywords, f"P{number}R", keywords.get(f"P{number}R", "1"))
            (gain,) = _numbers(keywords, f"P{number}G", keywords.get(f"P{number}G", "1"))
            if decades > 0:  # an offset of 0 is no valid one, and the standard says to read it as 1
                values[:, place] = 10 ** (decades * values[:, place] / largest) * (offset or 1.0)
            if place not in times and gain not in (0, 1):
                values[:, place] /= gain


def _numbers(keywords: Keywords, keyword: str, value: str, wanted: int = 1) -> list[float]:
    """The numbers in a value, with commas between them. Raises `FcsError` unless there are as many as `wanted`."""
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != wanted:
        texts = {1: "a number", 2: "two numbers and a comma between them"}
        raise refusal(keywords.path, Damage.UNREADABLE, f"${keyword} is {shown(value)}", texts[wanted])
    return numbers


def spillover_of(keywords: Keywords) -> Spillover | None:
    """The spillover matrix of a file; None where it has none, or one that FlowUtils cannot read, which is logged.

    >>> from pathlib import Path
    >>> spillover_of(Keywords(Path("a.fcs"), {"SPILLOVER": "2,FL1,FL2,1,0.1,0.2,1"}))
    Spillover(channels=('FL1', 'FL2'), matrix=array([[1. , 0.1],
           [0.2, 1. ]]))
    """
    from flowutils.compensate import get_spill

    keyword = next((name for name in ("SPILLOVER", "SPILL", "COMP") if keywords.stripped(name)), None)
    if keyword is None:
        return None
    try:
        matrix, channels = get_spill(keywords.get(keyword))
    except (ValueError, OverflowError) as error:
        logger.warning("%s: $%s is not a spillover matrix (%s); read without one", keywords.path, keyword, error)
        return None
    if not np.isfinite(matrix).all():
        logger.warning("%s: $%s is not a spillover matrix (not finite); read without one", keywords.path, keyword)
        return None
    return Spillover(tuple(channels), matrix) if channels else None
