import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsTransformer
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from taproom.estimators import CosineNeighborsTransformer, OrdinalMap
from taproom.maps.item_map import NeighborGraph, map_items
from taproom.maps.neighbors import nearest, nearest_of_new
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.out_of_sample import far_candidates, place_on_maps
from taproom.maps.triplets import triplet_errors

QUICK = {"n_neighbors": 6, "updates_per_sample": 50, "random_state": 3}


@parametrize_with_checks([OrdinalMap(updates_per_sample=10)])
def test_it_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def rows():
    """Directions in the positive part of space, which can be mapped in two dimensions."""
    return np.random.default_rng(0).random((90, 3))


@pytest.fixture(scope="module")
def graph(rows):
    return nearest(sparse.csr_array(rows), 6)


@pytest.fixture(scope="module")
def fitted(rows):
    return OrdinalMap(**QUICK).fit(rows)


def test_the_map_has_the_bits_of_the_function(fitted, graph):
    wanted = embed(*graph, OrdinalParameters(updates_per_item=50, seed=3))
    np.testing.assert_array_equal(fitted.embedding_, wanted)


def test_identical_rows_lie_on_a_circle_as_those_of_the_product_do(rows):
    doubled = np.concatenate([rows, rows[:5], 2 * rows[:5]])
    found = OrdinalMap(**QUICK).fit(doubled)
    groups = np.concatenate([np.arange(90), np.arange(5), np.arange(5)])
    of_distinct = nearest(sparse.csr_array(rows), 6)
    product = NeighborGraph(*of_distinct, np.empty(0, np.int64), np.empty((0, 6), np.int32), groups)
    wanted = map_items(product, OrdinalParameters(updates_per_item=50, seed=3), 2).positions
    np.testing.assert_array_equal(found.embedding_, wanted)
    np.testing.assert_array_equal(found.transform(3 * rows[:5]), wanted[:5])


def test_a_new_row_is_placed_by_the_product_s_function(fitted, rows):
    new = np.random.default_rng(1).random((20, 3))
    indices, distances = nearest_of_new(sparse.csr_array(rows), sparse.csr_array(new), 7)
    candidates = far_candidates(90, 6)
    wanted = [
        place_on_maps(near, apart, 6, {2: fitted.embedding_}, candidates)[2]
        for near, apart in zip(indices, distances, strict=True)
    ]
    np.testing.assert_array_equal(fitted.transform(new), wanted)


def test_new_rows_lie_where_a_map_with_them_would_have_them(fitted, rows):
    new = np.random.default_rng(2).random((60, 3))
    assert fitted.score(new) > 0.75


def test_the_score_is_the_share_of_held_out_triplets_that_are_kept(fitted, rows, graph):
    errors = triplet_errors(fitted.embedding_, *graph, seed=3, samples=20_000)
    wanted = 1 - np.mean([row.error for row in errors if row.split == "held_out"])
    assert fitted.score(rows) == wanted > 0.85
    assert clone(fitted).set_params(updates_per_sample=1).fit(rows).score(rows) < wanted


def test_an_integer_repeats_the_map_and_a_generator_does_not(rows, fitted):
    np.testing.assert_array_equal(clone(fitted).fit_transform(rows), fitted.embedding_)
    generator = np.random.RandomState(0)
    one, other = (OrdinalMap(**QUICK | {"random_state": generator}).fit_transform(rows) for _ in range(2))
    assert (one != other).any()


@pytest.mark.parametrize("as_given", [sparse.csr_array, sparse.coo_matrix])
def test_sparse_rows_give_the_map_of_dense_ones(rows, fitted, as_given):
    np.testing.assert_array_equal(OrdinalMap(**QUICK).fit_transform(as_given(rows)), fitted.embedding_)


@pytest.mark.parametrize("neighbors", [CosineNeighborsTransformer(), KNeighborsTransformer(metric="cosine")])
def test_a_graph_of_neighbours_gives_the_same_map_in_a_pipeline(rows, fitted, neighbors):
    new = np.random.default_rng(1).random((20, 3))
    steps = make_pipeline(clone(neighbors).set_params(n_neighbors=6), OrdinalMap(**QUICK, metric="precomputed"))
    np.testing.assert_allclose(steps.fit_transform(rows), fitted.embedding_, rtol=1e-9)
    np.testing.assert_allclose(steps.transform(new), fitted.transform(new), rtol=1e-6)
    assert steps.score(rows) == pytest.approx(fitted.score(rows), abs=1e-3)


def test_parameters_are_searched_by_the_score_of_rows_left_out(rows):
    search = GridSearchCV(OrdinalMap(**QUICK), {"updates_per_sample": [1, 50]}, cv=2).fit(rows)
    assert search.best_params_ == {"updates_per_sample": 50}


def test_it_survives_pickle_and_names_its_output(fitted, rows):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(rows[:5] + 0.01), fitted.transform(rows[:5] + 0.01))
    frame = fitted.set_output(transform="pandas").transform(rows)
    fitted.set_output(transform="default")
    assert frame.columns.tolist() == ["ordinalmap0", "ordinalmap1"]


def test_a_row_that_shares_nothing_is_refused():
    random = np.random.default_rng(0)
    fitted = OrdinalMap(**QUICK).fit(np.column_stack([random.random((40, 3)), np.zeros(40)]))
    with pytest.raises(ValueError, match="Row 1 has nothing in common with any fitted row"):
        fitted.transform([[1.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("parameters", "given", "message"),
    [
        ({"metric": "euclidean"}, np.eye(5), "metric is 'euclidean'; wanted one of cosine, precomputed"),
        ({"metric": "precomputed"}, np.eye(5), "wanted with metric='precomputed': a sparse graph"),
        ({"metric": "precomputed"}, sparse.csr_array(np.tri(5)), "have 0 to 4 neighbours"),
        ({"n_neighbors": 5}, np.eye(5) + 1, "5 neighbours of each item were asked for"),
        ({"margin": 0.0}, np.random.default_rng(0).random((20, 3)), "margin and step above 0"),
        ({}, np.ones((5, 3)), "All 5 items are identical"),
        ({}, np.eye(20), "no triplet to fit the map to"),
    ],
)
def test_what_has_no_map_is_refused(parameters, given, message):
    with pytest.raises(ValueError, match=message):
        OrdinalMap(**parameters).fit(given)


def test_a_score_needs_a_triplet(fitted):
    with pytest.raises(ValueError, match="There is no triplet"):
        fitted.score([[1.0, 0.0, 0.1], [0.0, 1.0, 0.1]])


def test_rows_of_zeros_are_one_item_of_the_map():
    rows = np.random.default_rng(0).random((40, 3))
    rows[[4, 7]] = 0
    found = OrdinalMap(**QUICK).fit(rows)
    assert np.linalg.norm(found.embedding_[4] - found.embedding_[7]) < 0.05
