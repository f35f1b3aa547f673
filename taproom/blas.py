"""How many threads BLAS, LAPACK and OpenMP use: their results depend on it, bit for bit."""

import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from threadpoolctl import ThreadpoolController

Block = TypeVar("Block")
Result = TypeVar("Result")


def blas_threads(count: int = 1) -> "AbstractContextManager[object]":
    """A context in which NumPy's and SciPy's BLAS use `count` threads in this process.

    >>> with blas_threads(1):
    ...     {library["num_threads"] for library in _libraries().info() if library["user_api"] == "blas"}
    {1}
    """
    return _libraries().limit(limits=count, user_api="blas")


def one_thread() -> "AbstractContextManager[object]":
    """A context in which BLAS and OpenMP, which scikit-learn uses, compute on one thread in this process.

    >>> with one_thread():
    ...     {library["num_threads"] for library in _libraries().info()}
    {1}
    """
    return _libraries().limit(limits=1)


def on_threads(function: Callable[[Block], Result], blocks: Iterable[Block], n_jobs: int | None = None) -> list[Result]:
    """The results of all blocks, in their order, each computed on one thread: no bit depends on `n_jobs`.

    `n_jobs` are threads, as joblib counts workers.

    >>> on_threads(lambda number: number**2, [1, 2, 3], 2)
    [1, 4, 9]
    """
    from joblib import Parallel, delayed

    with blas_threads():
        return Parallel(n_jobs, prefer="threads", require="sharedmem")(delayed(function)(block) for block in blocks)


def _libraries() -> "ThreadpoolController":
    """The libraries with threads of their own that this process has loaded.

    `threadpool_limits` looks for them in each call, which takes milliseconds: longer than many computations inside.
    They come with modules, so none are new as long as no module is.
    """
    import numpy  # noqa: F401  # loads its BLAS
    import scipy.linalg  # noqa: F401  # loads its BLAS, which the compiled kernels call too

    return _libraries_of(len(sys.modules))


@lru_cache(maxsize=1)
def _libraries_of(_modules: int) -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
