"""A load on `make stack`: files that are dropped, jobs that are launched, processes that are killed, memory over time.

What is random comes from a seed. Each file follows from the seed and its number, so a file that could not be dropped
is dropped again, with the same content.
"""

import gzip
import hashlib
import http.client
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import numpy as np
import psutil
import psycopg2
import sqlalchemy.exc
from dagster_postgres.utils import DagsterPostgresException

from pipelines.serving.__main__ import served_processes
from taproom.errors import TaproomError
from taproom.sources.inbox import file_key
from tests.deploy.test_stack import Stack
from tests.fcs_file import fcs_bytes

# The services, each with a part of its command line.
SERVICES = {
    "PostgreSQL": "postgres -D",
    "S3 server": "weed",
    "code server": "api grpc",
    "daemon": "dagster._daemon",
    "web server": "serving.web",
}
# The signal that ends a store in good order; the supervisor starts it again.
RESTART_SIGNALS = {"PostgreSQL": signal.SIGINT, "S3 server": signal.SIGTERM}
BROKEN_SHARE = 0.15
# On average; each wait is between half and one and a half times as long.
SECONDS_BETWEEN = {"batch": 30, "plate": 180, "launch": 90, "kill": 60, "sample": 20}
JOBS_AT_ONCE = 2
LAUNCHED: tuple[tuple[str, dict[str, dict[str, Any]]], ...] = (
    ("ingest_text", {"documents": {"source": "reviews"}}),
    ("refresh_assays", {}),
    ("make_reviews", {"tune_item_map": {"trials": 2, "workers": 1}}),
    ("maintain_warehouse", {}),
    ("make_pages", {}),
)
# What an action raises while a store or a server is away.
AWAY = (
    OSError, AssertionError, TaproomError, http.client.HTTPException, psycopg2.OperationalError,
    sqlalchemy.exc.SQLAlchemyError, DagsterPostgresException,
)  # fmt: skip


@dataclass
class Dropped:
    """What the dropped files have, each row with the key of its batch or sample: what the tables must have."""

    batches: set[str] = field(default_factory=set)
    reviews: Counter = field(default_factory=Counter)
    rejected: Counter = field(default_factory=Counter)
    broken_batches: set[str] = field(default_factory=set)
    samples: set[str] = field(default_factory=set)
    events: Counter = field(default_factory=Counter)
    damaged_samples: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Sample:
    """What was measured at a moment: processes and memory (MB) of the services, client connections to PostgreSQL."""

    minute: float
    pids: dict[str, int]
    megabytes: dict[str, float]
    connections: int


