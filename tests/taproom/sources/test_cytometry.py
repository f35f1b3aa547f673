from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.errors import InputError
from taproom.sources.cytometry import compensated, transformed, transforms_of
from taproom.sources.fcs import Recording
from taproom.sources.fcs_spillover import Spillover

CHANNELS = ("Time", "FL1", "FL2")
MATRIX = np.array([[1.0, 0.2], [0.1, 1.0]])
LOGICLE = (262144.0, 4.5, 0.5, 0.0)


def recording(values: np.ndarray, spillover: Spillover | None) -> Recording:
    return Recording(CHANNELS, np.asarray(values, dtype=float), None, None, None, spillover, "3.1")


def logicle_inverse(scale: np.ndarray, top: float, decades: float, linear: float, negative: float) -> np.ndarray:
    """Moore and Parks (2012): x = a e^(by) - c e^(-dy) - f, mirrored where x is below 0; d by bisection."""
    width, first = linear / (decades + negative), negative / (decades + negative)
    second = width + first
    third = second + width
    b = (decades + negative) * np.log(10)
    low, high = 1e-12, b
    for _ in range(200):
        d = (low + high) / 2
        low, high = (low, d) if 2 * (np.log(d) - np.log(b)) + width * (b + d) > 0 else (d, high)
    c_of_a = np.exp((b + d) * third)
    f_of_a = np.exp(b * second) - c_of_a * np.exp(-d * second)
    a = top / (np.exp(b) - c_of_a * np.exp(-d) - f_of_a)
    mirrored = second + np.abs(scale - second)
    return np.sign(scale - second) * a * (np.exp(b * mirrored) - c_of_a * np.exp(-d * mirrored) - f_of_a)


def test_compensation_undoes_the_spillover_whatever_the_order_of_the_matrix():
    dyes = np.array([[1.0, 100, 5], [2, 0, 80], [3, 40, 40]])
    measured = dyes.copy()
    measured[:, [2, 1]] = dyes[:, [2, 1]] @ MATRIX
    found = compensated(recording(measured, Spillover(("FL2", "FL1"), MATRIX)))
    np.testing.assert_allclose(found, dyes, atol=1e-12)
    assert (measured != dyes).any()


def test_without_a_matrix_values_stay_as_they_are():
    values = np.arange(6.0).reshape(2, 3)
    assert (compensated(recording(values, None)) == values).all()


def test_a_missing_value_is_missing_in_all_channels_of_the_matrix_and_nowhere_else():
    values = np.arange(1.0, 10).reshape(3, 3)
    values[1, 1] = np.nan
    found = compensated(recording(values, Spillover(("FL1", "FL2"), MATRIX)))
    assert np.isnan(found).tolist() == [[False] * 3, [False, True, True], [False] * 3]


def test_a_matrix_without_an_inverse_is_refused():
    with pytest.raises(InputError, match="has no inverse"):
        compensated(recording(np.ones((2, 3)), Spillover(("FL1", "FL2"), np.ones((2, 2)))))


def test_a_matrix_that_the_file_does_not_have_in_order_is_refused():
    damaged = replace(recording(np.ones((2, 3)), None), spillover_damage="it names 'FL9'")
    with pytest.raises(InputError, match=r"cannot be used: it names 'FL9'. Read the file without compensation"):
        compensated(damaged)


def test_linear_is_a_copy():
    values = np.array([1.0, np.nan, -np.inf])
    found = transformed(values, "linear")
    np.testing.assert_array_equal(found, values)
    assert found is not values


def test_arcsinh_is_of_the_value_over_the_cofactor():
    found = transformed(np.array([-300.0, 0, 150, np.nan, np.inf]), "arcsinh(150)")
    np.testing.assert_allclose(found, [-np.arcsinh(2), 0, np.arcsinh(1), np.nan, np.inf])


@pytest.mark.parametrize("parameters", [LOGICLE, (262144, 4.5, 0.5, 1), (1000, 4, 0.25, -0.25), (1e4, 5, 2.5, 0)])
def test_logicle_is_the_inverse_of_its_published_formula(parameters):
    scale = np.linspace(-0.1, 1.1, 101)
    how = f"logicle({', '.join(map(str, parameters))})"
    np.testing.assert_allclose(transformed(logicle_inverse(scale, *parameters), how), scale, atol=1e-9)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
@settings(deadline=None)  # the first example imports FlowUtils
def test_logicle_keeps_the_order_and_values_that_are_not_finite(numbers):
    values = np.array(numbers, dtype=float)
    found = transformed(values, "logicle(262144, 4.5, 0.5, 0)")
    np.testing.assert_array_equal(found[~np.isfinite(values)], values[~np.isfinite(values)])
    usual = np.abs(values) < 1e150
    assert np.isfinite(found[usual]).all()
    assert (np.diff(found[usual][np.argsort(values[usual])]) >= -1e-9).all()


def test_what_a_logicle_cannot_compute_is_missing():
    assert np.isnan(transformed(np.array([1e300, -1e300]), "logicle(262144, 4.5, 0.5, 0)")).all()


@pytest.mark.parametrize(
    "how",
    [
        "", "log", "linear(1)", "arcsinh", "arcsinh()", "arcsinh(0)", "arcsinh(-5)", "arcsinh(nan)", "arcsinh(inf)",
        "arcsinh(1, 2)", "arcsinh(x)", "arcsinh(150", "logicle", "logicle(262144)", "logicle(0, 4.5, 0.5, 0)",
        "logicle(262144, 0, 0, 0)", "logicle(262144, 4.5, -0.1, 0)", "logicle(262144, 4.5, 2.3, 0)",
        "logicle(262144, 4.5, 0.5, -0.6)", "logicle(262144, 4.5, 0.5, 3.6)", "logicle(inf, 4.5, 0.5, 0)",
    ],
)  # fmt: skip
def test_an_invalid_transform_is_refused_and_the_valid_ones_are_named(how):
    for attempt in (lambda: transformed(np.ones(2), how), lambda: transforms_of(["FL1"], how)):
        with pytest.raises(InputError, match=r"wanted: linear, arcsinh\(cofactor\)"):
            attempt()


def test_channels_that_match_a_pattern_stay_linear():
    channels = ("Time", "FSC-A", "FSC-W", "time", "HDR-T")
    found = transforms_of(channels, "arcsinh(150)", ["Time", "HDR-*", "*-W"])
    assert found == ("linear", "arcsinh(150)", "linear", "arcsinh(150)", "linear")
