import pickle

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import softmax

from taproom.assays.class_mixtures import ClassParameters, cross_fit
from taproom.assays.class_mixtures_objective import ClassMixturesObjective
from taproom.errors import InputError
from taproom.sources.events import as_lists
from tests.labelled_plate import plate

QUICK = {"sizes": (1, 2), "restarts": 1}
MANY_WELLS = {"blue": [f"A{n}" for n in range(4)], "red": [f"B{n}" for n in range(5)]}
GIVEN = plate()


@pytest.fixture(scope="module")
def objective() -> ClassMixturesObjective:
    return ClassMixturesObjective.parted(*GIVEN, seed=0)


def rows_of(part) -> set:
    return {tuple(row) for row in part.values}


@pytest.mark.slow
def test_a_mixture_of_two_beats_one_gaussian_where_half_of_a_well_is_elsewhere():
    given = plate(events=400, spread=0.02)
    objective = ClassMixturesObjective.parted(*given, seed=0)
    one, two = ({**QUICK, "components": components} for components in (1, 2))
    assert objective.score(two, 200, 0) < objective.score(one, 200, 0)
    assert (objective.fresh_scores(two, 200, 0) - objective.fresh_scores(one, 200, 0)).mean() < 0
    assert objective.score({**two, "regularization": 50.0}, 200, 0) > objective.score(two, 200, 0)


def test_each_event_is_searched_on_or_fresh_and_wells_have_both(objective):
    assert not rows_of(objective.searched) & rows_of(objective.fresh)
    assert rows_of(objective.searched) | rows_of(objective.fresh) == {tuple(row) for row in GIVEN[0]}
    for part in (objective.searched, objective.fresh):
        assert set(np.unique(part.wells, return_counts=True)[1]) == {100}


def test_where_classes_have_wells_enough_parts_are_made_of_whole_wells():
    objective = ClassMixturesObjective.parted(*plate(events=30, wells=MANY_WELLS), seed=0)
    searched, fresh = (
        {(label, well) for label, well in zip(part.labels.tolist(), part.wells.tolist(), strict=True)}
        for part in (objective.searched, objective.fresh)
    )
    assert not searched & fresh
    assert sorted(label for label, _ in fresh) == ["blue", "blue", "red", "red"]
    assert sorted(label for label, _ in searched) == ["blue", "blue", "red", "red", "red"]
    assert objective.fresh_scores(QUICK, 30, 0).shape == (20,)  # four wells, in folds
    assert ClassMixturesObjective.parted(*plate(events=30, wells=MANY_WELLS), seed=1).fresh.wells.tolist() != (
        objective.fresh.wells.tolist()
    )


def test_a_well_of_several_classes_is_not_taken_for_two():
    values, labels, wells = plate(events=40, wells=MANY_WELLS)
    objective = ClassMixturesObjective.parted(values, labels, np.char.replace(wells, "B0", "A0"), seed=0)
    assert set(objective.searched.wells) == set(objective.fresh.wells)


@pytest.mark.slow
def test_fresh_events_never_reach_a_score(objective):
    values, labels, wells = GIVEN
    is_fresh = np.isin(values[:, 0], objective.fresh.values[:, 0])
    garbled = ClassMixturesObjective.parted(np.where(is_fresh[:, None], values * 3 - 8, values), labels, wells, seed=0)
    assert garbled.score(QUICK, 100, 0) == objective.score(QUICK, 100, 0)
    assert not np.array_equal(garbled.fresh_scores(QUICK, 100, 0), objective.fresh_scores(QUICK, 100, 0))


def test_the_score_is_the_mean_over_wells_of_the_products_own_held_out_log_loss(objective):
    part = objective.searched
    crossed = cross_fit(part, ClassParameters(**QUICK, events_per_well=50, seed=2))
    of_truth = softmax(crossed.log_densities, axis=1)[np.arange(len(crossed.rows)), crossed.classes_of]
    by_well = [-np.log(of_truth[crossed.wells == well]).mean() for well in np.unique(crossed.wells)]
    assert objective.score(QUICK, 50, 2) == pytest.approx(np.mean(by_well))


def test_units_are_wells_whatever_the_parameters(objective):
    for changed in ({}, {"components": 1}, {"components": None}, {"regularization": 0.1}):
        assert objective.fresh_scores({**QUICK, **changed}, 60, 0).shape == (7,)


