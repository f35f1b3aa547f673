"""Identical items on a map; the whole chain is tested with the asset."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from taproom.errors import InputError
from taproom.maps.item_map import SPREAD, map_items, neighbor_graph, ranks
from taproom.maps.neighbors import nearest
from taproom.maps.ordinal import OrdinalParameters
from tests.item_graphs import bags

QUICK = OrdinalParameters(updates_per_item=80)


def neighbors_table(indices, distances):
    ids = np.array([f"{row:03}" for row in range(len(indices))])
    return pa.table({"item_id": ids, "neighbor_ids": ids[indices].tolist(), "distances": distances.tolist()})


def graph_of(dense, k=4, **options):
    weights = sparse.csr_array(dense)
    return neighbor_graph(neighbors_table(*nearest(weights, k)), weights, anchors=20, **options)


def test_near_misses_are_farther_than_neighbors_of_which_some_are_missing():
    weights = sparse.csr_array(bags(60))
    every, distances = nearest(weights, 30)
    chosen = np.tile(np.arange(6), (60, 1))
    chosen[::2] = [0, 1, 2, 4, 5, 8]  # the 4th, the 7th and the 8th are missing
    chosen[10] = [0, 1, 2, 3, 4, 29]  # nearly all are missing
    found = [np.take_along_axis(each, chosen, axis=1) for each in (every, distances)]
    graph = neighbor_graph(neighbors_table(*found), weights, anchors=60)
    assert graph.anchors.tolist() == [row for row in range(60) if row != 10]
    np.testing.assert_array_equal(graph.wide[:, :6], found[0][graph.anchors])
    full = nearest(weights, 59)
    for anchor, behind in zip(graph.anchors, graph.wide[:, 6:], strict=True):
        beyond = 1 + chosen[anchor, -1]
        np.testing.assert_array_equal(behind, full[0][anchor, beyond : beyond + 59 - 9])
    assert {row["kind"] for row in map_items(graph, QUICK, 2).errors} == {"random", "near_miss", "within"}


@pytest.fixture
def copied():
    """40 items, of which the last is there 12 times and the first 3 times, once with twice the weights."""
    different = bags(40)
    return np.vstack([different, np.tile(different[39], (11, 1)), different[0], 2 * different[0]])


@pytest.mark.slow
@pytest.mark.parametrize("dimension", [2, 3])
def test_identical_items_have_one_place_with_a_small_spread(copied, dimension):
    fitted = map_items(graph_of(copied), QUICK, dimension)
    assert fitted.positions.shape == (53, dimension)
    np.testing.assert_allclose(np.sqrt((fitted.positions**2).sum(axis=1).mean()), 1)
    for group in ([*range(39, 51)], [0, 51, 52]):
        members = fitted.positions[group]
        radii = np.linalg.norm(members - members.mean(axis=0), axis=1)
        np.testing.assert_allclose(radii, SPREAD, rtol=0.01)
        assert len(np.unique(members.round(6), axis=0)) == len(group)
    again = map_items(graph_of(copied), QUICK, dimension)
    np.testing.assert_array_equal(again.positions, fitted.positions)


def test_identical_items_count_once_in_the_errors(copied):
    once = map_items(graph_of(copied[:40]), QUICK, 2)
    assert map_items(graph_of(copied), QUICK, 2).errors == once.errors


def test_items_that_differ_are_no_groups(copied):
    assert graph_of(copied[:40]).groups is None


def test_a_map_with_identical_items_is_continued(copied):
    graph = graph_of(copied)
    start = map_items(graph, QUICK, 2).positions
    start[[39, 5]] = np.nan
    positions = map_items(graph, QUICK, 2, start).positions
    moved = np.linalg.norm(positions - start, axis=1)
    assert np.isfinite(positions).all()
    assert np.nanmedian(moved) < 0.3
    np.testing.assert_allclose(np.linalg.norm(positions[39] - positions[40:51], axis=1).max(), 2 * SPREAD, rtol=0.01)


def test_items_that_are_all_identical_are_refused():
    with pytest.raises(InputError, match="All 9 items are identical"):
        graph_of(np.ones((9, 3)))


def test_neighbors_are_numbered_in_a_table_of_several_chunks():
    indices, distances = nearest(sparse.csr_array(bags(12)), 3)
    table = neighbors_table(indices, distances)
    parts = pa.concat_tables([table.slice(0, 5), table.slice(5, 1), table.slice(6)])
    assert parts["neighbor_ids"].num_chunks == 3
    for found, wanted in zip(ranks(parts), (indices, distances), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_landmarks_are_placed_first_where_there_are_more_items(copied):
    graph = graph_of(copied, landmarks=15)
    assert len(np.unique(graph.landmarks.rows)) == 15
    wanted = nearest(sparse.csr_array(copied[graph.landmarks.rows]), 4)
    np.testing.assert_array_equal(graph.landmarks.neighbors, wanted)
    fitted = map_items(graph, QUICK, 2)
    assert fitted.landmarks == 15
    assert fitted.positions.shape == (53, 2)
    assert {row["kind"]: row["error"] < 0.3 for row in fitted.errors if row["split"] == "held_out"}["random"]
    as_before = map_items(graph_of(copied), QUICK, 2)
    assert as_before.landmarks == 0
    assert not np.array_equal(as_before.positions, fitted.positions)


def test_as_many_landmarks_as_different_items_are_no_landmarks(copied):
    graph = graph_of(copied, landmarks=40)
    assert graph.landmarks is None
    np.testing.assert_array_equal(map_items(graph, QUICK, 2).positions, map_items(graph_of(copied), QUICK, 2).positions)


@pytest.mark.slow
def test_a_map_that_is_continued_needs_no_landmarks(copied):
    graph = graph_of(copied, landmarks=15)
    start = map_items(graph_of(copied), QUICK, 2).positions
    start[::3] = np.nan
    continued = map_items(graph, QUICK, 2, start)
    assert continued.landmarks == 0
    assert "neighbors" not in vars(graph.landmarks), "their neighbours were looked for"
    moved = np.linalg.norm(continued.positions - start, axis=1)
    assert np.nanmedian(moved) < 0.2
    start[4:] = np.nan
    too_little = map_items(graph, QUICK, 2, start)
    assert too_little.landmarks == 15
