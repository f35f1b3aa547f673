"""Waiting for other processes."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

# Much longer than anything takes, so that only what hangs is given up, also on a machine that is slow for a while.
PATIENCE = 900.0


def wait_for(holds: Callable[[], Any], what: str, every: float = 0.5, seconds: float = PATIENCE) -> Any:
    """Wait until `holds` is true, and give what it gave; ask `every` so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := holds():
            return result
        time.sleep(every)
    raise AssertionError(f"after {seconds:.0f} s it still does not hold that {what}")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for its parent to notice."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
