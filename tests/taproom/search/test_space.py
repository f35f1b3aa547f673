import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import InputError
from taproom.search.space import Choice, Integer, Real, at_an_end, holds

DIMENSIONS = {
    "real": Real(-2.0, 3.0),
    "log": Real(1e-5, 10.0, log=True),
    "integer": Integer(2, 9),
    "log integer": Integer(1, 1000, log=True),
    "choice": Choice(("a", "b", "c")),
}


@pytest.mark.parametrize("kind", DIMENSIONS)
@given(place=st.floats(0, 1))
def test_every_place_is_of_the_range_and_comes_back(kind, place):
    dimension = DIMENSIONS[kind]
    value = dimension.at(place)
    assert dimension.holds(value)
    assert dimension.at(dimension.place(value)) == (value if isinstance(value, int | str) else pytest.approx(value))


@pytest.mark.parametrize("kind", [kind for kind in DIMENSIONS if kind != "choice"])
def test_the_ends_are_the_ends(kind):
    dimension = DIMENSIONS[kind]
    assert (dimension.at(0.0), dimension.at(1.0)) == (pytest.approx(dimension.low), pytest.approx(dimension.high))


def test_a_log_scale_spreads_the_logarithm_evenly():
    assert Real(1e-3, 1e-1, log=True).at(0.5) == pytest.approx(1e-2)
    assert Integer(10, 1000, log=True).at(0.5) == 100


@pytest.mark.parametrize("kind", [Real, Integer])
@pytest.mark.parametrize(("low", "high"), [(3, 1), (2, 2), (0, math.inf), (math.nan, 1)])
def test_a_range_whose_ends_are_the_wrong_way_round_is_refused(kind, low, high):
    with pytest.raises(InputError, match="wanted: finite ends, the lower one first"):
        kind(low, high)


@pytest.mark.parametrize("kind", [Real, Integer])
@pytest.mark.parametrize("low", [0, -1])
def test_a_log_scale_that_does_not_start_above_zero_is_refused(kind, low):
    with pytest.raises(InputError, match="wanted: one that starts above 0"):
        kind(low, 10, log=True)


def test_a_choice_without_a_choice_is_refused():
    with pytest.raises(InputError, match="at least two different values"):
        Choice(("only", "only"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("real", 3.1), ("real", None), ("real", True), ("integer", 2.5), ("integer", 1), ("choice", "d")],
)
def test_what_is_not_of_the_range_is_not_held(kind, value):
    assert not DIMENSIONS[kind].holds(value)


def test_a_point_of_a_space_has_a_value_for_each_parameter_and_no_other():
    space = {"x": Real(0, 1), "k": Integer(1, 3)}
    assert holds(space, {"x": 0.5, "k": 2})
    assert not holds(space, {"x": 0.5})
    assert not holds(space, {"x": 0.5, "k": 2, "more": 1})
    assert not holds(space, {"x": 0.5, "k": None})


@pytest.mark.parametrize(("value", "expected"), [(0.001, ["x"]), (0.00102, ["x"]), (0.5, []), (1.0, ["x"]), (0, ["x"])])
def test_a_number_at_or_beyond_an_end_of_its_range_is_found_on_the_scale_of_the_range(value, expected):
    space = {"x": Real(0.001, 1.0, log=True), "name": Choice(("a", "b"))}
    assert at_an_end(space, {"x": value, "name": "a"}) == expected


@pytest.mark.parametrize("kind", DIMENSIONS)
def test_optuna_is_given_the_same_range(kind):
    dimension, distribution = DIMENSIONS[kind], DIMENSIONS[kind].distribution()
    for place in (0.0, 0.3, 1.0):
        assert distribution._contains(distribution.to_internal_repr(dimension.at(place)))
