"""Why runs have failed, from Dagster's event log."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEventType

from taproom.pages.tables import Failure

# Runs that failed longer ago than this many others are not looked at.
NEWEST_RUNS = 100

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


def failed_steps(result: dg.ExecuteInProcessResult) -> str:
    """Why each failed step failed, one a line."""
    reasons = [f"{event.step_key}: {_message(event)}" for event in result.get_step_failure_events()]
    return "\n".join(reasons) or "the run failed; the UI (make ui) has its log"


def _failures_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[dg.AssetKey, Failure]]:
    """The assets that a failed run should have made and did not, each with the reason."""
    planned: dict[dg.AssetKey, str | None] = {}  # asset -> step
    made: set[dg.AssetKey] = set()
    by_step: dict[str | None, str] = {}
    of_run, time = "the run failed", datetime.fromtimestamp(0, UTC)
    for entry in instance.all_logs(run_id, of_type=_READ):
        event = entry.get_dagster_event()
        match event.event_type:
            case DagsterEventType.ASSET_MATERIALIZATION_PLANNED if event.asset_key:
                planned[event.asset_key] = event.step_key
            case DagsterEventType.ASSET_MATERIALIZATION if event.asset_key:
                made.add(event.asset_key)
            case DagsterEventType.STEP_FAILURE:
                by_step[event.step_key] = _message(event)
            case DagsterEventType.RUN_FAILURE:
                of_run, time = event.message or of_run, datetime.fromtimestamp(entry.timestamp, UTC)
    first = next(iter(by_step), None)  # what follows a step that failed is not made
    for key in planned.keys() - made:
        step = planned[key] if planned[key] in by_step else first
        yield key, Failure(run_id, time, step, by_step.get(step, of_run))


def _message(event: dg.DagsterEvent) -> str:
    """The message of our own error, if there is one among the causes of a failed step; else of the one raised first."""
    error, messages = event.step_failure_data.error, ["the step failed"]
    # joblib stores a worker's traceback, as text, as the cause of the error.
    while error is not None and error.cls_name != "_RemoteTraceback":
        messages.append(error.message.strip())
        error = error.cause
    own = next((message for message in messages if message.startswith(_OWN)), None)
    return own.partition(": ")[2] if own else messages[-1]
