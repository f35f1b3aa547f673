"""Work on several processes: a function is called with each of a sequence of tasks; the results come in their order.

Here belongs how worker processes are started and ended, here or on a Dask cluster. What they compute belongs to the
modules that call this one. Work for threads goes to joblib directly, since threads need no ending.

joblib keeps its worker processes for five minutes after a call. A step that has ended waits for them, each holds its
memory, and they outlive a process that is killed. So workers are ended here with the `with` block, and each of them
ends itself when the process that started it is gone.
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

# How often a worker looks whether the process that started it is still there.
_SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def worker_processes(n_jobs: int | None = None, cluster: str | None = None) -> Iterator[Run]:
    """Give `run(function, tasks)`, which calls a module-level function with each task, a tuple of its arguments.

    Its results come in the order of the tasks, and are to be taken before the next call. Tasks are taken from their
    iterable as workers become free. Workers start with the first call and end with the block, also by an error; if this
    process is killed, they end within seconds.

    Args:
        n_jobs: workers as joblib counts them. Processes, unless a `joblib.parallel_config` around the block says
            otherwise; one worker is this process itself.
        cluster: address of a Dask scheduler whose workers to use instead.

    Raises:
        InputError: no scheduler answers at the address, or Dask is not installed.
    """
    from joblib import Parallel, effective_n_jobs

    if cluster is not None:
        with _dask(cluster), Parallel(n_jobs=-1, return_as="generator") as parallel:
            yield _runner(parallel)
        return
    workers = Parallel(n_jobs, return_as="generator", prefer="processes", initializer=_beginning(os.getpid()))
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
    """End joblib's worker processes, of which this process has one set at a time."""
    from joblib.externals.loky import get_reusable_executor

    # Killed, not asked to end: they are idle, or at work on what nobody waits for any more.
    get_reusable_executor(reuse=True).shutdown(kill_workers=True)


def _beginning(parent: int) -> Callable[[], None]:
    """What a worker process begins with: it finds this package, and ends when its parent process has, however that did.

    Dagster has the folder of the code in `sys.path` only while it loads that, so workers do not inherit it. A function
    within a function is sent to them as code, and needs no import.
    """
    folder = str(Path(__file__).resolve().parents[1])

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    def begin() -> None:
        if folder not in sys.path:
            sys.path.append(folder)
        threading.Thread(target=watch, daemon=True).start()

    return begin


@contextmanager
def _dask(cluster: str) -> Iterator[None]:
    """Let joblib use the workers of a Dask cluster."""
    from joblib import parallel_config

    try:
        from distributed import Client

        client = Client(cluster, timeout=5, set_as_default=True)
    except (ImportError, OSError, ValueError) as error:
        raise InputError(
            f"the Dask cluster {cluster!r} cannot be used: {error}. Wanted: the address of a running scheduler, and "
            "the package `distributed` here; or no cluster."
        ) from error
    with client, parallel_config("dask"):
        yield
