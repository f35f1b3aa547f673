import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.maps.alignment import aligned, canonical


@given(st.integers(3, 30), st.integers(1, 3), st.integers(0, 2**32))
def test_alignment_undoes_any_rigid_motion(items, dimension, seed):
    rng = np.random.default_rng(seed)
    points = canonical(rng.normal(size=(items, dimension)))
    turn, _ = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    reference = points @ turn + rng.normal(size=dimension)
    np.testing.assert_allclose(aligned(points * 3, reference), reference, atol=1e-7)
    reference[0] = np.nan
    np.testing.assert_allclose(aligned(points * 3, reference)[1:], reference[1:], atol=1e-7)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(2, 30),
    st.integers(1, 3),
    st.integers(0, 2**32),
    st.floats(0.01, 100),
    st.floats(-100, 100),
)
def test_the_canonical_form_forgets_shift_rotation_reflection_and_scale(items, dimension, seed, scale, shift):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(items, dimension)) * np.arange(dimension, 0, -1)
    form = canonical(points)
    np.testing.assert_allclose(form.mean(axis=0), 0, atol=1e-12)
    assert np.sqrt((form**2).sum(axis=1).mean()) == pytest.approx(1)
    variances = form.var(axis=0)
    assert (np.diff(variances) <= 1e-12).all()
    np.testing.assert_allclose(form.T @ form, np.diag(np.diag(form.T @ form)), atol=1e-9)
    first_large = [axis[np.abs(axis) >= np.abs(axis).max() / 2][0] for axis in form.T]
    assert min(first_large) >= 0
    turn, _ = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    gaps = np.append(-np.diff(variances), 1.0)
    if gaps.min() > 1e-3 and variances.min() > 1e-3:
        again = canonical(points @ turn * scale + shift)
        sizes = np.abs(again)
        close = np.isclose(sizes, sizes.max(axis=0) / 2, rtol=1e-6).any()
        assert close or np.allclose(again, form, atol=1e-6)


def test_items_in_one_place_have_a_canonical_form():
    assert canonical(np.full((4, 2), 3.0)).tolist() == [[0, 0]] * 4
