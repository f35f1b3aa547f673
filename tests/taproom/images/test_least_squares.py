import numpy as np
import pytest
from sklearn.linear_model import Ridge as PeerRidge

from taproom.errors import InputError
from taproom.images.least_squares import LinearClassifier, Ridge, one_hot

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(3, size=400)
# Features of very different means and spreads, some of which say what the class is.
FEATURES = (
    (RANDOM.normal(size=(400, 30)) + np.eye(3, 30)[LABELS]) * np.geomspace(1e-3, 50, 30) + np.linspace(-5, 100, 30)
).astype(np.float32)
TARGETS = one_hot(LABELS, 3)


def fit(features=FEATURES, targets=TARGETS, penalty=1.0, weights=None):
    return Ridge(features, targets, penalty, weights).fit(penalty)


def assert_alike(found, wanted, features=FEATURES):
    """The same classifier, by the weights of features of unit spread, and the scores of images."""
    spread = features.std(axis=0)[:, None]
    np.testing.assert_allclose(found.weights * spread, wanted.weights * spread, atol=1e-3)
    np.testing.assert_allclose(found.scores(features), wanted.scores(features), atol=5e-3)


def test_one_hot_is_1_for_the_class_and_minus_1_for_the_others():
    assert one_hot(np.array([2, 0]), 3).tolist() == [[-1, -1, 1], [1, -1, -1]]


def test_scores_are_weighted_sums():
    linear = LinearClassifier(np.array([[1, 0], [2, -1]], np.float32), np.array([0.5, 0], np.float32))
    assert linear.scores(np.array([[1, 1], [0, 2]], np.float32)).tolist() == [[3.5, -1], [4.5, -2]]


def test_a_feature_that_never_varies_stays_quiet():
    constant = np.concatenate([FEATURES, np.full((400, 1), 0.1, np.float32)], axis=1)
    linear = fit(constant)
    np.testing.assert_allclose(linear.scores(constant), fit().scores(FEATURES), atol=5e-3)
    assert abs(linear.weights[30]).max() < 1e-3


@pytest.mark.parametrize("penalty", [0.0, 0.1, 10.0, 1e4])
def test_weights_are_those_of_ridge_regression_on_standardized_features(penalty):
    found = fit(penalty=penalty)
    assert (found.weights.dtype, found.intercept.dtype) == (np.float32, np.float32)
    rows = FEATURES.astype(np.float64)
    spread = rows.std(axis=0)
    peer = PeerRidge(penalty).fit(rows / spread, TARGETS)
    np.testing.assert_allclose(found.weights * spread[:, None], peer.coef_.T, atol=1e-4)
    np.testing.assert_allclose(found.scores(FEATURES), peer.predict(rows / spread), atol=2e-3)


def test_weights_are_those_of_weighted_ridge_regression():
    weights = RANDOM.uniform(0, 3, 400)
    spread = FEATURES.astype(np.float64).std(axis=0)
    peer = PeerRidge(5.0).fit(FEATURES / spread, TARGETS, sample_weight=weights)
    found = fit(penalty=5.0, weights=weights)
    np.testing.assert_allclose(found.weights * spread[:, None], peer.coef_.T, atol=1e-4)
    np.testing.assert_allclose(found.scores(FEATURES), peer.predict(FEATURES / spread), atol=2e-3)


def test_twice_the_weight_is_half_the_penalty():
    weights = RANDOM.uniform(0.1, 2, 400)
    once, twice = (fit(penalty=4.0 * f, weights=weights * f) for f in (1, 2))
    assert_alike(once, twice)


@pytest.mark.parametrize("penalty", [0.3, 3.0, 30.0, 1_000.0])
@pytest.mark.parametrize("features", [FEATURES, FEATURES[:, :3]], ids=["30 features", "3 features"])
def test_conjugate_gradients_come_to_what_a_factor_of_their_own_would(features, penalty):
    assert_alike(Ridge(features, TARGETS, 10.0).fit(penalty), fit(features, penalty=penalty), features)


def test_a_classifier_does_not_depend_on_those_that_were_fitted_before():
    ridge = Ridge(FEATURES, TARGETS, 10.0)
    first = ridge.fit(3.0)
    ridge.fit(300.0)
    assert ridge.fit(3.0).weights.tobytes() == first.weights.tobytes()


def test_features_stay_as_they_are():
    features = FEATURES.copy()
    fit(features)
    assert features.tobytes() == FEATURES.tobytes()


def test_more_features_than_images_need_a_penalty():
    few = FEATURES[:20]
    with pytest.raises(InputError, match=r"singular at the penalty lambda 0: .*Wanted a larger penalty"):
        fit(few, TARGETS[:20], penalty=0.0)
    linear = fit(few, TARGETS[:20], penalty=0.1)
    assert (linear.scores(few).argmax(axis=1) == LABELS[:20]).all()


def test_features_that_depend_on_each_other_need_a_penalty():
    twice = np.concatenate([FEATURES, FEATURES], axis=1)
    with pytest.raises(InputError, match="lambda 0: features depend on each other"):
        fit(twice, penalty=0.0)
    linear = fit(twice, penalty=2.0)
    spread = FEATURES.std(axis=0)[:, None]
    np.testing.assert_allclose(linear.weights[:30] * spread, linear.weights[30:] * spread, atol=1e-3)


@pytest.mark.parametrize("penalty", [-1.0, -1e-9, float("nan")])
def test_a_penalty_that_is_none_is_refused(penalty):
    with pytest.raises(InputError, match=r"penalty lambda is .*; wanted at least 0"):
        Ridge(FEATURES, TARGETS, penalty)
    with pytest.raises(InputError, match=r"penalty lambda is .*; wanted at least 0"):
        Ridge(FEATURES, TARGETS, 1.0).fit(penalty)


def test_no_image_is_refused():
    with pytest.raises(InputError, match="no image"):
        Ridge(FEATURES[:0], TARGETS[:0], 1.0)


def test_a_class_without_an_image_is_never_the_answer():
    linear = fit(targets=one_hot(LABELS, 4))
    np.testing.assert_allclose(linear.scores(FEATURES)[:, 3], -1, atol=1e-3)
    assert 3 not in linear.scores(FEATURES).argmax(axis=1)


@pytest.mark.slow
def test_a_penalty_too_far_from_the_factors_is_refused():
    random = np.random.default_rng(1)
    features = random.normal(size=(300, 400)) * np.geomspace(1, 1e-3, 400)
    features = (features @ np.linalg.qr(random.normal(size=(400, 400)))[0]).astype(np.float32)
    with pytest.raises(InputError, match=r"could not be solved at the penalty 1e\+08: .*Wanted one nearer to 0\.01, "):
        Ridge(features, TARGETS[:300], 1e-2).fit(1e8)
