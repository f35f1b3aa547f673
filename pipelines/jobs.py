"""What runs together, and when: jobs, schedules, and the sensor that watches the inbox.

Nothing here is on by itself: schedules and sensors start when a person switches them on in the UI.
"""

import json
import time
from dataclasses import asdict

import dagster as dg

from assets.reviews.reviews import BATCHES
from taproom.inbox import Look, inbox_folder, look, read_settings
from taproom.reviews import batch_key, file_sha256

SETTLE_SECONDS = 10
RUNS_PER_LOOK = 20

_BATCHED = dg.AssetSelection.assets("reviews", "rejected_reviews", "term_counts")

ingest_reviews = dg.define_asset_job(
    "ingest_reviews",
    selection=_BATCHED,
    description="Read one batch of reviews and count its words.",
)

refresh_reviews = dg.define_asset_job(
    "refresh_reviews",
    selection=dg.AssetSelection.groups("reviews") - _BATCHED,
    description="From all batches: roll up, weigh the words, find the neighbours, draw the map.",
)

refresh_reviews_daily = dg.ScheduleDefinition(
    name="refresh_reviews",
    job=refresh_reviews,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every day at 5:00 UTC.",
)


@dg.sensor(
    name="review_inbox",
    job=ingest_reviews,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Turns files dropped into the inbox into batches of reviews, each ingested by a run of its own.",
)
def review_inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Ask for a run for each file that has settled since the last look and is not a batch yet.

    The cursor holds how each file looked; a file that became a batch is told by its key, so that an unchanged file is
    hashed once, and a changed one becomes a new batch.
    """
    folder = inbox_folder("reviews")
    cursor = json.loads(context.cursor or "{}")
    looks = look(folder, {name: Look(**seen["look"]) for name, seen in cursor.items()})
    settings = read_settings(folder)
    keys, seen_now = [], {}
    for name, now in looks.items():
        before = cursor.get(name, {})
        key = before.get("key") if before.get("look") == asdict(now) else None
        if key is None and _has_settled(now) and len(keys) < RUNS_PER_LOOK:
            key = batch_key(name, file_sha256(folder / name))
            keys.append(key)
        seen_now[name] = {"look": asdict(now), "key": key}
    new = sorted(set(keys))
    return dg.SensorResult(
        run_requests=[_ingest(key, settings) for key in new],
        dynamic_partitions_requests=[BATCHES.build_add_request(new)] if new else [],
        cursor=json.dumps(seen_now),
    )


def _has_settled(now: Look) -> bool:
    return time.time() - now.since >= SETTLE_SECONDS


def _ingest(key: str, settings: dict) -> dg.RunRequest:
    config = {"source": "table", **settings}
    return dg.RunRequest(
        run_key=key, partition_key=key, run_config={"ops": {"reviews": {"config": config}}}, job_name="ingest_reviews"
    )
