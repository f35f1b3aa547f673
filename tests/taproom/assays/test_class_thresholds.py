from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from taproom.assays.class_mixtures import cross_fit
from taproom.assays.class_thresholds import model_of, sure_threshold
from taproom.assays.held_out_wells import LabelledEvents
from tests.labelled_plate import QUICK, fit_classes, plate


def test_anomalous_flags_fire_as_often_as_wanted_on_held_out_events(crossed):
    for share in (0.0, 0.01, 0.1):
        found = model_of(crossed, replace(QUICK, anomalous_share=share))
        for place, rows in enumerate(crossed.of_class):
            own = crossed.log_densities[rows, place] < found.anomalous_below[place]
            assert own.mean() == pytest.approx(share, abs=1 / len(rows))
            assert found.held_out[place].anomalous_share <= own.mean()
            assert found.held_out[place].events == len(rows)


def test_held_out_rates_are_those_of_calls(crossed, model):
    posteriors = np.exp(crossed.log_densities - logsumexp(crossed.log_densities, axis=1, keepdims=True))
    right = posteriors.argmax(axis=1) == crossed.classes_of
    sure = posteriors.max(axis=1) >= model.ambiguous_below - 1e-12
    for rates, rows in zip(model.held_out, crossed.of_class, strict=True):
        assert rates.accuracy == pytest.approx(right[rows].mean())
        assert rates.ambiguous_share == pytest.approx(1 - sure[rows].mean())
        assert rates.sure_accuracy == pytest.approx(right[rows][sure[rows]].mean())
    weights = 1 / np.bincount(crossed.classes_of)[crossed.classes_of]
    assert model.reached_accuracy == pytest.approx(np.average(right[sure], weights=weights[sure]))
    assert model.reached_accuracy >= 0.95


def test_missing_values_leave_the_thresholds_to_complete_events():
    values, labels, wells = plate()
    values[::3, 0] = np.nan
    crossed = cross_fit(LabelledEvents(values, labels, wells), QUICK)
    found = model_of(crossed, QUICK)
    for place, rows in enumerate(crossed.of_class):
        complete = rows[~np.isnan(values[rows]).any(axis=1)]
        wanted = np.quantile(crossed.log_densities[complete, place], 0.01)
        assert found.anomalous_below[place] == wanted
        assert found.held_out[place].anomalous_share <= 0.015
    values[labels == "red", 0] = np.where(np.arange(600) % 2, np.nan, values[labels == "red", 0])
    values[labels == "red", 1] = np.where(np.arange(600) % 2, values[labels == "red", 1], np.nan)
    assert np.isfinite(fit_classes(values, labels, wells, QUICK).anomalous_below).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), events=st.integers(1, 40), wanted=st.just(0.0) | st.floats(1e-9, 1))
def test_the_sure_threshold_is_the_smallest_that_reaches_the_accuracy(seed, events, wanted):
    random = np.random.default_rng(seed)
    largest = random.integers(1, 6, events) / 5
    right, weights = random.random(events) < largest, random.random(events) + 0.1
    threshold, reached = sure_threshold(largest, right, weights, wanted)
    accuracies = {
        each: np.average(right[largest >= each], weights=weights[largest >= each])
        for each in set(largest.tolist())
        if weights[largest >= each].sum() >= 0.01 * weights.sum()
    }
    good = [each for each, accuracy in accuracies.items() if accuracy >= wanted - 1e-12]  # which is nothing beside 1e-9
    if good:
        assert threshold == min(good)
    else:
        assert reached == pytest.approx(max(accuracies.values()))
    assert reached == pytest.approx(accuracies[threshold])


def test_an_accuracy_out_of_reach_is_told():
    values, labels, wells = plate()
    noise = np.random.default_rng(2).normal(size=values.shape)
    found = fit_classes(noise, labels, wells, QUICK)
    assert 1 / 3 < found.reached_accuracy < 0.9
    assert any(rates.ambiguous_share < 1 for rates in found.held_out)


def test_priors_are_uniform_or_as_given_in_any_unit(crossed):
    np.testing.assert_array_equal(model_of(crossed).priors, [1 / 3] * 3)
    given = replace(QUICK, priors={"yellow": 20, "blue": 10, "red": 10})
    np.testing.assert_allclose(model_of(crossed, given).priors, [0.25, 0.25, 0.5])
