from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import huber
from sklearn.kernel_ridge import KernelRidge

from taproom.errors import InputError
from taproom.images import kernel_regression
from taproom.images.kernel_regression import (
    LOSSES,
    MOST_POINTS,
    TOLERANCE,
    fit_kernel_regression,
    gaussian_kernel,
    linear_kernel,
    median_distance,
    squared_distances,
)

LOSS_OF = {"squared": np.square, "Huber": partial(huber, 1)}


def points(count=30, dimensions=3, targets=2, size=2.0, seed=0):
    random = np.random.default_rng(seed)
    given = random.normal(size=(count, dimensions))
    return given, size * random.normal(size=(count, targets))


def objective(coefficients, kernel, targets, penalty, loss):
    """The deck's, for one target."""
    fitted = kernel @ coefficients
    return LOSS_OF[loss](fitted - targets).sum() + penalty * coefficients @ fitted


def test_the_squared_regression_is_scikit_learns():
    given, targets = points()
    fresh, _ = points(7, seed=1)
    theirs = KernelRidge(alpha=0.3, kernel="rbf", gamma=1 / (2 * 1.7**2)).fit(given, targets)
    ours = fit_kernel_regression(gaussian_kernel(given, given, 1.7), targets, 0.3)
    np.testing.assert_allclose(gaussian_kernel(fresh, given, 1.7) @ ours, theirs.predict(fresh), atol=1e-9)
    np.testing.assert_allclose(ours, theirs.dual_coef_, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
@pytest.mark.parametrize("penalty", [0.01, 0.3, 5.0])
def test_both_regressions_are_the_minimum_that_a_general_optimizer_finds(loss, kernel, penalty, monkeypatch):
    monkeypatch.setattr(kernel_regression, "TOLERANCE", 1e-9)
    given, targets = points(20, targets=3)
    matrix = gaussian_kernel(given, given, 1.0) if kernel == "gaussian" else linear_kernel(given, given)
    found = fit_kernel_regression(matrix, targets, penalty, loss)
    for ours, target in zip(found.T, targets.T, strict=True):
        theirs = minimize(objective, np.zeros(20), (matrix, target, penalty, loss), "BFGS", options={"gtol": 1e-9})
        reached = objective(ours, matrix, target, penalty, loss)
        assert reached <= theirs.fun * (1 + 1e-9)
        np.testing.assert_allclose(matrix @ ours, matrix @ theirs.x, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 40),
    dimensions=st.integers(1, 6),
    size=st.sampled_from([0.1, 1.0, 30.0]),
    penalty=st.sampled_from([0.003, 0.1, 1.0, 100.0]),
    repeated=st.booleans(),
)
def test_no_direction_leads_below_hubers_minimum_however_singular_the_kernel(
    seed, count, dimensions, size, penalty, repeated
):
    given, targets = points(count, dimensions, 2, size, seed)
    if repeated:
        given[:] = given[0]
    matrix = linear_kernel(given, given)
    found = fit_kernel_regression(matrix, targets, penalty, "Huber")
    gradient = np.clip(matrix @ found - targets, -1, 1) + 2 * penalty * found
    assert np.abs(gradient).max() <= TOLERANCE * (1 + 1e-6)
    # So no coefficient is larger than a slope of the loss allows, whatever the targets.
    assert np.abs(found).max() <= (1 + TOLERANCE) / (2 * penalty)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), penalty=st.sampled_from([0.01, 1.0]))
def test_where_no_residual_is_beyond_1_huber_is_squared_at_twice_the_penalty(seed, penalty):
    given, targets = points(size=0.1, seed=seed)
    matrix = gaussian_kernel(given, given, 1.0)
    np.testing.assert_allclose(
        fit_kernel_regression(matrix, targets, penalty, "Huber"),
        fit_kernel_regression(matrix, targets, 2 * penalty),
        atol=1e-4 / penalty,
    )


