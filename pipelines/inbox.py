"""Files that people drop: the sensor that notices them, and the job that reads them, many in a run."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from math import ceil
from typing import Any

import dagster as dg
from pydantic import Field

from assets.automation import READS_BATCHES
from pipelines.chains import Chain
from pipelines.reconcile import abandoned_runs
from pipelines.records import recorded_version
from pipelines.run_watch import UNFINISHED, check_run_goes_on
from taproom.errors import TaproomError
from taproom.sources.inbox import Look, file_key, file_sha256, inbox_folder, look, read_settings
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

SETTLE_SECONDS = 5
# A run takes seconds to start, so few batches are not parted.
FEW_BATCHES = 50
BATCHES_PER_RUN = 200
RUNS_AT_ONCE = 2


class BatchesConfig(dg.Config):
    """Which batches to read."""

    batches: dict[str, dict[str, Any]] = Field(description="the settings of each batch, by its key")


def ingest_batches(chain: Chain) -> dg.JobDefinition:
    """The job that reads several batches of a chain, each in a run of its own of `ingest_<chain>`, in one process."""

    @dg.op(
        name=_op(chain),
        out=dg.Out(dg.Nothing),
        description="Read the batches one after the other. One that cannot be read keeps no other from being read.",
    )
    def ingest(context: dg.OpExecutionContext, config: BatchesConfig) -> None:
        from pipelines.definitions import defs  # which has this job
        from pipelines.products import Products

        for finding in abandoned_runs(context.instance):  # an attempt that was killed has left the run of a batch
            finding.repair()
        warehouse = Warehouse(default_root())
        products = Products(context.instance, warehouse, defs, {}, tags={"taproom/read_by": context.run.run_id})
        errors = {}
        for key, settings in config.batches.items():
            check_run_goes_on(context.instance, context.run.run_id)
            outcome = products.read(chain, {key: settings})[key]
            if isinstance(outcome, TaproomError):
                errors[key] = str(outcome)
                context.log.error(f"{key}: {outcome}")
        if errors:
            raise dg.Failure(
                f"{len(errors)} of {len(config.batches)} batches could not be read: {', '.join(errors)}. The others "
                "were. Mend the files or the settings beside them; each is then read anew.",
                metadata=errors,
            )

    @dg.job(
        name=job_name(chain),
        description=f"Read several batches: {', '.join(chain.ingested)}. The sensor {chain.batches.inbox} asks for it.",
        tags=READS_BATCHES,
    )
    def job() -> None:
        ingest()

    return job


def requests(chain: Chain, batches: Mapping[str, Mapping[str, Any]], key: str) -> list[dg.RunRequest]:
    """Runs that read batches, whose settings are given by their keys.

    Dagster runs a run key, which begins with `key`, once.
    """
    keys = sorted(batches)
    runs = max(ceil(len(keys) / BATCHES_PER_RUN), min(RUNS_AT_ONCE, ceil(len(keys) / FEW_BATCHES)))
    parts = [keys[number::runs] for number in range(runs)]
    return [
        dg.RunRequest(
            run_key=f"{key}-{part[0]}",
            run_config={"ops": {_op(chain): {"config": {"batches": {name: dict(batches[name]) for name in part}}}}},
            job_name=job_name(chain),
        )
        for part in parts
    ]


def inbox_sensor(chain: Chain, job: dg.JobDefinition) -> dg.SensorDefinition:
    """The sensor of a chain's inbox."""

    @dg.sensor(
        name=chain.batches.inbox,
        job=job,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Has each file that is dropped into the inbox read as a batch of {chain.name}. Switch on "
        "`follow_changes` too to have what follows from batches made.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _look_into_inbox(chain, context)

    return sensor


def _look_into_inbox(chain: Chain, context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Ask for runs that read the files that have settled since the last look and are not in the warehouse yet.

    A look remembers how each file looked, how it is to be read, and the keys of the batches that it became and was. So
    an unchanged file is hashed once and asked for once, a changed one becomes a new batch, what is to be read otherwise
    is read again, and what is called otherwise replaces its batch. Without a cursor, the warehouse tells what was read.
    """
    folder = inbox_folder(chain.name)
    cursor = _cursor(context.cursor)
    known = _remembered(context.instance, chain, cursor)
    looks = look(folder, {name: Look(**seen["look"]) for name, seen in known.items()})
    settings = read_settings(folder)
    room = BATCHES_PER_RUN * _free_runs(context.instance, chain)
    asked: dict[str, dict[str, Any]] = {}
    files = {}
    for name, now in looks.items():
        drop = chain.batches.dropped(folder / name, settings)
        before = known.get(name, {})
        is_same = before.get("look") == asdict(now)
        was = before.get("key") or before.get("was") if is_same else None
        key = was if is_same and before["settings"] == drop.config and before["key"] else None
        if drop.waits_for:
            context.log.info(f"{name} waits for {drop.waits_for}")
        elif key is None and _has_settled(now) and len(asked) < room:
            key = file_key(drop.called, file_sha256(folder / name))
            if was == key or not _is_read(chain, context.instance, key, drop.config):
                # A file of another name that has not changed was called wrongly: its well was corrected.
                moved = {"replaces": was} if was not in (None, key) else {}
                asked[key] = {**drop.config, **moved}
        seen = {"look": asdict(now), "settings": drop.config, "key": key, "was": was if key is None else None}
        files[name] = seen
    if files != known:
        cursor["looks"] += 1
        _remember(context.instance, chain, cursor, files)
    # A look whose cursor was lost asks again under the same key; a file that is to be read as it was some time ago, or
    # that is asked for after the cursor was reset, is asked for under another.
    return dg.SensorResult(
        run_requests=requests(chain, asked, f"{cursor['since']}-{cursor['looks']}"),
        dynamic_partitions_requests=[chain.batches.partitions.build_add_request(sorted(asked))] if asked else [],
        cursor=json.dumps(cursor),
    )


def _cursor(kept: str | None) -> dict[str, Any]:
    """The cursor of the last look; a new one where there is none, or one of another form."""
    cursor = json.loads(kept or "{}")
    return cursor if cursor.keys() == {"since", "looks"} else {"since": time.time(), "looks": 0}


def _remembered(instance: dg.DagsterInstance, chain: Chain, cursor: Mapping[str, Any]) -> dict[str, Any]:
    """What the look that gave the cursor knew of each file.

    It is kept beside the cursor, of which Dagster stores a copy for every look: with a thousand files, gigabytes a day.
    """
    place = _place(chain, cursor)
    kept = json.loads(instance.daemon_cursor_storage.get_cursor_values({place}).get(place, "{}"))
    return kept["files"] if kept.get("cursor") == cursor else {}


def _remember(instance: dg.DagsterInstance, chain: Chain, cursor: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    told = json.dumps({"cursor": cursor, "files": files})
    instance.daemon_cursor_storage.set_cursor_values({_place(chain, cursor): told})


def _place(chain: Chain, cursor: Mapping[str, Any]) -> str:
    """One of two places by turns: if what a look gave is lost, the next goes on from the look before."""
    return f"taproom/{chain.batches.inbox}/{cursor['looks'] % 2}"


def _has_settled(now: Look) -> bool:
    return time.time() - now.since >= SETTLE_SECONDS


def _free_runs(instance: dg.DagsterInstance, chain: Chain) -> int:
    """How many more runs may read batches now; the rest of the files waits, so that runs do not pile up."""
    going_on = dg.RunsFilter(job_name=job_name(chain), statuses=UNFINISHED)
    return max(0, RUNS_AT_ONCE - instance.get_runs_count(going_on))


def _is_read(chain: Chain, instance: dg.DagsterInstance, key: str, settings: Mapping[str, Any]) -> bool:
    """Whether the warehouse has the batch, read with these settings."""
    warehouse = Warehouse(default_root())
    version = recorded_version(instance, warehouse, dg.AssetKey(chain.read), partitions=[key])
    if version is None or key not in warehouse.partitions(chain.read):
        return False
    commit = warehouse.newest_commit_of(chain.read, key, version)
    return commit is not None and commit["settings"] == settings


def job_name(chain: Chain) -> str:
    """The job that reads several batches of a chain."""
    return f"ingest_{chain.name}_batches"


def _op(chain: Chain) -> str:
    return f"read_{chain.name}_batches"
