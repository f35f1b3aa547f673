from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from taproom.assays.class_mixtures import (
    FOLDS,
    ClassModel,
    ClassParameters,
    balanced_rows,
    call,
    cross_fit,
    left_out_groups,
    model_from_rows,
    model_of,
    model_rows,
    only_wells,
    sure_threshold,
)
from taproom.assays.mixtures import Mixture
from taproom.errors import InputError
from tests.labelled_plate import QUICK, fit_classes, plate

CHANNELS, TRANSFORMS = ("FSC-A", "SSC-A"), ("linear", "arcsinh")


def with_missing(values, share=0.3, seed=1):
    missing = np.random.default_rng(seed).random(values.shape) < share
    return np.where(missing, np.nan, values)


@pytest.fixture(scope="module")
def crossed():
    return cross_fit(*plate(), QUICK)


@pytest.fixture(scope="module")
def model(crossed) -> ClassModel:
    return model_of(crossed, QUICK)


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


def test_held_out_densities_are_of_mixtures_that_have_never_seen_the_well(crossed):
    values, labels, wells = plate()
    for well, label in (("A2", "blue"), ("B1", "red")):
        others = wells != well
        without = cross_fit(values[others], labels[others], wells[others], QUICK)
        of_well = crossed.wells == well
        wanted = [mixture.log_density(values[of_well]) for mixture in without.mixtures]
        np.testing.assert_array_equal(crossed.log_densities[of_well], np.column_stack(wanted))
        assert crossed.classes[crossed.classes_of[of_well][0]] == label


def test_what_a_well_holds_does_not_reach_the_mixtures_that_score_it(crossed):
    values, labels, wells = plate()
    of_well = wells == "B2"
    marker = np.where(of_well[:, None], np.array([9.0, -9.0]) + 0.01 * values, values)
    moved = cross_fit(marker, labels, wells, QUICK)
    own = moved.log_densities[of_well, 1]
    assert own.max() < -20
    same = ~of_well & (labels != "red")
    np.testing.assert_array_equal(moved.log_densities[same][:, [0, 2]], crossed.log_densities[same][:, [0, 2]])


def test_a_well_is_in_one_group_and_the_only_well_of_a_class_in_folds():
    labels = np.array(["a"] * 6 + ["b"] * 12 + ["a"] * 2)
    wells = np.array(["w1"] * 3 + ["w2"] * 3 + ["w3"] * 12 + ["w2"] * 2)
    groups = left_out_groups(labels, wells)
    assert only_wells(labels, wells) == {"w3": "b"}
    assert len(set(groups[wells == "w1"])) == len(set(groups[wells == "w2"])) == 1
    assert len(set(groups[wells == "w3"])) == FOLDS
    assert not set(groups[wells == "w3"]) & set(groups[wells != "w3"])
    assert len(set(groups)) == 2 + FOLDS


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), events=st.integers(1, 60), classes=st.integers(1, 4), wells=st.integers(1, 5))
def test_every_class_has_events_without_any_group_and_groups_split_no_other_well(seed, events, classes, wells):
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=events).astype(str)
    of_wells = random.integers(wells, size=events).astype(str)
    groups = left_out_groups(labels, of_wells)
    only = only_wells(labels, of_wells)
    for well in np.unique(of_wells):
        inside = groups[of_wells == well]
        assert len(set(inside)) == (min(FOLDS, len(inside)) if well in only else 1)
        if well not in only:
            assert set(labels[of_wells != well]) == set(labels)


def test_a_class_with_one_well_is_scored_by_folds_of_its_events():
    values, labels, wells = plate(events=100, wells={"blue": ("A1",), "red": ("B1", "B2")})
    found = cross_fit(values, labels, wells, QUICK)
    in_blue = np.flatnonzero(labels == "blue")
    fold = in_blue[np.arange(100) % FOLDS == 3]
    others = np.setdiff1d(np.arange(300), fold)
    without = cross_fit(values[others], labels[others], wells[others], replace(QUICK, events_per_well=100))
    wanted = np.column_stack([mixture.log_density(values[fold]) for mixture in without.mixtures])
    np.testing.assert_array_equal(found.log_densities[fold], wanted)


