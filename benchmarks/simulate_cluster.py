"""Simulation: what bounds `neighbors` of a million items on 10 and on 100 workers, and which block size is best.

    python benchmarks/simulate_cluster.py [--measure] [--items 1000000]

Discrete events: the client sends blocks of rows within its window, the scheduler hands each to a worker, the worker
computes it, and the client takes the results, one at a time and in the order of the blocks, as `taproom.cluster` does.
Block i has the rows from i * size on and compares them with all rows up to its own last one, so later blocks take
longer. What things cost is in `Costs`; `--measure` measures it on this machine.

The number of candidates of a block: its own rows have about k each; of the n rows before, the j-th best of n + size
random rows is new with probability size / (n + size), so that k * size new ones are expected in all their lists, if
thresholds are those of n rows. They are those of the rows that the client had entered when the block was sent.

Source of the law of new candidates: records of random sequences (Renyi 1962).
"""

import argparse
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

K = 100
CANDIDATE_BYTES = 12


@dataclass(frozen=True)
class Costs:
    """What things cost, in seconds and bytes; pair and enter as measured on one core with 400 words an item.

    Attributes:
        pair: seconds to compare two rows.
        enter: seconds of the client for a candidate: unpickling and entering it into a list.
        message: seconds of the scheduler for a block.
        block: fixed seconds of a worker for a block.
        bandwidth: bytes a second into and out of the client.
        read: seconds of a worker to read and prepare the weights.
        noise: standard deviation of the logarithm of a block's seconds.
        slow: share of the workers that are slow, by a factor of `slowness`.
    """

    pair: float = 2.4e-8
    enter: float = 3e-8
    message: float = 1e-3
    block: float = 2e-3
    bandwidth: float = 1e9
    read: float = 60.0
    noise: float = 0.1
    slow: float = 0.02
    slowness: float = 2.0


@dataclass(frozen=True)
class Outcome:
    """Seconds until the last result is taken, and the shares of it that each part was busy."""

    seconds: float
    workers: float
    client: float
    scheduler: float
    down: float
    up: float
    gigabytes: float


class Server:
    """Serves one at a time, in the order of arrival: the client, its network in one direction, the scheduler."""

    def __init__(self) -> None:
        """Idle."""
        self.free = self.busy = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """When what arrives now will have been served."""
        self.free = max(self.free, now) + seconds
        self.busy += seconds
        return self.free


