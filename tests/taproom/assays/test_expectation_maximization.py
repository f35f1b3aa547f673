import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from taproom.assays import _mixture_kernels as kernels
from taproom.assays import expectation_maximization, mixtures
from taproom.assays.expectation_maximization import EmParameters, fit, fit_all, fit_there
from taproom.assays.mixture_starts import standardization, start_at
from taproom.assays.mixtures import Mixture
from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from tests.random_mixtures import (
    FEW,
    SEEDS,
    assert_close,
    events_of,
    literal_log_joint,
    problem,
    random_mixture,
    with_missing,
)


def literal_iteration(mixture, values, regularization):
    """One iteration as Ghahramani and Jordan (1994) write it, each event completed on its own."""
    joint = literal_log_joint(mixture, values)
    shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    means, covariances = np.empty_like(mixture.means), np.empty_like(mixture.covariances)
    for k in range(mixture.components):
        covariance = mixture.covariances[k]
        completed, extra = np.empty_like(values), np.zeros_like(covariance)
        for event, row in enumerate(values):
            gone, seen = np.flatnonzero(np.isnan(row)), np.flatnonzero(~np.isnan(row))
            regression = covariance[np.ix_(gone, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
            completed[event, seen] = row[seen]
            completed[event, gone] = mixture.means[k, gone] + regression @ (row[seen] - mixture.means[k, seen])
            within = covariance[np.ix_(gone, gone)] - regression @ covariance[np.ix_(seen, gone)]
            extra[np.ix_(gone, gone)] += shares[event, k] * within
        total = shares[:, k].sum()
        means[k] = shares[:, k] @ completed / total
        apart = completed - means[k]
        covariances[k] = ((shares[:, k, None] * apart).T @ apart + extra) / total
    return Mixture(shares.mean(axis=0), means, covariances + regularization * np.eye(mixture.channels))


def algorithm_8_1(y, theta, iterations):
    """Algorithm 8.1 of the deck: (pi, mu_1, sigma_1^2, mu_2, sigma_2^2) after each iteration, the start first."""
    trace = [theta]
    for _ in range(iterations):
        pi, mu_1, variance_1, mu_2, variance_2 = trace[-1]
        first, second = norm.pdf(y, mu_1, np.sqrt(variance_1)), norm.pdf(y, mu_2, np.sqrt(variance_2))
        gamma = pi * second / ((1 - pi) * first + pi * second)
        mu_1, mu_2 = ((1 - gamma) * y).sum() / (1 - gamma).sum(), (gamma * y).sum() / gamma.sum()
        variance_1 = ((1 - gamma) * (y - mu_1) ** 2).sum() / (1 - gamma).sum()
        variance_2 = (gamma * (y - mu_2) ** 2).sum() / gamma.sum()
        trace.append((gamma.sum() / len(y), mu_1, variance_1, mu_2, variance_2))
    return trace


def scikit_learn_fit(values, start, parameters):
    with pytest.warns(match="did not converge"):
        return GaussianMixture(
            start.components,
            weights_init=start.weights,
            means_init=start.means,
            precisions_init=np.linalg.inv(start.covariances),
            max_iter=parameters.iterations,
            tol=0.0,
            reg_covar=parameters.regularization,
        ).fit(values)


def assert_same_bits(one, other):
    assert np.array_equal(one.log_likelihoods, other.log_likelihoods)
    for name in ("weights", "means", "covariances"):
        assert np.array_equal(getattr(one.mixture, name), getattr(other.mixture, name))


@pytest.mark.slow
@FEW
@given(SEEDS, st.integers(1, 5), st.integers(1, 6), st.integers(100, 700))
def test_on_complete_events_a_fit_is_that_of_scikit_learn(seed, components, channels, count):
    values, start = problem(seed, components, channels, count)
    parameters = EmParameters(iterations=4, tolerance=0.0, regularization=1e-3)
    found, theirs = fit(values, start, parameters, keep_history=True), scikit_learn_fit(values, start, parameters)
    # scikit-learn adds 2e-15 events at 0 to each component, which moves one that owns next to nothing.
    assume(min(mixture.weights.min() for mixture in found.history) * count > 1e-3)
    assert_close(found.mixture, Mixture(theirs.weights_, theirs.means_, theirs.covariances_), rtol=1e-7)
    assert found.log_likelihoods[-1] == pytest.approx(theirs.score(values) * count, rel=1e-9)
    assert found.mixture.bic(found.log_likelihoods[-1], count) == pytest.approx(theirs.bic(values), rel=1e-9)
    np.testing.assert_allclose(found.mixture.log_density(values), theirs.score_samples(values), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(found.mixture.responsibilities(values), theirs.predict_proba(values), atol=1e-7)


def test_events_of_several_blocks_are_fitted_as_scikit_learn_fits_them():
    values, start = problem(1, 3, 4, 2 * mixtures.BLOCK + 77)
    parameters = EmParameters(iterations=20, tolerance=0.0)
    found, theirs = fit(values, start, parameters), scikit_learn_fit(values, start, parameters)
    assert_close(found.mixture, Mixture(theirs.weights_, theirs.means_, theirs.covariances_), rtol=1e-8)


@FEW
@given(SEEDS, st.sampled_from([0.2, 0.4, 0.5, 0.8]))
def test_two_components_in_one_channel_are_algorithm_8_1(seed, weight):
    rng = np.random.default_rng(seed)
    y = np.concatenate([rng.normal(0.0, 1.0, 60), rng.normal(3.5, 0.6, 40)])
    theta = (weight, rng.normal(), 1.0 + rng.random(), 3.0 + rng.normal(), 1.0 + rng.random())
    start = Mixture([1 - theta[0], theta[0]], [[theta[1]], [theta[3]]], [[[theta[2]]], [[theta[4]]]])
    found = fit(y[:, None], start, EmParameters(20, tolerance=0.0, regularization=0.0), keep_history=True)
    expected = algorithm_8_1(y, theta, 20)
    assert len(found.history) == len(expected) == 21
    for mixture, (pi, mu_1, variance_1, mu_2, variance_2) in zip(found.history, expected, strict=True):
        assert_close(mixture, Mixture([1 - pi, pi], [[mu_1], [mu_2]], [[[variance_1]], [[variance_2]]]), rtol=1e-8)


@pytest.mark.slow
@FEW
@given(SEEDS, st.integers(1, 3), st.integers(2, 6), st.floats(0.05, 0.6))
def test_an_iteration_takes_the_conditional_moments_of_what_is_missing(seed, components, channels, share):
    values, start = problem(seed, components, channels, 80, share)
    assume(not np.isnan(values).all(axis=0).any())
    parameters = EmParameters(iterations=1, regularization=1e-3)
    assert_close(fit(values, start, parameters).mixture, literal_iteration(start, values, 1e-3), rtol=1e-8)


def test_conditional_moments_are_integrals_over_the_missing_value():
    values, start = problem(3, 2, 2, 30)
    values[:12, 1] = np.nan
    found = fit(values, start, EmParameters(iterations=1, regularization=0.0)).mixture
    missing = np.linspace(-60.0, 60.0, 60_001)
    counts, firsts, seconds = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2, 2))
    for row in values:
        points = np.column_stack([np.full_like(missing, row[0]), missing]) if np.isnan(row[1]) else row[None]
        density = np.exp(start.log_joint(points))
        density /= density.sum()
        counts += density.sum(axis=0)
        firsts += density.T @ points
        seconds += np.einsum("pk,pi,pj->kij", density, points, points)
    means = firsts / counts[:, None]
    covariances = seconds / counts[:, None, None] - means[:, :, None] * means[:, None, :]
    assert_close(found, Mixture(counts / counts.sum(), means, covariances), rtol=1e-8)


def test_every_event_may_lack_other_channels():
    values, start = problem(4, 2, 12, 300, share=0.4)
    assert len(np.unique(np.isnan(values), axis=0)) > 280
    np.testing.assert_allclose(start.log_joint(values), literal_log_joint(start, values), rtol=1e-8)
    found = fit(values, start, EmParameters(iterations=1)).mixture
    assert_close(found, literal_iteration(start, values, 1e-6), rtol=1e-7)


@FEW
@given(SEEDS, st.integers(1, 4), st.integers(1, 4), st.floats(0.0, 0.5))
def test_without_regularization_the_log_likelihood_never_falls(seed, components, channels, share):
    values, start = problem(seed, components, channels, 250, share)
    try:
        found = fit(values, start, EmParameters(40, tolerance=0.0, regularization=0.0))
    except InputError as error:
        assume("singular" not in str(error))
        raise
    rounding = 1e-12 * np.abs(found.log_likelihoods).max()
    assert np.diff(found.log_likelihoods).min() >= -rounding


@FEW
@given(SEEDS, st.integers(1, 4), st.integers(1, 4), st.floats(0.0, 0.5), st.floats(1e-3, 1.0))
def test_the_regularization_lowers_the_log_likelihood_by_no_more_than_its_bound(
    seed, components, channels, share, regularization
):
    values, start = problem(seed, components, channels, 250, share)
    found = fit(values, start, EmParameters(30, tolerance=0.0, regularization=regularization), keep_history=True)
    rises = np.diff(found.log_likelihoods)
    for rise, old, new in zip(rises, found.history[:-1], found.history[1:], strict=True):
        old_traces, new_traces = (
            np.trace(np.linalg.inv(mixture.covariances), axis1=1, axis2=2) for mixture in (old, new)
        )
        most = regularization / 2 * len(values) * new.weights @ (old_traces - new_traces)
        assert rise >= -most - 1e-9 * np.abs(found.log_likelihoods).max()


def test_a_fifth_missing_at_random_costs_less_than_a_fiftieth_of_a_nat_per_channel():
    rng = np.random.default_rng(5)
    truth = random_mixture(rng, 5, 5, spread=3.0)
    complete, held_out = events_of(rng, truth, 8_000), events_of(rng, truth, 8_000)
    offset, scale = standardization(complete)
    complete, held_out = (complete - offset) / scale, (held_out - offset) / scale
    densities = []
    for values in (complete, with_missing(rng, complete, 0.2)):
        fits = fit_all(values, [(5, seed) for seed in range(3)], n_jobs=2)
        best = max(fits, key=lambda found: found.log_likelihoods[-1])
        densities.append(best.mixture.log_density(held_out).mean())
    assert abs(densities[0] - densities[1]) / 5 < 0.02


@FEW
@given(SEEDS, st.floats(0.0, 0.5))
def test_the_order_of_the_events_makes_no_difference_but_rounding(seed, share):
    values, start = problem(seed, 3, 3, 300, share)
    parameters = EmParameters(iterations=5, tolerance=0.0, regularization=1e-3)
    shuffled = np.random.default_rng(seed).permutation(values)
    assert_close(fit(values, start, parameters).mixture, fit(shuffled, start, parameters).mixture, rtol=1e-8)


@FEW
@given(SEEDS, st.floats(0.0, 0.5))
def test_a_fit_in_other_units_is_the_same_fit(seed, share):
    values, _ = problem(seed, 2, 3, 300, share)
    start = start_at(values, 2, seed)
    parameters = EmParameters(iterations=5, tolerance=0.0, regularization=0.0)
    offset, scale = np.array([3.0, -1.0, 0.5]), np.array([10.0, 0.1, -2.0])
    found = fit(offset + scale * values, start.scaled(offset, scale), parameters)
    expected = fit(values, start, parameters).mixture.scaled(offset, scale)
    assert_close(found.mixture, expected, rtol=1e-7)


def test_events_that_lack_everything_have_density_1_and_change_nothing_but_the_weights():
    values, start = problem(6, 2, 3, 200)
    padded = np.vstack([values, np.full((50, 3), np.nan)])
    np.testing.assert_allclose(start.log_density(padded)[200:], 0.0, atol=1e-12)
    np.testing.assert_allclose(start.responsibilities(padded)[200:], np.tile(start.weights, (50, 1)), rtol=1e-12)
    with_them, without = fit(padded, start), fit(values, start)
    assert_close(with_them.mixture, without.mixture, rtol=1e-2)
    assert with_them.log_likelihoods[0] == pytest.approx(without.log_likelihoods[0], rel=1e-12)


def test_no_bit_depends_on_the_workers():
    values, _ = problem(7, 3, 3, 6_000, share=0.2)
    tasks = [(components, seed) for components in (1, 3, 4) for seed in (0, 1)]
    parameters = EmParameters(iterations=8)
    one, two = (fit_all(values, tasks, parameters, n_jobs=n_jobs) for n_jobs in (1, 2))
    for first, second, (components, seed) in zip(one, two, tasks, strict=True):
        assert_same_bits(first, second)
        start = start_at(values, components, seed)
        assert_same_bits(first, fit(values, start, parameters))
        assert_same_bits(first, fit(values, start, parameters, n_jobs=2))


def values_with_missing(events):
    return problem(7, 3, 3, events, share=0.2)[0]


@pytest.mark.slow
@pytest.mark.parametrize("in_groups", [False, True])
def test_a_cluster_gives_the_same_bits(on_cluster, monkeypatch, in_groups):
    if in_groups:
        monkeypatch.setattr(expectation_maximization, "GROUP", 2)
    events, tasks = 20_000, [(2, 0), (3, 0), (3, 1)]
    parameters = EmParameters(iterations=5, tolerance=1e-2)
    here = fit_all(values_with_missing(events), tasks, parameters, n_jobs=2)
    there = fit_all(Made(values_with_missing, (events,)), tasks, parameters)
    for first, second in zip(here, there, strict=True):
        assert_same_bits(first, second)
    usage = taken_usages()[-1]
    sent = 2  # an iteration of a fit: two groups of two blocks of events, and one of one
    assert usage.blocks == (sent * sum(len(each.log_likelihoods) for each in here) if in_groups else len(tasks))
    assert usage.largest_sent < 3_000
    assert usage.largest_received < (2_000 if in_groups else 10_000)
    start, made = here[0].mixture, Made(values_with_missing, (events,))
    wanted, one = (
        each(given, start, parameters, keep_history=True) for each, given in ((fit, made.here), (fit_there, made))
    )
    assert_same_bits(wanted, one)
    assert [each.means.tolist() for each in wanted.history] == [each.means.tolist() for each in one.history]
    assert len(one.history) == len(one.log_likelihoods)
    assert taken_usages()[-1].blocks == (sent * len(one.log_likelihoods) if in_groups else 1)


def test_moments_of_groups_are_those_of_all_blocks_up_to_rounding(monkeypatch):
    values, start = problem(7, 3, 3, 20_000, share=0.2)
    monkeypatch.setattr(expectation_maximization, "GROUP", 2)
    parameters = EmParameters(iterations=3)
    by_groups = fit(values, start, parameters)
    monkeypatch.undo()
    assert_close(by_groups.mixture, fit(values, start, parameters).mixture, rtol=1e-9)


def test_no_bit_depends_on_where_the_arrays_lie():
    values, start = problem(8, 2, 3, 200, share=0.2)
    first, moved = fit(values, start), []
    for kilobytes in range(20):
        moved.append(np.empty(1024 * kilobytes))
        assert_same_bits(first, fit(np.asfortranarray(values) if kilobytes % 2 else values.copy(), start))


def test_the_values_stay_as_they_are():
    values, start = problem(8, 2, 3, 200, share=0.2)
    copy = values.copy()
    fit(values, start)
    np.testing.assert_array_equal(values, copy)


def test_the_history_is_the_start_and_each_iteration():
    values, start = problem(9, 2, 2, 300, share=0.1)
    found = fit(values, start, EmParameters(iterations=6, tolerance=0.0), keep_history=True)
    assert len(found.history) == len(found.log_likelihoods) == 7
    assert found.history[0] is start
    assert found.history[-1] is found.mixture
    for mixture, log_likelihood in zip(found.history, found.log_likelihoods, strict=True):
        assert mixture.log_density(values).sum() == pytest.approx(log_likelihood, rel=1e-12)
    assert fit(values, start, EmParameters(iterations=6)).history == ()


def test_a_fit_ends_when_nothing_changes_or_all_iterations_are_done():
    values, start = problem(10, 2, 2, 500)
    ended = fit(values, start, EmParameters(iterations=500, tolerance=1e-4))
    changes = np.abs(np.diff(ended.log_likelihoods)) / len(values)
    assert ended.converged
    assert changes[-1] < 1e-4 <= changes[:-1].min()
    cut = fit(values, start, EmParameters(iterations=2, tolerance=1e-12))
    assert not cut.converged
    assert len(cut.log_likelihoods) == 3


def test_a_component_without_events_keeps_its_place_and_loses_its_weight():
    values, _ = problem(11, 2, 2, 300)
    start = Mixture([0.4, 0.4, 0.2], [[0.0, 0.0], [1.0, 1.0], [1e6, 1e6]], np.tile(np.eye(2), (3, 1, 1)))
    found = fit(values, start, EmParameters(iterations=10)).mixture
    assert found.weights[2] == 0.0
    np.testing.assert_array_equal(found.means[2], start.means[2])
    np.testing.assert_array_equal(found.covariances[2], start.covariances[2])
    assert np.isfinite(found.log_density(values)).all()


def test_a_density_that_is_too_small_for_a_float_is_0():
    mixture = random_mixture(np.random.default_rng(12), 2, 3)
    far = np.array([[1e200, -1e200, 1e200], [0.0, 0.0, 0.0]])
    assert mixture.log_density(far)[0] == -np.inf
    assert np.isfinite(mixture.log_density(far)[1])
    with pytest.raises(InputError, match="far from all components"):
        mixture.responsibilities(far)
    with pytest.raises(InputError, match="far from all components"):
        fit(far, mixture)
    with pytest.raises(InputError, match="no square"):
        start_at(far, 2, seed=0)


def test_one_wild_value_does_not_make_a_component_singular():
    values = np.vstack([EVENTS, [[1e17, 0.0]]])
    wild = Mixture([0.9, 0.1], [[0.0, 0.0], [1e17, 0.0]], np.stack([np.eye(2), np.diag([1e30, 1.0])]))
    found = fit(values, wild, EmParameters(iterations=3, regularization=1e6)).mixture
    np.testing.assert_allclose(found.means[1], [1e17, 0.0])


EVENTS, START = problem(17, 2, 2, 50)


CONSTANT = np.column_stack([EVENTS[:, 0], np.ones(50)])


NOTHING = np.column_stack([EVENTS[:, 0], np.full(50, np.nan)])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.empty((0, 2)), "no events"),
        (EVENTS[:1], "1 events are fewer than 2 components"),
        (np.where(EVENTS[3, 1] == EVENTS, np.inf, EVENTS), "Event 3 is infinite in channel 1"),
        (np.where(EVENTS[3, 1] == EVENTS, -np.inf, EVENTS), "Event 3 is infinite in channel 1"),
        (CONSTANT, "Channel 1 is constant"),
        (NOTHING, "Channel 1 is missing in all events"),
        (EVENTS[:, 0], "wanted is"),
        (EVENTS[:, :0], "wanted is"),
    ],
)
def test_events_that_cannot_be_fitted_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        start_at(values, 2, seed=0)
    with pytest.raises(InputError, match=message):
        fit_all(values, [(2, 0)])
    with pytest.raises(InputError, match=message if values.shape[1:] == (2,) else "channel"):
        fit(values, START)