def test_a_well_of_two_classes_is_left_out_of_both():
    values, _, wells = plate(events=100, wells={"blue": ("A1", "A2", "A3")})
    labels = np.where(np.arange(300) % 2 == 0, "blue", "red")
    found = cross_fit(values, labels, wells, QUICK)
    others = wells != "A2"
    without = cross_fit(values[others], labels[others], wells[others], QUICK)
    wanted = np.column_stack([mixture.log_density(values[~others]) for mixture in without.mixtures])
    np.testing.assert_array_equal(found.log_densities[~others], wanted)


def test_each_well_of_a_class_gives_as_many_events():
    labels = np.array(["a"] * 90 + ["b"] * 50)
    wells = np.array(["w1"] * 60 + ["w2"] * 30 + ["w3"] * 50)
    for cap, wanted in ((40, {"w1": 30, "w2": 30, "w3": 40}), (7, {"w1": 7, "w2": 7, "w3": 7})):
        rows = balanced_rows(labels, wells, cap, seed=0)
        assert dict(zip(*np.unique(wells[rows], return_counts=True), strict=True)) == wanted
        assert (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(rows, balanced_rows(labels, wells, cap, seed=0))
    assert not np.array_equal(balanced_rows(labels, wells, 7, seed=1), rows)


def test_bic_finds_the_number_of_components_unless_it_is_given():
    values, labels, wells = plate(events=400)
    one_each = np.where(labels == "red", 10.0, 0.0)[:, None] + np.random.default_rng(3).normal(size=values.shape)
    parameters = ClassParameters(sizes=(1, 2, 3), restarts=2)
    assert [m.components for m in cross_fit(one_each, labels, wells, parameters).mixtures] == [1, 1, 1]
    assert [m.components for m in cross_fit(values, labels, wells, parameters).mixtures] == [2, 2, 2]
    given = replace(parameters, components={"blue": 1, "red": 3, "yellow": 2})
    assert [m.components for m in cross_fit(values, labels, wells, given).mixtures] == [1, 3, 2]
    assert [m.components for m in cross_fit(values, labels, wells, replace(given, components=1)).mixtures] == [1] * 3


def test_numbers_of_components_that_events_cannot_carry_are_not_tried():
    values, labels, wells = plate(events=5)
    few = cross_fit(values, labels, wells, ClassParameters(sizes=(1, 6), restarts=1))
    assert [m.components for m in few.mixtures] == [1, 1, 1]


def test_the_scale_of_channels_changes_no_call():
    values, labels, wells = plate()
    model = fit_classes(values, labels, wells, QUICK)
    scaled = fit_classes(values * [1e4, 1e-3] + [5e5, 0], labels, wells, QUICK)
    one, other = call(values, model), call(values * [1e4, 1e-3] + [5e5, 0], scaled)
    np.testing.assert_allclose(one.posteriors, other.posteriors, atol=1e-4)
    assert (one.anomalous != other.anomalous).mean() < 0.01


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
    crossed = cross_fit(values, labels, wells, QUICK)
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
@given(seed=st.integers(0, 2**32 - 1), events=st.integers(1, 40), wanted=st.floats(0, 1))
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
    good = [each for each, accuracy in accuracies.items() if accuracy >= wanted - 1e-12]
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


def test_a_model_rebuilt_from_rows_in_any_order_calls_bit_for_bit_the_same(model):
    component_rows, class_rows = model_rows(model, CHANNELS, TRANSFORMS)
    rebuilt, channels, transforms = model_from_rows(component_rows[::-1], class_rows[::-1])
    assert (channels, transforms) == (CHANNELS, TRANSFORMS)
    values = with_missing(plate(seed=9)[0])
    one, other = call(values, model), call(values, rebuilt)
    for name in ("log_densities", "posteriors", "called", "log_density", "ambiguous", "anomalous"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert model_rows(rebuilt, channels, transforms) == (component_rows, class_rows)
    assert len(component_rows) == sum(row["components"] for row in class_rows)
    assert [row["wells"] for row in class_rows] == [2, 3, 2]
    assert [row["events"] for row in class_rows] == [400, 600, 400]


def test_rows_that_do_not_fit_together_are_refused(model):
    component_rows, class_rows = model_rows(model, CHANNELS, TRANSFORMS)
    for components, classes in ((component_rows[1:], class_rows), (component_rows, class_rows[1:]), ([], [])):
        with pytest.raises(InputError, match="one making"):
            model_from_rows(components, classes)


def test_the_same_bits_come_out_whatever_the_workers_and_another_seed_tells():
    given = plate(events=100)
    one, two = (cross_fit(*given, QUICK, n_jobs=jobs) for jobs in (1, 2))
    assert one.log_densities.tobytes() == two.log_densities.tobytes()
    assert model_rows(model_of(one), CHANNELS, TRANSFORMS) == model_rows(model_of(two), CHANNELS, TRANSFORMS)
    other = cross_fit(*given, replace(QUICK, seed=1, events_per_well=50))
    assert other.log_densities.shape != one.log_densities.shape


def test_priors_are_uniform_or_as_given_in_any_unit(crossed):
    np.testing.assert_array_equal(model_of(crossed).priors, [1 / 3] * 3)
    given = replace(QUICK, priors={"yellow": 20, "blue": 10, "red": 10})
    np.testing.assert_allclose(model_of(crossed, given).priors, [0.25, 0.25, 0.5])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"priors": {"blue": 1, "red": 1, "yellow": 1, "green": 1}}, "green has no well"),
        ({"priors": {"blue": 1, "red": 1}}, "A prior is given for"),
        ({"priors": {"blue": 1, "red": 1, "yellow": 0}}, "positive"),
        ({"priors": {"blue": 1, "red": 1, "yellow": np.nan}}, "positive"),
        ({"components": {"blue": 1, "red": 1}}, "A number of components is given for"),
        ({"components": 0}, "0"),
        ({"components": 1_000}, "class blue"),
        ({"sizes": ()}, "sizes"),
        ({"sizes": (0, 1)}, "sizes"),
        ({"restarts": 0}, "restarts"),
        ({"regularization": -1.0}, "regularization"),
        ({"events_per_well": 0}, "events per well"),
        ({"anomalous_share": 1.0}, "anomalous share"),
        ({"wanted_accuracy": np.nan}, "accuracy"),
    ],
)
def test_parameters_out_of_range_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        fit_classes(*plate(events=20), replace(QUICK, **changed))


