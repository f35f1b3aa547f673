import pickle

import numpy as np
import pyarrow as pa
import pytest

from taproom.assays.densities import choose_bandwidth
from taproom.assays.kernel_density_objective import KernelDensityObjective
from taproom.errors import InputError
from taproom.sources.events import as_lists

RANDOM = np.random.default_rng(0)
VALUES = np.vstack([RANDOM.normal((0, 0), (1, 20), (2_000, 2)), RANDOM.normal((5, 150), (0.5, 50), (1_000, 2))])
BUDGET = 10_000


@pytest.fixture(scope="module")
def objective() -> KernelDensityObjective:
    return KernelDensityObjective.parted(VALUES, seed=3)


def events_and_wells(values: np.ndarray) -> tuple[pa.Table, pa.Table]:
    count = len(values)
    events = pa.table(
        {
            "sample": ["s"] * count,
            "event": np.arange(count),
            "plate": ["P"] * count,
            "well": ["A1"] * count,
            "label": pa.nulls(count, pa.string()),
            "transformed": as_lists(values),
        }
    )
    channels, places = [["a", "b", "c"]], [list(range(values.shape[1]))]
    return events, pa.table(
        {"sample": ["s"], "channels": channels, "transforms": [["linear"] * 3], "places": places},
    )


def test_a_bandwidth_near_the_best_scores_better_than_ones_far_away(objective):
    best, _ = choose_bandwidth(VALUES, 0)
    for bandwidth in (best / 6, best * 6):
        assert objective.score({"bandwidth": best}, BUDGET, 0) > objective.score({"bandwidth": bandwidth}, BUDGET, 0)
        gain = objective.fresh_scores({"bandwidth": best}, BUDGET, 0) - objective.fresh_scores(
            {"bandwidth": bandwidth}, BUDGET, 0
        )
        assert gain.mean() > 0


def test_each_event_is_in_one_part(objective):
    parts = np.vstack([objective.fitted, objective.validation, objective.fresh])
    np.testing.assert_array_equal(np.sort(parts, axis=0), np.sort(VALUES, axis=0))
    assert [len(objective.fitted), len(objective.validation), len(objective.fresh)] == [2_400, 300, 300]


@pytest.mark.slow
def test_fresh_events_never_reach_a_score(objective):
    is_fresh = np.isin(VALUES[:, 0], objective.fresh[:, 0])
    garbled = KernelDensityObjective.parted(np.where(is_fresh[:, None], VALUES * 7, VALUES), seed=3)
    for parameters in ({}, {"bandwidth": 0.2}):
        assert garbled.score(parameters, BUDGET, 0) == objective.score(parameters, BUDGET, 0)
    assert not np.array_equal(garbled.fresh_scores({}, BUDGET, 0), objective.fresh_scores({}, BUDGET, 0))


@pytest.mark.slow
def test_the_default_is_the_bandwidth_that_the_product_would_choose(objective):
    chosen, _ = choose_bandwidth(objective.fitted, 5)
    wanted = objective.score({"bandwidth": chosen}, BUDGET, 0)
    assert objective.score({}, BUDGET, 5) == objective.score({"bandwidth": None}, BUDGET, 5) == wanted


def test_units_are_the_fresh_events_whatever_the_bandwidth(objective):
    for bandwidth in (None, 0.05, 0.5):
        assert objective.fresh_scores({"bandwidth": bandwidth}, 500, 0).shape == (300,)


def test_the_same_bits_come_out_each_time_and_another_seed_parts_otherwise(objective):
    sent = pickle.loads(pickle.dumps(objective))
    again = KernelDensityObjective.parted(VALUES, seed=3)
    scores = {each.score({"bandwidth": 0.1}, 700, 0) for each in (objective, again, sent)}
    assert len(scores) == 1
    assert sent.fresh_scores({}, 700, 0).tobytes() == objective.fresh_scores({}, 700, 0).tobytes()
    assert KernelDensityObjective.parted(VALUES, seed=4).score({"bandwidth": 0.1}, 700, 0) not in scores


def test_more_kernels_make_held_out_events_likelier(objective):
    scores = [objective.score({"bandwidth": 0.1}, budget, 0) for budget in (100, 500, 2_400)]
    assert scores == sorted(scores)


def test_the_tables_channels_are_those_of_the_density(objective):
    events, wells = events_and_wells(np.column_stack([VALUES[:, 1], np.zeros(len(VALUES)), VALUES[:, 0]]))
    density = pa.table({"x_channel": ["c"], "y_channel": ["a"]})
    found = KernelDensityObjective.of(events, wells, density, seed=3)
    np.testing.assert_array_equal(found.fitted, objective.fitted)


def test_incomplete_events_do_not_count():
    holes = np.vstack([VALUES, [[np.nan, 0.0]] * 10])
    found = KernelDensityObjective.parted(holes, seed=0)
    assert len(found.fitted) + len(found.validation) + len(found.fresh) == len(VALUES)


def test_too_few_events_and_a_bandwidth_that_cannot_be_judged_are_refused(objective):
    with pytest.raises(InputError, match=r"9 events .* at least 10"):
        KernelDensityObjective.parted(VALUES[:9], seed=0)
    with pytest.raises(InputError, match=r"0\.0001 .* larger"):
        objective.score({"bandwidth": 1e-4}, BUDGET, 0)
    with pytest.raises(InputError, match="positive"):
        objective.score({"bandwidth": -1.0}, BUDGET, 0)
