from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.maps import _ordinal_kernels as kernels
from taproom.maps import ordinal
from taproom.maps.alignment import aligned, canonical
from taproom.maps.ordinal import OrdinalParameters, embed, embed_from_landmarks
from taproom.maps.triplets import checked_graph, triplet_errors
from tests.points import neighbors_of, plane

QUICK = OrdinalParameters(updates_per_item=50)


def errors_of(*arguments, **options):
    return {(row.kind, row.split): row for row in triplet_errors(*arguments, **options)}


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_points_are_recovered_from_the_ranks_of_their_distances(dimension):
    points = plane(150, dimension, seed=1)
    indices, distances = neighbors_of(points, 40)
    coordinates = embed(indices, distances, OrdinalParameters(dimension=dimension, updates_per_item=670))
    errors = errors_of(coordinates, indices, distances, samples=50_000)
    assert {kind for kind, _ in errors} == {"random", "within"}
    assert errors["random", "training"].error < 0.01
    assert errors["random", "held_out"].error < 0.02
    assert errors["within", "training"].error < 0.05
    assert errors["within", "held_out"].error < 0.06
    wanted, found = canonical(points), coordinates
    overlap = np.linalg.svd(wanted.T @ found, compute_uv=False).sum() / len(points)
    assert overlap > 0.98


@pytest.mark.parametrize("items_worth_shards", [1, 1_000])
def test_the_same_arguments_give_the_same_bits(monkeypatch, items_worth_shards):
    monkeypatch.setattr(ordinal, "ITEMS_WORTH_SHARDS", items_worth_shards)
    graph = neighbors_of(plane(60), 10)
    coordinates = embed(*graph, QUICK)
    with threadpool_limits(limits=2, user_api="blas"):
        np.testing.assert_array_equal(embed(*graph, QUICK), coordinates)
    for threads in (1, 2, 4):
        np.testing.assert_array_equal(embed(*graph, QUICK, n_jobs=threads), coordinates)
    assert not np.array_equal(embed(*graph, replace(QUICK, seed=1)), coordinates)


def test_shards_cost_no_accuracy(monkeypatch):
    graph = neighbors_of(plane(150), 40)
    errors = []
    for items_worth_shards in (1, 1_000):
        monkeypatch.setattr(ordinal, "ITEMS_WORTH_SHARDS", items_worth_shards)
        coordinates = embed(*graph, replace(QUICK, updates_per_item=330))
        errors.append([row.error for row in triplet_errors(coordinates, *graph, samples=50_000)])
    np.testing.assert_allclose(*errors, atol=0.01)


def test_the_large_scale_of_the_map_is_the_same_for_other_seeds():
    graph = neighbors_of(plane(200) * [2, 1], 15)
    one, other = (embed(*graph, replace(QUICK, updates_per_item=500, seed=seed)) for seed in (0, 1))
    assert np.linalg.svd(one.T @ other, compute_uv=False).sum() / 200 > 0.95


def moves(map_, start):
    return np.linalg.norm(map_ - start, axis=1)


@pytest.mark.slow
def test_a_map_stays_where_it_was_when_it_is_continued():
    graph = neighbors_of(plane(300), 30)
    start = embed(*graph, replace(QUICK, updates_per_item=330)) @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 0.25
    before = start.copy()
    parameters = replace(QUICK, updates_per_item=330, seed=1)
    continued = embed(*graph, parameters, start)
    assert np.median(moves(continued, start)) < 0.05
    assert np.quantile(moves(continued, start), 0.95) < 0.15
    anew = embed(*graph, parameters)
    assert np.median(moves(anew, start)) > 0.5, "a map that is made anew has axes of its own"
    assert (start == before).all(), "the start was changed"
    errors = [errors_of(map_, *graph)["random", "held_out"].error for map_ in (start, continued)]
    assert errors[1] < errors[0] + 0.005


def test_new_items_start_amid_their_neighbors():
    points = canonical(plane(300, seed=2))
    indices, _ = neighbors_of(points, 10)
    new = np.arange(0, 300, 4)
    start = points.copy()
    start[new] = np.nan
    placed = ordinal._with_new_items(start, indices)
    assert (placed[np.setdiff1d(np.arange(300), new)] == points[np.setdiff1d(np.arange(300), new)]).all()
    assert np.quantile(moves(placed, points)[new], 0.9) < 0.2


