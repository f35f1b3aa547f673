"""Whether the run of a step has ended.

A run may have ended while its process has not: Dagster's monitor has ended it, or a person has cancelled it. Its steps
must not commit any more, since a retry may be running; and the process must end, since it holds memory and cores.
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
    """Check that a run is not recorded as ended or as being cancelled.

    Raises:
        RunEndedError: it is.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and (run.is_finished or run.status is dg.DagsterRunStatus.CANCELING):
        raise RunEndedError(
            f"The run {run_id} has ended ({run.status.value}), but this step was still running. Nothing was written. "
            "The run was ended by a person or by Dagster's monitor; a retry of it writes the table."
        )


@contextmanager
def watched(instance: dg.DagsterInstance | None, run: dg.DagsterRun | None) -> Iterator[None]:
    """Interrupt the main thread once the run has ended; exit the process if that does not help.

    A run whose instance is in memory is not watched: no other process can end it.
    """
    if run is None or instance is None or instance.is_ephemeral:
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
                os._exit(1)  # compiled code may ignore the interrupt
            return
