"""Processes that are forked from one which has loaded what all of them need.

Loading Dagster and the libraries for numerics takes eight seconds of a core: here it is done once, by a command that
`Forks` starts and in which `fork_each` forks. Each process has a connection to the one that has started the command.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Self


@dataclass(frozen=True)
class Fork:
    """A process that was forked, or is about to be; its `connection` ends when it does."""

    connection: Connection
    _place: int
    _report: "_Report"

    @property
    def pid(self) -> int | None:
        """Its id; waits until it is forked. None if the command ended before."""
        return self._report.pids[self._place] if self._report.pids else None

    @property
    def status(self) -> int:
        """How it ended: its exit status, or -N for the signal N; waits until then."""
        return self._report.status(self.pid)


class Forks:
    """A command and the processes that it forks; as a context manager it ends them.

    Args:
        command: calls `fork_each` with the numbers that are added to it.
        count: how many processes to start.

    Attributes:
        processes: in the order in which they are forked.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        """Start the command."""
        here, there = zip(*(Pipe() for _ in range(count + 1)), strict=True)
        descriptors = [end.fileno() for end in there]
        # A session of its own: Ctrl+C reaches this process alone.
        self._command = subprocess.Popen(
            [*command, *map(str, descriptors)], pass_fds=descriptors, start_new_session=True
        )
        for end in there:
            end.close()
        report = _Report(here[0])
        self.processes = [Fork(connection, place, report) for place, connection in enumerate(here[1:])]

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """As `end`."""
        self.end()

    def end(self) -> None:
        """Kill the processes that go on, and all that they have started, and wait until they are gone."""
        with suppress(ProcessLookupError):
            os.killpg(self._command.pid, signal.SIGKILL)
        self._command.wait()
        for process in self.processes:
            with suppress(EOFError, OSError):
                while True:
                    process.connection.recv()


class _Report:
    """What the command tells of its processes: first their ids, then of each how it ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statuses: dict[int | None, int] = {}

    @cached_property
    def pids(self) -> list[int]:
        return self._next() or []

    def status(self, pid: int | None) -> int:
        while pid not in self._statuses and (ended := self._next()):
            self._statuses |= dict([ended])
        # If the command is gone, so is what it would have told: it does nothing by then, but may be killed.
        return self._statuses.get(pid, -signal.SIGKILL)

    def _next(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            return None


def fork_each(descriptors: Sequence[int], run: Callable[[Connection], None]) -> None:
    """Fork a process for each connection but the first, through which it is told how they end.

    Args:
        descriptors: numbers of open connections, which `Forks` gives.
        run: what a process does, given its connection. When it returns, so does this function, in that process.
    """
    report, *others = [Connection(number) for number in descriptors]
    pids = []
    while others:
        connection = others.pop(0)
        pids.append(os.fork())
        if not pids[-1]:
            for other in (report, *others):
                other.close()
            run(connection)
            return
        connection.close()
    # An interrupt may have ended the process that started this one before it could end this one, too: nobody listens.
    with suppress(BrokenPipeError):
        report.send(pids)
        for _ in pids:
            pid, status = os.wait()
            report.send((pid, os.waitstatus_to_exitcode(status)))
