import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.maps import approximate_neighbors
from taproom.maps.approximate_neighbors import SHARES, nearest_approximately
from taproom.maps.neighbors import brute_force_distances, nearest, recall

COLUMNS = 600


def themed_rows(rows: int, seed: int) -> sparse.csr_array:
    """Rows of words of their theme and of common ones, the weights as TF * log(1/DF)."""
    rng = np.random.default_rng(seed)
    common = np.arange(COLUMNS) < COLUMNS // 4
    theme = np.arange(COLUMNS) % 12 == rng.integers(0, 12, rows)[:, None]
    counts = rng.poisson(np.where(common, 0.8, np.where(theme, 0.6, 0.004)))
    counts[:, -1] += counts.sum(axis=1) == 0
    return sparse.csr_array(counts * -np.log(np.maximum((counts > 0).mean(axis=0), 1 / rows)))


@pytest.fixture(scope="module")
def weights():
    return themed_rows(700, seed=1)


def shares(monkeypatch, *values):
    monkeypatch.setattr(approximate_neighbors, "SHARES", values)


def test_most_of_the_nearest_are_found_with_their_exact_distances(weights, monkeypatch):
    shares(monkeypatch, 0.4, 0.6)
    found = nearest_approximately(weights, 20)
    assert (found.indices.dtype, found.distances.dtype) == (np.int32, np.float64)
    assert found.share == 0.6
    indices, distances = nearest(weights, 20)
    assert recall(found.distances, distances) == found.recall  # of fewer rows than are sampled
    assert 0.96 <= found.recall < 1
    common = [np.intersect1d(ours, theirs).size for ours, theirs in zip(found.indices, indices, strict=True)]
    assert np.mean(common) / 20 == pytest.approx(found.recall, abs=0.005)  # they differ by ties
    every = brute_force_distances(weights, np.arange(700))
    np.testing.assert_allclose(np.take_along_axis(every, found.indices, axis=1), found.distances, atol=1e-14)
    for ours, row in zip(found.indices, found.distances, strict=True):
        assert len(set(ours)) == 20
        order = sorted(zip(row, ours, strict=True))
        assert [pair[1] for pair in order] == ours.tolist()


@pytest.mark.slow
def test_blocks_workers_and_a_cluster_leave_no_trace(weights, on_cluster):
    found = nearest_approximately(weights, 10)
    made = Made(themed_rows, (700, 1))
    for again in (
        nearest_approximately(weights, 10, block_rows=33, n_jobs=2),
        nearest_approximately(made, 10, block_rows=200),
    ):
        np.testing.assert_array_equal(again.indices, found.indices)
        np.testing.assert_array_equal(again.distances, found.distances)
        assert again[2:] == found[2:]
    usage = taken_usages()[-1]
    assert usage.blocks == 4
    assert usage.largest_sent < 8 * 200 + 2_000
    assert usage.largest_received < (4 + 8) * 10 * 200 + 2_000


def test_more_words_are_used_until_recall_suffices(weights, monkeypatch):
    shares(monkeypatch, 0.3, 0.5, 0.6)
    found = {least: nearest_approximately(weights, 20, least_recall=least) for least in (0.3, 0.8, 0.9, 1.0)}
    assert [each.share for each in found.values()] == [0.3, 0.5, 0.6, 1.0]
    for ours, wanted in zip(found[1.0][:2], nearest(weights, 20), strict=True):
        np.testing.assert_array_equal(ours, wanted)
    assert found[1.0].recall == 1.0


@given(st.integers(0, 1_000), st.integers(2, 12), st.sampled_from(SHARES))
def test_with_room_for_all_candidates_the_search_is_exact(seed, rows, share):
    """Also for rows that share no heavy word, or no word at all."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 3, (rows, 5)) * rng.choice([1.0, 0.1], (rows, 5))
    dense[dense.sum(axis=1) == 0, 0] = 1
    weights, k = sparse.csr_array(dense), int(rng.integers(1, rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approximate_neighbors, "SHARES", (share,))
        patch.setattr(approximate_neighbors, "CANDIDATES_PER_NEIGHBOR", (rows,))
        found = nearest_approximately(weights, rows - 1)
        assert found.recall == 1.0
        wanted = nearest(weights, rows - 1)
        np.testing.assert_array_equal(found.indices, wanted[0])
        np.testing.assert_array_equal(found.distances, wanted[1])
        distances = nearest_approximately(weights, k).distances
    assert (distances >= wanted[1][:, :k]).all()


def test_a_row_that_shares_words_with_few_others_has_k_neighbors():
    weights = sparse.csr_array(np.eye(6) + np.eye(6, k=1) * 0.01)
    found = nearest_approximately(weights, 4)
    assert [len(set(row)) for row in found.indices] == [4] * 6
    assert all(row not in near for row, near in enumerate(found.indices))
    assert (found.distances >= nearest(weights, 4)[1]).all()


@pytest.mark.parametrize("least", [0.0, -1.0, 1.01])
def test_a_recall_that_is_no_share_is_refused(weights, least):
    with pytest.raises(InputError, match="recall"):
        nearest_approximately(weights, 5, least_recall=least)


def test_negative_weights_and_too_many_neighbors_are_refused():
    with pytest.raises(InputError, match="negative"):
        nearest_approximately(sparse.csr_array([[1.0, -1.0], [1.0, 2.0]]), 1)
    with pytest.raises(InputError, match="Set k"):
        nearest_approximately(sparse.csr_array([[1.0, 1.0], [1.0, 2.0]]), 2)