@pytest.mark.slow
def test_new_items_without_any_tie_to_the_old_ones_are_placed_too():
    one, other = plane(40), plane(40, seed=3)
    indices, distances = neighbors_of(np.concatenate([one, other + 100]), 6)
    start = np.full((80, 2), np.nan)
    start[:40] = canonical(one)
    assert np.isfinite(ordinal._with_new_items(start, indices)).all()
    coordinates = embed(indices, distances, QUICK, start)
    assert np.isfinite(coordinates).all()
    assert errors_of(coordinates, indices, distances)["random", "held_out"].error < 0.25


def test_a_map_with_few_of_the_items_is_no_start_but_the_new_one_is_turned_to_it():
    points = canonical(plane(200) * [2, 1])
    graph = neighbors_of(points, 20)
    parameters = replace(QUICK, updates_per_item=330)
    turned = points @ np.array([[0.0, 1.0], [1.0, 0.0]])
    start = np.full_like(points, np.nan)
    start[:15] = turned[:15]
    found = embed(*graph, parameters, start)
    assert min(np.corrcoef(found[:, axis], turned[:, axis])[0, 1] for axis in range(2)) > 0.8
    nothing_left = np.full_like(points, np.nan)
    np.testing.assert_array_equal(embed(*graph, parameters, nothing_left), embed(*graph, parameters))


def test_the_mean_of_the_neighbors_is_that_of_those_with_a_place():
    random = np.random.default_rng(0)
    positions, indices = random.normal(size=(50, 3)), random.integers(50, size=(50, 4))
    positions[random.random(50) < 0.7] = np.nan
    items = np.array([3, 7, *range(20, 50)])
    means = kernels.mean_positions(positions, indices, items)
    around = positions[indices[items]]
    without = np.isnan(around[:, :, 0]).all(axis=1)
    assert np.isnan(means[without]).all()
    assert without.any()
    np.testing.assert_allclose(means[~without], np.nanmean(around[~without], axis=1))


def landmark_graph(points, share, k):
    """Every so-many-th point as a landmark, and the neighbours of each among the landmarks."""
    landmarks = np.arange(0, len(points), share)
    return landmarks, *neighbors_of(points[landmarks], k)


def test_landmarks_cost_little_accuracy_and_few_updates(monkeypatch):
    drawn, numbers = [], []
    descend = ordinal._descend

    def recorded(coordinates, graph, parameters, *rest):
        drawn.append(len(coordinates) * parameters.updates_per_item)
        numbers.append(graph.numbers)
        descend(coordinates, graph, parameters, *rest)

    monkeypatch.setattr(ordinal, "_descend", recorded)
    points, parameters = plane(400, seed=1), replace(QUICK, updates_per_item=330)
    graph = neighbors_of(points, 30)
    maps = [embed(*graph, parameters), embed_from_landmarks(*graph, *landmark_graph(points, 4, 20), parameters)]
    whole, by_landmarks = (errors_of(map_, *graph, samples=20_000) for map_ in maps)
    for kind in ("random", "within"):
        assert by_landmarks[kind, "held_out"].error < whole[kind, "held_out"].error + 0.02
    np.testing.assert_allclose(maps[1], canonical(maps[1]), atol=1e-12)
    assert sum(drawn[1:]) <= drawn[0] / 2
    np.testing.assert_array_equal(numbers[1], np.arange(0, 400, 4), "by which triplets are held out")
    assert not len(numbers[2])


def test_landmarks_give_the_same_bits_with_any_threads_and_are_aligned_to_an_older_map(monkeypatch):
    monkeypatch.setattr(ordinal, "ITEMS_WORTH_SHARDS", 1)
    points = canonical(plane(200) * [2, 1])
    arguments = *neighbors_of(points, 20), *landmark_graph(points, 3, 10), QUICK
    found = [embed_from_landmarks(*arguments, n_jobs=threads) for threads in (1, 2, 4)]
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    older = np.full_like(points, np.nan)
    older[:15] = points[:15, ::-1]
    np.testing.assert_allclose(embed_from_landmarks(*arguments, older), aligned(found[0], older), atol=1e-9)


