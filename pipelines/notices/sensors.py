"""The sensors `notify_operators` and `notify_consumers`.

The cursor of each holds the progress of each target. If it is reset, nothing that happened before is reported, but
problems that last are.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from pipelines.notices.consumers import CONSUMER_KINDS
from pipelines.notices.delivery import Kind, Progress, report
from pipelines.notices.heartbeat import beat
from pipelines.notices.operators import OPERATOR_KINDS
from pipelines.notices.records import Records
from pipelines.notices.settings import targets
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

SECONDS_BETWEEN = 60


@dg.sensor(
    minimum_interval_seconds=SECONDS_BETWEEN,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Notifies operators of failed runs, refused batches, failed checks, overdue tables, new champions and "
    "little disk space, by webhook, e-mail and log; docs/notices.md says how to set them up.",
)
def notify_operators(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Report what is wrong to operators, and request the address of the watcher."""
    cursor = _report("OPERATORS", OPERATOR_KINDS, context)
    cursor["heartbeat"] = beat(last=cursor.get("heartbeat", 0.0))
    return _result(cursor)


@dg.sensor(
    minimum_interval_seconds=SECONDS_BETWEEN,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Notifies consumers of new versions of tables, by webhook, e-mail and log; docs/notices.md says how to "
    "set them up. The feeds beside the pages have the same versions.",
)
def notify_consumers(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Report new versions to consumers."""
    return _result(_report("CONSUMERS", CONSUMER_KINDS, context))


def _report(audience: str, kinds: Mapping[str, Kind[Records]], context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """Report what is new since the cursor to the targets of an audience, and give the cursor after it."""
    from pipelines.definitions import defs  # which has the sensors

    cursor = json.loads(context.cursor or "{}")
    before = {
        target: {kind: Progress(**known) for kind, known in of_target.items()}
        for target, of_target in cursor.get("targets", {}).items()
    }
    records = Records(context.instance, Warehouse(default_root()), defs)
    after = report(targets(audience), kinds, records, before)
    progress = {
        target: {kind: asdict(known) for kind, known in of_target.items()} for target, of_target in after.items()
    }
    return {**cursor, "targets": progress}


def _result(cursor: dict[str, Any]) -> dg.SensorResult:
    """The result of an evaluation, which shows what was not delivered."""
    failing = [
        f"{kind} to {target}"
        for target, of_target in cursor["targets"].items()
        for kind, progress in of_target.items()
        if progress["failing_since"] is not None
    ]
    summary = f"to be sent again: {', '.join(failing)}" if failing else "nothing is left to be sent"
    return dg.SensorResult(cursor=json.dumps(cursor), skip_reason=dg.SkipReason(summary))
