import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from taproom.images import landmarks as module
from taproom.images.landmarks import Landmarks

RANDOM = np.random.default_rng(0)
MIXED = RANDOM.normal(size=(8, 8)) * np.geomspace(1, 0.05, 8)[:, None]
FEATURES = (5 + RANDOM.normal(size=(300, 8)) @ MIXED * np.geomspace(1, 1000, 8)).astype(np.float32)
LANDMARKS = Landmarks.of(FEATURES)


def on_scale(features, landmarks):
    """By all principal components, in double precision."""
    wide = landmarks.astype(np.float64)
    standard, others = ((each - wide.mean(axis=0)) / wide.std(axis=0) for each in (wide, features))
    variances, directions = np.linalg.eigh(standard.T @ standard / len(standard))
    level = variances.mean()
    left = np.where(variances > level, (level / variances) ** 0.25, 1.0)
    return others @ directions * left @ directions.T


def test_in_place_it_is_the_same():
    features = FEATURES.copy()
    found = Landmarks.of(features, overwrite=True)
    assert found.scaled is features
    np.testing.assert_array_equal(features, LANDMARKS.scaled)


def test_principal_components_above_the_mean_variance_are_shrunk_towards_it():
    assert 1 <= LANDMARKS.directions.shape[1] < 8
    np.testing.assert_allclose(LANDMARKS.scaled, on_scale(FEATURES, FEATURES), atol=1e-4)
    some = Landmarks.of(FEATURES[::2])
    np.testing.assert_allclose(some.on_scale(FEATURES[1::2]), on_scale(FEATURES[1::2], FEATURES[::2]), atol=1e-4)


def test_features_may_have_any_unit_and_a_constant_one_makes_no_difference():
    found = Landmarks.of(np.column_stack([FEATURES * np.float32(100), np.full(300, 7, np.float32)]))
    np.testing.assert_allclose(found.scaled, np.column_stack([LANDMARKS.scaled, np.zeros(300)]), atol=1e-5)
    assert found.typical_distance == pytest.approx(LANDMARKS.typical_distance, rel=1e-4)


def test_of_more_components_than_are_found_none_is_shrunk_below_the_last(monkeypatch):
    monkeypatch.setattr(module, "COMPONENTS", 2)
    features = RANDOM.normal(size=(500, 6)).astype(np.float32) * np.float32(3)
    found = Landmarks.of(features)
    assert found.directions.shape == (6, 1)
    assert 0 < found.removed[0] < 0.2


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_landmarks_are_enough(count):
    found = Landmarks.of(FEATURES[:count])
    assert found.scaled.shape == (count, 8)
    assert np.isfinite(found.on_scale(FEATURES)).all()


def test_threads_change_no_bit(monkeypatch):
    monkeypatch.setattr(module, "COMPONENTS_FROM", 100)
    found = set()
    for count in (1, 2):
        with threadpool_limits(limits=count, user_api="blas"):
            found.add(Landmarks.of(FEATURES).scaled.tobytes())
    assert len(found) == 1