@pytest.mark.parametrize(
    ("landmarks", "said"),
    [
        (np.arange(5), r"shape \(5,\); wanted are 6 numbers of items from 0 to 19"),
        (np.arange(15, 21), "from 0 to 19"),
        (np.array([0, 1, 2, 3, 3, 4]), "twice"),
    ],
)
def test_landmarks_that_do_not_fit_are_refused(landmarks, said):
    with pytest.raises(InputError, match=said):
        embed_from_landmarks(*neighbors_of(plane(20), 5), landmarks, *GRAPH, QUICK)


def moved_from(start, numbers=(), margin=100.0, hinge_share=1):
    """Whether each item of a star moves, of which item 0 has the only triplets, with item 1 and any other.

    With the default margin all of them are violated. The steps are too short for others to become so.
    """
    items = len(start)
    only_of_the_first = (np.arange(items) == 0).astype(np.int64)
    indices, distances = np.full((items, 1), 1, np.int32), np.full((items, 1), 0.5)
    graph = kernels.Graph(indices, distances, only_of_the_first, np.array(numbers, np.int64))
    updates = 500 * items
    descent = kernels.Descent(updates, hinge_share * updates, np.uint64(0), margin, 1.3 * margin, 1e-9, 0.0)
    return kernels.displacement(start, graph, descent, 0, updates).any(axis=1)


@pytest.mark.parametrize(("share", "dimension", "k"), [(0.4, 2, 12), (0.0, 3, 12), (1.0, 1, 12), (0.4, 2, 3)])
def test_an_update_descends_the_loss_of_its_triplets(share, dimension, k):
    points = plane(40, dimension, seed=2)
    indices, distances = neighbors_of(plane(40, seed=1), k)
    graph = checked_graph(indices, distances.clip(max=np.median(distances)))  # so that many are equally far
    assert graph.reach.min() < k
    start, margin, seed, step = points.copy(), 0.5, np.uint64(7), 1e-3
    descent = kernels.Descent(10_000, 0, seed, margin, 1.3 * margin, step, share)
    for update in range(40):
        rows, given = np.empty(8, np.int64), np.empty(8)
        with np.errstate(over="ignore"):
            kernels._draw(graph, update, seed + np.uint64(8 * update) * kernels._DRAW, rows, given)
        wanted = -step * (1 - update / 10_000) * slope_of(start, graph, update, rows, margin, share)
        found = kernels.displacement(start, graph, descent, update, update + 1)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def slope_of(places, graph, anchor, rows, margin, share):
    """The slope of the ramp loss, triplet by triplet, as the documentation has it."""
    slope = np.zeros_like(places)
    kth, order = graph.distances[anchor, -1], graph.indices[anchor].tolist()
    for near in rows[:4]:
        for place, far in enumerate(rows):
            near_at = graph.distances[anchor, order.index(near)]
            if place < 4:
                is_triplet = near_at < graph.distances[anchor, order.index(far)]
            else:
                beyond = far != anchor and far not in order
                is_triplet = beyond and (graph.reach[anchor] == len(order) or near_at < kth)
            v = margin + np.linalg.norm(places[anchor] - places[near]) - np.linalg.norm(places[anchor] - places[far])
            if is_triplet and 0 < v < 2.3 * margin and not kernels.is_held_out(anchor, near, far):
                # Neighbours that are as far as others make no triplet with these, so the rest counts for them.
                weight = share * 2 / 3 if place < 4 else (1 - share) / 4 * len(order) / graph.reach[anchor]
                for item, sign in ((near, 1), (far, -1)):
                    apart = places[anchor] - places[item]
                    slope[anchor] += sign * weight * apart / np.linalg.norm(apart)
                    slope[item] -= sign * weight * apart / np.linalg.norm(apart)
    return slope


def test_held_out_triplets_do_not_train_the_map():
    moved = moved_from(plane(60))
    assert (~moved[2:]).tolist() == [kernels.is_held_out(0, 1, far) for far in range(2, 60)]
    assert not moved.all()


def test_the_ramp_loss_has_no_slope_where_a_triplet_is_violated_by_more_than_1_3_margins():
    start, margin = plane(60), 0.3
    distances = np.linalg.norm(start - start[0], axis=1)[1:]
    too_far = distances[0] - distances[1:]
    trained = np.array([not kernels.is_held_out(0, 1, far) for far in range(2, 60)])
    by_hinge, by_ramp = (moved_from(start, margin=margin, hinge_share=share)[2:] for share in (1, 0))
    assert by_hinge.tolist() == (trained & (too_far > -margin)).tolist()
    assert by_ramp.tolist() == (trained & (too_far > -margin) & (too_far < 1.3 * margin)).tolist()
    assert by_ramp.sum() < by_hinge.sum()


