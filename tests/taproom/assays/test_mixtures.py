import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from taproom.assays.mixtures import Mixture, into_responsibilities
from taproom.errors import InputError
from tests.random_mixtures import FEW, SEEDS, literal_log_joint, problem, random_mixture


@FEW
@given(SEEDS, st.integers(1, 4), st.integers(1, 6), st.floats(0.0, 0.9))
def test_densities_and_responsibilities_are_those_of_the_observed_channels(seed, components, channels, share):
    values, mixture = problem(seed, components, channels, 40, share)
    joint = literal_log_joint(mixture, values)
    np.testing.assert_allclose(mixture.log_joint(values), joint, rtol=1e-8, atol=1e-8)
    log_density = logsumexp(joint, axis=1)
    np.testing.assert_allclose(mixture.log_density(values), log_density, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(mixture.responsibilities(values), np.exp(joint - log_density[:, None]), atol=1e-8)


@FEW
@given(SEEDS, st.integers(1, 4), st.integers(1, 1_200), st.sampled_from([0.01, 1.0, 100.0, 1e4]))
def test_responsibilities_are_exact_to_a_few_rounding_errors(seed, components, events, spread):
    joint = np.random.default_rng(seed).normal(0, spread, (components, events))
    found = joint.copy()
    np.testing.assert_allclose(into_responsibilities(found), logsumexp(joint, axis=0), rtol=1e-14, atol=1e-14)
    # Below e^-500, which beside a 1 counts for nothing, they are 0.
    np.testing.assert_allclose(found, softmax(joint, axis=0), rtol=2e-15, atol=1e-215)


def test_where_no_component_has_a_density_there_are_no_responsibilities():
    joint = np.array([[-np.inf, -np.inf, 0.0], [-np.inf, -1e6, -800.0]])
    log_density = into_responsibilities(joint)
    assert log_density.tolist() == [-np.inf, -1e6, 0.0]
    np.testing.assert_array_equal(joint, [[np.nan, 0.0, 1.0], [np.nan, 1.0, 0.0]])


def test_a_mixture_keeps_its_parameters_whatever_becomes_of_the_arrays_it_was_made_from():
    means = np.zeros((1, 2))
    mixture = Mixture(np.ones(1), means, np.eye(2)[None])
    means += 1.0
    assert mixture.means.tolist() == [[0.0, 0.0]]


@FEW
@given(SEEDS, st.integers(1, 4), st.permutations([0, 1, 2]), st.integers(1, 3))
def test_a_marginal_is_the_density_with_the_other_channels_missing(seed, components, permuted, kept):
    values, mixture = problem(seed, components, 3, 20)
    places = permuted[:kept]
    masked = np.full_like(values, np.nan)
    masked[:, places] = values[:, places]
    marginal = mixture.marginal(places)
    np.testing.assert_allclose(marginal.log_density(values[:, places]), mixture.log_density(masked), rtol=1e-9)


@FEW
@given(SEEDS, st.integers(1, 4), st.floats(0.0, 0.5))
def test_a_scaled_mixture_has_the_density_of_scaled_events(seed, components, share):
    values, mixture = problem(seed, components, 3, 20, share)
    offset, scale = np.array([3.0, -1.0, 0.5]), np.array([10.0, 0.1, 2.0])
    expected = mixture.log_density(values) - ~np.isnan(values) @ np.log(scale)
    found = mixture.scaled(offset, scale).log_density(offset + scale * values)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@FEW
@given(SEEDS, st.integers(1, 6))
def test_the_canonical_order_is_the_same_from_any_other(seed, components):
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, components, 2)
    ordered = mixture.ordered()
    assert (np.diff(ordered.weights) <= 0).all()
    again = mixture.take(rng.permutation(components)).ordered()
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(again, name), getattr(ordered, name))


def test_components_of_the_same_weight_are_ordered_by_their_means():
    means = np.array([[1.0, 2.0], [0.0, 5.0], [1.0, -2.0], [0.0, 4.0]])
    ordered = Mixture(np.full(4, 0.25), means, np.tile(np.eye(2), (4, 1, 1))).ordered()
    assert ordered.means.tolist() == [[0.0, 4.0], [0.0, 5.0], [1.0, -2.0], [1.0, 2.0]]


def test_a_mixture_tells_its_size():
    mixture = random_mixture(np.random.default_rng(13), 4, 3)
    assert (mixture.components, mixture.channels) == (4, 3)
    assert mixture.free_parameters == 3 + 4 * 3 + 4 * 6


def test_no_events_have_no_densities():
    mixture = random_mixture(np.random.default_rng(14), 2, 3)
    nothing = np.empty((0, 3))
    assert mixture.log_joint(nothing).shape == mixture.responsibilities(nothing).shape == (0, 2)
    assert mixture.log_density(nothing).shape == (0,)


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        ([1.0], [[0.0]], [[1.0]], "shapes"),
        ([0.5, 0.5], [[0.0]], [[[1.0]]], "shapes"),
        ([], np.empty((0, 1)), np.empty((0, 1, 1)), "at least 1"),
        ([1.0], [[np.nan]], [[[1.0]]], "not finite"),
        ([0.7, 0.7], [[0.0], [0.0]], [[[1.0]], [[1.0]]], "no weights"),
        ([1.5, -0.5], [[0.0], [0.0]], [[[1.0]], [[1.0]]], "no weights"),
    ],
)
def test_what_is_no_mixture_is_refused(weights, means, covariances, message):
    with pytest.raises(InputError, match=message):
        Mixture(np.array(weights), np.array(means), np.array(covariances))
