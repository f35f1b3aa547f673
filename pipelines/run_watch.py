"""Whether the run of a step still goes on.

A run may be over while its process is not: it was ended by the monitor, or cancelled from outside. Its steps must not
commit any more, since a retry may be under way; and the process must end, since it holds memory and cores.
"""

import _thread  # noqa: PLC2701 - public, and documented, in spite of its name
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import dagster as dg

from taproom.errors import RunEndedError

UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)

log = logging.getLogger("taproom.pipelines")

SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_TO_END = 30.0


def check_run_goes_on(instance: dg.DagsterInstance, run_id: str) -> None:
    """Raise `RunEndedError` where a run is on record as ended, or as being cancelled."""
    run = instance.get_run_by_id(run_id)
    if run is not None and (run.is_finished or run.status is dg.DagsterRunStatus.CANCELING):
        raise RunEndedError(
            f"The run {run_id} is over ({run.status.value}), but this step of it still went on. Nothing was written. "
            "The run was ended by a person or by Dagster's monitor; a retry of it writes the table."
        )


@contextmanager
def watched(instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> Iterator[None]:
    """Interrupt the main thread once the run is over; end the process if that does not help.

    A run whose instance is in memory is watched by nobody else, so nothing can end it.
    """
    if run is None or instance.is_ephemeral:
        yield
        return
    steps_have_ended = Event()
    Thread(target=_watch, args=(instance, run.run_id, steps_have_ended), daemon=True).start()
    try:
        yield
    finally:
        steps_have_ended.set()


def _watch(instance: dg.DagsterInstance, run_id: str, steps_have_ended: Event) -> None:
    while not steps_have_ended.wait(SECONDS_BETWEEN_LOOKS):
        try:
            check_run_goes_on(instance, run_id)
        except RunEndedError as error:
            log.warning("%s", error)
            _thread.interrupt_main()
            if not steps_have_ended.wait(SECONDS_TO_END):
                os._exit(1)  # compiled code may not listen to the interrupt
            return
