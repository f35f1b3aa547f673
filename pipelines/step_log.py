"""What a process logs, and where it goes; among it which steps it is about to make, which begins and which has ended.

The latter two are shown to nobody but those who watch several processes (`pipelines.side_by_side`): their level is
DEBUG. The records of steps have the attribute `message_of_step`, a kind of message and what belongs to it.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import dagster as dg

from pipelines.messages import Message

log = logging.getLogger("taproom.steps")


def log_planned(doing: str, tables: Iterable[str], steps: Iterable[str]) -> None:
    """Log what a run is about to make: its tables, and its steps in an order in which they can be made."""
    told = ", ".join(sorted(tables))
    log.info("%s: %s", doing, told, extra={"message_of_step": (Message.PLANNED, doing, told, tuple(steps))})


def log_begun(step: str) -> None:
    """Log that a step begins."""
    log.debug("%s begins", step, extra={"message_of_step": (Message.BEGUN, step)})


@dg.success_hook
def log_ended(context: dg.HookContext) -> None:
    """Log that a step has ended; Dagster has recorded its tables by now."""
    step = context.op.name
    log.debug("%s has ended", step, extra={"message_of_step": (Message.ENDED, step)})


def show_steps() -> None:
    """Log the beginnings and ends of steps from now on."""
    log.setLevel(logging.DEBUG)


@contextmanager
def logged_to(handler: logging.Handler) -> Iterator[None]:
    """Have what Taproom says in the block go to a handler, and what others say about themselves nowhere."""
    for verbose in ("dagster", "alembic", "matplotlib", "gensim", "smart_open"):
        logging.getLogger(verbose).setLevel(logging.CRITICAL)
    taproom = logging.getLogger("taproom")
    taproom.setLevel(logging.INFO)
    taproom.addHandler(handler)
    try:
        yield
    finally:
        taproom.removeHandler(handler)
