import pickle
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist

from taproom.errors import InputError
from taproom.maps import item_map_objective
from taproom.maps._ordinal_kernels import is_held_out
from taproom.maps.item_map import ranks
from taproom.maps.item_map_objective import MapObjective
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.triplets import triplet_errors

ITEMS, NEIGHBORS, BUDGET = 120, 20, 80


def neighbors_table(points: np.ndarray, k: int = NEIGHBORS) -> pa.Table:
    apart = cdist(points, points)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1)[:, :k]
    names = np.array([f"item {place:03d}" for place in range(len(points))])
    return pa.table(
        {
            "item_id": names,
            "neighbor_ids": names[order].tolist(),
            "distances": np.take_along_axis(apart, order, axis=1).tolist(),
        }
    )


TABLE = neighbors_table(np.random.default_rng(0).normal(size=(ITEMS, 4)))


@pytest.fixture(scope="module")
def objective() -> MapObjective:
    return MapObjective.of(TABLE, seed=0)


def held_out_triplets(objective, anchor) -> dict[str, list[tuple[int, int]]]:
    """All that there are of an anchor, by kind."""
    near = objective.indices[anchor].tolist()
    beyond = sorted(set(range(len(objective.indices))) - {anchor, *near})
    kinds = {
        "random": product(near, beyond),
        "within": ((one, other) for place, one in enumerate(near) for other in near[place + 1 :]),
    }
    return {kind: [pair for pair in pairs if is_held_out(anchor, *pair)] for kind, pairs in kinds.items()}


def test_each_item_is_an_anchor_of_one_part(objective):
    together = np.concatenate([objective.validation, objective.fresh])
    assert sorted(together) == list(range(ITEMS))
    assert len(objective.validation) == len(objective.fresh) == ITEMS // 2
    assert not np.array_equal(MapObjective.of(TABLE, seed=1).fresh, objective.fresh)


def test_no_more_anchors_are_judged_than_wanted(monkeypatch):
    monkeypatch.setattr(item_map_objective, "MOST_ANCHORS", 10)
    objective = MapObjective.of(TABLE, seed=0)
    assert len(objective.validation) == len(objective.fresh) == 10
    assert not set(objective.validation) & set(objective.fresh)


def test_an_items_error_is_the_mean_over_kinds_and_dimensions_of_what_all_its_held_out_triplets_have(objective):
    found = objective.fresh_scores({}, BUDGET, 0)
    settled = OrdinalParameters(updates_per_item=BUDGET, seed=0)
    graph = objective.indices, objective.distances
    maps = [embed(*graph, replace(settled, dimension=dimension)) for dimension in (2, 3)]
    exact = []
    for anchor in objective.fresh:
        errors = []
        for positions in maps:
            apart = np.linalg.norm(positions - positions[anchor], axis=1)
            for pairs in held_out_triplets(objective, anchor).values():
                errors.append(np.mean([apart[near] >= apart[far] for near, far in pairs]))
        exact.append(np.mean(errors))
    # Each error is told by a hundred draws of a dozen pairs within the neighbours and a hundred others.
    assert found.mean() == pytest.approx(np.mean(exact), abs=0.01)
    assert np.abs(found - exact).max() < 0.12


def test_the_score_comes_near_the_errors_that_the_product_tells(objective):
    graph = objective.indices, objective.distances
    errors = []
    for dimension in (2, 3):
        positions = embed(*graph, OrdinalParameters(dimension=dimension, updates_per_item=BUDGET))
        told = triplet_errors(positions, *graph, samples=100_000)
        errors += [row.error for row in told if row.split == "held_out"]
    together = objective.score({}, BUDGET, 0), objective.fresh_scores({}, BUDGET, 0).mean()
    assert np.mean(together) == pytest.approx(np.mean(errors), abs=0.01)


def test_steps_too_short_to_move_anything_score_worse_than_the_defaults(objective):
    poor = {"step": 1e-7, "margin": 0.1, "within_share": 0.0}
    assert objective.score({}, BUDGET, 0) < objective.score(poor, BUDGET, 0) - 0.02
    gain = objective.fresh_scores(poor, BUDGET, 0) - objective.fresh_scores({}, BUDGET, 0)
    assert gain.mean() > 3 * gain.std(ddof=1) / len(gain) ** 0.5 > 0


def test_more_updates_score_better(objective):
    assert objective.score({}, 330, 0) < objective.score({}, 3, 0)


def test_units_are_the_fresh_items_whatever_the_parameters(objective):
    for parameters in ({}, {"margin": 0.4}, {"within_share": 1.0}, {"step": 0.5}):
        errors = objective.fresh_scores(parameters, BUDGET, 0)
        assert errors.shape == objective.fresh.shape
        assert errors.dtype == np.float64
        assert ((errors >= 0) & (errors < 1)).all()


def test_errors_of_an_item_do_not_depend_on_the_other_anchors(objective):
    positions = np.random.default_rng(1).normal(size=(ITEMS, 2))
    graph = objective.indices, objective.distances
    together = item_map_objective._errors(positions, *graph, np.arange(ITEMS), 0)
    for anchor in (0, 57, 119):
        alone = item_map_objective._errors(positions, *graph, np.array([anchor]), 0)
        np.testing.assert_array_equal(alone[0], together[anchor])


def test_which_items_are_fresh_never_changes_a_score(objective):
    other = MapObjective(
        objective.indices, objective.distances, objective.validation, objective.fresh[:3], objective.seed
    )
    assert other.score({}, BUDGET, 0) == objective.score({}, BUDGET, 0)
    assert not set(objective.validation) & set(objective.fresh)


def test_the_same_bits_come_out_each_time(objective):
    sent, again = pickle.loads(pickle.dumps(objective)), MapObjective.of(TABLE, seed=0)
    assert len({each.score({}, BUDGET, 3) for each in (objective, sent, again)}) == 1
    assert sent.fresh_scores({}, BUDGET, 3).tobytes() == objective.fresh_scores({}, BUDGET, 3).tobytes()
    assert objective.score({}, BUDGET, 4) != objective.score({}, BUDGET, 3)
    assert len(pickle.dumps(objective)) < 20 * ITEMS * NEIGHBORS


def test_items_without_triplets_of_both_kinds_are_no_anchors():
    indices, distances = ranks(TABLE)
    distances = distances.copy()
    distances[:50] = 1.0  # all as far: nothing to compare
    names = np.array(TABLE["item_id"])
    table = pa.table({"item_id": names, "neighbor_ids": names[indices].tolist(), "distances": distances.tolist()})
    objective = MapObjective.of(table, seed=0)
    assert sorted(np.concatenate([objective.validation, objective.fresh])) == list(range(50, ITEMS))
    assert np.isfinite(objective.fresh_scores({}, BUDGET, 0)).all()


def test_one_neighbor_each_and_parameters_out_of_range_are_refused(objective):
    with pytest.raises(InputError, match="0 of 120 items have triplets of both kinds"):
        MapObjective.of(neighbors_table(np.random.default_rng(0).normal(size=(ITEMS, 2)), k=1), seed=0)
    with pytest.raises(InputError, match="margin and step above 0"):
        objective.score({"step": 0.0}, BUDGET, 0)
