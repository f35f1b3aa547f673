import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.maps.map_comparison import compare, graph_of, maps_of
from taproom.maps.map_methods import (
    METHODS,
    MethodParameters,
)
from tests.item_graphs import bags, graph, maps_for


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small only lose by more."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.mark.slow
def test_all_methods_map_the_sample_and_those_that_can_afford_it_the_whole():
    items = graph(bags(90), 9)
    found = compare(items, maps_for(items), MethodParameters(sample=60, dense_items=90))
    assert found.left_out == {}
    whole = {row["method"] for row in found.rows if row["items"] == 90}
    sample = {row["method"] for row in found.rows if row["items"] == 60}
    assert whole == {"ordinal", "kernel_pca", "locally_linear"}
    assert sample == set(METHODS)
    assert {row["k"] for row in found.rows if row["items"] == 60} == {6}
    assert len({(row["method"], row["dimension"], row["items"]) for row in found.rows}) == len(found.rows) == 16
    assert all(0 <= row["error_random"] < 0.5 and row["seconds"] > 0 for row in found.rows)


@pytest.mark.slow
def test_ours_is_fitted_again_for_its_seconds_only_up_to_the_limit():
    items = graph(bags(90), 9)
    found = compare(items, maps_for(items), MethodParameters(sample=60, dense_items=80))
    seconds = {row["items"]: row["seconds"] for row in found.rows if row["method"] == "ordinal"}
    assert seconds[90] is None
    assert seconds[60] > 0


@pytest.mark.slow
def test_a_dense_matrix_of_all_items_is_made_only_up_to_the_limit():
    items = graph(bags(90), 9)
    rows = compare(items, maps_for(items), MethodParameters(sample=20, dense_items=89)).rows
    assert {row["method"] for row in rows if row["items"] == 90} == {"ordinal", "kernel_pca"}


@pytest.mark.slow
def test_a_graph_no_larger_than_the_sample_is_mapped_once_by_all_methods():
    items = graph(bags(40), 6)
    rows = compare(items, maps_for(items), MethodParameters(sample=40)).rows
    assert {(row["method"], row["items"]) for row in rows} == {(method, 40) for method in METHODS}


@pytest.mark.slow
def test_our_map_is_judged_as_it_was_given():
    items = graph(bags(40), 6)
    nonsense = {dimension: np.random.default_rng(1).normal(size=(40, dimension)) for dimension in (2, 3)}
    ours = [row for row in compare(items, nonsense).rows if row["method"] == "ordinal"]
    assert len(ours) == 2
    assert all(0.4 < row["error_random"] < 0.6 for row in ours)


def test_items_that_are_all_the_same_fail_no_comparison():
    same = graph(np.ones((12, 6)), 3)
    found = compare(same, {2: np.zeros((12, 2)), 3: np.zeros((12, 3))})
    assert {row["method"] for row in found.rows} >= {"ordinal"}
    assert all(row["error_within"] is None for row in found.rows)


@pytest.mark.slow
def test_duplicates_among_others_are_no_obstacle_and_lie_together():
    items = graph(np.repeat(bags(25), 2, axis=0), 8)
    parameters = MethodParameters(unfolding_neighbors=8)
    found = compare(items, maps_for(items), parameters)
    assert found.left_out == {}
    for method in ("kernel_pca", "maximum_variance_unfolding", "nonmetric_mds"):
        positions = METHODS[method](items, 2, parameters)
        apart = np.linalg.norm(positions[::2] - positions[1::2], axis=1)
        assert np.median(apart) < 0.05 * positions.std()


def tables():
    """Four items, of which one has no words and so no neighbours."""
    item_id, words = ["a", "b", "c", "d"], [[0], [0, 1], [], [1]]
    tfidf = pa.table(
        {
            "item_id": item_id,
            "term_ids": pa.array(words, pa.list_(pa.int32())),
            "weights": pa.array([[2.0] * len(row) for row in words], pa.list_(pa.float64())),
        }
    )
    neighbors = pa.table(
        {
            "item_id": ["a", "b", "d"],
            "neighbor_ids": [["b", "d"], ["a", "d"], ["b", "a"]],
            "distances": [[0.29, 1.0], [0.29, 0.29], [0.29, 1.0]],
        }
    )
    return neighbors, tfidf.to_batches()


def test_a_graph_is_read_from_its_tables_without_items_that_have_no_neighbours():
    item_map = pa.table({"item_id": ["d", "a", "b"] * 2, "category": ["ale", None, "stout"] * 2})
    items = graph_of(*tables(), words=2, item_map=item_map)
    assert items.categories.tolist() == [None, "stout", "ale"]
    assert items.indices.tolist() == [[1, 2], [0, 2], [1, 0]]
    assert items.distances[1].tolist() == [0.29, 0.29]
    np.testing.assert_allclose(items.unit_rows().toarray(), [[1, 0], [0.5**0.5] * 2, [0, 1]])


def test_maps_are_read_in_the_order_of_the_items():
    item_map = pa.table(
        {
            "dimension": [2, 2, 3, 3],
            "item_id": ["b", "a", "a", "b"],
            "x": [1.0, 2.0, 3.0, 4.0],
            "y": [5.0, 6.0, 7.0, 8.0],
            "z": [None, None, 9.0, 10.0],
        }
    )
    maps = maps_of(item_map, pa.chunked_array([["a", "b"]]))
    assert maps[2].tolist() == [[2, 6], [1, 5]]
    assert maps[3].tolist() == [[3, 7, 9], [4, 8, 10]]
    with pytest.raises(InputError, match="1 of 2 items"):
        maps_of(item_map, pa.chunked_array([["a", "z"]]))
