import math

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.maps import neighbors
from taproom.maps.neighbors import brute_force_distances, choose_k, nearest, nearest_of_new, unit_rows


def brute_force(weights, k):
    """The documented distance by plain loops: sums over ascending columns, ties to the smaller row."""
    rows = [
        dict(zip(weights.indices[a:b].tolist(), weights.data[a:b].tolist(), strict=True))
        for a, b in zip(weights.indptr[:-1], weights.indptr[1:], strict=True)
    ]

    def product(one, other):
        total = 0.0
        for column in sorted(one.keys() & other.keys()):
            total += one[column] * other[column]
        return total

    norms = [product(row, row) for row in rows]
    indices, distances = [], []
    for number, row in enumerate(rows):
        others = sorted(
            (max(0.0, 1.0 - product(row, rows[other]) / math.sqrt(norms[number] * norms[other])), other)
            for other in range(len(rows))
            if other != number
        )
        distances.append([distance for distance, _ in others[:k]])
        indices.append([other for _, other in others[:k]])
    return np.array(indices), np.array(distances)


def assert_exact(weights, k, **options):
    indices, distances = nearest(weights, k, **options)
    assert (indices.dtype, distances.dtype) == (np.int32, np.float64)
    wanted_indices, wanted_distances = brute_force(weights, k)
    np.testing.assert_array_equal(distances, wanted_distances)
    np.testing.assert_array_equal(indices, wanted_indices)


def random_rows(rows, columns, density, seed):
    """Zipf-like columns, so that there are terms for the matrix product as well as for the inverted index."""
    rng = np.random.default_rng(seed)
    chances = np.minimum(1.0, density * columns / np.arange(1, columns + 1) ** 0.8 / 4)
    dense = rng.random((rows, columns)) * (rng.random((rows, columns)) < chances)
    dense[np.arange(rows), rng.integers(0, columns, rows)] += 0.1
    return sparse.csr_array(dense)


@st.composite
def rows_with_ties(draw):
    """Few columns and few values, so that equal, proportional and unrelated rows abound."""
    columns = draw(st.integers(1, 6))
    values = st.sampled_from(draw(st.sampled_from([[1.0], [1.0, 2.0, 3.0], [0.1, 0.3, 0.7, 1e-9], [-1.0, 0.5, 1.0]])))
    row = st.dictionaries(st.integers(0, columns - 1), values, min_size=1)
    rows = draw(st.lists(row, min_size=2, max_size=14))
    dense = np.zeros((len(rows), columns))
    for number, entries in enumerate(rows):
        dense[number, list(entries)] = list(entries.values())
    return sparse.csr_array(dense)


