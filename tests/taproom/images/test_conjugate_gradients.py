import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taproom.images.conjugate_gradients import conjugate_gradients


def system(seed, size=12, columns=3):
    """A positive definite matrix, and right-hand sides of very different sizes."""
    random = np.random.default_rng(seed)
    half = random.normal(size=(size, size))
    return half @ half.T + np.eye(size), random.normal(size=(size, columns)) * 10.0 ** np.arange(columns)


@given(st.integers(0, 100))
def test_the_solution_is_that_of_elimination_whatever_preconditions(seed):
    matrix, wanted = system(seed)
    given_matrix, right = matrix.astype(np.float32), wanted.astype(np.float32)
    for inverse in (np.eye(len(matrix)), np.linalg.inv(matrix + 0.1 * np.eye(len(matrix)))):
        approximate = inverse.astype(np.float32)
        found = conjugate_gradients(
            lambda x: given_matrix @ x, lambda x, near=approximate: near @ x, right, np.zeros_like(right), 1e-4, 100
        )
        residual = np.linalg.norm(matrix @ found - wanted, axis=0)
        assert (residual <= 1e-3 * np.linalg.norm(wanted, axis=0)).all()


def test_a_good_preconditioner_and_a_good_start_save_steps():
    matrix, wanted = (array.astype(np.float32) for array in system(0))
    taken = []

    def solve(approximate, start):
        taken.append(0)

        def product(x):
            taken[-1] += 1
            return matrix @ x

        return conjugate_gradients(product, lambda x: approximate @ x, wanted, start.copy(), 1e-4, 100)

    nothing, plain = np.zeros_like(wanted), np.eye(len(matrix), dtype=np.float32)
    solution = solve(plain, nothing)
    solve(np.linalg.inv(matrix), nothing)
    solve(plain, solution)
    assert taken[1] < taken[0] / 2
    assert taken[2] < taken[0] / 2


def test_what_does_not_come_to_rest_is_none_and_columns_of_0_rest_at_once():
    matrix, wanted = (array.astype(np.float32) for array in system(0))
    assert conjugate_gradients(lambda x: matrix @ x, lambda x: x, wanted, np.zeros_like(wanted), 1e-4, 2) is None
    wanted[:, 1] = 0
    found = conjugate_gradients(lambda x: matrix @ x, lambda x: x, wanted, np.zeros_like(wanted), 1e-4, 100)
    assert (found[:, 1] == 0).all()
    assert np.isfinite(found).all()
