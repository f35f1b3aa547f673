"""Progress bars, which are redrawn on a terminal and written as occasional lines to a log."""

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

_SILENT = ContextVar("silent", default=False)
_WHERE = ContextVar("where", default="")
# What bars are given to instead of being drawn; of all threads.
_report: Callable[[str], object] | None = None


class _ReportedBar(tqdm):
    """A bar that is not drawn: `_report` is given what it is about and how far it is."""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        if _report is not None:
            how_far = f"{self.n / self.total:.0%}" if self.total else f"{self.format_sizeof(self.n)} {self.unit}"
            _report(f"{self.desc}: {how_far}")
        return True


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
    bar = {"desc": doing + _WHERE.get(), "total": total, "unit": unit, "unit_scale": True, "disable": _SILENT.get()}
    if _report is not None:
        return _ReportedBar(steps, mininterval=1.0, file=io.StringIO(), **bar)  # nothing is written to the file
    interval = 0.1 if sys.stderr.isatty() else 5.0
    return tqdm(steps, delay=2.0, mininterval=interval, maxinterval=60.0, **bar)


@contextmanager
def progress_reported(report: Callable[[str], object]) -> Iterator[None]:
    """Give a line about each of the block's progress bars to `report`, once a second, instead of drawing them.

    >>> with progress_reported(print):
    ...     for _ in progress("ab", doing="counting words"):
    ...         pass
    counting words: 0%
    counting words: 100%
    """
    global _report
    before, _report = _report, report
    try:
        yield
    finally:
        _report = before


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
