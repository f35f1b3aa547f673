"""The kinds of range that a parameter may have in a search, and how each is mapped to [0, 1] and back.

The ranges of a product's parameters are in its study, `assets/tuning/<study>.py`; their default values are with the
algorithm (`OrdinalParameters` and the like). Which points of a space are tried is decided in `taproom.search.trials`.

Source: the deck's slides "Hyperparameter Optimization": rates and penalties are searched on a log scale.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taproom.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Real:
    """A real number from `low` to `high`; with `log`, its logarithm is spread evenly.

    >>> round(Real(0.01, 1.0, log=True).at(0.5), 3)
    0.1

    Raises `InputError` unless low < high, both finite, and with `log` above 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        """Raise `InputError` for a range without numbers."""
        _check_range(self.low, self.high, self.log)

    @property
    def count(self) -> int | None:
        """How many values there are; None for more than can be counted."""
        return None

    def at(self, place: float) -> float:
        """The number at a place from 0 (low) to 1 (high)."""
        if self.log:
            return min(max(math.exp(_between(place, math.log(self.low), math.log(self.high))), self.low), self.high)
        return _between(place, self.low, self.high)

    def place(self, value: float) -> float:
        """The inverse of `at`."""
        return _place(value, self.low, self.high, self.log)

    def holds(self, value: Any) -> bool:
        """Whether it is a number of the range."""
        return _is_number(value) and self.low <= value <= self.high

    def distribution(self) -> "BaseDistribution":
        """As Optuna takes it."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, both included; the rest as `Real`.

    >>> [Integer(1, 9).at(place) for place in (0.0, 0.5, 1.0)]
    [1, 5, 9]
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        """Raise `InputError` for a range without numbers."""
        _check_range(self.low, self.high, self.log)

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    def at(self, place: float) -> int:
        """The number at a place from 0 (low) to 1 (high)."""
        return round(Real(self.low, self.high, self.log).at(place))

    def place(self, value: float) -> float:
        """The inverse of `at`."""
        return _place(value, self.low, self.high, self.log)

    def holds(self, value: Any) -> bool:
        """Whether it is a whole number of the range."""
        return _is_number(value) and value == int(value) and self.low <= value <= self.high

    def distribution(self) -> "BaseDistribution":
        """As Optuna takes it."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of some values, ordered (sizes) or not (names).

    >>> Choice(("mean", "max")).at(0.7)
    'max'
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Raise `InputError` for fewer than two values."""
        if len(set(self.values)) < 2:
            raise InputError(f"a choice among {list(self.values)} was given; wanted: at least two different values")

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def at(self, place: float) -> Any:
        """The value at a place from 0 (the first) to 1 (the last)."""
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]

    def place(self, value: Any) -> float:
        """The middle of the places where the value is."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def holds(self, value: Any) -> bool:
        """Whether it is one of the values."""
        return value in self.values

    def distribution(self) -> "BaseDistribution":
        """As Optuna takes it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


Dimension = Real | Integer | Choice
Space = Mapping[str, Dimension]


def holds(space: Space, parameters: Parameters) -> bool:
    """Whether parameters are a point of the space: a value within its range for each name, and no other names.

    >>> holds({"rate": Real(0.0, 1.0)}, {"rate": 0.5}), holds({"rate": Real(0.0, 1.0)}, {"rate": 2.0})
    (True, False)
    """
    return parameters.keys() == space.keys() and all(space[name].holds(value) for name, value in parameters.items())


def at_an_end(space: Space, parameters: Parameters) -> list[str]:
    """Names of the numbers outside their range, or within a hundredth of it from one of its ends, on its own scale.

    >>> at_an_end({"rate": Real(0.001, 1.0, log=True), "size": Integer(1, 9)}, {"rate": 0.99, "size": 5})
    ['rate']
    """
    return [
        name
        for name, value in parameters.items()
        if not isinstance(space[name], Choice)
        and not (space[name].holds(value) and 0.01 < space[name].place(value) < 0.99)
    ]


def _check_range(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"a range from {low} to {high} was given; wanted: finite ends, the lower one first")
    if log and low <= 0:
        raise InputError(f"a log scale from {low} to {high} was given; wanted: one that starts above 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _between(place: float, low: float, high: float) -> float:
    return float(low + place * (high - low))


def _place(value: float, low: float, high: float, log: bool) -> float:
    return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
