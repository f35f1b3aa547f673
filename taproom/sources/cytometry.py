"""Compensation for spillover and transforms of the scale: the first steps of any analysis in cytometry.

Here belongs arithmetic on channels that is specific to the field, by FlowUtils where it has it. A transform is a text
with all its parameters, such as `arcsinh(150)`, so that a table records how its columns were computed.

Sources: Bagwell and Adams (1993), "Fluorescence spectral overlap compensation for any number of flow cytometry
parameters", Annals of the New York Academy of Sciences 677, 167-184. Moore and Parks (2012), "Update for the logicle
data scale including operational code implementations", Cytometry A 81A, 273-277.
"""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

import numpy as np

from taproom.errors import InputError
from taproom.sources.fcs import Recording

WANTED = (
    "linear, arcsinh(cofactor) with a cofactor above 0, or logicle(T, M, W, A) with T and M above 0, "
    "W from 0 to M / 2 and A from -W to M - 2 W"
)
# FlowUtils returns this where its iteration does not converge.
NOT_CONVERGED = -1.0


def compensated(recording: Recording) -> np.ndarray:
    """The values of a recording, compensated for the spillover between dyes; float64, shape (events, channels).

    Channels that the spillover matrix does not name stay as they are; without a matrix, all do. An event with NaN in
    one of the channels named gets NaN in all of them, because each is a mixture of all.

    Raises `InputError` when the file's matrix cannot be used or has no inverse.

    >>> from taproom.sources.fcs_spillover import Spillover
    >>> spillover = Spillover(("FL1", "FL2"), np.array([[1, 0.5], [0, 1]]))
    >>> compensated(Recording(("FL1", "FL2"), np.array([[10.0, 7.0]]), None, None, None, spillover, "3.1"))
    array([[10.,  2.]])
    """
    if recording.spillover_damage:
        raise InputError(
            f"the spillover matrix cannot be used: {recording.spillover_damage}. Read the file without compensation."
        )
    if recording.spillover is None:
        return recording.values
    from flowutils.compensate import compensate

    names, matrix = recording.spillover.channels, recording.spillover.matrix
    if np.linalg.matrix_rank(matrix) < len(matrix):
        raise InputError(
            f"the spillover matrix of {list(names)} has no inverse; wanted: independent rows, one for each dye. "
            "Read the file without compensation."
        )
    return compensate(recording.values, matrix, [recording.channels.index(name) for name in names])


def transformed(values: np.ndarray, how: str) -> np.ndarray:
    """`values` (events,) on another scale; float64, the same shape.

    `how` is one of

    - `linear`: as they are
    - `arcsinh(cofactor)`: arcsinh(x / cofactor)
    - `logicle(T, M, W, A)`: T is the top of the scale (which becomes 1), M the number of decades, W that of the decades
      that are approximately linear, A that of additional negative decades

    NaN stays NaN, infinity stays infinity. A logicle that FlowUtils cannot compute (beyond about 10^160) is NaN.

    Raises `InputError` for any other `how`.

    >>> transformed(np.array([0, 150, np.nan]), "arcsinh(150)").round(3)
    array([0.   , 0.881,   nan])
    """
    name, parameters = _parsed(how)
    return SCALES[name](np.asarray(values, dtype=np.float64), *parameters)


def transforms_of(channels: Sequence[str], how: str, linear: Sequence[str] = ()) -> tuple[str, ...]:
    """The transform of each channel: `how`, or linear for those that match one of the patterns `linear`.

    Patterns are those of a shell (`*-W`), and case matters. Raises `InputError` when `how` is not a transform.

    >>> transforms_of(["Time", "FL1-A", "FL1-W"], "arcsinh(150)", linear=["Time", "*-W"])
    ('linear', 'arcsinh(150)', 'linear')
    """
    _parsed(how)
    return tuple("linear" if any(fnmatchcase(name, pattern) for pattern in linear) else how for name in channels)


def _linear(values: np.ndarray) -> np.ndarray:
    return values.copy()


def _arcsinh(values: np.ndarray, cofactor: float) -> np.ndarray:
    """Not the asinh of FlowUtils, which is that of GatingML: its parameters are decades, and its top becomes 1."""
    return np.arcsinh(values / cofactor)


def _logicle(values: np.ndarray, top: float, decades: float, linear: float, negative: float) -> np.ndarray:
    from flowutils.transforms import logicle

    moved, finite = values.copy(), np.isfinite(values)
    found = logicle(values[finite], None, top, decades, linear, negative)
    moved[finite] = np.where(found == NOT_CONVERGED, np.nan, found)
    return moved


SCALES: dict[str, Callable[..., np.ndarray]] = {"linear": _linear, "arcsinh": _arcsinh, "logicle": _logicle}


def _parsed(how: str) -> tuple[str, list[float]]:
    """A transform's name and parameters. Raises `InputError` when it is not one."""
    if match := re.fullmatch(r"(\w+)(?:\((.*)\))?", how.strip()):
        name, numbers = match.groups()
        with suppress(ValueError):
            parameters = [float(number) for number in numbers.split(",")] if numbers else []
            if _is_valid(name, parameters):
                return name, parameters
    raise InputError(f"the transform is {how!r}; wanted: {WANTED}.")


def _is_valid(name: str, parameters: list[float]) -> bool:
    if not all(map(math.isfinite, parameters)):
        return False
    if name == "arcsinh":
        (cofactor,) = parameters
        return cofactor > 0
    if name == "logicle":
        top, decades, linear, negative = parameters
        return top > 0 < decades and 0 <= linear <= decades / 2 and -linear <= negative <= decades - 2 * linear
    return name == "linear" and not parameters