def test_of_points_in_too_few_dimensions_the_ramp_loss_violates_fewer_triplets(monkeypatch):
    graph = neighbors_of(np.random.default_rng(0).normal(size=(200, 6)), 30)

    def violated(share: float) -> float:
        """The sum of all errors, on average over three seeds: rounding differs between processors, and leads apart."""
        monkeypatch.setattr(ordinal, "HINGE_SHARE", share)
        parameters = [replace(QUICK, updates_per_item=1_000, seed=seed) for seed in range(3)]
        found = [errors_of(embed(*graph, each), *graph, samples=50_000) for each in parameters]
        return np.mean([sum(row.error for (_, split), row in each.items() if split == "held_out") for each in found])

    assert violated(ordinal.HINGE_SHARE) < violated(1.0) - 0.003


def test_triplets_of_landmarks_are_held_out_by_their_items():
    numbers = 7 * np.arange(60) + 3
    moved = moved_from(plane(60), numbers)
    assert (~moved[2:]).tolist() == [kernels.is_held_out(*numbers[:2], far) for far in numbers[2:]]
    assert moved.tolist() != moved_from(plane(60)).tolist()


def test_identical_items_come_to_lie_together():
    heaps, size = 15, 6
    indices, distances = neighbors_of(np.repeat(plane(heaps), size, axis=0), 4)
    assert (distances == 0).all()
    coordinates = embed(indices, distances, replace(QUICK, updates_per_item=670)).reshape(heaps, size, 2)
    spread = np.linalg.norm(coordinates - coordinates.mean(axis=1, keepdims=True), axis=2)
    assert np.median(spread) < 0.1
    errors = errors_of(coordinates.reshape(-1, 2), indices, distances, samples=10_000)
    assert errors["within", "training"].error is None
    assert errors["random", "training"].error < 0.1


@pytest.mark.parametrize(("items", "k"), [(4, 1), (4, 3), (30, 29), (30, 1)])
def test_few_items_and_extreme_k_work(items, k):
    indices, distances = neighbors_of(plane(items), k)
    coordinates = embed(indices, distances, QUICK)
    assert coordinates.shape == (items, 2)
    assert np.isfinite(coordinates).all()
    errors = errors_of(coordinates, indices, distances, samples=1_000)
    assert (errors["within", "training"].error is None) == (k == 1)
    assert (errors["random", "training"].error is None) == (k == items - 1)


@pytest.mark.slow
def test_a_graph_in_two_pieces_works():
    one, other = neighbors_of(plane(20), 5), neighbors_of(plane(20, seed=1), 5)
    indices, distances = np.vstack([one[0], other[0] + 20]), np.vstack([one[1], other[1]])
    errors = errors_of(embed(indices, distances, replace(QUICK, updates_per_item=500)), indices, distances)
    assert errors["random", "training"].error < 0.05


@pytest.mark.parametrize(("k", "distance"), [(3, 1.0), (5, 0.5), (5, 0.0)])
def test_a_graph_without_a_triplet_is_refused(k, distance):
    indices = (np.arange(6)[:, None] + np.arange(1, k + 1)) % 6
    with pytest.raises(InputError, match=rf"no triplet.*the {k} neighbours of each item are equally far"):
        embed(indices, np.full((6, k), distance), QUICK)


GRAPH = neighbors_of(plane(6), 3)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (np.zeros((5, 2)), r"shape \(5, 2\).*6 items in 2 dimensions"),
        (np.zeros((6, 3)), r"shape \(6, 3\)"),
        (np.full((6, 2), np.inf), "not finite"),
        (np.tile([1.0, np.nan], (6, 1)), "not finite"),
        (np.ones((6, 2)), "in one place"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(start, said):
    with pytest.raises(InputError, match=said):
        embed(*GRAPH, QUICK, start)


@pytest.mark.parametrize(
    "change",
    [
        {"dimension": 0},
        {"updates_per_item": 0},
        {"margin": 0.0},
        {"step": np.nan},
        {"within_share": 1.5},
        {"within_share": np.nan},
    ],
)
def test_parameters_out_of_range_are_refused(change):
    with pytest.raises(InputError, match="cannot be fitted"):
        embed(*GRAPH, replace(QUICK, **change))
