"""Claim: under an hour of load, with kills at random, `make stack` loses and doubles nothing, and no service grows.

    python benchmarks/check_stack.py [--minutes 60] [--seed 0]

The stack runs as shipped, in a folder of its own and on free ports. Batches of reviews and plates of FCS files are
dropped into its inbox, some broken on purpose; jobs are launched through GraphQL, several at once; the sensors do the
rest. Processes of runs are killed, and in the first half the services; the stores are killed or restarted. In the
second half the services live, so that a growth of their memory would be seen.

Then the sensors are given the time to finish. After that, without any help, every row of every file has to be in its
table once, all tables have to verify, and all runs have to be over. The exit status is 1 if anything is lost. There is
no peer, and it is no part of `make bench`, because it takes so long.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import numpy as np
from stack_load import AWAY, SERVICES, Dropped, Load, Sample, service_processes

from pipelines.dagster_internals import database_bytes
from pipelines.failures import failure_of
from pipelines.run_watch import UNFINISHED
from pipelines.serving.__main__ import served_processes
from pipelines.serving.stack import STACK_VARIABLE
from taproom.pages.tables import Failure
from tests.deploy.test_stack import Stack
from tests.pipelines.installation import ROOT
from tests.servers import stack_in_a_folder

SENSORS = ("review_inbox", "assay_inbox", "follow_changes", "reconcile_records")
# Of failed steps, by what their messages have in common.
CAUSES = {
    "a store was away": r"Check that the server|OperationalError|DagsterPostgresException",
    "broken file": r"broken\d{4}",
    "another run wrote the table": "another run wrote|overtaken by other runs",
}
FIRST_BATCHES = 5
SECONDS_TO_FINISH, SECONDS_OF_QUIET = 1_800, 100


def main() -> int:
    """Put the load on a stack, let it finish, print what became of everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long the load lasts; to finish takes longer")
    parser.add_argument("--seed", type=int, default=0, help="of the files, the jobs, the kills and the times of all")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Interrupted."))  # so that the stack is ended, too
    with running_stack() as stack:
        load = Load(stack, options.seed)
        begin(stack, load)
        before = sizes(stack)
        load.run(60 * options.minutes)
        finish(stack)
        load.sample()
        lost = losses(stack, load)
        figures = {
            **file_figures(load.dropped),
            **run_figures(stack, load.launched),
            "versions of tables": sum(head + 1 for head in stack.warehouse.heads().values()),
            "kills": counted(load.kills),
            "actions done again": load.done_again,
            "records / object store before": before,
            "records / object store after": sizes(stack),
        }
    lost["processes left after the stop"] = len(served_processes(stack.home))
    for name, value in {**figures, **lost}.items():
        print(f"{name:<45} {value}")
    print("\n".join(memory_table(load.samples)))
    return int(any(lost.values()))


@contextmanager
def running_stack() -> Iterator[Stack]:
    """A stack in a folder of its own; all its processes end with it."""
    with stack_in_a_folder() as environment:
        os.environ |= environment | {"TAPROOM_CACHE": f"{environment[STACK_VARIABLE]}/cache"}
        stack = Stack(environment)
        stack.arguments = ("--stack",)
        try:
            stack.start()
            yield stack
        finally:
            command(stack, "pipelines.serving", "--stack", "--stop")
            stack.stop()


def command(stack: Stack, *line: str) -> subprocess.CompletedProcess:
    """What a command of an operator says."""
    line = (sys.executable, "-m", *line)
    return subprocess.run(line, cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=False)


def begin(stack: Stack, load: Load) -> None:
    """Switch the sensors on, and have some batches and a plate read."""
    for sensor in SENSORS:
        stack.switch_on(sensor)
    for _ in range(FIRST_BATCHES):
        load.drop_batch()
    load.drop_plate()
    until(lambda: {"items", "wells"} <= stack.warehouse.heads().keys(), 600, "the first files are read")