class Load:
    """The load on a stack. An action that fails because a server is away is done again a second later.

    Args:
        stack: the running stack.
        seed: of the files, the jobs, the kills and the times of all.
    """

    def __init__(self, stack: Stack, seed: int) -> None:
        """Begin with nothing."""
        self.dropped = Dropped()
        self.launched: list[str] = []
        self.kills: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.done_again = 0
        self._stack, self._seed = stack, seed
        self._random = np.random.default_rng(seed)
        self._batches = self._plates = 0
        self._start = time.monotonic()

    def run(self, seconds: float) -> None:
        """Drop, launch, kill and measure for so long. Services are killed in the first half only."""
        self._start = time.monotonic()
        actions: dict[str, Callable[[], None]] = {
            "batch": self.drop_batch,
            "plate": self.drop_plate,
            "launch": self._launch,
            "kill": lambda: self._kill(services=time.monotonic() - self._start < seconds / 2),
            "sample": self.sample,
        }
        due = dict.fromkeys(actions, self._start)
        while (now := time.monotonic()) - self._start < seconds:
            for name in [name for name in actions if due[name] <= now]:
                wait = SECONDS_BETWEEN[name] * self._random.uniform(0.5, 1.5)
                due[name] = now + (wait if self._is_done(actions[name]) else 1)
            time.sleep(0.5)

    def drop_batch(self) -> None:
        """Drop a file of reviews. Some are broken, and some have a row without text, which has to be rejected."""
        number, random = self._batches, np.random.default_rng([self._seed, 0, self._batches])
        if number and random.random() < BROKEN_SHARE:
            self.dropped.broken_batches.add(self._stack.drop(*broken_batch(number, random)))
        else:
            rows, rejected = review_rows(number, random), int(number % 4 == 0)
            lines = [
                "review_id,item_id,category,overall,text",
                *map(",".join, rows),
                *rejected * ["none,item,style,3,"],
            ]
            key = self._stack.drop(f"batch{number:04d}.csv", "\n".join(lines))
            self.dropped.batches.add(key)
            self.dropped.reviews.update((key, *row) for row in rows)
            self.dropped.rejected[(key,)] += rejected
        self._batches += 1

    def drop_plate(self) -> None:
        """Drop a plate of three FCS files, then its plate map. Of some plates the last file is cut off."""
        number, random = self._plates, np.random.default_rng([self._seed, 1, self._plates])
        plate, is_damaged = f"P{number:03d}", number > 0 and random.random() < 2 * BROKEN_SHARE
        lines, dropped = ["file,plate,well,label"], Dropped()
        for place, label in enumerate(("green", "red", "")):
            well, values = f"A{place + 1}", random.normal(0, 30, (100, 2)).astype(np.float32)
            values[::2, place % 2] += 3_000
            content = fcs_bytes(values)[: -300 if is_damaged and not label else None]
            self._stack.drop(f"{plate}/{well}.fcs", content, "assays")
            lines.append(f"{well}.fcs,{plate},{well},{label}")
            key = file_key(f"{plate}-{well}", hashlib.sha256(content).hexdigest())
            if is_damaged and not label:
                dropped.damaged_samples.add(key)
            else:
                dropped.samples.add(key)
                dropped.events.update((key, event, tuple(row)) for event, row in enumerate(values.tolist()))
        self._stack.drop(f"{plate}/plate_map.csv", "\n".join(lines), "assays")
        self._plates += 1
        self.dropped.damaged_samples |= dropped.damaged_samples
        self.dropped.samples |= dropped.samples
        self.dropped.events += dropped.events

    def sample(self) -> None:
        """Measure the services. One that is being started again may be missing."""
        services = service_processes(self._stack)
        connection = psycopg2.connect("", connect_timeout=5)
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from pg_stat_activity where backend_type = 'client backend'")
            (connections,) = cursor.fetchone()
        connection.close()
        pids = {name: process.pid for name, process in services.items()}
        megabytes = {name: memory_megabytes(process) for name, process in services.items()}
        self.samples.append(Sample((time.monotonic() - self._start) / 60, pids, megabytes, connections))

    def _launch(self) -> None:
        for place in self._random.choice(len(LAUNCHED), JOBS_AT_ONCE, replace=False):
            job, ops = LAUNCHED[place]
            self.launched.append(self._stack.launch(job, **ops))

    def _kill(self, services: bool) -> None:
        """Kill the process of a run or, half of the times, a service. A store is killed or restarted."""
        if not services or self._random.random() < 0.5:
            self._kill_run()
            return
        name = str(self._random.choice(list(SERVICES)))
        is_restart = name in RESTART_SIGNALS and self._random.random() < 0.5
        process = service_processes(self._stack).get(name)
        if process is None:
            raise AssertionError(f"the {name} is being started again")
        process.send_signal(RESTART_SIGNALS[name] if is_restart else signal.SIGKILL)
        self._note(f"{name} {'restarted' if is_restart else 'killed'}")

    def _kill_run(self) -> None:
        runs = self._stack.runs(statuses=[dg.DagsterRunStatus.STARTED])
        if not runs:
            raise AssertionError("no run goes on")
        run = runs[self._random.integers(len(runs))]
        pid = self._stack.worker(run.run_id)
        for process in served_processes(self._stack.home):  # no other process that has got its id
            if process.pid == pid:
                process.kill()
                self._note("process of a run killed", f" ({run.job_name} {run.run_id[:8]})")

    def _is_done(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except AWAY:
            self.done_again += 1
            return False
        return True

    def _note(self, kill: str, detail: str = "") -> None:
        self.kills[kill] += 1
        print(f"{time.strftime('%X')} minute {(time.monotonic() - self._start) / 60:.1f}: {kill}{detail}", flush=True)


def review_rows(number: int, random: np.random.Generator) -> list[tuple[str, ...]]:
    """The rows of a batch: four reviews each of ten items, with words of their kind and one word of their own."""
    return [
        (
            f"{number}-{item}-{review}",
            f"item {item}",
            f"style {item % 5}",
            str(1 + review),
            " ".join([f"word{60 * (item % 5) + word}" for word in random.integers(60, size=8)])
            + f" glass{random.integers(40)} n{number}x{item}x{review}",
        )
        for item in random.choice(200, 10, replace=False)
        for review in range(4)
    ]


def broken_batch(number: int, random: np.random.Generator) -> tuple[str, str | bytes]:
    """Name and content of a file that has to be refused: without texts, no table, or a decompression bomb."""
    match random.integers(3):
        case 0:
            return f"broken{number:04d}.csv", f"review_id,item_id,score\n{number},ale,3\n"
        case 1:
            return f"broken{number:04d}.parquet", random.bytes(2_000)
        case _:
            content = f"review_id,item_id,text\n{number}".encode() + bytes(2**25)
            return f"broken{number:04d}.csv.gz", gzip.compress(content)


def service_processes(stack: Stack) -> dict[str, psutil.Process]:
    """The supervisor and the services that are up, by name."""
    supervisor = psutil.Process(int((stack.home / "logs" / "supervisor.pid").read_text()))
    found = {"supervisor": supervisor}
    for process in supervisor.children():
        with suppress(psutil.Error):  # it has just ended
            line = " ".join(process.cmdline())
            found |= {name: process for name, part in SERVICES.items() if part in line}
    return found


def memory_megabytes(process: psutil.Process) -> float:
    """The memory of a service, of shared pages its part; PostgreSQL's with that of its children."""
    family = [process, *process.children(recursive=True)] if process.name() == "postgres" else [process]
    total = 0
    for each in family:
        with suppress(psutil.Error):  # a client has gone
            total += each.memory_full_info().pss
    return total / 1e6
