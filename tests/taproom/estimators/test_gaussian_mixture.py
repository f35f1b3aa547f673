import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from taproom.assays.expectation_maximization import EmParameters, fit, fit_all
from taproom.assays.mixtures import Mixture
from taproom.estimators import GaussianMixtureWithMissingValues

MEANS = np.array([[0.0, 0.0, 0.0], [4.0, 4.0, 0.0], [0.0, 5.0, 5.0]])


@parametrize_with_checks([GaussianMixtureWithMissingValues()])
def test_it_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def complete():
    random = np.random.default_rng(0)
    return MEANS[np.arange(600) % 3] + random.normal(size=(600, 3))


@pytest.fixture(scope="module")
def values(complete):
    """A fifth of the values are missing, in one row all."""
    values = np.where(np.random.default_rng(1).random(complete.shape) < 0.2, np.nan, complete)
    values[0] = np.nan
    return values


@pytest.fixture(scope="module")
def fitted(values):
    return GaussianMixtureWithMissingValues(3, random_state=1).fit(values)


def test_the_fit_has_the_bits_of_the_function(fitted, values):
    (wanted,) = fit_all(values, [(3, 1)], EmParameters())
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(fitted, f"{name}_"), getattr(wanted.mixture, name))
    assert fitted.lower_bound_ == wanted.log_likelihoods[-1] / 600
    assert (fitted.converged_, fitted.n_iter_) == (wanted.converged, len(wanted.log_likelihoods) - 1)
    np.testing.assert_array_equal(fitted.predict_proba(values), wanted.mixture.responsibilities(values))
    np.testing.assert_array_equal(fitted.score_samples(values), wanted.mixture.log_density(values))


def test_the_best_of_several_starts_is_kept(values):
    starts = fit_all(values, [(3, seed) for seed in (0, 1, 2)], EmParameters())
    found = GaussianMixtureWithMissingValues(3, n_init=3, random_state=0).fit(values)
    assert found.lower_bound_ * 600 == pytest.approx(max(each.log_likelihoods[-1] for each in starts), rel=1e-15)


def test_complete_rows_give_scikit_learn_s_mixture_from_the_same_start(complete):
    start = {
        "weights_init": [0.2, 0.3, 0.5],
        "means_init": MEANS + 0.5,
        "precisions_init": np.array([np.eye(3)] * 3) / 2,
        "tol": 1e-9,
        "max_iter": 500,
    }
    ours = GaussianMixtureWithMissingValues(3, **start).fit(complete)
    theirs = GaussianMixture(3, **start).fit(complete)
    for name in ("weights_", "means_", "covariances_", "lower_bound_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours.predict(complete), theirs.predict(complete))
    for name in ("score", "bic", "aic"):
        assert getattr(ours, name)(complete) == pytest.approx(getattr(theirs, name)(complete), rel=1e-6)
    np.testing.assert_allclose(ours.predict_proba(complete), theirs.predict_proba(complete), atol=1e-4)


def test_a_part_of_a_start_may_be_given(values):
    found = GaussianMixtureWithMissingValues(3, means_init=MEANS, max_iter=1, tol=1e9, random_state=0).fit(values)
    assert np.abs(found.means_ - MEANS).max() < 0.5


def test_the_components_are_found_and_rows_without_values_get_their_weights(fitted, values):
    np.testing.assert_allclose(fitted.means_[np.argsort(fitted.means_.sum(axis=1))], MEANS, atol=0.4)
    np.testing.assert_allclose(fitted.predict_proba(values[:1]), fitted.weights_[None], rtol=1e-12)
    assert fitted.score_samples(values[:1]) == 0


def test_draws_have_the_moments_of_the_mixture(fitted):
    rows, components = fitted.sample(20_000)
    np.testing.assert_allclose(np.bincount(components) / 20_000, fitted.weights_, atol=0.02)
    np.testing.assert_allclose(rows[components == 1].mean(axis=0), fitted.means_[1], atol=0.1)
    np.testing.assert_array_equal(rows, fitted.sample(20_000)[0])
    with pytest.raises(ValueError, match="n_samples is 0"):
        fitted.sample(0)


def test_the_number_of_components_is_searched_in_a_pipeline(values):
    steps = make_pipeline(StandardScaler(), GaussianMixtureWithMissingValues(random_state=0))
    search = GridSearchCV(steps, {"gaussianmixturewithmissingvalues__n_components": [1, 3]}, cv=2).fit(values)
    assert search.best_params_ == {"gaussianmixturewithmissingvalues__n_components": 3}


def test_it_survives_clone_and_pickle(fitted, values):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(values), fitted.predict_proba(values))
    np.testing.assert_array_equal(clone(fitted).fit_predict(values), fitted.predict(values))


def test_the_function_and_the_class_agree_from_a_given_start(values):
    covariances = np.array([np.eye(3)] * 3)
    wanted = fit(values, Mixture([0.25, 0.25, 0.5], MEANS, covariances)).mixture
    start = {"weights_init": [0.25, 0.25, 0.5], "means_init": MEANS, "precisions_init": covariances}
    np.testing.assert_array_equal(GaussianMixtureWithMissingValues(3, **start).fit(values).means_, wanted.means)


def test_no_convergence_is_a_warning(values):
    with pytest.warns(ConvergenceWarning, match="has not converged in 1 iterations"):
        GaussianMixtureWithMissingValues(3, max_iter=1, random_state=0).fit(values)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "0 components was asked for"),
        ({"n_init": 0}, "n_init is 0; wanted: at least 1"),
        ({"tol": -1.0}, "tolerance and regularization must be 0 or more"),
        ({"means_init": np.zeros((2, 2))}, "A mixture has weights"),
        (
            {"weights_init": [1.0], "means_init": np.zeros((1, 2)), "precisions_init": [np.eye(2)]},
            r"means_init has the shape \(1, 2\); wanted \(n_components, n_features\), \(1, 3\)",
        ),
    ],
)
def test_parameters_out_of_range_are_refused(values, parameters, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixtureWithMissingValues(**parameters).fit(values)


def test_columns_without_a_density_are_refused():
    with pytest.raises(ValueError, match="Channel 1 is missing in all events"):
        GaussianMixtureWithMissingValues().fit([[1.0, np.nan], [2.0, np.nan]])
