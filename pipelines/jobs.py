"""What runs together, and when: each chain's jobs, its schedule, and the sensor that watches its inbox.

Nothing here is on by itself: schedules and sensors start when a person switches them on in the UI.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from assets.tuning.champions import CHAMPIONS
from assets.tuning.study import CHALLENGES, TRIALS, SearchSize
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
    return dg.define_asset_job(
        f"refresh_{chain.name}",
        selection=_following(chain),
        description=f"From {'all batches' if chain.batches else 'its input'}: everything that follows.",
    )


def _make(chain: Chain) -> Any:
    return dg.define_asset_job(
        f"make_{chain.name}",
        selection=_following(chain) | _tuning(chain.studies),
        description=f"As refresh_{chain.name}, but products are tuned before they are made.",
    )


def _following(chain: Chain) -> dg.AssetSelection:
    selection = dg.AssetSelection.groups(chain.name) - _tuning(STUDIES)
    return selection - dg.AssetSelection.assets(*chain.ingested) if chain.batches else selection


def _tuning(studies: Iterable[str]) -> dg.AssetSelection:
    """What searches for the champions of some studies."""
    return dg.AssetSelection.assets(
        *(dg.AssetKey([contract.table, study]) for study in studies for contract in (TRIALS, CHALLENGES, CHAMPIONS))
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


def _tuned(name: str, cron: str, when: str, size: SearchSize, seconds: int) -> dg.ScheduleDefinition:
    """Searches under a name of their own each time; so many seconds after its start, a study begins no batch."""

    @dg.schedule(
        name=f"tune_{name}",
        job=TUNE,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"{when}, each study by its {size.value} plan, for {seconds // 60} minutes at most.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        search = f"{name} {context.scheduled_execution_time:%Y-%m-%d}"
        config = {"search": search, "size": size.name, "seconds": seconds}
        return dg.RunRequest(
            run_key=search, run_config={"ops": {f"tune_{study}": {"config": config} for study in STUDIES}}
        )

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


STUDIES = tuple(study for chain in CHAINS for study in chain.studies)
INGEST = {chain.name: _ingest(chain) for chain in CHAINS}
REFRESH = {chain.name: _refresh(chain) for chain in CHAINS}
MAKE = {chain.name: _make(chain) for chain in CHAINS}
TUNE = dg.define_asset_job(
    "tune", selection=_tuning(STUDIES), description="Search for better parameters of every product, and crown the best."
)
SCHEDULES = [
    *(_daily(chain) for chain in CHAINS),
    _tuned("nightly", "0 1 * * 1-6", "At 1:00 UTC from Monday to Saturday", SearchSize.small, seconds=300),
    _tuned("weekly", "0 1 * * 0", "On Sundays at 1:00 UTC", SearchSize.large, seconds=1800),
]
SENSORS = [_inbox_sensor(chain) for chain in CHAINS if chain.batches]