def finish(stack: Stack) -> None:
    """Wait until the sensors ask for nothing more, read the reviews as documents a last time, and wait again."""
    wait_for_quiet(stack)
    stack.run("ingest_text", documents={"source": "reviews"})
    wait_for_quiet(stack)
    for sensor in SENSORS:
        stack.stop_sensor(sensor)
    wait_for_quiet(stack)


def wait_for_quiet(stack: Stack) -> None:
    """Wait until no run has been going on for a while."""
    last_run = time.monotonic()

    def is_quiet() -> bool:
        nonlocal last_run
        if stack.runs(statuses=list(UNFINISHED)):
            last_run = time.monotonic()
        return time.monotonic() - last_run > SECONDS_OF_QUIET

    until(is_quiet, SECONDS_TO_FINISH, "all runs are over")


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds; say so if it does not after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(*AWAY):
            if holds():
                return
        time.sleep(1)
    print(f"after {seconds} s it does not hold that {what}", flush=True)


def losses(stack: Stack, load: Load) -> dict[str, int]:
    """What is lost, doubled or left: numbers that have to be 0."""
    dropped, runs = load.dropped, stack.runs()
    reviews = rows_of(stack, "reviews", "batch", "review_id", "item_id", "text")
    wanted = Counter((key, review, item, text) for key, review, item, *_, text in dropped.reviews.elements())
    events = rows_of(stack, "events", "sample", "event", "values")
    samples = rows_of(stack, "samples", "sample", "damage")
    documents = Counter(text for (text,) in rows_of(stack, "documents", "text").elements())
    texts = Counter(text for *_, text in wanted.elements())
    items = {(item,) for _, _, item, _ in wanted}
    return {
        "batches not read": len(dropped.batches - {batch for batch, *_ in reviews}),
        "rows of reviews lost": (wanted - reviews).total(),
        "rows of reviews that are there twice": (reviews - wanted).total(),
        "rejected rows not listed, or twice": differing(dropped.rejected, rows_of(stack, "rejected_reviews", "batch")),
        "broken batches not refused by name": len(dropped.broken_batches - refused(stack)),
        "wells not read": len(dropped.samples - {sample for sample, damage in samples if damage is None}),
        "rows of events lost": (dropped.events - events).total(),
        "rows of events that are there twice": (events - dropped.events).total(),
        "damaged wells not named": len(dropped.damaged_samples - {sample for sample, damage in samples if damage}),
        "items not on the map": len(items ^ rows_of(stack, "item_map", "item_id").keys()),
        "documents lost, or there twice": differing(texts, documents),
        "launched runs without a record": len(set(load.launched) - {run.run_id for run in runs}),
        "runs that are not over": sum(run.status in UNFINISHED for run in runs),
        "processes of runs left": processes_of_runs(stack),
        "problems that `taproom verify` finds": problems(command(stack, "taproom", "verify")),
        "problems that `make doctor` finds": problems(command(stack, "pipelines.doctor")),
    }


def rows_of(stack: Stack, table: str, *columns: str) -> Counter:
    """The rows of a table as tuples, each with how often it is there."""
    data = stack.warehouse.read(table, columns=list(columns)).to_pydict()
    lists_as_tuples = ([tuple(cell) if isinstance(cell, list) else cell for cell in data[name]] for name in columns)
    return Counter(zip(*lists_as_tuples, strict=True))


def differing(wanted: Counter, found: Counter) -> int:
    """How many rows are in only one of both."""
    return (wanted - found).total() + (found - wanted).total()


def refused(stack: Stack) -> set[str]:
    """The batches of which a run says that the file cannot be read."""
    failed = stack.runs(job_name="ingest_reviews", statuses=[dg.DagsterRunStatus.FAILURE])
    return {run.tags["dagster/partition"] for run in failed if "SourceError" in stack.reason(run.run_id)}


def processes_of_runs(stack: Stack) -> int:
    """The processes that are neither services nor children of PostgreSQL."""
    services = service_processes(stack)
    known = {*services.values(), *services["PostgreSQL"].children(recursive=True)}
    left = set(served_processes(stack.home)) - known
    for process in left:
        print("a process is left:", process, process.cmdline(), flush=True)
    return len(left)


