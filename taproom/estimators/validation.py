"""What the estimators share: seeds and exceptions as scikit-learn has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from taproom.errors import InputError


def seed_of(random_state: Any) -> int:
    """The seed of the functions: an int is the seed itself, from a generator one is drawn.

    >>> seed_of(7)
    7

    Args:
        random_state: an int, a `numpy.random.RandomState`, or None for NumPy's global one.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


@contextmanager
def value_errors() -> Iterator[None]:
    """Raise an `InputError` of the functions as `ValueError`, which callers of scikit-learn expect."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from error