def test_events_that_cannot_be_classes_are_refused():
    values, labels, wells = plate(events=20)
    cases = {
        "No event has a label": (values[:0], labels[:0], wells[:0]),
        "of the class blue": (values, np.full(140, "blue"), wells),
        "140 events came with": (values, labels[1:], wells),
        "have no label": (values, np.array([None, *labels[1:]], dtype=object), wells),
        "have no well": (values, labels, np.array([np.nan, *wells[1:]], dtype=object)),
        "infinite": (np.where(values == values[3, 1], np.inf, values), labels, wells),
        "shape": (values[:, 0], labels, wells),
        "class blue.*no mixture": (np.where(labels[:, None] == "blue", 1.0, values), labels, wells),
        "class yellow without the well C1": (
            np.where(wells[:, None] == "C2", np.array([1.0, np.nan]), values),
            labels,
            wells,
        ),
    }
    for message, events in cases.items():
        with pytest.raises(InputError, match=message):
            fit_classes(*events, QUICK)


def test_a_class_of_one_event_is_refused_by_name():
    values, labels, wells = plate(events=20)
    with pytest.raises(InputError, match="class green"):
        fit_classes(values, np.array(["green", *labels[1:]]), wells, QUICK)


def test_calls_of_other_channels_are_refused(model):
    for wrong in (np.zeros((3, 3)), np.zeros(2), np.array([[np.inf, 0.0]])):
        with pytest.raises(InputError):
            call(wrong, model)


def test_variances_are_at_least_the_regularization_in_the_class_s_own_scale():
    values, labels, wells = plate(events=60)
    crossed = cross_fit(values, labels, wells, replace(QUICK, regularization=0.5))
    for place, mixture in enumerate(crossed.mixtures):
        scale = values[labels == crossed.classes[place]].std(axis=0)
        for covariance in mixture.covariances:
            assert np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0] >= 0.5 * (1 - 1e-9)


def test_mixtures_are_in_the_units_of_the_values(model):
    assert all(isinstance(mixture, Mixture) for mixture in model.mixtures)
    values, labels, _ = plate()
    for name, mixture in zip(model.classes, model.mixtures, strict=True):
        np.testing.assert_allclose(mixture.weights @ mixture.means, values[labels == name].mean(axis=0), atol=0.01)
