import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.images import cholesky, full_regression
from taproom.images.full_regression import FullRegression
from taproom.images.kernel_regression import fit_kernel_regression, gaussian_kernel

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(90, 4))
TARGETS = np.sign(np.column_stack([POINTS[:, 0] * POINTS[:, 1], POINTS[:, 2]])).astype(np.float32)
KERNEL = gaussian_kernel(POINTS, POINTS, 2.0)
FIRST = np.arange(90) < 70


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    monkeypatch.setattr(cholesky, "TILE", 16)


@pytest.fixture
def exact(monkeypatch):
    """Conjugate gradients that go on as far as single precision allows."""
    monkeypatch.setattr(full_regression, "TOLERANCE", 1e-5)


def regression(n_jobs=None):
    return FullRegression(KERNEL.astype(np.float32), n_jobs)


def exact_scores(fitted, penalty):
    weights = fit_kernel_regression(KERNEL[np.ix_(fitted, fitted)], TARGETS[fitted], penalty)
    return KERNEL[:, fitted] @ weights


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("factored", [0.1, 1.0])
@pytest.mark.parametrize("penalty", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("fitted", [FIRST, np.ones(90, bool)], ids=["first", "all"])
def test_it_is_kernel_regression_of_the_images_that_count(fitted, penalty, factored):
    found = regression()
    start = found.fit(TARGETS, FIRST, factored)  # its penalty is that of the factor
    for before in (None, start):
        weights = found.fit(TARGETS, fitted, penalty, before)
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(weights[~fitted], 0)
        np.testing.assert_allclose(found.scores(weights), exact_scores(fitted, penalty), atol=5e-3)


def test_images_that_do_not_count_change_nothing():
    garbled = np.where(FIRST[:, None], TARGETS, -9)
    found = [regression().fit(targets, FIRST, 0.1) for targets in (TARGETS, garbled)]
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.slow
def test_workers_and_threads_of_blas_change_no_bit():
    found = set()
    for count in (1, 2):
        with threadpool_limits(limits=count, user_api="blas"):
            fits = regression(count)
            fits.fit(TARGETS, FIRST, 1.0)
            weights = fits.fit(TARGETS, FIRST, 0.1)
            found.add((weights.tobytes(), fits.scores(weights).tobytes()))
    assert len(found) == 1


def test_images_that_count_after_others_are_refused():
    with pytest.raises(InputError, match="wanted those that count first"):
        regression().fit(TARGETS, ~FIRST, 0.1)


@pytest.mark.parametrize("penalty", [0.0, -1.0, np.nan])
def test_a_penalty_that_is_none_is_refused(penalty):
    with pytest.raises(InputError, match=r"penalty lambda is .*; wanted a number above 0"):
        regression().fit(TARGETS, FIRST, penalty)


def test_a_penalty_that_rounding_hides_is_refused(monkeypatch):
    alike = FullRegression(np.ones((90, 90), np.float32))
    with pytest.raises(InputError, match=r"at the penalty lambda 1e-12.* Wanted a larger penalty"):
        alike.fit(TARGETS, FIRST, 1e-12)
    monkeypatch.setattr(full_regression, "MOST_STEPS", 1)
    fits = regression()
    fits.fit(TARGETS, FIRST, 1.0)
    with pytest.raises(InputError, match=r"at the penalty lambda 1e-06.* Wanted a larger penalty"):
        fits.fit(TARGETS, FIRST, 1e-6)
