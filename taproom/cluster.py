"""Blocks of work on a Dask cluster: sent in a bounded window, their results returned in the order of the blocks.

Here belongs what is said to a scheduler (`cluster_workers`) and what a worker does with a block (`compute_block`).
Callers use `taproom.compute.workers`.

A block is sent as a few kilobytes: two functions by name and their short arguments. What all blocks share is made by
each worker from the warehouse, verified by its hashes there, and kept in a cache of bounded size. Nothing is scattered,
since scattered data are lost with their worker. The scheduler sends the blocks of a worker that was lost to others; no
scheduler of our own is involved.

Source: Dask's documentation, "Best Practices" and "Futures" (https://docs.dask.org/en/stable/futures.html).
"""

import hashlib
import importlib.metadata
import os
import pickle
import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taproom.blas import one_thread
from taproom.errors import ComputeError, StorageError, TaproomError, UnknownTableError
from taproom.progress import progress_on

if TYPE_CHECKING:
    from distributed import Client, Future

# Seconds to reach the scheduler, or a worker that has a result.
CONNECT_SECONDS = 10
# Blocks in flight for each thread of the workers: one that is computed, and one that waits.
BLOCKS_PER_THREAD = 2
# Seconds that blocks under way may take to end when a run is cancelled, before their workers are restarted. A nanny
# kills its worker 4 seconds after it has been asked to restart it.
GRACE_SECONDS = 2
RESTART_SECONDS = 5
# Storage may fail for a moment; a worker asks it again after so many seconds, each time.
STORAGE_PAUSES = (1.0, 2.0, 3.0)
# Packages on whose version the bits of results depend, or whether a block can be read at all.
PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "pyarrow", "deltalake", "distributed")
WORKER_CACHE_BYTES = 4 << 30


@dataclass
class ClusterUsage:
    """What a step has used of a cluster.

    Attributes:
        workers: largest number of workers seen.
        lost_workers: that ended while blocks were computed.
        blocks: computed.
        bytes_sent, bytes_received: pickled blocks and results.
        largest_sent, largest_received: of a single block.
    """

    workers: int = 0
    lost_workers: int = 0
    blocks: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    largest_sent: int = 0
    largest_received: int = 0


_usages: list[ClusterUsage] = []


def taken_usages() -> list[ClusterUsage]:
    """What has been used of clusters in this process since this function was called last."""
    taken = _usages.copy()
    _usages.clear()
    return taken


@contextmanager
def cluster_workers(
    address: str, make: Callable[..., Any], given: tuple
) -> Iterator[Callable[[Callable[..., Any], Iterable[tuple | None]], Iterator[Any]]]:
    """Yield `run(function, blocks)` as `taproom.compute.workers` does, computed on the cluster at an address.

    What blocks share is made by `make(*given)`, once on each worker. None in place of a block says that the next one
    needs a result that is still to come: the iterable is asked again when another result has been taken.

    When the block is left with work under way, that is cancelled; workers that do not end it within seconds are
    restarted by their nannies.

    Raises:
        ComputeError: no scheduler answers, it has no workers, workers have other versions of packages, a block's
            workers ended several times, or the scheduler was lost.
    """
    usage = ClusterUsage()
    with _connected(address) as client:
        threads = _threads(client, address)
        usage.workers = len(threads)
        session = _Session(client, (make, given), usage, window=BLOCKS_PER_THREAD * sum(threads.values()))
        try:
            with progress_on(f"{usage.workers} workers"):
                yield session.run
        finally:
            session.cancel()
            session.count_lost()
            _usages.append(usage)


@contextmanager
def _connected(address: str) -> Iterator["Client"]:
    try:
        import dask
        from distributed import Client

        limits = dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s"})
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (ImportError, OSError, ValueError) as error:
        raise ComputeError(
            f"The Dask cluster {address!r} cannot be used: {error}. Set TAPROOM_CLUSTER to the address of a running "
            "scheduler and install the package `distributed`, or set no cluster."
        ) from error
    with limits:
        try:
            yield client
        finally:
            client.close(timeout=CONNECT_SECONDS)


