"""Progress bars, which are redrawn on a terminal and written as occasional lines to a log."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

_SILENT = ContextVar("silent", default=False)
_WHERE = ContextVar("where", default="")


def progress(
    steps: Iterable[Any] | None = None, *, doing: str, total: int | None = None, unit: str = "it"
) -> "tqdm[Any]":
    """A tqdm bar that appears after two seconds of work.

    A bar on a terminal is redrawn at tqdm's default interval. Any other output (a log, CI) gets at most one line every
    five seconds.

    Args:
        steps: what to iterate over; None for a bar to call `update` on.
        doing: description of the work, such as "counting words".
        total: number of steps, if `steps` has no length.
        unit: name of a step.
    """
    interval = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(
        steps, desc=doing + _WHERE.get(), total=total, unit=unit, unit_scale=True, delay=2.0, mininterval=interval,
        maxinterval=60.0, disable=_SILENT.get(),
    )  # fmt: skip


@contextmanager
def silent() -> Iterator[None]:
    """Hide the progress bars of the block, for work that is one step of work with a progress bar of its own."""
    before = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(before)


@contextmanager
def progress_on(where: str) -> Iterator[None]:
    """Have the progress bars of the block say where the work is done, such as "2 workers".

    >>> with progress_on("2 workers"):
    ...     progress([], doing="counting words").desc
    'counting words on 2 workers'
    """
    before = _WHERE.set(f" on {where}")
    try:
        yield
    finally:
        _WHERE.reset(before)
