"""Kernel regression with the squared loss and with Huber's, for several targets at once.

Here belong the deck's two regressions and the kernels they are given. Which images stand behind a kernel, and how the
penalty is chosen, is the business of `taproom.images.street_fight`.

    squared:  argmin_a  sum_i (sum_j k(x_i, x_j) a_j - y_i)^2              +  lambda sum_ij a_i a_j k(x_i, x_j)
    Huber:    argmin_a  sum_i l_huber(sum_j k(x_i, x_j) a_j - y_i)         +  lambda sum_ij a_i a_j k(x_i, x_j)

l_huber(z) is z^2 / 2 where |z| <= 1 and |z| - 1/2 elsewhere. So far as no residual is beyond 1, Huber's regression at
lambda is the squared one at 2 lambda.

How: the squared loss gives (K + lambda I) a = y. Huber's curves nowhere more than a parabola, so about any a

    l_huber(r + s) <= l_huber(r) + psi(r) s + s^2 / 2,   r = K a - y,  psi(r) = l_huber'(r) = r clipped to [-1, 1],

and the penalized bound is least at a + d with (K + 2 lambda I) d = -(psi(r) + 2 lambda a). One Cholesky factor serves
all steps and all targets. Nesterov's momentum speeds them up, and is reset for a target whose loss it increases.

Source: the deck's slides "Mini case study", "Dealing with outliers"; Huber, Robust estimation of a location parameter,
1964; Hunter and Lange, A tutorial on MM algorithms, 2004; O'Donoghue and Candes, Adaptive restart for accelerated
gradient schemes, 2015, section 3.2.
"""

import numpy as np

from taproom.blas import blas_threads
from taproom.errors import InputError

LOSSES = ("squared", "Huber")

# The kernel matrix of so many and its factor take 400 MB.
MOST_POINTS = 5_000
# Of the gradient's factor psi(r) + 2 lambda a, of which psi is at most 1 in size.
TOLERANCE, MOST_STEPS = 1e-4, 20_000
POINTS_FOR_WIDTH = 1_000


def gaussian_kernel(left: np.ndarray, right: np.ndarray, width: float) -> np.ndarray:
    """exp(-|x - z|^2 / (2 width^2)) of all rows x of `left` (n, D) and z of `right` (m, D): (n, m) float64.

    >>> gaussian_kernel(np.array([[0.0], [1.0]]), np.array([[0.0]]), width=1.0).round(3)
    array([[1.   ],
           [0.607]])
    """
    return np.exp(squared_distances(left, right) / (-2 * width**2))


def linear_kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x'z of all rows x of `left` (n, D) and z of `right` (m, D): (n, m) float64."""
    return np.asarray(left, np.float64) @ np.asarray(right, np.float64).T


def median_distance(points: np.ndarray) -> float:
    """The median distance of two different points (n, D), a width for the Gaussian kernel; 1 where it would be 0.

    It is that of at most 1,000 points, taken at equal steps. Raises `InputError` for fewer than two points.
    """
    if len(points) < 2:
        raise InputError(f"{len(points)} points were given; a distance wants at least two")
    some = points[:: -(-len(points) // POINTS_FOR_WIDTH)]
    pairs = squared_distances(some, some)[np.triu_indices(len(some), 1)]
    return float(np.sqrt(np.median(pairs))) or 1.0


def squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|x - z|^2 of all rows of `left` (n, D) and `right` (m, D): (n, m) float64, none below 0."""
    left, right = (np.asarray(points, np.float64) for points in (left, right))
    norms = [np.einsum("ij,ij->i", points, points) for points in (left, right)]
    return np.maximum(norms[0][:, None] + norms[1] - 2 * (left @ right.T), 0)


def fit_kernel_regression(kernel: np.ndarray, targets: np.ndarray, penalty: float, loss: str = "squared") -> np.ndarray:
    """The coefficients a of the deck's regression with one of `LOSSES`, for each target: (n, C) float64.

    `kernel` is the symmetric positive semidefinite matrix k(x_i, x_j), (n, n); it may be singular. `targets` are
    (n, C), `penalty` is lambda. What is regressed at other points z is k(z, x_j) @ a.

    Raises `InputError` for more than 5,000 points, for shapes that do not fit together, for numbers that are not
    finite, and for a penalty of 0 or so small that the matrix cannot be factored or the steps do not come to rest.
    """
    if loss not in LOSSES:
        raise InputError(f"loss is {loss!r}; wanted one of {', '.join(LOSSES)}")
    _check(kernel, targets, penalty)
    with blas_threads():
        if loss == "squared":
            return _solve(_factor(kernel, penalty), np.asarray(targets, np.float64))
        return _descend(_factor(kernel, 2 * penalty), np.asarray(targets, np.float64), penalty)


def _descend(factor: tuple, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Steps of the bound's minimum, each from where the last two lead to.

    What the kernel makes of a step follows from the step's own system: K d = -(psi + 2 lambda a) - 2 lambda d.
    """
    at = ahead = np.zeros_like(targets)
    fitted = fitted_ahead = np.zeros_like(targets)
    momentum = np.ones(targets.shape[1])
    for _ in range(MOST_STEPS):
        gradient = np.clip(fitted_ahead - targets, -1, 1) + 2 * penalty * ahead
        if np.abs(gradient).max(initial=0) <= TOLERANCE:
            return ahead
        step = -_solve(factor, gradient)
        before, fitted_before = at, fitted
        at = ahead + step
        fitted = fitted_ahead - gradient - 2 * penalty * step
        uphill = np.einsum("ij,ij->j", gradient, fitted - fitted_before) > 0
        momentum[uphill] = 1
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        share = (momentum - 1) / following
        ahead, fitted_ahead = at + share * (at - before), fitted + share * (fitted - fitted_before)
        momentum = following
    raise InputError(
        f"Huber's regression did not come to rest in {MOST_STEPS:,} steps at the penalty lambda {penalty:g}. Wanted a "
        "larger penalty."
    )


def _factor(kernel: np.ndarray, ridge: float) -> tuple:
    from scipy.linalg import LinAlgError, cho_factor

    system = np.array(kernel, np.float64, order="F")
    system.flat[:: len(system) + 1] += ridge
    try:
        return cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise InputError(
            f"the kernel matrix plus {ridge:g} on its diagonal is not positive definite: either it is the matrix of no "
            "kernel, or rounding hides the penalty. Wanted a larger penalty."
        ) from error


def _solve(factor: tuple, right: np.ndarray) -> np.ndarray:
    from scipy.linalg import cho_solve

    return cho_solve(factor, right, check_finite=False)


def _check(kernel: np.ndarray, targets: np.ndarray, penalty: float) -> None:
    if not penalty > 0 or not np.isfinite(penalty):
        raise InputError(f"the penalty lambda is {penalty}; wanted a number above 0")
    if targets.ndim != 2 or kernel.shape != (len(targets), len(targets)) or not len(targets):
        raise InputError(
            f"a kernel matrix of shape {kernel.shape} and targets of shape {targets.shape} were given; wanted (n, n) "
            "and (n, C), of at least one point"
        )
    if len(targets) > MOST_POINTS:
        raise InputError(
            f"kernel regression was given {len(targets):,} points; its matrix has a row and a column for each, so "
            f"at most {MOST_POINTS:,} are wanted. Take a sample, or `taproom.images.landmark_regression`, which "
            "takes more."
        )
    if not (np.isfinite(kernel).all() and np.isfinite(targets).all()):
        raise InputError("the kernel matrix or the targets have values that are not finite; wanted numbers only")