def _threads(client: "Client", address: str) -> dict[str, int]:
    """The number of threads of each worker, by its address."""
    threads: dict[str, int] = client.nthreads()
    if not threads:
        raise ComputeError(
            f"The Dask cluster {address!r} has no workers. Start some in the repo's folder with "
            f"`python -m dask worker {address} --nthreads 1`, or set no cluster."
        )
    return dict(sorted(threads.items()))


class _Session:
    """The blocks that one step computes on a cluster."""

    def __init__(self, client: "Client", shared: tuple, usage: ClusterUsage, window: int) -> None:
        self._client, self._shared, self._usage, self._window = client, shared, usage, window
        self._pending: dict[Future, int] = {}
        self._began = time.time()
        self._environment = environment()

    def run(self, function: Callable[..., Any], blocks: Iterable[tuple | None]) -> Iterator[Any]:
        """The results in the order of the blocks; of the next block to return, at most `window` are in flight."""
        from distributed import as_completed

        finished: dict[int, Any] = {}
        completed = as_completed(loop=self._client.loop)
        blocks, place, sent = iter(blocks), 0, 0
        while True:
            while sent - place < self._window and (block := next(blocks, None)) is not None:
                future = self._send(function, block)
                self._pending[future] = sent
                completed.add(future)
                sent += 1
            if place == sent:
                return
            while place not in finished:
                future = next(completed)
                finished[self._pending.pop(future)] = self._result(future)
            yield finished.pop(place)
            place += 1

    def _send(self, function: Callable[..., Any], block: tuple) -> "Future":
        try:
            call = pickle.dumps((self._environment, function, *self._shared, block), pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ComputeError(
                f"A block of {function!r} cannot be sent to a worker: {error}. Give a module-level function, and "
                "arguments that can be pickled."
            ) from error
        self._usage.bytes_sent += len(call)
        self._usage.largest_sent = max(self._usage.largest_sent, len(call))
        return self._client.submit(compute_block, call, pure=False)

    def _result(self, future: "Future") -> Any:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        try:
            result: bytes = future.result()
        except TaproomError:
            raise
        except KilledWorker as error:
            raise ComputeError(
                f"The Dask workers that computed a block ended one after the other ({error.last_worker}): probably "
                "they had too little memory. Look at their logs, and give each worker more memory or fewer threads."
            ) from error
        except (CancelledError, CommClosedError, OSError) as error:
            raise ComputeError(
                f"The Dask scheduler at {self._client.scheduler.address if self._client.scheduler else 'its address'} "
                f"was lost while blocks were computed: {error or type(error).__name__}. Nothing was published. Start "
                "it again, and run the step again."
            ) from error
        except (ImportError, RuntimeError) as error:
            # A scheduler that cannot load a block raises a RuntimeError.
            missing = error if isinstance(error, ImportError) else error.__cause__
            if not isinstance(missing, ImportError):
                raise
            raise ComputeError(
                f"The Dask scheduler or a worker cannot import what a block needs: {missing}. Install the same version "
                "of Taproom there, or start them with `python -m dask` in the repo's folder."
            ) from error
        self._usage.blocks += 1
        self._usage.bytes_received += len(result)
        self._usage.largest_received = max(self._usage.largest_received, len(result))
        return pickle.loads(result)

    def cancel(self) -> None:
        """Cancel what is under way, and restart the workers that compute it if they do not end it soon."""
        if not self._pending or self._client.status != "running":
            return
        keys = {str(future.key) for future in self._pending}
        self._client.cancel(list(self._pending), force=True)
        ends = time.monotonic() + GRACE_SECONDS
        while (busy := self._busy(keys)) and time.monotonic() < ends:
            time.sleep(0.1)
        if busy:
            self._client.restart_workers(busy, timeout=RESTART_SECONDS, raise_for_error=False)

    def _busy(self, keys: set[str]) -> list[str]:
        """The workers that compute one of the blocks."""
        running = self._client.run(_running_keys, on_error="ignore")
        return [worker for worker, names in running.items() if not keys.isdisjoint(names)]

    def count_lost(self) -> None:
        """Count the workers that have ended while blocks were computed."""
        if self._client.status != "running":
            return
        events = self._client.get_events("all")
        self._usage.lost_workers = sum(
            at > self._began and event.get("action") == "remove-worker" and bool(event.get("processing-tasks"))
            for at, event in events
        )


def _running_keys(dask_worker: Any) -> list[str]:
    return [str(task.key) for task in dask_worker.state.executing | dask_worker.state.long_running]


@cache
def environment() -> dict[str, str]:
    """The versions of Python, of the packages that a block needs, and of this code, in this process."""
    folder = Path(__file__).parent
    code = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        code.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": python, **versions, "code of taproom": code.hexdigest()[:12]}


def compute_block(call: bytes) -> bytes:
    """On a worker: the pickled result of a pickled block.

    Raises:
        ComputeError: this worker has other versions of packages than the process that sent the block.
    """
    theirs, function, make, given, block = pickle.loads(call)
    _check_environment(theirs)
    with one_thread():
        result = _with_retries(lambda: function(_cache.get(make, given), *block))
    return pickle.dumps(result, pickle.HIGHEST_PROTOCOL)


def _check_environment(theirs: dict[str, str]) -> None:
    ours = environment()
    different = [f"{name} {ours.get(name)} instead of {version}" for name, version in theirs.items()
                 if ours.get(name) != version]  # fmt: skip
    if different:
        raise ComputeError(
            f"The Dask worker on {platform.node()} has {', '.join(different)}. Install the same requirements.lock and "
            "the same version of Taproom on all workers."
        )


def _with_retries(call: Callable[[], Any]) -> Any:
    """The result of a call; storage that fails is asked again.

    A table that a block names exists, so a worker that does not find it has another warehouse, or none: a folder that
    is not mounted looks like an empty one.
    """
    for seconds in STORAGE_PAUSES:
        try:
            return call()
        except (StorageError, UnknownTableError):
            time.sleep(seconds)
    try:
        return call()
    except (StorageError, UnknownTableError) as error:
        raise StorageError(
            f"The Dask worker on {platform.node()} cannot use the warehouse of this step: {error} All workers must "
            "reach the same folder or object store, under the same address."
        ) from error


class Cache:
    """The values that a worker has made, the most recently used ones up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        """Empty; a value larger than `limit` bytes is kept until another one is made."""
        self._limit = limit
        self._values: OrderedDict[tuple, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, make: Callable[..., Any], given: tuple) -> Any:
        """The value of `make(*given)`."""
        key = make, pickle.dumps(given)
        # One at a time: two threads of a worker would make the same value twice.
        with self._lock:
            if key not in self._values:
                value = make(*given)
                self._values[key] = value, bytes_of(value)
                self._drop()
            self._values.move_to_end(key)
            return self._values[key][0]

    def _drop(self) -> None:
        while len(self._values) > 1 and sum(size for _, size in self._values.values()) > self._limit:
            self._values.popitem(last=False)


_cache = Cache(int(os.environ.get("TAPROOM_WORKER_CACHE_BYTES", WORKER_CACHE_BYTES)))


def bytes_of(value: Any) -> int:
    """About the memory of a value: that of its arrays' buffers, and of all else the pickled size.

    >>> import numpy as np
    >>> bytes_of({"zeros": np.zeros(1000)}) // 1000
    8
    """
    buffers: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(value, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
    return len(rest) + sum(buffer.raw().nbytes for buffer in buffers)
