"""One way to show progress: a bar on a terminal, a line now and then in a log."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

_SILENT = ContextVar("silent", default=False)


def progress(steps: Iterable | None = None, *, doing: str, total: int | None = None, unit: str = "it") -> tqdm:
    """Wrap `steps` (or give a bar to `update` by hand) that appears only once the work has taken two seconds.

    A terminal is redrawn as tqdm does by default; anything else (a log, CI) gets a line every five seconds at most.
    """
    interval = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(
        steps, desc=doing, total=total, unit=unit, unit_scale=True, delay=2.0, mininterval=interval, maxinterval=60.0,
        disable=_SILENT.get(),
    )  # fmt: skip


@contextmanager
def silent() -> Iterator[None]:
    """Show nothing: for work that is a step of other work whose progress is shown."""
    before = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(before)
