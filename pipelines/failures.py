"""Why runs have failed, from Dagster's event log."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEventType

from taproom.pages.tables import Failure

# Runs that failed longer ago than this many others are not looked at.
NEWEST_RUNS = 100

_NEVER = datetime.fromtimestamp(0, UTC)
_OWN = "taproom.errors."  # messages begin with the error's class
_READ = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.RUN_FAILURE,
}


def last_failures(
    instance: dg.DagsterInstance, newest: Mapping[dg.AssetKey, dg.EventLogRecord]
) -> dict[dg.AssetKey, Failure]:
    """The newest failure of each asset that no materialization has followed.

    Args:
        instance: the records.
        newest: the newest materialization of each asset that was ever made.
    """
    failures: dict[dg.AssetKey, Failure] = {}
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    for run in instance.get_runs(failed, limit=NEWEST_RUNS):  # the newest first
        for key, failure in _failures_of(instance, run.run_id):
            made = newest.get(key)
            if made is None or made.timestamp < failure.time.timestamp():
                failures.setdefault(key, failure)
    return failures


def failure_of(instance: dg.DagsterInstance, run_id: str) -> Failure:
    """Why a run failed: its step that failed first, or what ended the run outside of its steps."""
    log = _read_log(instance, run_id)
    return log.failure(log.first_failed)


def failed_steps(result: dg.ExecuteInProcessResult) -> str:
    """Why each failed step failed, one a line."""
    reasons = [f"{event.step_key}: {_message(event)}" for event in result.get_step_failure_events()]
    return "\n".join(reasons) or "the run failed; the UI (make ui) has its log"


@dataclass
class _RunLog:
    """What the log of a failed run says: the step of each planned asset, the assets made, why each failed step failed.

    `of_run` is why the run failed, `time` when.
    """

    run_id: str
    planned: dict[dg.AssetKey, str | None] = field(default_factory=dict)
    made: set[dg.AssetKey] = field(default_factory=set)
    by_step: dict[str | None, str] = field(default_factory=dict)
    of_run: str = "the run failed"
    time: datetime = _NEVER

    @property
    def first_failed(self) -> str | None:
        """The step that failed first; None where the run failed outside of its steps."""
        return next(iter(self.by_step), None)

    def failure(self, step: str | None) -> Failure:
        """The failure of a step, or of the run where that is None."""
        return Failure(self.run_id, self.time, step, self.by_step.get(step, self.of_run))


def _read_log(instance: dg.DagsterInstance, run_id: str) -> _RunLog:
    log = _RunLog(run_id)
    for entry in instance.all_logs(run_id, of_type=_READ):
        event = entry.get_dagster_event()
        match event.event_type:
            case DagsterEventType.ASSET_MATERIALIZATION_PLANNED if event.asset_key:
                log.planned[event.asset_key] = event.step_key
            case DagsterEventType.ASSET_MATERIALIZATION if event.asset_key:
                log.made.add(event.asset_key)
            case DagsterEventType.STEP_FAILURE:
                log.by_step[event.step_key] = _message(event)
            case DagsterEventType.RUN_FAILURE:
                log.of_run, log.time = event.message or log.of_run, datetime.fromtimestamp(entry.timestamp, UTC)
    return log


def _failures_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[dg.AssetKey, Failure]]:
    """The assets that a failed run should have made and did not, each with the reason."""
    log = _read_log(instance, run_id)
    for key in log.planned.keys() - log.made:
        step = log.planned[key]
        # What follows a step that failed is not made.
        yield key, log.failure(step if step in log.by_step else log.first_failed)


def _message(event: dg.DagsterEvent) -> str:
    """The message of our own error, if there is one among the causes of a failed step; else of the one raised first."""
    error, messages = event.step_failure_data.error, ["the step failed"]
    # joblib stores a worker's traceback, as text, as the cause of the error.
    while error is not None and error.cls_name != "_RemoteTraceback":
        messages.append(error.message.strip())
        error = error.cause
    own = next((message for message in messages if message.startswith(_OWN)), None)
    return own.partition(": ")[2] if own else messages[-1]
