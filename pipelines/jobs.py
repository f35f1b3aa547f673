"""What runs together, and when: each chain's jobs, its schedule, and the sensor that watches its inbox.

Nothing here is on by itself: schedules and sensors start when a person switches them on in the UI.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from pipelines.chains import CHAINS, Chain
from pipelines.freshness import configs_on_record
from taproom.inbox import Look, file_key, file_sha256, inbox_folder, look, read_settings

SETTLE_SECONDS = 10
RUNS_PER_LOOK = 20


def _ingest(chain: Chain) -> Any:
    return dg.define_asset_job(
        f"ingest_{chain.name}",
        selection=dg.AssetSelection.assets(*chain.ingested),
        description=f"Read {'one batch' if chain.batches else 'all input'}: {', '.join(chain.ingested)}.",
    )


def _refresh(chain: Chain) -> Any:
    selection = dg.AssetSelection.groups(chain.name)
    if chain.batches:
        selection -= dg.AssetSelection.assets(*chain.ingested)
    return dg.define_asset_job(
        f"refresh_{chain.name}",
        selection=selection,
        description=f"From {'all batches' if chain.batches else 'its input'}: everything that follows.",
    )


def _daily(chain: Chain) -> dg.ScheduleDefinition:
    hour = 5 + CHAINS.index(chain)  # one after the other: a later chain may read an earlier one's tables

    @dg.schedule(
        name=f"refresh_{chain.name}",
        job=REFRESH[chain.name],
        cron_schedule=f"0 {hour} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Every day at {hour}:00 UTC, each table configured as it was when it was last made.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        configs = configs_on_record(context.instance, context.repository_def.get_job(REFRESH[chain.name].name))
        return dg.RunRequest(run_config={"ops": {op: {"config": config} for op, config in configs.items()}})

    return schedule


def _inbox_sensor(chain: Chain) -> dg.SensorDefinition:
    @dg.sensor(
        name=chain.batches.inbox,
        job=INGEST[chain.name],
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Makes each file dropped into the inbox a batch of {chain.name}, ingested by a run of its own.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _look_into_inbox(chain, context)

    return sensor


def _look_into_inbox(chain: Chain, context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Ask for a run for each file that has settled since the last look and was not read the same way before.

    The cursor holds how each file looked, how it is to be read, and the key of the batch that it became. So an
    unchanged file is hashed once, a changed one becomes a new batch, and what is to be read otherwise is read again.
    """
    folder = inbox_folder(chain.name)
    cursor = json.loads(context.cursor or "{}")
    looks = look(folder, {name: Look(**seen["look"]) for name, seen in cursor.items()})
    settings = read_settings(folder)
    requests: dict[str, dg.RunRequest] = {}
    seen_now = {}
    for name, now in looks.items():
        drop = chain.batches.dropped(folder / name, settings)
        before = cursor.get(name, {})
        seen = {"look": asdict(now), "config": drop.config, "key": None, "times": before.get("times", 0)}
        if {**before, "key": None} == seen:
            seen["key"] = before["key"]
        if drop.waits_for:
            context.log.info(f"{name} waits for {drop.waits_for}")
        elif seen["key"] is None and _has_settled(now) and len(requests) < RUNS_PER_LOOK:
            seen["key"] = file_key(drop.called, file_sha256(folder / name))
            seen["times"] += 1
            request = _request(chain, seen["key"], drop.config, seen["times"])
            requests[request.run_key] = request
        seen_now[name] = seen
    new = sorted({request.partition_key for request in requests.values()})
    return dg.SensorResult(
        run_requests=[requests[key] for key in sorted(requests)],
        dynamic_partitions_requests=[chain.batches.partitions.build_add_request(new)] if new else [],
        cursor=json.dumps(seen_now),
    )


def _has_settled(now: Look) -> bool:
    return time.time() - now.since >= SETTLE_SECONDS


def _request(chain: Chain, key: str, config: Mapping[str, Any], times: int) -> dg.RunRequest:
    """A run that reads the batch; its run key also tells how often the file was asked for.

    Dagster runs a run key once: a look that is lost before its cursor was kept asks again under the same key, and a
    file that is to be read as it was some time ago asks under another.
    """
    return dg.RunRequest(
        run_key=f"{key}-{times}",
        partition_key=key,
        run_config={"ops": {chain.read: {"config": config}}},
        job_name=INGEST[chain.name].name,
    )


INGEST = {chain.name: _ingest(chain) for chain in CHAINS}
REFRESH = {chain.name: _refresh(chain) for chain in CHAINS}
SCHEDULES = [_daily(chain) for chain in CHAINS]
SENSORS = [_inbox_sensor(chain) for chain in CHAINS if chain.batches]
