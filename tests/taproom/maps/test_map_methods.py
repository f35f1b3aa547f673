import logging

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.maps.map_methods import (
    METHODS,
    ItemGraph,
    MethodParameters,
    compare,
    graph_of,
    kernel_pca,
    locally_linear,
    maps_of,
    maximum_variance_unfolding,
    nonmetric_mds,
)
from taproom.maps.neighbors import nearest
from taproom.maps.ordinal import OrdinalParameters, embed, triplet_errors

PARAMETERS = MethodParameters()


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small only lose by more."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def graph(dense, k) -> ItemGraph:
    weights = sparse.csr_array(np.asarray(dense, float))
    return ItemGraph(weights, *nearest(weights, k))


def bags(items, terms=40, seed=0):
    """Bags of words of items that lie on a plane: each word is said the more, the nearer an item is to its place."""
    random = np.random.default_rng(seed)
    places, words = random.random((items, 2)), random.random((terms, 2))
    return np.exp(-8 * ((places[:, None] - words[None]) ** 2).sum(axis=2))


def arc(items):
    angles = np.linspace(0, np.pi / 2, items)
    return np.column_stack([np.cos(angles), np.sin(angles), np.full(items, 0.5)])


def maps_for(of: ItemGraph, quick=200):
    return {
        dimension: embed(of.indices, of.distances, OrdinalParameters(dimension=dimension, updates_per_item=quick))
        for dimension in (2, 3)
    }


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same_up_to_signs(one, other, tolerance=1e-6):
    signs = np.sign((one * other).sum(axis=0))
    np.testing.assert_allclose(one, other * signs, atol=tolerance)


def test_kernel_pca_is_that_of_the_cosine_kernel():
    from sklearn.decomposition import KernelPCA

    items = graph(bags(60), 8)
    wanted = KernelPCA(3, kernel="cosine", eigen_solver="dense").fit_transform(items.weights.toarray())
    assert_same_up_to_signs(kernel_pca(items, 3, PARAMETERS), wanted)


@pytest.mark.parametrize("k", [6, 12])
def test_locally_linear_embedding_is_scikit_learns_where_that_finds_the_same_neighbours(k):
    from sklearn.manifold import LocallyLinearEmbedding

    items = graph(bags(80), 12)
    unit = items.unit_rows().toarray()
    wanted = LocallyLinearEmbedding(n_neighbors=k, n_components=3, eigen_solver="dense").fit_transform(unit)
    found = locally_linear(items, 3, MethodParameters(reconstruction_neighbors=k))
    assert_same_up_to_signs(found, wanted, tolerance=1e-4)


def test_unfolding_straightens_a_bent_chain():
    items = 20
    chain = np.column_stack([np.roll(np.arange(items), 1), np.roll(np.arange(items), -1)])
    chain[0], chain[-1] = [1, 1], [items - 2, items - 2]
    chord = 2 * np.sin(np.pi / 4 / (items - 1))
    bent = ItemGraph(sparse.csr_array(arc(items)), chain, np.full((items, 2), chord**2 / 2))
    straight = maximum_variance_unfolding(bent, 2, PARAMETERS)
    steps = np.linalg.norm(np.diff(straight, axis=0), axis=1)
    np.testing.assert_allclose(steps, chord, rtol=0.1)
    assert np.linalg.norm(straight[-1] - straight[0]) == pytest.approx(chord * (items - 1), rel=0.02)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_unfolding_keeps_the_neighbours_distances_and_spreads_the_items(seed):
    items = graph(np.random.default_rng(seed).random((15, 30)), 8)
    unfolded = maximum_variance_unfolding(items, 13, PARAMETERS)
    for item, neighbors in enumerate(items.indices[:, :5]):
        found = ((unfolded[item] - unfolded[neighbors]) ** 2).sum(axis=1)
        np.testing.assert_allclose(found, 2 * items.distances[item, :5], atol=2e-3)
    unit = items.unit_rows().toarray()
    assert unfolded.var(axis=0).sum() > 0.99 * unit.var(axis=0).sum()


@pytest.mark.parametrize("method", METHODS)
def test_each_method_maps_items_on_an_arc_so_that_hardly_a_triplet_is_violated(method):
    items = graph(arc(60), 6)
    positions = METHODS[method](items, 2, PARAMETERS)
    assert positions.shape == (60, 2)
    errors = triplet_errors(positions, items.indices, items.distances, samples=5_000)
    assert all(row.error < 0.1 for row in errors if row.kind == "random")


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


