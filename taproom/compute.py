"""Workers: call a function with each of many blocks of work, and return the results in the order of the blocks.

Here belongs where and when blocks are computed: on threads or processes of this machine, ahead of their use, or on the
Dask cluster whose address the environment variable `TAPROOM_CLUSTER` has. What they compute belongs to the modules that
call this one. How a cluster is spoken to is in `taproom.cluster`.

What all blocks share (a matrix, a model, the data of a search) is either a value, and then blocks are computed on this
machine, or a `Made` value: a function and its short arguments, such as the version of a table in the warehouse. Only
those go to a cluster; each worker makes the value for itself, once.

joblib keeps its worker processes for five minutes after a call. The process of a step would wait for them, they would
keep their memory, and they would outlive a process that is killed. Therefore workers end here with the `with` block,
and each of them exits when the process that started it is gone.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeGuard, TypeVar, cast

T = TypeVar("T", covariant=True)
U = TypeVar("U")

Run = Callable[[Callable[..., Any], Iterable[tuple | None]], Iterator[Any]]

# How often a worker checks whether the process that started it still exists.
_SECONDS_BETWEEN_CHECKS = 1.0


@dataclass(frozen=True)
class Made(Generic[T]):
    """A value that every process makes for itself, from a function and arguments that are quickly sent.

    Attributes:
        make: a module-level function.
        given: its arguments, which can be pickled and are a few kilobytes at most; equal ones give equal values.
        known: the value, where this process has it already.

    >>> Made(sum, ((1, 2),)).here
    3
    """

    make: Callable[..., T]
    given: tuple[Any, ...]
    known: T | None = field(default=None, compare=False, repr=False)

    @cached_property
    def here(self) -> T:
        """The value in this process, made when it is first asked for."""
        return self.make(*self.given) if self.known is None else self.known


def made_here(shared: T | Made[T]) -> T:
    """The value that blocks share, in this process."""
    return shared.here if isinstance(shared, Made) else shared


def derived(shared: Any, function: Callable[..., U], *more: Any) -> U | Made[U]:
    """`function(shared, *more)`, which is a `Made` value where `shared` is one: each process computes it for itself.

    Args:
        shared: a value, or a `Made` value.
        function: a module-level function.
        *more: further arguments, which can be pickled and are a few kilobytes at most.

    >>> derived([3, 1], sorted)
    [1, 3]
    >>> derived(Made(list, ("ba",)), sorted).here
    ['a', 'b']
    """
    if not isinstance(shared, Made):
        return function(shared, *more)
    return Made(_derived, (function, more, shared.make, shared.given), known=function(shared.here, *more))


def _derived(function: Callable[..., U], more: tuple, make: Callable[..., Any], given: tuple) -> U:
    return function(make(*given), *more)


def made_ahead(items: Iterable[U], count: int = 1) -> Generator[U]:
    """The items; a thread makes the next ones while one is used.

    Neither side may rely on the number of BLAS threads meanwhile, since a limit holds for the whole process; and what
    `contextvars` and `joblib.parallel_config` have set here does not reach the thread. Closed early, it waits for the
    item that is being made, and then closes the iterable.

    Args:
        items: what to make; each item, and what is raised instead of one, comes in its turn.
        count: how many items are made ahead, at least 1; one more is in memory.

    >>> list(made_ahead(number**2 for number in range(3)))
    [0, 1, 4]
    """
    making, end = iter(items), object()
    thread = ThreadPoolExecutor(1)
    following = deque(thread.submit(next, making, end) for _ in range(count))
    try:
        while (item := following.popleft().result()) is not end:
            following.append(thread.submit(next, making, end))
            yield cast(U, item)
    finally:
        for each in following:
            each.cancel()
        # In the thread where it began, since it may have set variables of the thread's context.
        thread.submit(getattr(making, "close", int))
        thread.shutdown()


def cluster_address() -> str | None:
    """The address of the Dask scheduler in `$TAPROOM_CLUSTER`, None where it is not set."""
    return os.environ.get("TAPROOM_CLUSTER") or None


def goes_to_cluster(shared: Any) -> TypeGuard[Made[Any]]:
    """Whether blocks that share a value are computed on a cluster: it is a `Made` value, and there is a cluster."""
    return isinstance(shared, Made) and cluster_address() is not None


@contextmanager
def workers(
    shared: Any, n_jobs: int | None = None, *, prefer: Literal["threads", "processes"] = "threads"
) -> Iterator[Run]:
    """Yield `run(function, blocks)`, which calls a module-level function with what is shared and each block.

    A block is a tuple of further arguments. `run` returns a generator of the results, in the order of the blocks; it
    must be exhausted before the next call. Blocks are taken from their iterable as workers become free; only on a
    cluster may they depend on results (`taproom.cluster.cluster_workers`). Workers of this machine start with the first
    call and end with the `with` block, also after an exception; if this process is killed, they end within seconds.

    Args:
        shared: the first argument of all calls, or a `Made` value. A `Made` value is computed with on the cluster of
            `$TAPROOM_CLUSTER` where that is set; there, arguments and results are pickled, so they should be small.
        n_jobs: number of workers of this machine, as for joblib; with one, this process itself does the work.
        prefer: what workers of this machine are, unless a `joblib.parallel_config` around the block says otherwise.

    Raises:
        ComputeError: the cluster cannot be used, or fails.

    >>> with workers(10) as run:
    ...     list(run(divmod, [(3,), (4,)]))
    [(3, 1), (2, 2)]
    """
    address = cluster_address()
    if address is not None and isinstance(shared, Made):
        from taproom.cluster import cluster_workers

        with cluster_workers(address, shared.make, shared.given) as run:
            yield run
        return
    with _local_workers(made_here(shared), n_jobs, prefer) as run:
        yield run


@contextmanager
def _local_workers(shared: Any, n_jobs: int | None, prefer: str) -> Iterator[Run]:
    from joblib import Parallel, delayed, effective_n_jobs

    initializer = {"initializer": _initializer(os.getpid())} if prefer == "processes" else {}
    several = prefer == "processes" and effective_n_jobs(n_jobs) > 1
    try:
        with Parallel(n_jobs, return_as="generator", prefer=prefer, **initializer) as parallel:
            yield lambda function, blocks: parallel(
                delayed(function)(shared, *block) for block in cast(Iterable[tuple], blocks)
            )
    finally:
        if several:
            _end_workers()


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
