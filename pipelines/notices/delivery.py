"""Delivery at least once: what has been reported to each target, and what happens while a target is down.

What has been reported (`Progress.reported`) is kept for each target and each kind of notice, and changes only after the
target has taken the notice. So nothing has to be stored for a target that is down: what it has missed is found again,
as one notice. After `GIVEN_UP_AFTER_SECONDS` without success it counts as reported, and the log says that it was not
delivered.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any, TypeVar

from pipelines.notices.notice import Notice
from pipelines.notices.target import NotDeliveredError, Target

log = logging.getLogger("taproom.pipelines")

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.5
# For all notices to a target at one evaluation of a sensor, which Dagster ends after 60 s.
DELIVERY_SECONDS = 25.0
LONGEST_WAIT_SECONDS = 3600.0  # however long a target asks for
GIVEN_UP_AFTER_SECONDS = 24 * 3600.0

Records = TypeVar("Records")

# The thread that sends to a target, by the target's id and the kinds. A connection that gets a byte now and then never
# exceeds its time limit; its thread is left alone, and the target gets no other one until it has ended.
_threads: dict[tuple[str, ...], Thread] = {}


@dataclass(frozen=True)
class Progress:
    """How far a target is with a kind of notice.

    Attributes:
        reported: what has been reported, in the form that the kind gives it; None before the first evaluation.
        failing_since: when the first attempt at the present notice failed; None if none has. Seconds since 1970.
        not_before: when the target wants the next attempt. Seconds since 1970.
    """

    reported: Any = None
    failing_since: float | None = None
    not_before: float = 0.0


@dataclass(frozen=True)
class Finding:
    """What is to be reported to a target, if anything, and the `reported` of its progress after that."""

    notice: Notice | None
    reported: Any


# Finds what is new in the records since `Progress.reported`.
Kind = Callable[[Records, Any], Finding]


def report(
    targets: Sequence[Target],
    kinds: Mapping[str, Kind[Records]],
    records: Records,
    progress: Mapping[str, Mapping[str, Progress]],
) -> dict[str, dict[str, Progress]]:
    """Report what each kind finds in the records, to all targets at the same time, in at most `DELIVERY_SECONDS`.

    Args:
        targets: where to.
        kinds: the kinds of notices by name.
        records: what the kinds look at.
        progress: the progress so far, by the target's id and the kind. Targets that are not in it have none.

    Returns the progress after it, in the same form.
    """
    now = time.time()
    before = {target: {kind: progress.get(target.id, {}).get(kind, Progress()) for kind in kinds} for target in targets}
    tasks = {
        target: {
            kind: _Task(kind, target, known, kinds[kind](records, known.reported), now)
            for kind, known in of_target.items()
        }
        for target, of_target in before.items()
    }
    until = time.monotonic() + DELIVERY_SECONDS
    threads = [_sending(target, list(of_target.values()), until) for target, of_target in tasks.items()]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {
        target.id: {kind: task.progress() for kind, task in of_target.items()} for target, of_target in tasks.items()
    }


class _Task:
    """A kind of notice for a target, at one evaluation."""

    def __init__(self, kind: str, target: Target, before: Progress, finding: Finding, now: float) -> None:
        self.kind = kind
        self._target, self._before, self._finding, self._now = target, before, finding, now
        self._error: NotDeliveredError | None = NotDeliveredError(
            f"{target.name} has not taken all notices in {DELIVERY_SECONDS:.0f} s", is_temporary=True
        )

    @property
    def is_due(self) -> bool:
        """Whether there is something to report, and the target has not asked to wait."""
        return self._finding.notice is not None and self._before.not_before <= self._now

    def send(self, until: float) -> None:
        """Send the notice, with pauses between attempts, until `until` (of `time.monotonic`)."""
        assert self._finding.notice is not None  # it is due
        try:
            _send(self._target, self._finding.notice, until)
            self._error = None
        except NotDeliveredError as error:
            self._error = error
        except Exception as error:  # of any kind, or the thread would end without the reason; its text may hold secrets
            self._error = NotDeliveredError(f"{self._target.name}: {type(error).__name__}", is_temporary=False)

    def progress(self) -> Progress:
        """The progress after the evaluation."""
        notice, error = self._finding.notice, self._error
        if notice is None or error is None:
            return Progress(self._finding.reported)
        if not self.is_due:
            return self._before
        since = self._before.failing_since or self._now
        if self._now - since >= GIVEN_UP_AFTER_SECONDS:
            log.error("%s; given up: %s", error, notice.subject)
            return Progress(self._finding.reported)
        log.warning("%s; to be sent again: %s", error, notice.subject)
        wait = min(error.wait_seconds or 0.0, LONGEST_WAIT_SECONDS)
        return replace(self._before, failing_since=since, not_before=self._now + wait)


def _sending(target: Target, tasks: Sequence[_Task], until: float) -> Thread:
    """The thread that sends what is due to a target, or the one that still does so from an earlier evaluation."""
    of_kinds = (target.id, *(task.kind for task in tasks))
    if of_kinds not in _threads or not _threads[of_kinds].is_alive():
        due = [task for task in tasks if task.is_due]
        _threads[of_kinds] = Thread(target=_send_all, args=(due, until), daemon=True)
        _threads[of_kinds].start()
    return _threads[of_kinds]


def _send_all(tasks: Sequence[_Task], until: float) -> None:
    for task in tasks:
        if time.monotonic() < until:
            task.send(until)


def _send(target: Target, notice: Notice, until: float) -> None:
    """Send a notice; attempts that may succeed later are repeated while there is time."""
    for number in range(1, ATTEMPTS + 1):
        try:
            return target.attempt(notice)
        except NotDeliveredError as error:
            pause = error.wait_seconds or FIRST_PAUSE_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1.0)
            if not error.is_temporary or number == ATTEMPTS or time.monotonic() + pause >= until:
                raise
        time.sleep(pause)
    return None