def test_of_few_wells_the_units_are_folds():
    given = plate(events=50, wells={"blue": ("A1",), "red": ("B1", "B2")})
    objective = ClassMixturesObjective.parted(*given, seed=0)
    for components in (1, 2):
        losses = objective.fresh_scores({**QUICK, "components": components}, 25, 0)
        assert losses.shape == (15,)
        assert np.isfinite(losses).all()


def test_to_be_sure_and_wrong_is_not_infinitely_bad():
    random = np.random.default_rng(0)
    labels = np.repeat(["blue", "red"], 80)
    wells = np.repeat(["A1", "A2", "B1", "B2"], 40)
    values = random.normal(size=(160, 2)) + 1e5 * (wells == "B2")[:, None]
    losses = ClassMixturesObjective.parted(values, labels, wells, seed=0).fresh_scores(QUICK, 20, 0)
    assert losses.max() <= -np.log(np.finfo(np.float64).eps)


@pytest.mark.slow
def test_the_products_defaults_are_taken_where_nothing_is_given(objective):
    none = {"components": None, "regularization": ClassParameters().regularization}
    assert objective.score({}, 40, 0) == objective.score(none, 40, 0)


@pytest.mark.slow
def test_the_same_bits_come_out_each_time_and_another_seed_parts_otherwise(objective):
    sent = pickle.loads(pickle.dumps(objective))
    again = ClassMixturesObjective.parted(*GIVEN, seed=0)
    assert len({each.score(QUICK, 60, 0) for each in (objective, sent, again)}) == 1
    assert sent.fresh_scores(QUICK, 60, 0).tobytes() == objective.fresh_scores(QUICK, 60, 0).tobytes()
    assert ClassMixturesObjective.parted(*GIVEN, seed=1).score(QUICK, 60, 0) != objective.score(QUICK, 60, 0)


def test_events_come_from_the_tables_and_those_without_a_label_are_left_out(objective):
    values, labels, wells = GIVEN
    count = len(values)
    events = pa.table(
        {
            "sample": [*wells, "call"],
            "event": np.arange(count + 1),
            "plate": ["P"] * (count + 1),
            "well": [*wells, "D1"],
            "label": pa.array([*labels, None], pa.string()),
            "transformed": as_lists(np.vstack([values, [[9.0, 9.0]]])),
        }
    )
    names = [*np.unique(wells).tolist(), "call"]
    table = pa.table(
        {
            "sample": names,
            "channels": [["a", "b"]] * len(names),
            "transforms": [["linear"] * 2] * len(names),
            "places": [[0, 1]] * len(names),
        }
    )
    scales = {"plate": ["P"] * 2, "channel": ["a", "b"], "shift": [1.0, 2.0], "scale": [3.0, 4.0]}
    as_they_are, applied = (
        ClassMixturesObjective.of(events, table, pa.table({**scales, "applied": [is_applied] * 2}), seed=0)
        for is_applied in (False, True)
    )
    np.testing.assert_array_equal(as_they_are.searched.values, objective.searched.values)
    np.testing.assert_allclose(applied.searched.values, [1, 2] + [3, 4] * objective.searched.values)
    assert set(applied.searched.wells) == {f"P {well}" for well in wells}


def test_too_little_to_part_is_refused():
    values, labels, wells = plate(events=20)
    with pytest.raises(InputError, match="two classes"):
        ClassMixturesObjective.parted(values[:20], labels[:20], wells[:20], seed=0)
    with pytest.raises(InputError, match="a single event of the class red"):
        ClassMixturesObjective.parted(values[:41], labels[:41], wells[:41], seed=0)
    with pytest.raises(InputError, match="No event has a label"):
        ClassMixturesObjective.parted(values[:0], labels[:0], wells[:0], seed=0)


def test_a_class_with_single_events_in_its_wells_is_in_both_parts():
    values, labels, wells = plate(events=20)
    seldom = (labels != "yellow") | (np.arange(len(labels)) % 20 == 0)
    objective = ClassMixturesObjective.parted(values[seldom], labels[seldom], wells[seldom], seed=0)
    for part in (objective.searched, objective.fresh):
        assert (part.labels == "yellow").sum() == 1
