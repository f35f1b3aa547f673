import numpy as np
import pytest

from taproom.sources.fcs_data import Channel
from taproom.sources.fcs_scale import Amplification, amplifications, amplify, number, time_step

WHOLE, SINGLE = Channel("I", 16, 1024), Channel("F", 32, 262144)


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 1), (" 0.01 ", 0.01), ("0,01", 0.01), ("1e-3", 1e-3), (".5", 0.5), ("-1", -1)]
)
def test_a_number_may_have_a_decimal_comma(text, expected):
    assert number(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1.000,5", "1,2,3", "nan", "-1.#QNAN0", "0x10", "1_0"])
def test_what_is_no_number(text):
    assert number(text) is None


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, Amplification()),
        ({"P1E": "0,0", "P1G": "1.0"}, Amplification()),
        ({"P1E": "4,1"}, Amplification(4, 1)),
        ({"P1E": "4.0,0.00"}, Amplification(4, 1)),
        ({"P1E": " 4 , 0.1 ", "P1G": "10"}, Amplification(4, 0.1, 10)),
        ({"P1E": "4,0,0,1"}, Amplification(4, 0.1)),
        ({"P1G": "0,5"}, Amplification(gain=0.5)),
        ({"P1G": "0"}, Amplification()),
    ],
)
def test_amplifications_are_what_the_keywords_say(keywords, expected):
    assert amplifications(keywords, [WHOLE]) == ([expected], [])


@pytest.mark.parametrize("keywords", [{"P1E": "4"}, {"P1E": "4,1,2"}, {"P1E": "log"}, {"P1G": "loud"}])
def test_what_is_no_amplification_is_not_applied_and_reported(keywords):
    found, (reason,) = amplifications(keywords, [WHOLE])
    assert found == [Amplification()]
    assert f"${next(iter(keywords))} is " in reason
    assert reason.endswith("not applied")


def test_floating_point_numbers_are_linear_whatever_their_keyword_says():
    found, (reason,) = amplifications({"P1E": "4,1"}, [SINGLE])
    assert found == [Amplification()]
    assert reason == "$P1E is '4,1', but its numbers are linear already: not applied"


def test_values_are_raised_to_powers_and_divided_by_the_gain():
    values = np.array([[512.0, 100.0], [1024.0, -4.0]])
    amplify(values, [WHOLE, SINGLE], [Amplification(4, 1, 2), Amplification(gain=4)])
    assert values.tolist() == [[50, 25], [5000, -1]]


def test_a_time_step_that_cannot_be_read_leaves_time_in_steps():
    assert time_step({}) == (1.0, [])
    assert time_step({"TIMESTEP": "0.01"}) == (0.01, [])
    assert time_step({"TIMESTEP": "xxx"})[0] == 1.0
