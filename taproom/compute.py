"""Worker processes: call a function with each task of a sequence, and return the results in the order of the tasks.

Here belongs starting and ending worker processes, on this machine or on a Dask cluster. What they compute belongs to
the modules that call this one. Threads are started by joblib directly, since they need no clean-up.

joblib keeps its worker processes for five minutes after a call. The process of a step would wait for them, they would
keep their memory, and they would outlive a process that is killed. Therefore workers end here with the `with` block,
and each of them exits when the process that started it is gone.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taproom.errors import InputError

Run = Callable[[Callable[..., Any], Iterable[tuple]], Iterator[Any]]

# How often a worker checks whether the process that started it still exists.
_SECONDS_BETWEEN_CHECKS = 1.0


@contextmanager
def worker_processes(n_jobs: int | None = None, cluster: str | None = None) -> Iterator[Run]:
    """Yield `run(function, tasks)`, which calls a module-level function with each task, a tuple of its arguments.

    `run` returns a generator of the results, in the order of the tasks; it must be exhausted before the next call.
    Tasks are taken from their iterable as workers become free. Workers start with the first call and end with the
    block, also after an exception. If this process is killed, they end within seconds.

    Args:
        n_jobs: number of workers, as for joblib. Workers are processes, unless a `joblib.parallel_config` around the
            block says otherwise; with one worker, this process itself does the work.
        cluster: address of a Dask scheduler whose workers are used instead.

    Raises:
        InputError: no scheduler answers at the address, or Dask is not installed.

    >>> with worker_processes(n_jobs=1) as run:
    ...     list(run(divmod, [(7, 2), (9, 4)]))
    [(3, 1), (2, 1)]
    """
    from joblib import Parallel, effective_n_jobs

    if cluster is not None:
        with _dask(cluster), Parallel(n_jobs=-1, return_as="generator") as parallel:
            yield _runner(parallel)
        return
    workers = Parallel(n_jobs, return_as="generator", prefer="processes", initializer=_initializer(os.getpid()))
    several = effective_n_jobs(n_jobs) > 1
    try:
        with workers as parallel:
            yield _runner(parallel)
    finally:
        if several:
            _end_workers()


def _runner(parallel: Callable) -> Run:
    from joblib import delayed

    return lambda function, tasks: parallel(delayed(function)(*task) for task in tasks)


def _end_workers() -> None:
    """Kill joblib's worker processes; a process has at most one set of them."""
    from joblib.externals.loky import get_reusable_executor

    # Workers are idle by now, or compute a result that is no longer needed.
    get_reusable_executor(reuse=True).shutdown(kill_workers=True)


def _initializer(parent: int) -> Callable[[], None]:
    """The initializer of a worker process: make this package importable, and exit when the parent process is gone.

    Dagster adds the folder of the code to `sys.path` only while it loads the code, so workers do not inherit it. The
    initializer is a nested function, which is pickled by value and so needs no import in the worker.
    """
    folder = str(Path(__file__).resolve().parents[1])

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_CHECKS)
        os._exit(1)

    def begin() -> None:
        if folder not in sys.path:
            sys.path.append(folder)
        threading.Thread(target=watch, daemon=True).start()

    return begin


@contextmanager
def _dask(cluster: str) -> Iterator[None]:
    """Make joblib use the workers of a Dask cluster."""
    from joblib import parallel_config

    try:
        from distributed import Client

        client = Client(cluster, timeout=5, set_as_default=True)
    except (ImportError, OSError, ValueError) as error:
        raise InputError(
            f"The Dask cluster {cluster!r} cannot be used: {error}. Give the address of a running scheduler and "
            "install the package `distributed`, or set no cluster."
        ) from error
    with client, parallel_config("dask"):
        yield