def problems(done: subprocess.CompletedProcess) -> int:
    """1 if a command has found problems, which are printed."""
    if done.returncode:
        print(done.stdout, done.stderr, flush=True)
    return int(done.returncode != 0)


def file_figures(dropped: Dropped) -> dict[str, str]:
    """How many files and rows were dropped."""
    return {
        "batches dropped: good / broken": f"{len(dropped.batches)} / {len(dropped.broken_batches)}",
        "wells dropped: good / damaged": f"{len(dropped.samples)} / {len(dropped.damaged_samples)}",
        "rows: reviews / rejected / events": f"{dropped.reviews.total():,} / {dropped.rejected.total():,} / "
        f"{dropped.events.total():,}",
    }


def run_figures(stack: Stack, launched: Sequence[str]) -> dict[str, str]:
    """How many runs there were, and what became of them."""
    with stack.instance as instance:
        runs = list(instance.get_runs())
        failed = [run for run in runs if run.status is dg.DagsterRunStatus.FAILURE]
        causes = Counter(cause(failure_of(instance, run.run_id)) for run in failed)
    last_try = {run.root_run_id or run.run_id: run.status.value for run in reversed(runs)}  # the newest comes last
    return {
        "runs": counted(Counter(run.status.value for run in runs)),
        "by job": counted(Counter(run.job_name for run in runs)),
        "failed runs": counted(causes),
        "runs that are a retry": counted(Counter(run.status.value for run in runs if run.parent_run_id)),
        "runs launched through GraphQL, last try": counted(Counter(last_try.get(run_id) for run_id in launched)),
    }


def cause(failure: Failure) -> str:
    """What the reasons of failed runs have in common."""
    if failure.step is None:
        return "process killed"
    kinds = (name for name, pattern in CAUSES.items() if re.search(pattern, failure.reason))
    return next(kinds, " ".join(re.sub(r"[0-9a-f]{8,}|\d+", "#", failure.reason).split())[:150])


def counted(counts: Counter) -> str:
    """Numbers in a line, the largest first."""
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def sizes(stack: Stack) -> str:
    """The size of both stores."""
    with stack.instance as instance:
        records = database_bytes(instance)
    files = Path(stack.environment[STACK_VARIABLE], "object_store").rglob("*")
    return f"{records / 1e6:.0f} / {sum(file.stat().st_size for file in files if file.is_file()) / 1e6:.0f} MB"


def memory_table(samples: Sequence[Sample]) -> list[str]:
    """The memory of each service at the start, each ten minutes and at the end, and its growth."""
    end = samples[-1].minute
    shown = [min(samples, key=lambda sample: abs(sample.minute - minute)) for minute in [*range(0, int(end), 10), end]]
    lines = [f"{'MB at minute':<15}{''.join(f'{sample.minute:8.0f}' for sample in shown)}  MB per hour  starts"]
    for name in ("supervisor", *SERVICES):
        cells = "".join(f"{sample.megabytes.get(name, np.nan):8.0f}" for sample in shown)
        starts = len({sample.pids[name] for sample in samples if name in sample.pids})
        lines.append(f"{name:<15}{cells}  {growth(samples, name):11.1f}  {starts:6}")
    return [*lines, f"{'connections':<15}{''.join(f'{sample.connections:8}' for sample in shown)}"]


def growth(samples: Sequence[Sample], name: str) -> float:
    """MB per hour: the slope of a line through the later half of the time since the service was last started."""
    pid = samples[-1].pids[name]
    minutes, megabytes = np.array([(s.minute, s.megabytes[name]) for s in samples if s.pids.get(name) == pid]).T
    late = minutes >= minutes.mean()
    return 60 * float(np.polyfit(minutes[late], megabytes[late], 1)[0]) if late.sum() > 2 else np.nan


if __name__ == "__main__":
    sys.exit(main())
