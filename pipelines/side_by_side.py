"""Chains that are made side by side, for `make run`: each by a process of its own (`pipelines.forks`).

All chains read their input at once, so that downloads come first. Then `PLACES` of them at a time make their tables,
since most steps use little more than one core; how much memory their steps take together is limited by
`pipelines.step_memory`. A chain that reads a table of another one begins when that table is made.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

import dagster as dg
from joblib import cpu_count

from pipelines.chains import ASSAYS, IMAGES, REVIEWS, TEXT, TUNING, Chain
from pipelines.forks import Fork, Forks
from pipelines.messages import Message
from pipelines.products import Products
from pipelines.reconcile import end_runs_of
from pipelines.run_display import Display
from taproom.errors import TaproomError

# As many as the pool `numerics` in dagster.yaml has: a chain without a place there would wait, with its memory.
PLACES = 2
# Who gets a place first: the reviews, which the text waits for. The images are late, since the last of their steps use
# all cores when no other chain is left.
ORDER = (REVIEWS, ASSAYS, TEXT, IMAGES, TUNING)

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class _Running:
    """A chain that is being made: its process, the steps left to make (None: not known yet), and what it has told."""

    chain: Chain
    process: Fork
    cores: int = 0  # none before it has a place
    left: set[str] | None = None
    failures: dict[str, TaproomError] | None = None


class SideBySide:
    """Makes chains side by side.

    Args:
        instance: the Dagster instance of the runs.
        products: says which chain reads from which.
        chains: what to make.
        ops: settings by op, as for `Products`.
        display: where to show what the chains tell.
        forks: a process for each chain, at least, of `pipelines.chain_process`.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        products: Products,
        chains: Sequence[Chain],
        ops: Mapping[str, Any],
        display: Display,
        forks: Forks,
    ) -> None:
        """Find out which chain reads from which; nothing is started yet."""
        self._instance, self._ops, self._display, self._forks = instance, ops, display, forks
        self._waiting = sorted(chains, key=ORDER.index)
        self._reads = {
            chain.name: {other.name: products.reads_from(chain, other) for other in chains if other is not chain}
            for chain in chains
        }
        self._running: list[_Running] = []
        self._failures: dict[str, TaproomError] = {}

    def make(self) -> dict[str, TaproomError]:
        """As `Products.make`, for all chains. However it ends, no process is left."""
        idle = iter(self._forks.processes)
        try:
            while self._waiting or self._running:
                self._start(idle)
                self._give_places()
                ready = wait([running.process.connection for running in self._running], SECONDS_BETWEEN_LOOKS)
                for running in [running for running in self._running if running.process.connection in ready]:
                    self._hear(running)
                self._display.refresh()
        finally:
            # An interrupt could get lost in a process, or come while a library cannot be interrupted. No table is
            # harmed when it is killed.
            self._forks.end()
            end_runs_of(self._instance, [running.process.pid for running in self._running])
        return self._failures

    def _start(self, idle: Iterator[Fork]) -> None:
        """Start the chains that read from no chain which has to make yet what they read."""
        for chain in [chain for chain in self._waiting if not self._has_to_wait(chain)]:
            self._waiting.remove(chain)
            process = next(idle)
            with suppress(OSError):  # it has died, which the next look shows
                process.connection.send((chain.name, self._ops))
            self._display.begun(chain.name, "starting")
            self._running.append(_Running(chain, process))

    def _has_to_wait(self, chain: Chain) -> bool:
        """Whether a chain reads what another one has yet to make."""
        reads = self._reads[chain.name]
        if any(reads.get(other.name) for other in self._waiting):
            return True
        return any(
            read and (running.left is None or read & running.left)
            for running in self._running
            if (read := reads.get(running.chain.name))
        )

    def _give_places(self) -> None:
        """Tell the chains that have a place, and those that get one now, how many cores they may use."""
        by_turn = sorted(self._running, key=lambda each: (not each.cores, ORDER.index(each.chain)))
        placed = by_turn[:PLACES]
        for each in placed:
            cores = max(cpu_count() // len(placed), 1)
            if each.cores != cores:
                each.cores = cores
                with suppress(OSError):  # it has died, which the next look shows
                    each.process.connection.send(cores)

    def _hear(self, running: _Running) -> None:
        """Take a message of a chain, or find that its process has ended."""
        name = running.chain.name
        try:
            kind, *what = running.process.connection.recv()
        except (EOFError, OSError):
            self._end(running)
            return
        match kind, what:
            case Message.PLANNED, (doing, _, steps) if doing == f"make_{name}":
                running.left = set(steps)
                self._display.planned(name, steps)
            case Message.PLANNED, (doing, tables, _):
                self._display.line(name, f"{doing}: {tables}")
            case Message.BEGUN, (step,):
                self._display.begun(name, step)
            case Message.ENDED, (step,):
                if running.left:
                    running.left.discard(step)
                self._display.ended(name, step)
            case Message.LINE, (text,):
                self._display.line(name, text)
            case Message.PROGRESS, (text,):
                self._display.progress(name, text)
            case Message.DONE, (failures,):
                running.failures = {which: TaproomError(reason) for which, reason in failures.items()}

    def _end(self, running: _Running) -> None:
        name = running.chain.name
        self._running.remove(running)
        failures = running.failures
        if failures is None:
            failures = {name: TaproomError(_cause(running.process.status))}
            end_runs_of(self._instance, [running.process.pid])
        self._failures |= failures
        self._display.finished(name, is_made=not failures)


def _cause(status: int) -> str:
    """Why a process ended that did not say so."""
    again = "What it has made is kept; run it again."
    if status >= 0:
        return f"its process has ended with the status {status}; what it wrote is above. {again}"
    name = signal.Signals(-status).name
    memory = " The system does so when memory runs out." if name == "SIGKILL" else ""
    return f"its process was ended by {name}.{memory} {again}"
