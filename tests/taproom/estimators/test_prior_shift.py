import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from taproom.assays.class_shares import shares
from taproom.estimators import PriorShiftClassifier

NAMES = np.array(["ale", "bock", "lager"])


@parametrize_with_checks([PriorShiftClassifier(LogisticRegression())])
def test_it_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def drawn(counts, seed):
    """Overlapping classes with so many rows each, and their names."""
    y = np.repeat(np.arange(3), counts)
    return np.random.default_rng(seed).normal(size=(len(y), 2)) + np.array([[0, 0], [2, 0], [0, 2]])[y], NAMES[y]


@pytest.fixture(scope="module")
def fitted():
    return PriorShiftClassifier(GaussianNB()).fit(*drawn([1000, 2000, 1000], 0))


def test_shares_are_those_of_the_function_and_the_sample(fitted):
    X, _ = drawn([3000, 300, 700], 1)
    found = fitted.estimate_shares(X)
    posteriors = fitted.estimator_.predict_proba(X)
    np.testing.assert_array_equal(found, shares(np.log(posteriors) - np.log([0.25, 0.5, 0.25])))
    wanted = [0.75, 0.075, 0.175]
    counted = np.array([(fitted.estimator_.predict(X) == name).mean() for name in NAMES])
    assert np.abs(found - wanted).max() < 0.03 < np.abs(counted - wanted).max()


def test_adapted_predictions_assume_the_shares_of_the_sample():
    X, y = drawn([3000, 300, 700], 1)
    classifier = PriorShiftClassifier(GaussianNB()).fit(*drawn([1000, 2000, 1000], 0))
    np.testing.assert_allclose(classifier.predict_proba(X), classifier.estimator_.predict_proba(X), rtol=1e-12)
    before = classifier.score(X, y)
    assert classifier.adapt(X) is classifier
    assert classifier.score(X, y) > before + 0.03
    # Gaussian naive Bayes with other priors is the same model.
    other = GaussianNB(priors=classifier.shares_).fit(*drawn([1000, 2000, 1000], 0))
    np.testing.assert_allclose(classifier.predict_proba(X), other.predict_proba(X), atol=1e-10)


def test_a_fitted_classifier_and_one_with_certain_posteriors_can_be_used():
    X, y = drawn([100, 200, 100], 0)
    tree = DecisionTreeClassifier(random_state=0).fit(X, y)
    assert set(np.unique(tree.predict_proba(X))) == {0.0, 1.0}
    classifier = PriorShiftClassifier(FrozenEstimator(tree)).fit(X, y)
    np.testing.assert_allclose(classifier.estimate_shares(X), [0.25, 0.5, 0.25], atol=1e-6)


def test_posteriors_that_are_certain_stay_numbers_if_the_class_has_no_share():
    X, y = drawn([50, 50, 50], 0)
    classifier = PriorShiftClassifier(DecisionTreeClassifier(random_state=0)).fit(X, y)
    classifier.shares_ = np.array([0.0, 0.5, 0.5])
    posteriors = classifier.predict_proba(X)
    assert np.isfinite(posteriors).all()
    assert np.allclose(posteriors.sum(axis=1), 1)


def test_it_takes_what_its_classifier_takes():
    X, y = drawn([100, 200, 100], 0)
    dense = PriorShiftClassifier(LogisticRegression()).fit(X, y)
    by_sparse = PriorShiftClassifier(LogisticRegression()).fit(sparse.csr_array(X), y)
    np.testing.assert_allclose(by_sparse.predict_proba(X), dense.predict_proba(X), atol=1e-4)
    assert dense.n_features_in_ == 2
    assert not dense.__sklearn_tags__().input_tags.allow_nan


def test_parameters_of_the_classifier_are_searched():
    digits, labels = load_digits(n_class=3, return_X_y=True)
    classifier = PriorShiftClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    grid = {"estimator__logisticregression__C": [1e-6, 1.0]}
    search = GridSearchCV(classifier, grid, cv=2, scoring="neg_log_loss").fit(digits[:200], labels[:200])
    assert search.best_params_ == {"estimator__logisticregression__C": 1.0}
    assert search.best_estimator_.n_features_in_ == 64


def test_it_survives_clone_and_pickle(fitted):
    X, _ = drawn([30, 30, 30], 2)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert isinstance(clone(fitted).estimator, GaussianNB)


def test_a_classifier_without_posteriors_is_refused():
    for estimator in (RidgeClassifier(), PCA()):
        with pytest.raises(AttributeError, match="has no predict_proba"):
            PriorShiftClassifier(estimator).fit(*drawn([9, 9, 9], 0))
        assert is_classifier(PriorShiftClassifier(estimator))


def test_a_class_without_rows_has_no_prior(fitted):
    X, y = drawn([9, 9, 0], 0)
    with pytest.raises(ValueError, match="The class lager of the classifier has no row in y"):
        PriorShiftClassifier(FrozenEstimator(fitted.estimator_)).fit(X, y)