class Simulation:
    """One run with blocks of `size` rows, at most `window` blocks for each worker in flight."""

    def __init__(self, items: int, size: int, workers: int, window: int, costs: Costs, seed: int = 0) -> None:
        """Before the first event."""
        self.items, self.size, self.costs = items, size, costs
        self.blocks = -(-items // size)
        self.in_flight = window * workers
        self.random = np.random.default_rng(seed)
        self.slowness = np.where(self.random.random(workers) < costs.slow, costs.slowness, 1.0)
        self.sent = self.entered = self.taken = 0
        self.known: dict[int, int] = {}  # blocks that the client had entered when a block was sent
        self.arrived: set[int] = set()
        self.waiting: list[int] = []
        self.idle: list[int] = []
        self.down, self.up, self.scheduler, self.client = (Server() for _ in range(4))
        self.computing = self.bytes = self.now = 0.0
        self.events: list[tuple] = []
        self.order = itertools.count()

    def run(self) -> Outcome:
        """Handle events in the order of their times, until the last result has been entered."""
        for worker in range(len(self.slowness)):
            self.at(self.costs.read * self.slowness[worker], self.is_idle, worker)
        self.send()
        while self.entered < self.blocks:
            self.now, _, handle, what = heapq.heappop(self.events)
            handle(*what)
        parts = (
            self.computing / len(self.slowness),
            self.client.busy,
            self.scheduler.busy,
            self.down.busy,
            self.up.busy,
        )
        return Outcome(self.now, *(part / self.now for part in parts), self.bytes / 1e9)

    def at(self, time: float, handle: Callable[..., None], *what: int) -> None:
        """Have an event handled at a time."""
        heapq.heappush(self.events, (time, next(self.order), handle, what))

    def send(self) -> None:
        """The client sends as many blocks as its window has room for, each with the thresholds of the rows before."""
        while self.sent < min(self.blocks, self.entered + self.in_flight):
            self.known[self.sent] = self.entered
            arrives = self.down.serve(self.now, self.transfer(4.0 * self.sent * self.size))
            self.at(arrives, self.schedule, self.sent)
            self.sent += 1

    def schedule(self, block: int) -> None:
        """The scheduler handles a block."""
        self.at(self.scheduler.serve(self.now, self.costs.message), self.is_waiting, block)

    def is_waiting(self, block: int) -> None:
        """A block waits for a worker."""
        heapq.heappush(self.waiting, block)
        self.start()

    def is_idle(self, worker: int) -> None:
        """A worker has nothing to do."""
        self.idle.append(worker)
        self.start()

    def start(self) -> None:
        """Idle workers begin waiting blocks."""
        while self.idle and self.waiting:
            block, worker = heapq.heappop(self.waiting), self.idle.pop()
            before, rows = block * self.size, self.rows(block)
            seconds = self.costs.block + self.costs.pair * rows * (before + rows / 2)
            seconds *= self.slowness[worker] * self.random.lognormal(0.0, self.costs.noise)
            self.computing += seconds
            self.at(self.now + seconds, self.is_computed, block, worker)

    def is_computed(self, block: int, worker: int) -> None:
        """A worker has computed a block, whose result goes to the client."""
        self.at(self.up.serve(self.now, self.transfer(CANDIDATE_BYTES * self.candidates(block))), self.arrive, block)
        self.is_idle(worker)

    def arrive(self, block: int) -> None:
        """A result arrives; the client enters results in the order of the blocks."""
        self.arrived.add(block)
        while self.taken in self.arrived:
            self.at(self.client.serve(self.now, self.costs.enter * self.candidates(self.taken)), self.enter)
            self.taken += 1

    def enter(self) -> None:
        """The client has entered a result."""
        self.entered += 1
        self.send()

    def rows(self, block: int) -> int:
        """The rows of a block."""
        return min(self.size, self.items - block * self.size)

    def candidates(self, block: int) -> float:
        """The candidates that a block gives: of its own rows, and what it offers to the lists of the rows before."""
        rows, before, known = self.rows(block), block * self.size, self.known[block] * self.size
        return K * rows + (min(K * rows * before / known, rows * before) if known else float(rows * before))

    def transfer(self, size: float) -> float:
        """Seconds that bytes take."""
        self.bytes += size
        return size / self.costs.bandwidth


def main() -> None:
    """Print the seconds and what is busy, for each number of workers and block size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--windows", type=int, nargs="+", default=[2])
    parser.add_argument("--measure", action="store_true", help="measure costs on this machine first")
    options = parser.parse_args()
    costs = measured() if options.measure else Costs()
    print(costs)
    print("workers window  size |  seconds  speedup | busy: workers client scheduler down  up |   GB")
    alone = costs.pair * options.items**2 / 2
    for workers, window, size in itertools.product((10, 100), options.windows, (128, 256, 512, 1024, 2048, 4096)):
        run = Simulation(options.items, size, workers, window, costs).run()
        print(
            f"{workers:7} {window:6} {size:5} | {run.seconds:8.0f} {alone / run.seconds:8.1f} | "
            f"{run.workers:13.0%} {run.client:6.0%} {run.scheduler:9.1%} {run.down:4.0%} {run.up:4.0%} | "
            f"{run.gigabytes:5.0f}"
        )


def measured() -> Costs:
    """The costs of this machine: of a pair and of a candidate, and of a block that does nothing."""
    from bench_cluster import cluster, nothing, zipf_matrix

    import taproom.cluster
    from taproom.cluster import taken_usages
    from taproom.compute import Made, workers
    from taproom.maps.neighbors import nearest

    made = Made(zipf_matrix, (12_000, 100_000, 400))
    nearest(made.here[: K + 1], K)  # compiles
    seconds = [timed(lambda items=items: nearest(made.here[:items], K, n_jobs=1)) for items in (6_000, 12_000)]
    # What grows with the square of the items is the comparison.
    pair = (seconds[1] - 2 * seconds[0]) / (12_000**2 / 2 - 2 * 6_000**2 / 2)
    window, taproom.cluster.BLOCKS_PER_THREAD = taproom.cluster.BLOCKS_PER_THREAD, 50
    window, taproom.cluster.BLOCKS_PER_THREAD = taproom.cluster.BLOCKS_PER_THREAD, 50
    with cluster(2):

        def run_nothing() -> None:
            with workers(Made(int, ())) as run:
                list(run(nothing, ((block,) for block in range(500))))

        run_nothing()
        message = timed(run_nothing) / 500
        taproom.cluster.BLOCKS_PER_THREAD = window
        nearest(made, K)
        taken_usages()
        there = timed(lambda: nearest(made, K, n_jobs=2))
        candidates = taken_usages()[-1].bytes_received / CANDIDATE_BYTES
    enter = max(there - seconds[1] / 2, 0) / candidates
    return replace(Costs(), pair=pair, enter=enter, message=message)


def timed(work: Callable[[], object]) -> float:
    """The seconds of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
