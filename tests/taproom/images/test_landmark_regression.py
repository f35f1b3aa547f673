import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.images import cholesky, landmark_regression
from taproom.images.kernel_regression import fit_kernel_regression, gaussian_kernel
from taproom.images.landmark_regression import (
    KernelClassifier,
    LandmarkKernel,
    LandmarkRegression,
)
from taproom.images.landmarks import Landmarks

RANDOM = np.random.default_rng(0)
FEATURES = (5 + RANDOM.normal(size=(300, 6)) * [1, 2, 3, 4, 5, 60]).astype(np.float32)
TARGETS = np.sign(np.column_stack([FEATURES[:, 0] * FEATURES[:, 1] - 25, FEATURES[:, 2] - 5])).astype(np.float32)
PLACES = np.arange(225, 300)
LANDMARKS = Landmarks.of(FEATURES[PLACES])
KERNEL = LandmarkKernel(LANDMARKS, 2.0)
FITTED = np.arange(300) % 3 > 0


@pytest.fixture
def exact(monkeypatch):
    """Conjugate gradients that go on as far as single precision allows."""
    monkeypatch.setattr(landmark_regression, "TOLERANCE", 1e-5)


def direct(kernel, places, targets, fitted, penalty):
    """The normal equations in double precision."""
    wide = kernel.astype(np.float64)
    some = wide[fitted]
    return np.linalg.lstsq(some.T @ some + penalty * wide[places], some.T @ targets[fitted], rcond=None)[0]


def test_the_kernel_is_that_of_distances_on_the_landmarks_scale():
    wanted = gaussian_kernel(LANDMARKS.on_scale(FEATURES), LANDMARKS.scaled, 2.0)
    np.testing.assert_allclose(KERNEL.of(FEATURES), wanted, atol=1e-5)
    np.testing.assert_array_equal(np.diagonal(KERNEL.of(FEATURES[PLACES])).round(5), 1)


@pytest.mark.parametrize("size", [512, 20])
def test_the_kernel_of_the_landmarks_is_symmetric(monkeypatch, size):
    monkeypatch.setattr(landmark_regression, "BLOCK_ROWS", size)
    found = KERNEL.of_all([], len(PLACES), 2)
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    np.testing.assert_allclose(found, KERNEL.of(FEATURES[PLACES]), atol=1e-6)


def test_rows_come_in_blocks_and_in_any_array():
    whole = KERNEL.of(FEATURES)
    np.testing.assert_allclose(KERNEL.of_all([FEATURES[:7], FEATURES[7:225]], 300), whole, atol=1e-6)
    place = np.zeros((300, len(PLACES)), np.float32)
    assert KERNEL.of(FEATURES, out=place) is place
    np.testing.assert_array_equal(place, whole)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("penalty", [3.0, 0.1, 0.01])
def test_weights_are_those_of_the_normal_equations(penalty):
    rows = KERNEL.of(FEATURES)
    regression = LandmarkRegression(rows)
    found = regression.fit(TARGETS, FITTED, penalty)
    wanted = direct(rows, PLACES, TARGETS, FITTED, penalty)
    np.testing.assert_allclose(regression.scores(found), rows @ wanted, atol=5e-3)
    again = regression.fit(TARGETS, FITTED, penalty, start=regression.fit(TARGETS, FITTED, 3 * penalty))
    np.testing.assert_allclose(regression.scores(again), rows @ wanted, atol=5e-3)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("penalty", [3.0, 0.1])
def test_with_all_images_as_landmarks_it_is_kernel_regression(penalty):
    landmarks = Landmarks.of(FEATURES)
    exact = gaussian_kernel(landmarks.scaled, landmarks.scaled, 2.0)
    regression = LandmarkRegression(LandmarkKernel(landmarks, 2.0).of(FEATURES))
    found = regression.scores(regression.fit(TARGETS, np.ones(300, bool), penalty))
    np.testing.assert_allclose(found, exact @ fit_kernel_regression(exact, TARGETS, penalty), atol=5e-3)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), penalty=st.floats(0.03, 10))
def test_no_other_weights_have_a_smaller_loss(seed, penalty):
    rows = KERNEL.of(FEATURES).astype(np.float64)
    weights = LandmarkRegression(rows.astype(np.float32)).fit(TARGETS, FITTED, penalty).astype(np.float64)

    def loss(weights):
        residuals = rows[FITTED] @ weights - TARGETS[FITTED]
        return np.sum(residuals**2) + penalty * np.sum(weights * (rows[PLACES] @ weights))

    other = weights + np.random.default_rng(seed).normal(size=weights.shape)
    # The loss is a parabola along any line; its minimum on this one is no better than rounding.
    ahead, here, behind = (loss(weights + step * (other - weights)) for step in (0.1, 0.0, -0.1))
    curvature, slope = (ahead + behind - 2 * here) / 2, (ahead - behind) / 2
    assert slope**2 / (4 * curvature) <= 1e-3 * here


def test_images_that_do_not_count_change_nothing():
    regression = LandmarkRegression(KERNEL.of(FEATURES))
    garbled = np.where(FITTED[:, None], TARGETS, -9)
    found = [regression.fit(targets, FITTED, 0.1) for targets in (TARGETS, garbled)]
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.slow
def test_workers_and_threads_of_blas_change_no_bit(monkeypatch):
    monkeypatch.setattr(landmark_regression, "BLOCK_ROWS", 32)
    monkeypatch.setattr(cholesky, "TILE", 16)
    found = set()
    for count in (1, 2):
        with threadpool_limits(limits=count, user_api="blas"):
            kernel = LandmarkKernel(Landmarks.of(FEATURES[PLACES]), 2.0)
            weights = LandmarkRegression(kernel.of_all([FEATURES[:225]], 300, count), count).fit(TARGETS, FITTED, 0.1)
            scores = KernelClassifier(kernel, weights, np.zeros(2, np.float32)).scores(FEATURES, count)
            found.add((weights.tobytes(), scores.tobytes()))
    assert len(found) == 1


@pytest.mark.parametrize("penalty", [0.0, -1.0, np.nan])
def test_a_penalty_that_is_none_is_refused(penalty):
    with pytest.raises(InputError, match=r"penalty lambda is .*; wanted a number above 0"):
        LandmarkRegression(KERNEL.of(FEATURES)).fit(TARGETS, FITTED, penalty)


def test_a_penalty_that_rounding_hides_is_refused(monkeypatch):
    monkeypatch.setattr(landmark_regression, "MOST_STEPS", 2)
    with pytest.raises(InputError, match=r"at the penalty lambda 1e-09.* Wanted a larger penalty"):
        LandmarkRegression(KERNEL.of(FEATURES)).fit(TARGETS, FITTED, 1e-9)


def test_an_image_unlike_all_landmarks_gets_the_intercept():
    classifier = KernelClassifier(KERNEL, np.ones((len(PLACES), 2), np.float32), np.array([-0.5, 0.5], np.float32))
    np.testing.assert_array_equal(classifier.scores(FEATURES[:1] + np.float32(1e4)), [[-0.5, 0.5]])
    assert classifier.scores(FEATURES[:0]).shape == (0, 2)
