import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.maps.map_comparison import compare
from taproom.maps.map_methods import (
    METHODS,
    ItemGraph,
    MethodParameters,
    kernel_pca,
    locally_linear,
    maximum_variance_unfolding,
    nonmetric_mds,
)
from taproom.maps.triplets import triplet_errors
from tests.item_graphs import arc, bags, graph, maps_for

PARAMETERS = MethodParameters()


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small only lose by more."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_nonmetric_scaling_takes_distances_that_are_all_the_same():
    assert np.isfinite(nonmetric_mds(graph(np.eye(8) + 0.1, 3), 3, PARAMETERS)).all()
