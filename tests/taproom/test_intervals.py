import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from taproom.errors import InputError
from taproom.intervals import student_interval, wilson_interval


@given(values=st.lists(st.floats(-100, 100), min_size=2, max_size=30).filter(lambda values: np.std(values) > 1e-6))
def test_the_interval_of_a_mean_is_that_of_the_t_test(values):
    found = student_interval(np.array(values))
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))


@pytest.mark.parametrize("values", [[1.0], [], [1.0, np.nan], [np.inf, 1.0]])
def test_a_mean_of_too_few_or_other_than_finite_values_is_refused(values):
    with pytest.raises(InputError, match="at least two, all finite"):
        student_interval(np.array(values))


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_interval_of_a_share_is_that_of_scipy(trials, share):
    successes = round(share * trials)
    wanted = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    found = wilson_interval(successes, trials)
    assert (found.mean, found.low, found.high) == pytest.approx((successes / trials, *wanted), abs=1e-9)
    assert 0 <= found.low <= found.mean <= found.high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_a_share_of_nothing_or_beyond_all_is_refused(successes, trials):
    with pytest.raises(InputError, match=f"{successes} successes in {trials} trials"):
        wilson_interval(successes, trials)