@pytest.mark.parametrize(
    "parameters",
    [
        EmParameters(iterations=0),
        EmParameters(tolerance=-1.0),
        EmParameters(tolerance=np.nan),
        EmParameters(regularization=-1e-9),
        EmParameters(regularization=np.nan),
    ],
)
def test_parameters_out_of_range_are_refused(parameters):
    with pytest.raises(InputError, match="cannot be fitted"):
        fit(EVENTS, START, parameters)


def test_covariances_that_are_not_positive_definite_are_refused():
    bad = Mixture(START.weights, START.means, np.stack([np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]))
    with pytest.raises(InputError, match="component 1 is singular at the start"):
        fit(EVENTS, bad)
    for densities in (bad.log_joint, bad.log_density, bad.responsibilities):
        with pytest.raises(InputError, match="component 1 is not positive definite"):
            densities(EVENTS)


def test_other_channels_than_the_mixture_has_are_refused():
    for work in (START.log_joint, START.log_density, START.responsibilities, lambda values: fit(values, START)):
        with pytest.raises(InputError, match="3 channels and the mixture 2"):
            work(np.zeros((5, 3)))


def test_a_component_that_collapses_without_regularization_is_refused_and_with_it_is_not():
    values = np.vstack([EVENTS, np.tile([[30.0, 30.0]], (5, 1))])
    start = Mixture([0.5, 0.5], [[0.0, 0.0], [30.0, 30.0]], np.tile(np.eye(2), (2, 1, 1)))
    with pytest.raises(InputError, match=r"component 1 is singular after \d+ iterations.*regularization is 0"):
        fit(values, start, EmParameters(regularization=0.0))
    found = fit(values, start, EmParameters(regularization=1e-6)).mixture
    np.testing.assert_allclose(found.covariances[1], 1e-6 * np.eye(2), rtol=1e-6, atol=1e-12)
    assert np.isfinite(found.log_density(values)).all()


def test_collinear_channels_are_refused_without_regularization():
    values = np.column_stack([EVENTS, EVENTS.sum(axis=1)])
    with pytest.raises(InputError, match="collinear"):
        fit(values, start_at(values, 1, seed=0), EmParameters(regularization=0.0))


def test_moments_are_added_over_segments_longer_than_a_stretch():
    values, start = problem(18, 2, 3, 2 * kernels.STRETCH + 5, share=0.1)
    found = fit(values, start, EmParameters(iterations=1)).mixture
    assert_close(found, literal_iteration(start, values, 1e-6), rtol=1e-8)
