import numpy as np
import pytest

from taproom.errors import InputError
from taproom.maps import _ordinal_kernels as kernels
from taproom.maps import triplets
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.triplets import checked_graph, has_triplets, triplet_errors
from tests.points import neighbors_of, plane

QUICK = OrdinalParameters(updates_per_item=50)


def errors_of(*arguments, **options):
    return {(row.kind, row.split): row for row in triplet_errors(*arguments, **options)}


def triplets_of(anchor, indices, distances, kind):
    """Every (anchor, near, far) of a kind that the graph is sure of."""
    neighbors, ranked = indices[anchor].tolist(), distances[anchor]
    others = [far for far in range(len(indices)) if far != anchor and far not in neighbors]
    last_is_tied = (ranked == ranked[-1]).sum() > 1 and ranked[-1] > 0
    for near, distance in zip(neighbors, ranked, strict=True):
        if kind == "within":
            farther = [far for far, other in zip(neighbors, ranked, strict=True) if other > distance]
        else:
            farther = [] if last_is_tied and distance == ranked[-1] else others
        yield from ((anchor, near, far) for far in farther)


def violations(coordinates, triplets):
    anchor, near, far = np.array(triplets).T
    to_near = np.linalg.norm(coordinates[anchor] - coordinates[near], axis=1)
    to_far = np.linalg.norm(coordinates[anchor] - coordinates[far], axis=1)
    return to_near >= to_far


@pytest.mark.parametrize(
    ("kind", "held_out"), [("random", False), ("random", True), ("within", False), ("within", True)]
)
def test_errors_are_those_of_all_triplets(kind, held_out):
    rng = np.random.default_rng(3)
    points = rng.integers(0, 5, (60, 2))
    indices, distances = neighbors_of(points, 9)
    coordinates = points + 0.8 * rng.normal(size=points.shape)
    shares, weights = [], []
    for anchor in range(len(points)):
        triplets = list(triplets_of(anchor, indices, distances, kind))
        chosen = [triplet for triplet in triplets if kernels.is_held_out(*triplet) == held_out]
        if chosen:
            shares.append(violations(coordinates, chosen).mean())
            # Against random items a near one is drawn among those that the graph is sure of, however many these are.
            weights.append(len(chosen) if kind == "within" else len(chosen) / len({near for _, near, _ in triplets}))
    wanted = np.average(shares, weights=weights)
    found = errors_of(coordinates, indices, distances, samples=400_000)[kind, "held_out" if held_out else "training"]
    assert 0.05 < wanted < 0.45
    assert found.error == pytest.approx(wanted, abs=0.01)


def test_of_few_triplets_the_errors_are_those_of_many_draws(monkeypatch):
    points = plane(30)
    graph = neighbors_of(points, 4)
    noise = points + 0.3 * np.random.default_rng(0).normal(size=points.shape)
    few = errors_of(noise, *graph)
    monkeypatch.setattr(triplets, "DRAWS_PER_TRIPLET", 100_000)
    many = errors_of(noise, *graph)
    for kind, row in few.items():
        assert row.triplets < many[kind].triplets / 3
        assert row.error == pytest.approx(many[kind].error, abs=0.02)


def test_a_sixteenth_of_the_triplets_is_held_out():
    held_out = [kernels.is_held_out(a, b, c) for a in range(40) for b in range(40) for c in range(40)]
    assert np.mean(held_out) == pytest.approx(1 / 16, abs=0.003)


def test_a_far_item_in_the_same_place_counts_as_violated():
    indices, distances = neighbors_of(plane(30), 5)
    errors = triplet_errors(np.zeros((30, 2)), indices, distances, samples=2_000)
    assert {row.error for row in errors} == {1.0}


def test_near_misses_compare_with_the_ranks_behind():
    points = plane(120)
    wide_indices, wide_distances = neighbors_of(points, 50)
    indices, distances = wide_indices[:, :5], wide_distances[:, :5]
    anchors = np.array([3, 77, 11])
    perfect = errors_of(points, indices, distances, samples=5_000, wide=(anchors, wide_indices[anchors]))
    assert perfect["near_miss", "training"].error == 0.0
    assert perfect["near_miss", "held_out"].triplets > 1_000
    shuffled = points[np.random.default_rng(0).permutation(120)]
    worse = errors_of(shuffled, indices, distances, samples=5_000, wide=(anchors, wide_indices[anchors]))
    assert 0.3 < worse["near_miss", "training"].error < 0.7
    nothing_behind = errors_of(points, indices, distances, samples=100, wide=(anchors, indices[anchors]))
    assert nothing_behind["near_miss", "training"].error is None


def test_distances_that_all_tie_have_no_triplets():
    points = plane(12)
    indices = neighbors_of(points, 3)[0]
    distances = np.full(indices.shape, 0.5)
    assert not has_triplets(checked_graph(indices, distances))
    for row in triplet_errors(points, indices, distances, samples=1_000):
        assert (row.triplets, row.violated, row.error) == (0, 0, None)


GRAPH = neighbors_of(plane(6), 3)


@pytest.mark.parametrize(
    ("indices", "distances", "said"),
    [
        (GRAPH[0], GRAPH[1][:, :2], "shape"),
        (GRAPH[0][0], GRAPH[1][0], "shape"),
        (GRAPH[0][:, :0], GRAPH[1][:, :0], "shape"),
        (GRAPH[0], GRAPH[1] * np.nan, "not finite"),
        (GRAPH[0], -GRAPH[1], "ascend"),
        (GRAPH[0] + 6, GRAPH[1], "other items, from 0 to 5"),
        (np.zeros((6, 3), int), GRAPH[1], "other items"),
        (np.array([[1], [0], [0]]), np.ones((3, 1)), "at least 4 items, and there are 3"),
    ],
)
def test_a_graph_that_is_none_is_refused(indices, distances, said):
    with pytest.raises(InputError, match=said):
        embed(indices, distances, QUICK)


def test_wide_neighbors_of_another_graph_are_refused():
    wide_indices, _ = neighbors_of(plane(6), 5)
    coordinates = plane(6)
    bad = {
        "not the neighbours": (np.array([0, 1]), wide_indices[[1, 0]]),
        "shape": (np.array([0, 1, 2]), wide_indices[[0, 1]]),
        "from 0 to 5": (np.array([6]), wide_indices[[0]]),
    }
    for said, wide in bad.items():
        with pytest.raises(InputError, match=said):
            triplet_errors(coordinates, *GRAPH, wide=wide)
    with pytest.raises(InputError, match="shape"):
        triplet_errors(coordinates[:5], *GRAPH)