@pytest.mark.slow
@settings(deadline=None)
@given(rows_with_ties(), st.data())
def test_ties_and_duplicates_come_out_as_brute_force_has_them(weights, data):
    k = data.draw(st.integers(1, weights.shape[0] - 1))
    share = data.draw(st.sampled_from([-1.0, 0.3, 2.0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbors, "FREQUENT_SHARE", share)
        assert_exact(weights, k, block_rows=data.draw(st.integers(1, 20)))


@pytest.mark.parametrize("share", [-1.0, 0.2, 2.0], ids=["all dense", "mixed", "all inverted"])
def test_neighbors_equal_brute_force(monkeypatch, share):
    monkeypatch.setattr(neighbors, "FREQUENT_SHARE", share)
    assert_exact(random_rows(150, 400, 0.05, seed=1), 20, block_rows=64)


@pytest.mark.slow
def test_blocks_workers_and_backends_leave_no_trace():
    weights = random_rows(300, 200, 0.1, seed=2)
    indices, distances = nearest(weights, 15)
    for options in ({"block_rows": 7}, {"n_jobs": 2, "block_rows": 50}, {"block_rows": 1_000}):
        again = nearest(weights, 15, **options)
        np.testing.assert_array_equal(again[0], indices)
        np.testing.assert_array_equal(again[1], distances)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        again = nearest(weights, 15, block_rows=150)
    np.testing.assert_array_equal(again[0], indices)
    np.testing.assert_array_equal(again[1], distances)


@pytest.mark.slow
@pytest.mark.parametrize("queries", [None, np.array([5, 290, 17])])
def test_a_cluster_leaves_no_trace(on_cluster, queries):
    weights = random_rows(300, 200, 0.1, seed=2)
    made = Made(random_rows, (300, 200, 0.1, 2))
    for options in ({"block_rows": 50}, {"block_rows": 1_000}):
        indices, distances = nearest(weights, 15, queries=queries)
        again = nearest(made, 15, queries=queries, **options)
        np.testing.assert_array_equal(again[0], indices)
        np.testing.assert_array_equal(again[1], distances)
        usage = taken_usages()[-1]
        rows = min(300, options["block_rows"])
        assert usage.blocks == 2 * -(-len(indices) // options["block_rows"])  # to find candidates, and to rank them
        assert usage.largest_sent < (16 + 8 * 4 * 15) * rows + 4 * 300 + 2_000
        assert usage.bytes_received < 12 * 300 * len(indices) + 1_000 * usage.blocks


def test_a_distance_is_the_same_from_both_sides():
    weights = random_rows(60, 80, 0.2, seed=3)
    indices, distances = nearest(weights, 59)
    square = np.zeros((60, 60))
    np.put_along_axis(square, indices, distances, axis=1)
    np.testing.assert_array_equal(square, square.T)


def test_chosen_rows_get_what_all_rows_would():
    weights = random_rows(80, 60, 0.2, seed=4)
    indices, distances = nearest(weights, 9)
    queries = np.array([70, 3, 3, 41])
    some_indices, some_distances = nearest(weights, 9, queries=queries, block_rows=3)
    np.testing.assert_array_equal(some_indices, indices[queries])
    np.testing.assert_array_equal(some_distances, distances[queries])
    none_indices, none_distances = nearest(weights, 9, queries=np.empty(0, np.int64))
    assert none_indices.shape == none_distances.shape == (0, 9)


def test_rows_that_are_all_the_same_are_at_distance_zero_in_row_order():
    weights = sparse.csr_array(np.tile([0.1, 0.0, 0.7, 0.3], (8, 1)))
    indices, distances = nearest(weights, 3)
    assert (distances == 0.0).all()
    assert indices[0].tolist() == [1, 2, 3]
    assert indices[2].tolist() == [0, 1, 3]
    assert indices[7].tolist() == [0, 1, 2]


def test_unrelated_rows_are_at_distance_one():
    indices, distances = nearest(sparse.csr_array(np.eye(5)), 2)
    assert (distances == 1.0).all()
    assert indices[3].tolist() == [0, 1]


def rows_of_three_kinds(number):
    kinds = np.random.default_rng(9).integers(0, 3, number)
    return sparse.csr_array(np.array([[0.1, 0.7, 0.3], [0.2, 0.6, 0.3], [0.1, 0.1, 0.9]])[kinds])


def test_more_ties_than_a_list_has_room_for_still_go_to_the_smaller_rows():
    weights = rows_of_three_kinds(600)
    _, kinds = np.unique(weights.toarray(), axis=0, return_inverse=True)
    indices, distances = nearest(weights, 4, block_rows=50)
    for row in (0, 1, 299, 599):
        alike = np.flatnonzero(kinds == kinds[row])
        assert indices[row].tolist() == alike[alike != row][:4].tolist()
    assert (distances == 0.0).all()


@pytest.mark.slow
@pytest.mark.parametrize(("make", "given"), [(rows_of_three_kinds, (600,)), (random_rows, (300, 200, 0.1, 2))])
def test_the_step_of_a_cluster_scales_rows_only_where_ties_need_them(on_cluster, monkeypatch, make, given):
    scaled = []
    monkeypatch.setattr(neighbors, "unit_rows", lambda weights: scaled.append(weights) or unit_rows(weights))
    here, there = (nearest(weights, 4, block_rows=50) for weights in (make(*given), Made(make, given)))
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(scaled) == 1 + (make is rows_of_three_kinds)


def test_rows_with_too_few_relatives_get_the_first_of_the_unrelated():
    dense = np.zeros((200, 41))
    dense[np.arange(200), np.arange(200) // 5] = 1.0 + np.arange(200) % 5
    dense[7, 40] = 0.5
    weights = sparse.csr_array(dense)
    indices, distances = nearest(weights, 30, block_rows=64)
    wanted_indices, wanted_distances = brute_force(weights, 30)
    np.testing.assert_array_equal(indices, wanted_indices)
    np.testing.assert_array_equal(distances, wanted_distances)


def test_dense_vectors_with_signs_are_compared_as_exactly():
    rng = np.random.default_rng(10)
    assert_exact(sparse.csr_array(rng.standard_normal((120, 16)).round(1) + 0.05), 10, block_rows=32)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_very_small_and_very_large_weights_keep_their_distances(unit):
    weights = random_rows(20, 15, 0.3, seed=5)
    indices, distances = nearest(weights, 4)
    rescaled = weights.copy()
    rescaled.data *= unit
    again_indices, again_distances = nearest(rescaled, 4)
    np.testing.assert_array_equal(again_indices, indices)
    np.testing.assert_allclose(again_distances, distances, atol=1e-15)


def test_unsorted_repeated_and_read_only_entries_are_taken_as_they_are_meant():
    plain = sparse.csr_array([[1.0, 0, 2], [0, 3, 1], [1, 1, 0]])
    data, columns = np.array([1.5, 0.5, 1, 1, 3, 0, 1, 1]), np.array([2, 2, 0, 2, 1, 0, 1, 0])
    for array in (data, columns):
        array.setflags(write=False)
    messy = sparse.csr_array((data, columns, np.array([0, 3, 6, 8])), shape=(3, 3))
    assert messy.toarray().tolist() == plain.toarray().tolist()
    for found, wanted in zip(nearest(messy, 2), nearest(plain, 2), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_given_weights_stay_as_they_were():
    weights = random_rows(30, 20, 0.3, seed=6)
    before = weights.copy()
    nearest(weights, 3)
    assert (weights != before).nnz == 0


def test_little_memory_for_frequent_terms_changes_nothing(monkeypatch):
    weights = random_rows(50, 40, 0.5, seed=7)
    indices, distances = nearest(weights, 5)
    monkeypatch.setattr(neighbors, "MAX_DENSE_BYTES", 3 * 4 * 50)
    again_indices, again_distances = nearest(weights, 5)
    np.testing.assert_array_equal(again_indices, indices)
    np.testing.assert_array_equal(again_distances, distances)


@pytest.mark.parametrize("k", [0, 4, 100])
def test_a_k_that_the_rows_cannot_give_is_refused(k):
    with pytest.raises(InputError, match=f"{k} neighbours.*4 items.*3 others"):
        nearest(sparse.csr_array(np.ones((4, 2))), k)


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="0 items"):
        nearest(sparse.csr_array((0, 3)), 1)


def test_rows_without_weight_are_refused_and_counted():
    dense = np.ones((5, 2))
    dense[[1, 3]] = 0
    weights = sparse.csr_array(dense)
    with pytest.raises(InputError, match="2 of the 5 rows have no weight"):
        nearest(weights, 1)
    stored_zeros = sparse.csr_array((np.zeros(2), [0, 1], [0, 1, 2]), shape=(2, 2))
    with pytest.raises(InputError, match="2 of the 2 rows"):
        nearest(stored_zeros, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value):
    with pytest.raises(InputError, match="not finite"):
        nearest(sparse.csr_array([[1.0, value], [1, 1], [1, 0]]), 1)


@pytest.mark.parametrize("queries", [[-1], [3], [[0, 1]]])
def test_queries_that_are_no_rows_are_refused(queries):
    with pytest.raises(InputError, match="from 0 to 2"):
        nearest(sparse.csr_array(np.ones((3, 2))), 1, queries=queries)


def test_the_default_k_is_a_tenth_of_the_items_up_to_a_hundred():
    assert [choose_k(items) for items in (3, 10, 508, 6_954)] == [1, 1, 50, 100]
    assert choose_k(508, 7) == 7


def test_the_dense_check_finds_the_same_distances():
    weights = random_rows(70, 50, 0.3, seed=8)
    rows = np.array([0, 5, 69])
    _, distances = nearest(weights, 6, queries=rows)
    np.testing.assert_allclose(np.sort(brute_force_distances(weights, rows), axis=1)[:, :6], distances, atol=1e-14)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("k", "block_rows", "n_jobs"), [(1, 512, None), (7, 4, 2), (30, 3, 1)])
def test_new_rows_have_the_neighbours_that_they_would_have_among_all(signed, k, block_rows, n_jobs):
    random = np.random.default_rng(5)
    dense = np.where(random.random((42, 20)) < 0.2, random.integers(1, 4, (42, 20)) - 5.0 * signed, 0.0)
    dense[:, 0] += 1
    dense[35] = dense[3]
    every = sparse.csr_array(dense)
    indices, distances = nearest(every, 41)
    wanted = [np.flatnonzero(row < 30)[:k] for row in indices[30:]]
    found = nearest_of_new(every[:30], every[30:], k, block_rows=block_rows, n_jobs=n_jobs)
    for got, of_all in zip(found, (indices, distances), strict=True):
        np.testing.assert_array_equal(got, [row[places] for row, places in zip(of_all[30:], wanted, strict=True)])
    assert found[1][5, 0] == 0


def test_new_rows_that_share_no_term_are_at_distance_1_in_the_order_of_rows():
    indices, distances = nearest_of_new(sparse.csr_array(np.eye(5, 7)), sparse.csr_array(np.eye(1, 7, 6)), 3)
    assert indices.tolist() == [[0, 1, 2]]
    assert distances.tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("new", "k", "message"),
    [
        (np.ones((2, 4)), 1, "have 4 columns, the others 3"),
        (np.ones((2, 3)), 6, "6 neighbours were asked for among 5 rows"),
        (np.zeros((2, 3)), 1, "2 of the 7 rows have no weight"),
        (np.full((2, 3), np.inf), 1, "not finite"),
    ],
)
def test_new_rows_that_cannot_be_compared_are_refused(new, k, message):
    with pytest.raises(InputError, match=message):
        nearest_of_new(sparse.csr_array(np.ones((5, 3))), sparse.csr_array(new), k)
