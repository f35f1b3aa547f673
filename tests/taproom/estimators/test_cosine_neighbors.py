import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import SpectralClustering
from sklearn.datasets import make_blobs
from sklearn.manifold import TSNE
from sklearn.metrics.pairwise import cosine_distances
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from taproom.estimators import CosineNeighborsTransformer
from taproom.maps.neighbors import nearest, nearest_of_new


@parametrize_with_checks([CosineNeighborsTransformer()])
def test_it_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    return np.where(random.random((60, 12)) < 0.4, random.random((60, 12)), 0.0) + np.eye(60, 12)


def test_it_gives_the_bits_of_the_functions(rows):
    fitted = CosineNeighborsTransformer(n_neighbors=7).fit(rows[:50])
    indices, distances = nearest(sparse.csr_array(rows[:50]), 7)
    found = fitted.kneighbors()
    np.testing.assert_array_equal(found[0], distances)
    np.testing.assert_array_equal(found[1], indices)
    of_new = fitted.kneighbors(rows[50:], return_distance=False)
    np.testing.assert_array_equal(of_new, nearest_of_new(*map(sparse.csr_array, (rows[:50], rows[50:])), 7)[0])


@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("signed", [False, True])
def test_neighbours_are_those_of_brute_force(rows, as_given, signed):
    rows = rows - 0.2 * signed
    fitted = CosineNeighborsTransformer(n_neighbors=5).fit(as_given(rows[:40]))
    distances, indices = fitted.kneighbors(as_given(rows[40:]))
    every = cosine_distances(rows[40:], rows[:40])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :5], atol=1e-14)
    np.testing.assert_allclose(np.take_along_axis(every, indices, axis=1), distances, atol=1e-14)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_the_graph_is_that_of_scikit_learn_s_transformer(rows, mode):
    ours = CosineNeighborsTransformer(n_neighbors=4, mode=mode)
    theirs = KNeighborsTransformer(n_neighbors=4, mode=mode, metric="cosine")
    np.testing.assert_allclose(ours.fit_transform(rows).toarray(), theirs.fit_transform(rows).toarray(), atol=1e-14)
    assert ours.transform(rows[:3]).nnz == theirs.transform(rows[:3]).nnz
    np.testing.assert_array_equal(ours.kneighbors_graph().toarray(), theirs.kneighbors_graph().toarray())


def test_rows_of_zeros_are_near_each_other_and_far_from_all_others(rows):
    rows[[3, 9]] = 0
    distances, indices = CosineNeighborsTransformer(n_neighbors=59).fit(rows).kneighbors()
    assert (indices[3, 0], indices[9, 0]) == (9, 3)
    np.testing.assert_array_equal(distances[[3, 9]], [[0.0, *[1.0] * 58]] * 2)


def test_it_is_a_step_before_methods_that_take_a_graph():
    points, labels = make_blobs(60, centers=np.eye(3) * 4, random_state=0)
    clusters = make_pipeline(
        CosineNeighborsTransformer(n_neighbors=8, mode="connectivity"),
        SpectralClustering(3, affinity="precomputed_nearest_neighbors", n_neighbors=8, random_state=0),
    ).fit_predict(points)
    assert len({*zip(clusters.tolist(), labels.tolist(), strict=True)}) == 3
    points = points[:40]
    tsne = TSNE(metric="precomputed", init="random", perplexity=5, max_iter=250, random_state=0)
    with threadpool_limits(1):
        places = make_pipeline(CosineNeighborsTransformer(n_neighbors=20), tsne).fit_transform(points)
    assert places.shape == (40, 2)


def test_parameters_are_searched_in_a_pipeline():
    points, labels = make_blobs(60, centers=np.eye(3) * 9, random_state=0)
    steps = make_pipeline(CosineNeighborsTransformer(), KNeighborsClassifier(3, metric="precomputed"))
    search = GridSearchCV(steps, {"cosineneighborstransformer__n_neighbors": [4, 6]}, cv=3).fit(points, labels)
    assert search.best_score_ > 0.95


def test_it_survives_clone_and_pickle_and_names_its_output(rows):
    fitted = CosineNeighborsTransformer(n_neighbors=3, n_jobs=2).fit(rows)
    again = pickle.loads(pickle.dumps(fitted))
    assert (again.transform(rows) != fitted.transform(rows)).nnz == 0
    assert clone(fitted).get_params() == {"mode": "distance", "n_jobs": 2, "n_neighbors": 3}
    assert fitted.get_feature_names_out()[[0, 59]].tolist() == [
        "cosineneighborstransformer0",
        "cosineneighborstransformer59",
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode": "weights"}, "mode is 'weights'; wanted one of distance, connectivity"),
        ({"n_neighbors": 60}, "61 neighbours were asked for among 60 rows"),
        ({"n_neighbors": 0, "mode": "connectivity"}, "0 neighbours were asked for"),
    ],
)
def test_what_cannot_be_found_is_refused(rows, parameters, message):
    with pytest.raises(ValueError, match=message):
        CosineNeighborsTransformer(**parameters).fit_transform(rows)
