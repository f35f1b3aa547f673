import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.assays.expectation_maximization import fit
from taproom.assays.mixture_starts import standardization, start_around, start_at, starts_at
from taproom.errors import InputError
from tests.random_mixtures import FEW, SEEDS, assert_close, problem


@FEW
@given(SEEDS, st.integers(1, 8), st.integers(1, 4), st.floats(0.0, 0.5))
def test_a_start_is_proper_and_the_same_for_the_same_seed(seed, components, channels, share):
    values, _ = problem(seed, 2, channels, 60, share)
    start = start_at(values, components, seed, regularization=0.0)
    assert (start.weights > 0).all()
    assert np.linalg.eigvalsh(start.covariances).min() > 0
    assert_close(start, start_at(values, components, seed, regularization=0.0), rtol=0.0)


def test_other_seeds_give_other_starts():
    starts = [start_at(EVENTS, 3, seed) for seed in range(10)]
    assert len({start.means.tobytes() for start in starts}) > 5


def test_a_start_has_as_many_components_as_there_are_events_or_more_than_there_are_places():
    values, _ = problem(15, 2, 3, 6)
    assert start_at(values, 6, seed=0).components == 6
    three_places = np.tile([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0]], (20, 1))
    start = start_at(three_places, 5, seed=0)
    assert np.isfinite(fit(three_places, start).log_likelihoods).all()


def test_a_start_finds_populations_that_lie_apart():
    rng = np.random.default_rng(16)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 1000.0]])
    values = (centres + np.array([1.0, 100.0]) * rng.normal(size=(200, 3, 2)) / 5).reshape(-1, 2)
    found = start_at(values, 3, seed=0)
    nearest = np.abs((found.means[:, None] - centres) / [1.0, 100.0]).sum(axis=2).argmin(axis=1)
    assert sorted(nearest) == [0, 1, 2]
    np.testing.assert_allclose(found.weights, 1 / 3, atol=0.01)


def test_around_given_centres_are_the_events_nearest_to_each_in_standard_deviations():
    rng = np.random.default_rng(16)
    places = np.repeat(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 1000.0]]), [50, 100, 150], axis=0)
    values = places + np.array([1.0, 100.0]) * rng.normal(size=places.shape) / 5
    start = start_around(values, np.array([[1.0, 50.0], [9.0, -50.0], [1.0, 900.0]]))
    np.testing.assert_allclose(start.weights, np.array([51, 101, 151]) / 303)
    np.testing.assert_allclose(start.means, [values[:50].mean(0), values[50:150].mean(0), values[150:].mean(0)])
    with pytest.raises(InputError, match="2 events are fewer than 3"):
        start_around(values[:2], start.means)


def test_starts_of_the_same_events_are_those_of_each():
    tasks = [(3, 0), (2, 7), (3, 1)]
    for found, (components, seed) in zip(starts_at(EVENTS, tasks), tasks, strict=True):
        assert_close(found, start_at(EVENTS, components, seed), rtol=0.0)
    with pytest.raises(InputError, match="50 events are fewer than 51 components"):
        next(starts_at(EVENTS, [*tasks, (51, 0)]))


def test_standardization_is_of_what_is_observed():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 9.0]])
    offset, scale = standardization(values)
    assert offset.tolist() == [2.0, 7.0]
    assert scale.tolist() == [1.0, 2.0]


EVENTS, START = problem(17, 2, 2, 50)


CONSTANT = np.column_stack([EVENTS[:, 0], np.ones(50)])


NOTHING = np.column_stack([EVENTS[:, 0], np.full(50, np.nan)])


@pytest.mark.parametrize("values", [CONSTANT, NOTHING])
def test_channels_are_told_by_name_where_they_have_one(values):
    with pytest.raises(InputError, match="Channel B1-A is"):
        standardization(values, ("FSC-A", "B1-A"))


@pytest.mark.parametrize("components", [0, -1])
def test_a_mixture_of_no_components_is_refused(components):
    with pytest.raises(InputError, match=f"{components} components"):
        start_at(EVENTS, components, seed=0)
