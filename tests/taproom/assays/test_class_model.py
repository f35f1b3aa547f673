from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from taproom.assays.class_model import call
from taproom.assays.class_thresholds import model_of
from taproom.errors import InputError
from tests.labelled_plate import QUICK, fit_classes, plate, with_missing


def density_by_hand(mixture, event):
    """Of what is observed, by SciPy."""
    seen = ~np.isnan(event)
    if not seen.any():
        return 1.0
    return sum(
        weight * multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)]).pdf(event[seen])
        for weight, mean, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    )


def test_calls_are_the_bayes_rule_by_hand(crossed):
    model = model_of(crossed, replace(QUICK, priors={"blue": 1.0, "red": 2.0, "yellow": 5.0}))
    values = with_missing(plate(events=20, seed=5)[0])
    values[0] = np.nan
    calls = call(values, model)
    densities = np.array([[density_by_hand(mixture, event) for mixture in model.mixtures] for event in values])
    joint = densities * [1 / 8, 2 / 8, 5 / 8]
    np.testing.assert_allclose(calls.log_densities, np.log(densities), atol=1e-9)
    np.testing.assert_allclose(calls.posteriors, joint / joint.sum(axis=1, keepdims=True), atol=1e-9)
    np.testing.assert_allclose(calls.log_density, np.log(joint.sum(axis=1)), atol=1e-9)
    np.testing.assert_array_equal(calls.called, joint.argmax(axis=1))
    np.testing.assert_array_equal(calls.ambiguous, calls.posteriors.max(axis=1) < model.ambiguous_below)
    complete = ~np.isnan(values).any(axis=1)
    below = np.log(densities[complete]) < model.anomalous_below
    np.testing.assert_array_equal(calls.anomalous[complete], below.all(axis=1))
    np.testing.assert_allclose(calls.posteriors[0], model.priors)
    assert not calls.anomalous[0]
    assert calls.log_density[0] == pytest.approx(0.0)


def test_far_events_are_anomalous_and_those_of_a_class_are_not(model):
    calls = call(np.array([[60.0, -60.0], [0.0, 0.0], [1e200, 1.0], [np.nan, 1e200]]), model)
    assert calls.anomalous.tolist() == [True, False, True, True]
    assert np.isfinite(calls.posteriors).all()
    assert np.isfinite(calls.log_density).all()
    assert calls.called[1] == 0


def test_no_events_get_no_calls(model):
    calls = call(np.empty((0, 2)), model)
    assert calls.posteriors.shape == (0, 3)
    assert len(calls.called) == len(calls.anomalous) == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_missing_values_hide_is_anomalous_only_if_it_is_without_them(model, seed):
    random = np.random.default_rng(seed)
    values = random.normal(scale=6, size=(200, 2))
    hidden = call(with_missing(values, 0.5, seed), model).anomalous
    assert not (hidden & ~call(values, model).anomalous).any()


def test_an_event_is_anomalous_if_one_channel_alone_says_so(model):
    assert call(np.array([[60.0, np.nan], [np.nan, -60.0], [np.nan, 0.0]]), model).anomalous.tolist() == [
        True,
        True,
        False,
    ]


def test_the_scale_of_channels_changes_no_call():
    values, labels, wells = plate()
    model = fit_classes(values, labels, wells, QUICK)
    scaled = fit_classes(values * [1e4, 1e-3] + [5e5, 0], labels, wells, QUICK)
    one, other = call(values, model), call(values * [1e4, 1e-3] + [5e5, 0], scaled)
    np.testing.assert_allclose(one.posteriors, other.posteriors, atol=1e-4)
    assert (one.anomalous != other.anomalous).mean() < 0.01


def test_calls_of_other_channels_are_refused(model):
    for wrong in (np.zeros((3, 3)), np.zeros(2), np.array([[np.inf, 0.0]])):
        with pytest.raises(InputError):
            call(wrong, model)
