import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, qmc
from sklearn.gaussian_process import GaussianProcessRegressor

from taproom.errors import InputError
from taproom.search.bayesian_search import SAME, log_expected_improvement, standardized, suggest

RANDOM_FIRST = 6


def bowl(places):
    """A smooth, slanted valley with its minimum, 0, at (0.7, 0.3)."""
    x, y = places[:, 0] - 0.7, places[:, 1] - 0.3
    return (x + y) ** 2 + 8 * (x - y) ** 2 + 0.2 * (1 - np.cos(6 * x))


def diverging(places):
    """The same; but training that starts from the last fifth of the rates diverges."""
    return np.where(places[:, 0] > 0.8, 1e9, bowl(places))


def searched(function, seed, evaluations, batch=1):
    places = np.random.default_rng(seed).random((RANDOM_FIRST, 2))
    while len(places) < evaluations:
        places = np.vstack([places, suggest(places, function(places), batch, seed + len(places))])
    return function(places).min()


def at_random(function, seed, evaluations):
    return function(np.random.default_rng(seed).random((evaluations, 2))).min()


@pytest.mark.slow
@pytest.mark.parametrize(("function", "batch", "times"), [(bowl, 1, 10), (bowl, 4, 10), (diverging, 1, 4)])
def test_random_search_needs_several_times_the_evaluations(function, batch, times):
    ours = np.median([searched(function, seed, 18, batch) for seed in range(5)])
    theirs = np.median([at_random(function, seed, times * 18) for seed in range(50)])
    assert ours < theirs / 2


def test_noise_does_not_keep_it_from_the_valley():
    def noisy(places):
        return bowl(places) + 0.05 * np.random.default_rng(len(places)).normal(size=len(places))

    places = np.random.default_rng(0).random((40, 2))
    assert np.median(bowl(suggest(places, noisy(places), 4, seed=0))) < np.quantile(bowl(places), 0.1)


def test_a_parameter_of_no_consequence_does_not_mislead():
    places = np.random.default_rng(0).random((25, 4))
    found = suggest(places, (places[:, 2] - 0.4) ** 2, 1, seed=0)
    assert abs(found[0, 2] - 0.4) < 0.05


def test_the_same_is_suggested_each_time_and_another_seed_looks_elsewhere():
    places = np.random.default_rng(1).random((12, 3))
    one, again, other = (suggest(places, places.sum(axis=1), 3, seed) for seed in (5, 5, 6))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()
    assert one.dtype == np.float64


def test_the_first_of_a_batch_does_not_depend_on_how_many_are_wanted():
    places = np.random.default_rng(1).random((12, 2))
    assert np.array_equal(
        suggest(places, bowl(places), 1, seed=0)[0],
        suggest(places, bowl(places), 5, seed=0)[0],
    )


def test_what_is_given_is_left_as_it_is():
    places = np.random.default_rng(1).random((12, 2))
    scores = bowl(places)
    before = places.copy(), scores.copy()
    suggest(places, scores, 2, seed=0)
    assert np.array_equal(places, before[0])
    assert np.array_equal(scores, before[1])


def test_one_observation_is_enough_and_the_search_goes_elsewhere():
    found = suggest(np.array([[0.5, 0.5]]), np.array([3.0]), 4, seed=0)
    assert found.shape == (4, 2)
    assert np.abs(found - 0.5).max(axis=1).min() > 0.2


def test_equal_scores_are_explored_between():
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    (found,) = suggest(corners, np.full(4, 0.25), 1, seed=0)
    assert np.linalg.norm(corners - found, axis=1).min() > 0.4


