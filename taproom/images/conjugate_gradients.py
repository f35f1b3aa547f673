"""Preconditioned conjugate gradients for several right-hand sides at once, in single precision.

Here belongs the iteration alone. The systems and what preconditions them are in `taproom.images.least_squares` and
`taproom.images.landmark_regression`.

Source: Golub and Van Loan, Matrix Computations, 4th edition, 2013, algorithm 11.5.1.
"""

from collections.abc import Callable

import numpy as np

Linear = Callable[[np.ndarray], np.ndarray]
"""A symmetric positive definite operator, applied to columns (n, C) float32."""


def conjugate_gradients(
    product: Linear, precondition: Linear, wanted: np.ndarray, start: np.ndarray, tolerance: float, most_steps: int
) -> np.ndarray | None:
    """Solve `product(x) = wanted` for x (n, C) float32; None where it did not come to rest.

    Each column has a step length of its own, and rests when what is left, r, is at most `tolerance` times what is
    wanted. Their size is that of the preconditioner M, the root of r'M r: about how far the solution is off in the norm
    of the system, which counts little what the system hardly sees.

    Args:
        product: the system.
        precondition: about the inverse of the system.
        wanted: (n, C) float32.
        start: (n, C) float32, which the solution may be near to; it is overwritten.
        tolerance: the largest size of what is left, of that of what is wanted.
        most_steps: after so many it has not come to rest.

    >>> diagonal, ones = np.array([[2.0], [4.0]], np.float32), np.ones((2, 1), np.float32)
    >>> conjugate_gradients(lambda x: diagonal * x, lambda x: x, ones, ones.copy(), 1e-4, 10).round(3).ravel()
    array([0.5 , 0.25], dtype=float32)
    """
    small = tolerance**2 * np.maximum(_dots(wanted, precondition(wanted)), np.finfo(np.float32).tiny)
    solution = start
    left = wanted - product(solution)
    direction = near = precondition(left)
    slope = _dots(left, near)
    for _ in range(most_steps):
        if (slope <= small).all():
            return solution
        along = product(direction)
        step = _ratio(slope, _dots(direction, along))
        solution += step * direction
        left -= step * along
        near = precondition(left)
        slope, before = _dots(left, near), slope
        direction = near + _ratio(slope, before) * direction
    return None


def _dots(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->j", left, right, dtype=np.float64)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Their ratio as float32; 0 where a column has already come to rest."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0).astype(np.float32)
