import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taproom.assays.censored import spread_ends
from taproom.errors import InputError


def test_values_below_the_range_come_back_about_as_far_as_they_were():
    true = np.random.default_rng(0).normal(0.5, 1.0, (20_000, 1))
    measured = true.clip(0.0)
    spread = spread_ends(measured, seed=0)
    assert np.array_equal(spread[true > 0], true[true > 0])
    for moment in (np.mean, np.std):
        assert abs(moment(spread) - moment(true)) < abs(moment(measured) - moment(true)) / 2


def test_the_upper_end_is_spread_upwards_and_another_seed_draws_others():
    true = np.random.default_rng(0).normal(0.5, 1.0, (5_000, 1))
    spread = spread_ends(true.clip(None, 1.0), seed=0)
    assert (spread[true > 1] >= 1).all()
    assert len(np.unique(spread[true > 1])) == (true > 1).sum()
    assert np.array_equal(spread, spread_ends(true.clip(None, 1.0), seed=0))
    assert not np.array_equal(spread, spread_ends(true.clip(None, 1.0), seed=1))


def test_whole_numbers_continue_at_the_density_of_the_next_one():
    counts = np.repeat([0.0, 1.0, 2.0], [300, 200, 100])[:, None]
    spread = spread_ends(counts, seed=0)
    assert -1.5 < spread.min() < -1.4
    assert spread.max() < 2.5


@pytest.mark.parametrize(
    "values",
    [np.zeros(50), np.append(np.zeros(9), np.arange(1.0, 60.0)), np.full(50, np.nan), np.arange(200.0).clip(101)],
)
def test_constant_and_missing_channels_few_equal_values_and_more_than_half_of_a_channel_stay(values):
    np.testing.assert_array_equal(spread_ends(values[:, None], seed=0), values[:, None])


@given(values=arrays(float, (40, 2), elements=st.sampled_from([0.0, 1.0, 2.5, 7.0, np.nan])))
def test_only_ends_are_moved_and_only_outwards(values):
    spread = spread_ends(values, seed=0)
    np.testing.assert_array_equal(np.isnan(spread), np.isnan(values))
    for column, given_column in zip(spread.T, values.T, strict=True):
        measured = given_column[~np.isnan(given_column)]
        if len(measured):
            inside = (given_column > measured.min()) & (given_column < measured.max())
            np.testing.assert_array_equal(column[inside], given_column[inside])
            at_low, at_high = given_column == measured.min(), given_column == measured.max()
            assert (column[at_low & ~at_high] <= measured.min()).all()
            assert (column[at_high & ~at_low] >= measured.max()).all()


def test_infinite_values_are_refused():
    with pytest.raises(InputError, match="infinite"):
        spread_ends(np.array([[0.0], [np.inf]]), seed=0)
