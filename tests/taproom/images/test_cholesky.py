import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import LinAlgError, solve_triangular

from taproom.images import cholesky
from taproom.images.cholesky import factorize, solve_lower


def positive_definite(size, seed=0):
    rows = np.random.default_rng(seed).normal(size=(size, size + 3))
    return (rows @ rows.T / size + np.eye(size)).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    monkeypatch.setattr(cholesky, "TILE", 7)


@pytest.mark.parametrize("size", [1, 7, 30])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_factor_is_that_of_numpy_and_the_upper_tiles_stay(size, order):
    matrix = positive_definite(size)
    factor = np.array(matrix, order=order)
    factorize(factor, 2)
    np.testing.assert_allclose(np.tril(factor), np.linalg.cholesky(matrix.astype(np.float64)), atol=1e-4)
    for place, rows in enumerate(cholesky.tile_slices(size)):
        for columns in cholesky.tile_slices(size)[place + 1 :]:
            np.testing.assert_array_equal(factor[rows, columns], matrix[rows, columns])


@pytest.mark.slow
@given(size=st.integers(1, 30), share=st.floats(0, 1), transposed=st.booleans(), seed=st.integers(0, 100))
def test_systems_of_the_first_lines_are_solved_with_their_part_of_the_factor(size, share, transposed, seed):
    factor = np.tril(positive_definite(size, seed))
    some = max(1, round(share * size))
    right = np.random.default_rng(seed).normal(size=(some, 2)).astype(np.float32)
    before = right.copy()
    found = solve_lower(factor, right, transposed, 2)
    wanted = solve_triangular(factor[:some, :some].astype(np.float64), right, trans=int(transposed), lower=True)
    np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())
    np.testing.assert_array_equal(right, before)


def test_a_matrix_that_is_not_positive_definite_is_told():
    with pytest.raises(LinAlgError):
        factorize(positive_definite(20) - np.float32(20) * np.eye(20, dtype=np.float32))