def test_places_tried_twice_and_at_the_borders_are_no_obstacle():
    places = np.array([[0.0, 1.0]] * 6 + [[1.0, 1.0]])
    found = suggest(places, np.array([0.0, 0.1, 0.0, 0.1, 0.0, 0.1, 5.0]), 3, seed=0)
    assert all(np.abs(places - place).max(axis=1).min() > SAME for place in found)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 8),
    d=st.integers(1, 6),
    count=st.integers(1, 4),
    seed=st.integers(0, 2**31 - 1),
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    levels=st.sampled_from([2, 3, 1000]),
)
def test_suggestions_are_new_places_of_the_space(n, d, count, seed, scale, levels):
    random = np.random.default_rng(seed)
    places = random.integers(0, levels, (n, d)) / (levels - 1)
    found = suggest(places, scale * random.standard_cauchy(n), count, seed)
    assert found.shape == (count, d)
    assert ((found >= 0) & (found <= 1)).all()
    everything = np.vstack([places, found])
    for row in range(n, n + count):
        assert np.abs(everything[:row] - everything[row]).max(axis=1).min() > SAME


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_scores_are_standardized(scores):
    scores = np.array(scores)
    found = standardized(scores)
    assert np.isfinite(found).all()
    order = np.argsort(scores, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert np.abs(found).max() <= np.sqrt(len(scores)) + 1e-9


def test_one_very_bad_score_leaves_the_others_apart():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 1e9])
    assert np.ptp(standardized(scores)[:4]) > 1
    assert np.array_equal(standardized(scores), standardized(np.where(scores > 1, 1e3, scores)))


def test_equal_scores_are_all_zero():
    assert np.array_equal(standardized(np.full(3, 7.0)), np.zeros(3))


def test_expected_improvement_is_the_mean_of_the_improvements():
    mean, deviation, best = np.array([-1.0, 0.2, 0.5, 3.0]), np.array([0.5, 1.0, 0.1, 2.0]), 0.3
    drawn = mean + deviation * norm.ppf(qmc.Halton(1, seed=0).random(200_000))
    np.testing.assert_allclose(
        np.exp(log_expected_improvement(mean, deviation, best)),
        np.maximum(best - drawn, 0).mean(axis=0),
        rtol=0.02,
    )


def test_little_hope_is_still_told_from_less():
    means = np.array([1.0, 10.0, 1e3, 1e5])
    found = log_expected_improvement(means, np.ones(4), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    either_side = log_expected_improvement(np.array([1 - 1e-9, 1 + 1e-9]), np.ones(2), 0.0)
    assert either_side[0] == pytest.approx(either_side[1], abs=1e-6)


def test_the_kernels_parameters_are_searched_for_once_a_batch(monkeypatch):
    """They are most of a suggestion's cost; each further place of a batch needs one likelihood, of its fit."""
    likelihood, calls = GaussianProcessRegressor.log_marginal_likelihood, []

    def counted(model, *args, **options):
        calls.append(model)
        return likelihood(model, *args, **options)

    monkeypatch.setattr(GaussianProcessRegressor, "log_marginal_likelihood", counted)
    places = np.random.default_rng(0).random((50, 5))
    scores = ((places - 0.4) ** 2).sum(axis=1)
    suggest(places, scores, 1, seed=0)
    single = len(calls)
    suggest(places, scores, 4, seed=0)
    assert len(calls) - single == single + 3
    assert single < 100


@pytest.mark.parametrize(
    ("places", "scores", "count", "reason"),
    [
        (np.empty((0, 2)), np.empty(0), 1, "random settings first"),
        (np.empty((3, 0)), np.zeros(3), 1, r"\(3, 0\)"),
        (np.zeros(3), np.zeros(3), 1, r"\(3,\)"),
        (np.zeros((3, 2)), np.zeros(2), 1, r"\(2,\)"),
        (np.zeros((3, 2)), np.array([0, np.nan, 1]), 1, "that failed"),
        (np.array([[0.2, 1.1]]), np.zeros(1), 1, "outside of the space"),
        (np.array([[0.2, np.nan]]), np.zeros(1), 1, "outside of the space"),
        (np.zeros((3, 2)), np.zeros(3), 0, "0 places"),
    ],
)
def test_what_says_nothing_is_refused_with_a_reason(places, scores, count, reason):
    with pytest.raises(InputError, match=reason):
        suggest(places, scores, count, seed=0)
