from dataclasses import replace

import numpy as np
import pytest

from taproom.assays.class_mixtures import ClassParameters, cross_fit
from taproom.assays.class_model_rows import model_rows
from taproom.assays.class_thresholds import model_of
from taproom.assays.held_out_wells import FOLDS, LabelledEvents
from taproom.assays.mixtures import Mixture
from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from tests.labelled_plate import QUICK, events_of_plate, fit_classes, plate

CHANNELS, TRANSFORMS = ("FSC-A", "SSC-A"), ("linear", "arcsinh")


@pytest.mark.slow
def test_held_out_densities_are_of_mixtures_that_have_never_seen_the_well(crossed):
    values, labels, wells = plate()
    for well, label in (("A2", "blue"), ("B1", "red")):
        others = wells != well
        without = cross_fit(LabelledEvents(values[others], labels[others], wells[others]), QUICK)
        of_well = crossed.wells == well
        wanted = [mixture.log_density(values[of_well]) for mixture in without.mixtures]
        np.testing.assert_array_equal(crossed.log_densities[of_well], np.column_stack(wanted))
        assert crossed.classes[crossed.classes_of[of_well][0]] == label


def test_what_a_well_holds_does_not_reach_the_mixtures_that_score_it(crossed):
    values, labels, wells = plate()
    of_well = wells == "B2"
    marker = np.where(of_well[:, None], np.array([9.0, -9.0]) + 0.01 * values, values)
    moved = cross_fit(LabelledEvents(marker, labels, wells), QUICK)
    own = moved.log_densities[of_well, 1]
    assert own.max() < -20
    same = ~of_well & (labels != "red")
    np.testing.assert_array_equal(moved.log_densities[same][:, [0, 2]], crossed.log_densities[same][:, [0, 2]])


def test_a_class_with_one_well_is_scored_by_folds_of_its_events():
    values, labels, wells = plate(events=100, wells={"blue": ("A1",), "red": ("B1", "B2")})
    found = cross_fit(LabelledEvents(values, labels, wells), QUICK)
    in_blue = np.flatnonzero(labels == "blue")
    fold = in_blue[np.arange(100) % FOLDS == 3]
    others = np.setdiff1d(np.arange(300), fold)
    without = cross_fit(
        LabelledEvents(values[others], labels[others], wells[others]), replace(QUICK, events_per_well=100)
    )
    wanted = np.column_stack([mixture.log_density(values[fold]) for mixture in without.mixtures])
    np.testing.assert_array_equal(found.log_densities[fold], wanted)


def test_a_well_of_two_classes_is_left_out_of_both():
    values, _, wells = plate(events=100, wells={"blue": ("A1", "A2", "A3")})
    labels = np.where(np.arange(300) % 2 == 0, "blue", "red")
    found = cross_fit(LabelledEvents(values, labels, wells), QUICK)
    others = wells != "A2"
    without = cross_fit(LabelledEvents(values[others], labels[others], wells[others]), QUICK)
    wanted = np.column_stack([mixture.log_density(values[~others]) for mixture in without.mixtures])
    np.testing.assert_array_equal(found.log_densities[~others], wanted)


@pytest.mark.slow
def test_bic_finds_the_number_of_components_unless_it_is_given():
    values, labels, wells = plate(events=400)
    one_each = np.where(labels == "red", 10.0, 0.0)[:, None] + np.random.default_rng(3).normal(size=values.shape)
    two_each = LabelledEvents(values, labels, wells)
    parameters = ClassParameters(sizes=(1, 2, 3), restarts=2)
    assert [m.components for m in cross_fit(LabelledEvents(one_each, labels, wells), parameters).mixtures] == [1, 1, 1]
    assert [m.components for m in cross_fit(two_each, parameters).mixtures] == [2, 2, 2]
    given = replace(parameters, components={"blue": 1, "red": 3, "yellow": 2})
    assert [m.components for m in cross_fit(two_each, given).mixtures] == [1, 3, 2]
    assert [m.components for m in cross_fit(two_each, replace(given, components=1)).mixtures] == [1] * 3


def test_numbers_of_components_that_events_cannot_carry_are_not_tried():
    values, labels, wells = plate(events=5)
    few = cross_fit(LabelledEvents(values, labels, wells), ClassParameters(sizes=(1, 6), restarts=1))
    assert [m.components for m in few.mixtures] == [1, 1, 1]


@pytest.mark.slow
def test_a_cluster_gives_the_same_bits(on_cluster):
    here = cross_fit(events_of_plate(100), QUICK)
    there = cross_fit(Made(events_of_plate, (100,)), QUICK)
    assert there.log_densities.tobytes() == here.log_densities.tobytes()
    assert model_rows(model_of(there), CHANNELS, TRANSFORMS) == model_rows(model_of(here), CHANNELS, TRANSFORMS)
    usage = taken_usages()[-1]
    assert usage.blocks == 3 + 7  # each class with all its wells, and without each
    assert usage.largest_sent < 3_000
    assert usage.largest_received < 3_000


def test_the_same_bits_come_out_whatever_the_workers_and_another_seed_tells():
    given = plate(events=100)
    one, two = (cross_fit(LabelledEvents(*given), QUICK, n_jobs=jobs) for jobs in (1, 2))
    assert one.log_densities.tobytes() == two.log_densities.tobytes()
    assert model_rows(model_of(one), CHANNELS, TRANSFORMS) == model_rows(model_of(two), CHANNELS, TRANSFORMS)
    other = cross_fit(LabelledEvents(*given), replace(QUICK, seed=1, events_per_well=50))
    assert other.log_densities.shape != one.log_densities.shape


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


def test_variances_are_at_least_the_regularization_in_the_class_s_own_scale():
    values, labels, wells = plate(events=60)
    crossed = cross_fit(LabelledEvents(values, labels, wells), replace(QUICK, regularization=0.5))
    for place, mixture in enumerate(crossed.mixtures):
        scale = values[labels == crossed.classes[place]].std(axis=0)
        for covariance in mixture.covariances:
            assert np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0] >= 0.5 * (1 - 1e-9)


def test_mixtures_are_in_the_units_of_the_values(model):
    assert all(isinstance(mixture, Mixture) for mixture in model.mixtures)
    values, labels, _ = plate()
    for name, mixture in zip(model.classes, model.mixtures, strict=True):
        np.testing.assert_allclose(mixture.weights @ mixture.means, values[labels == name].mean(axis=0), atol=0.01)