def test_ours_is_fitted_again_for_its_seconds_only_up_to_the_limit():
    items = graph(bags(90), 9)
    found = compare(items, maps_for(items), MethodParameters(sample=60, dense_items=80))
    seconds = {row["items"]: row["seconds"] for row in found.rows if row["method"] == "ordinal"}
    assert seconds[90] is None
    assert seconds[60] > 0


def test_a_dense_matrix_of_all_items_is_made_only_up_to_the_limit():
    items = graph(bags(90), 9)
    rows = compare(items, maps_for(items), MethodParameters(sample=20, dense_items=89)).rows
    assert {row["method"] for row in rows if row["items"] == 90} == {"ordinal", "kernel_pca"}


def test_a_graph_no_larger_than_the_sample_is_mapped_once_by_all_methods():
    items = graph(bags(40), 6)
    rows = compare(items, maps_for(items), MethodParameters(sample=40)).rows
    assert {(row["method"], row["items"]) for row in rows} == {(method, 40) for method in METHODS}


def test_our_map_is_judged_as_it_was_given():
    items = graph(bags(40), 6)
    nonsense = {dimension: np.random.default_rng(1).normal(size=(40, dimension)) for dimension in (2, 3)}
    ours = [row for row in compare(items, nonsense).rows if row["method"] == "ordinal"]
    assert len(ours) == 2
    assert all(0.4 < row["error_random"] < 0.6 for row in ours)


def test_the_same_bits_come_out_again_whatever_the_threads_and_another_seed_tells():
    items = graph(bags(40), 6)
    maps = maps_for(items)
    parameters = MethodParameters(sample=30)
    with threadpool_limits(limits=1):
        alone = compare(items, maps, parameters).rows
    with threadpool_limits(limits=2):
        together = compare(items, maps, parameters).rows
    assert without_seconds(alone) == without_seconds(together)
    for method in METHODS:
        one, other = (METHODS[method](items, 3, parameters) for _ in range(2))
        assert one.tobytes() == other.tobytes()
    assert without_seconds(compare(items, maps, MethodParameters(sample=30, seed=1)).rows) != without_seconds(alone)


def test_a_graph_in_several_pieces_leaves_out_what_needs_one_and_says_why(caplog):
    pieces = graph(np.kron(np.eye(2), bags(15)), 5)
    with caplog.at_level(logging.WARNING, "taproom.maps.map_methods"):
        found = compare(pieces, maps_for(pieces))
    assert {row["method"] for row in found.rows} == {"ordinal", "kernel_pca", "nonmetric_mds"}
    assert set(found.left_out) == {"locally_linear, 30 items", "maximum_variance_unfolding, 30 items"}
    assert all("2 pieces" in reason for reason in found.left_out.values())
    assert "locally_linear is left out of the comparison on 30 items" in caplog.text


@pytest.mark.parametrize("items", [5, 6])
def test_the_fewest_items_that_have_a_map_are_compared(items):
    few = graph(bags(items), 1)
    found = compare(few, maps_for(few))
    assert {"ordinal", "kernel_pca", "nonmetric_mds"} <= {row["method"] for row in found.rows}
    assert all(row["error_within"] is None for row in found.rows)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"kernel_pca"}))
def test_fewer_items_than_a_map_needs_are_refused(method):
    with pytest.raises(InputError, match="at least 5"):
        METHODS[method](graph(bags(4), 2), 3, PARAMETERS)


def test_fewer_words_than_dimensions_are_refused_by_kernel_pca():
    with pytest.raises(InputError, match="3 words"):
        kernel_pca(graph(arc(10), 2), 3, PARAMETERS)


def test_items_that_are_all_the_same_fail_no_comparison():
    same = graph(np.ones((12, 6)), 3)
    found = compare(same, {2: np.zeros((12, 2)), 3: np.zeros((12, 3))})
    assert {row["method"] for row in found.rows} >= {"ordinal"}
    assert all(row["error_within"] is None for row in found.rows)


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
    items = graph_of(*tables(), words=2)
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


def test_nonmetric_scaling_takes_distances_that_are_all_the_same():
    assert np.isfinite(nonmetric_mds(graph(np.eye(8) + 0.1, 3), 3, PARAMETERS)).all()
