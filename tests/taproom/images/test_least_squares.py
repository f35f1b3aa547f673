import numpy as np
import pytest
from sklearn.linear_model import Ridge as PeerRidge

from taproom.errors import InputError
from taproom.images import least_squares
from taproom.images.least_squares import Gram, LinearClassifier, Ridge, fit_least_squares, one_hot

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(3, size=400)
# Features of very different means and spreads, some of which say what the class is.
FEATURES = (
    (RANDOM.normal(size=(400, 30)) + np.eye(3, 30)[LABELS]) * np.geomspace(1e-3, 50, 30) + np.linspace(-5, 100, 30)
).astype(np.float32)
TARGETS = one_hot(LABELS, 3)


def gram_of_blocks(cuts=(), workers=1, features=FEATURES, weights=None):
    gram = Gram.like(FEATURES[:200], 3)
    for rows in np.split(np.arange(len(features)), cuts):
        gram.add(features[rows].copy(), TARGETS[rows], None if weights is None else weights[rows], n_jobs=workers)
    return gram


def upper(gram):
    return np.triu(gram.products)


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


@pytest.mark.parametrize("cuts", [(), (1,), (100, 300), tuple(range(37, 400, 37))])
def test_sums_are_those_of_all_rows_however_they_come(cuts):
    gram = gram_of_blocks(cuts)
    rows = (FEATURES.astype(np.float64) - gram.centre) / gram.spread
    np.testing.assert_allclose(upper(gram), np.triu(rows.T @ rows), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(gram.with_targets, rows.T @ TARGETS, atol=1e-2)
    np.testing.assert_allclose(gram.sums, rows.sum(axis=0), atol=1e-2)
    np.testing.assert_allclose(gram.target_sums, TARGETS.sum(axis=0))
    assert gram.weight == 400


def test_features_are_taken_about_the_mean_and_spread_of_the_first():
    gram = Gram.like(FEATURES[:200], 3)
    np.testing.assert_allclose(gram.centre, FEATURES[:200].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(gram.spread, FEATURES[:200].astype(np.float64).std(axis=0), rtol=1e-3)


def test_a_feature_that_never_varies_stays_quiet():
    constant = np.concatenate([FEATURES, np.full((400, 1), 0.1, np.float32)], axis=1)
    linear = fit_least_squares(constant, TARGETS, penalty=1.0)
    wanted = fit_least_squares(FEATURES, TARGETS, penalty=1.0)
    np.testing.assert_allclose(linear.scores(constant), wanted.scores(FEATURES), atol=5e-3)
    assert abs(linear.weights[30]).max() < 1e-3


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_bits(monkeypatch, workers):
    monkeypatch.setattr(least_squares, "TILE", 8)
    alone, together = gram_of_blocks((150,), 1), gram_of_blocks((150,), workers)
    assert upper(alone).tobytes() == upper(together).tobytes()
    for name in ("with_targets", "sums", "target_sums"):
        assert getattr(alone, name).tobytes() == getattr(together, name).tobytes()
    np.testing.assert_allclose(upper(alone), upper(gram_of_blocks((150,))), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("penalty", [0.0, 0.1, 10.0, 1e4])
def test_weights_are_those_of_ridge_regression_on_standardized_features(penalty):
    gram = gram_of_blocks((130,))
    found = Ridge(gram, penalty).fit(gram, penalty)
    assert (found.weights.dtype, found.intercept.dtype) == (np.float32, np.float32)
    rows = (FEATURES.astype(np.float64) - gram.centre) / gram.spread
    peer = PeerRidge(penalty).fit(rows, TARGETS)
    np.testing.assert_allclose(found.weights * gram.spread[:, None], peer.coef_.T, atol=1e-4)
    np.testing.assert_allclose(found.scores(FEATURES), peer.predict(rows), atol=2e-3)


def test_weights_count_as_repetitions():
    counts = np.arange(400) % 4
    repeated = np.repeat(np.arange(400), counts)
    weighed = gram_of_blocks((90,), weights=counts)
    plain = Gram.like(FEATURES[:200], 3)
    plain.add(FEATURES[repeated], TARGETS[repeated])
    assert weighed.weight == plain.weight == len(repeated)
    np.testing.assert_allclose(weighed.sums, plain.sums, atol=1e-2)
    assert_alike(Ridge(weighed, 5.0).fit(weighed, 5.0), Ridge(plain, 5.0).fit(plain, 5.0))


def test_weights_may_be_fractions_and_twice_the_weight_is_half_the_penalty():
    weights = RANDOM.uniform(0.1, 2, 400)
    once, twice = (fit_least_squares(FEATURES, TARGETS, 4.0 * f, weights * f) for f in (1, 2))
    assert_alike(once, twice)


@pytest.mark.parametrize("penalty", [0.0, 0.3, 3.0, 30.0, 1_000.0])
@pytest.mark.parametrize("features", [FEATURES, FEATURES[:, :3]], ids=["30 features", "3 features"])
def test_conjugate_gradients_come_to_what_a_factor_of_their_own_would(features, penalty):
    gram = Gram.like(features, 3)
    gram.add(features.copy(), TARGETS)
    ridge = Ridge(gram, 10.0)
    wanted = Ridge(gram, penalty).fit(gram, penalty)
    assert_alike(ridge.fit(gram, penalty), wanted, features)
    assert_alike(ridge.fit(gram, penalty, start=ridge.fit(gram, 2 * penalty + 1)), wanted, features)


def test_the_factor_of_some_images_serves_for_more():
    some, all_of_them = gram_of_blocks(features=FEATURES[:360]), gram_of_blocks((360,))
    assert_alike(Ridge(some, 10.0).fit(all_of_them, 7.0), Ridge(all_of_them, 7.0).fit(all_of_them, 7.0))


def test_more_features_than_images_need_a_penalty():
    few = FEATURES[:20]
    with pytest.raises(InputError, match=r"singular at the penalty lambda 0: .*Wanted a larger penalty"):
        fit_least_squares(few, TARGETS[:20], penalty=0.0)
    linear = fit_least_squares(few, TARGETS[:20], penalty=0.1)
    assert (linear.scores(few).argmax(axis=1) == LABELS[:20]).all()


def test_features_that_depend_on_each_other_need_a_penalty():
    twice = np.concatenate([FEATURES, FEATURES], axis=1)
    with pytest.raises(InputError, match="lambda 0: features depend on each other"):
        fit_least_squares(twice, TARGETS, penalty=0.0)
    linear = fit_least_squares(twice, TARGETS, penalty=2.0)
    spread = FEATURES.std(axis=0)[:, None]
    np.testing.assert_allclose(linear.weights[:30] * spread, linear.weights[30:] * spread, atol=1e-3)


@pytest.mark.parametrize("penalty", [-1.0, -1e-9, float("nan")])
def test_a_penalty_that_is_none_is_refused(penalty):
    gram = gram_of_blocks()
    with pytest.raises(InputError, match=r"penalty lambda is .*; wanted at least 0"):
        Ridge(gram, penalty)
    with pytest.raises(InputError, match=r"penalty lambda is .*; wanted at least 0"):
        Ridge(gram, 1.0).fit(gram, penalty)


def test_no_image_is_refused():
    with pytest.raises(InputError, match="no image"):
        Ridge(Gram.like(FEATURES, 3), 1.0)


def test_a_class_without_an_image_is_never_the_answer():
    linear = fit_least_squares(FEATURES, one_hot(LABELS, 4), penalty=1.0)
    np.testing.assert_allclose(linear.scores(FEATURES)[:, 3], -1, atol=1e-3)
    assert 3 not in linear.scores(FEATURES).argmax(axis=1)


def test_a_penalty_far_from_the_factors_is_solved_too():
    random = np.random.default_rng(1)
    features = (random.normal(size=(300, 400)) * np.geomspace(1, 1e-3, 400)).astype(np.float32)
    features = features @ np.linalg.qr(random.normal(size=(400, 400)))[0].astype(np.float32)
    gram = Gram.like(features, 3)
    gram.add(features.copy(), TARGETS[:300])
    far, own = Ridge(gram, 10.0).fit(gram, 1e8), Ridge(gram, 1e8).fit(gram, 1e8)
    assert np.abs(far.weights - own.weights).max() <= 0.01 * np.abs(own.weights).max()
