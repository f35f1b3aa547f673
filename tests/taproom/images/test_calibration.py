import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.images.calibration import best_temperature, calibration_error, probabilities


def drawn(count, temperature, seed=0):
    """Scores of three classes, and labels that are drawn with the probabilities at a temperature."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(count, 3))
    shares = probabilities(scores, temperature).cumsum(axis=1)
    return scores, (random.random((count, 1)) > shares).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_at_is_found_and_is_calibrated(temperature):
    scores, labels = drawn(20_000, temperature)
    found = best_temperature(scores, labels)
    assert found == pytest.approx(temperature, rel=0.1)
    assert calibration_error(probabilities(scores, found), labels) < 0.02
    assert calibration_error(probabilities(scores, found / 4), labels) > 0.05


def test_no_other_temperature_is_likelier():
    scores, labels = drawn(300, 0.5)
    rows = np.arange(len(labels))

    def likelihood(temperature):
        return np.log(probabilities(scores, temperature)[rows, labels]).sum()

    best = likelihood(best_temperature(scores, labels))
    assert best >= max(likelihood(temperature) for temperature in np.geomspace(0.05, 20, 60)) - 1e-3


@given(st.floats(0.02, 50), st.integers(0, 100))
def test_probabilities_sum_to_1_and_keep_the_order_of_scores(temperature, seed):
    scores = np.random.default_rng(seed).uniform(-1, 1, (5, 4))
    found = probabilities(scores, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == scores.argmax(axis=1)).all()


def test_the_calibration_error_is_that_of_a_loop_over_bins():
    scores, labels = drawn(500, 1.0)
    found = probabilities(scores, 0.3)
    surest, right = found.max(axis=1), found.argmax(axis=1) == labels
    wanted = 0.0
    for number in range(15):
        inside = (surest >= number / 15) & (surest < (number + 1) / 15 if number < 14 else surest <= 1)
        if inside.any():
            wanted += inside.mean() * abs(surest[inside].mean() - right[inside].mean())
    assert calibration_error(found, labels) == pytest.approx(wanted, abs=1e-6)


def test_of_no_image_the_calibration_error_is_0():
    assert calibration_error(np.empty((0, 3)), np.empty(0, int)) == 0
