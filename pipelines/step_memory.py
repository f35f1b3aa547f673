"""Steps of runs side by side share the machine's memory: two that do not fit into it do not run at the same time.

Dagster's pools count steps, and a step takes one place of one pool, however much memory it needs. So a step waits here
before it reads its inputs, until the memory that it took last time (its metadata `peak_memory_bytes`) fits beside what
the steps that are running took. A step that was never made waits for nothing, and one that would not fit on the
machine alone waits until no other is running.

Each running step has a file with its number of bytes, which its process has locked; the lock of a process that is
killed is gone with it. Steps wait in turn, so that small ones do not keep a large one from its memory. A step that
waits has a place in its pool and no memory, so no two steps wait for each other.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import dagster as dg

from pipelines.records import newest_materializations, recorded_value
from taproom.errors import InputError

log = logging.getLogger("taproom.pipelines")

MEMORY_VARIABLE = "TAPROOM_MEMORY_BYTES"
# The rest is for the web server, the daemon and all else on the machine.
SHARE_OF_MACHINE = 0.8
SECONDS_BETWEEN_LOOKS = 0.5
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")

# What the running step of this process has; a process runs one step at a time.
_taken: IO[str] | None = None


def wait_for_memory(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> None:
    """Wait until the memory that making these assets took last time is free, and take it until `give_back_memory`.

    An instance in memory has no runs side by side, so its steps do not wait.

    Raises:
        InputError: `$TAPROOM_MEMORY_BYTES` is no number of bytes.
    """
    give_back_memory()
    if instance.is_ephemeral:
        return
    records = newest_materializations(instance, keys).values()
    peak = max((recorded_value(record, "peak_memory_bytes") or 0 for record in records), default=0)
    if peak:
        _take(peak, memory_for_steps())


def give_back_memory() -> None:
    """Let other steps have what the step of this process took, if it took any."""
    global _taken
    if _taken is not None:
        Path(_taken.name).unlink(missing_ok=True)
        _taken.close()
        _taken = None


@dg.success_hook
def give_back_after_success(_: dg.HookContext) -> None:
    """Let other steps have the step's memory."""
    give_back_memory()


@dg.failure_hook
def give_back_after_failure(_: dg.HookContext) -> None:
    """Let other steps have the step's memory."""
    give_back_memory()


def memory_for_steps() -> int:
    """The bytes that the running steps may take together: `$TAPROOM_MEMORY_BYTES`, else four fifths of the machine's.

    In a container, of the container's limit.

    Raises:
        InputError: the variable is no number of bytes.
    """
    if given := os.environ.get(MEMORY_VARIABLE):
        if not given.isdecimal():
            raise InputError(f"{MEMORY_VARIABLE} is {given!r}. Wanted: a number of bytes, such as 8000000000.")
        return int(given)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _CONTAINER_LIMIT.read_text().strip() if _CONTAINER_LIMIT.is_file() else "max"
    return int(SHARE_OF_MACHINE * min(machine, int(limit) if limit.isdecimal() else machine))


def _take(wanted: int, limit: int) -> None:
    global _taken
    folder = Path(tempfile.gettempdir(), f"taproom-memory-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with _turn(folder):
        is_told = False
        while (others := _bytes_taken(folder)) and others + wanted > limit:
            if not is_told:
                log.info(
                    "waiting for memory: the step took %.1f GB last time, and others have %.1f of %.1f GB",
                    wanted / 1e9, others / 1e9, limit / 1e9,
                )  # fmt: skip
                is_told = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
        _taken = tempfile.NamedTemporaryFile("w", dir=folder, suffix=".bytes", delete=False)  # noqa: SIM115
        fcntl.flock(_taken, fcntl.LOCK_EX)
        _taken.write(str(wanted))
        _taken.flush()


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other step looks for memory. A process that waits can be interrupted."""
    with (folder / "turn").open("a") as file:
        while not _is_locked_now(file):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        yield


def _bytes_taken(folder: Path) -> int:
    """What the running steps have; files that a process which was killed has left are removed."""
    taken = 0
    for path in folder.glob("*.bytes"):
        try:
            with path.open() as file:
                if _is_locked_now(file):
                    path.unlink()
                else:
                    taken += int(file.read() or 0)
        except FileNotFoundError:  # given back meanwhile
            continue
    return taken


def _is_locked_now(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