def test_a_wild_target_moves_the_squared_fit_and_hardly_hubers():
    given = np.linspace(-2, 2, 60)[:, None]
    truth = np.sin(2 * given)
    wild = truth.copy()
    wild[::10] += 50
    matrix = gaussian_kernel(given, given, 0.5)
    errors = {loss: np.abs(matrix @ fit_kernel_regression(matrix, wild, 0.1, loss) - truth).mean() for loss in LOSSES}
    assert errors["Huber"] < 0.2 < 2 < errors["squared"]


def test_all_targets_at_once_are_each_target_alone():
    given, targets = points(40, targets=4)
    matrix = gaussian_kernel(given, given, 1.0)
    for loss in LOSSES:
        together = fit_kernel_regression(matrix, targets, 0.1, loss)
        alone = np.column_stack([fit_kernel_regression(matrix, target[:, None], 0.1, loss) for target in targets.T])
        np.testing.assert_allclose(together, alone, atol=TOLERANCE / 0.1)


def test_steps_are_few_where_the_penalty_is_small_and_residuals_are_large():
    given, targets = points(300, 20, 5, size=10.0)
    matrix = linear_kernel(given, given)
    taken = []
    solve = kernel_regression._solve
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel_regression, "_solve", lambda *system: taken.append(1) or solve(*system))
        fit_kernel_regression(matrix, targets, 1e-3, "Huber")
    assert len(taken) < 1_000


def test_kernels_are_what_they_say():
    given, _ = points(5)
    others, _ = points(4, seed=1)
    by_hand = np.array([[np.sum((x - z) ** 2) for z in others] for x in given])
    np.testing.assert_allclose(squared_distances(given, others), by_hand)
    np.testing.assert_allclose(gaussian_kernel(given, others, 2.0), np.exp(-by_hand / 8))
    np.testing.assert_allclose(linear_kernel(given.astype(np.float32), others), given @ others.T, atol=1e-5)


def test_the_median_distance_is_that_of_pairs_and_never_0():
    assert median_distance(np.array([[0.0], [1.0], [3.0]])) == 2
    assert median_distance(np.ones((5, 2))) == 1
    assert median_distance(np.arange(5_000.0)[:, None]) == pytest.approx(5_000 * (1 - 0.5**0.5), rel=0.01)
    with pytest.raises(InputError, match="at least two"):
        median_distance(np.ones((1, 2)))


def test_what_cannot_be_regressed_is_refused():
    matrix, targets = np.eye(3), np.ones((3, 1))
    cases = [
        ("loss is 'hinge'", (matrix, targets, 1.0, "hinge")),
        ("penalty lambda is 0", (matrix, targets, 0)),
        ("penalty lambda is nan", (matrix, targets, np.nan)),
        ("wanted \\(n, n\\)", (matrix, targets[:2], 1.0)),
        ("at least one point", (np.empty((0, 0)), np.empty((0, 1)), 1.0)),
        ("not finite", (matrix, np.full((3, 1), np.inf), 1.0)),
        ("not positive definite", (-matrix, targets, 0.5)),
    ]
    for message, arguments in cases:
        with pytest.raises(InputError, match=message):
            fit_kernel_regression(*arguments)


def test_too_many_points_are_refused_before_anything_is_computed():
    count = MOST_POINTS + 1
    with pytest.raises(InputError, match=r"5,001 points.*at most 5,000.*sample"):
        fit_kernel_regression(np.broadcast_to(np.float64(1), (count, count)), np.ones((count, 1)), 1.0)


def test_a_descent_that_does_not_come_to_rest_says_so(monkeypatch):
    monkeypatch.setattr(kernel_regression, "MOST_STEPS", 2)
    given, targets = points(size=10.0)
    with pytest.raises(InputError, match="larger penalty"):
        fit_kernel_regression(linear_kernel(given, given), targets, 0.01, "Huber")
