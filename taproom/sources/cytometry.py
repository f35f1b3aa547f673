"""What cytometrists do to events before anything else: compensate for spillover, and change the scale.

Here belongs arithmetic on channels that is the field's own, through FlowUtils, which cytometrists know. A scale is
named by a text that says all of it, such as `arcsinh(150)`, so that a table can tell how its columns were made.

Sources: Bagwell and Adams (1993), "Fluorescence spectral overlap compensation for any number of flow cytometry
parameters", Annals of the New York Academy of Sciences 677, 167-184. Moore and Parks (2012), "Update for the logicle
data scale including operational code implementations", Cytometry A 81A, 273-277.
"""

import math
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import numpy as np

from taproom.errors import InputError
from taproom.sources.fcs import Recording

WANTED = (
    "linear, arcsinh(cofactor) with a cofactor above 0, or logicle(T, M, W, A) with T and M above 0, "
    "W from 0 to M / 2 and A from -W to M - 2 W"
)
# FlowUtils gives this where its iteration does not converge.
NOT_CONVERGED = -1.0


def compensated(recording: Recording) -> np.ndarray:
    """The values with the spillover between dyes taken out; float64, shape (events, channels).

    Channels that the recording's spillover matrix does not name stay as they are, and so do all where it has none. An
    event that lacks a number in one of the channels named has none in all of them (NaN): each is a mixture of all.

    Raises `InputError` where the matrix names a channel that there is not, or cannot be inverted.
    """
    if recording.spillover is None:
        return recording.values
    from flowutils.compensate import compensate

    names, matrix = recording.spillover
    if unknown := [name for name in names if name not in recording.channels]:
        raise InputError(
            f"the spillover matrix names the channels {unknown}; wanted: some of {list(recording.channels)}. "
            "Read the file without compensation."
        )
    if len(set(names)) < len(names) or np.linalg.matrix_rank(matrix) < len(matrix):
        raise InputError(
            f"the spillover matrix of {list(names)} has no inverse; wanted: a row for each dye that no other rows add "
            "up to. Read the file without compensation."
        )
    return compensate(recording.values, matrix, [recording.channels.index(name) for name in names])


def transformed(values: np.ndarray, how: str) -> np.ndarray:
    """`values` (events,) on another scale; float64, the same shape.

    `how` is `linear` (as they are), `arcsinh(cofactor)`: arcsinh(x / cofactor), or `logicle(T, M, W, A)`: 1 is the top
    of the scale T, M the decades, W those that are about linear, A those more below zero. NaN stays NaN, infinity
    infinity; where FlowUtils cannot compute a logicle (of numbers beyond some 10^160) it is NaN.

    Raises `InputError` for any other `how`.
    """
    name, parameters = _parsed(how)
    return SCALES[name](np.asarray(values, dtype=np.float64), *parameters)


def transforms_of(channels: Sequence[str], how: str, linear: Sequence[str] = ()) -> tuple[str, ...]:
    """The transform of each channel: `how`, or linear for those that match one of the patterns `linear`.

    Patterns are a shell's (`*-W`), in which case matters. Raises `InputError` where `how` is no transform.
    """
    _parsed(how)
    return tuple("linear" if any(fnmatchcase(name, pattern) for pattern in linear) else how for name in channels)


def _linear(values: np.ndarray) -> np.ndarray:
    return values.copy()


def _arcsinh(values: np.ndarray, cofactor: float) -> np.ndarray:
    """Not FlowUtils' asinh: that is GatingML's, whose parameters are decades and which is scaled to 1 at the top."""
    return np.arcsinh(values / cofactor)


def _logicle(values: np.ndarray, top: float, decades: float, linear: float, negative: float) -> np.ndarray:
    from flowutils.transforms import logicle

    moved, finite = values.copy(), np.isfinite(values)
    found = logicle(values[finite], None, top, decades, linear, negative)
    moved[finite] = np.where(found == NOT_CONVERGED, np.nan, found)
    return moved


SCALES: dict[str, Callable[..., np.ndarray]] = {"linear": _linear, "arcsinh": _arcsinh, "logicle": _logicle}


def _parsed(how: str) -> tuple[str, list[float]]:
    """A transform's name and parameters. Raises `InputError` where it cannot be one."""
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", how.strip())
    try:
        name, parameters = match[1], [float(number) for number in match[2].split(",")] if match[2] else []
        if _is_sensible(name, parameters):
            return name, parameters
    except (TypeError, ValueError):
        pass
    raise InputError(f"the transform is {how!r}; wanted: {WANTED}.")


def _is_sensible(name: str, parameters: list[float]) -> bool:
    if not all(map(math.isfinite, parameters)):
        return False
    if name == "arcsinh":
        (cofactor,) = parameters
        return cofactor > 0
    if name == "logicle":
        top, decades, linear, negative = parameters
        return top > 0 < decades and 0 <= linear <= decades / 2 and -linear <= negative <= decades - 2 * linear
    return name == "linear" and not parameters
