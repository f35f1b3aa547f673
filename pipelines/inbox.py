"""Files in an inbox: the sensor that notices them, and the job that reads them, many in a run."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from math import ceil
from typing import Any

import dagster as dg
from pydantic import Field

from assets.automation import READS_BATCHES
from pipelines.chains import BatchChain, Chain
from pipelines.reconcile import abandoned_runs
from pipelines.records import recorded_version
from pipelines.retries import retry_if_a_store_was_away
from pipelines.run_watch import UNFINISHED, check_run_goes_on
from taproom.errors import StorageError, TaproomError
from taproom.sources.inbox import Drop, Look, file_key, file_sha256, inbox_folder, look, read_settings
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

SETTLE_SECONDS = 5
# A run takes seconds to start, so a few batches are not divided among several.
FEW_BATCHES = 50
BATCHES_PER_RUN = 200
RUNS_AT_ONCE = 2
# The run of a batch has a tag of this name, with the run that reads several.
READ_BY = "taproom/read_by"


class BatchesConfig(dg.Config):
    """Which batches to read."""

    batches: dict[str, dict[str, Any]] = Field(description="the configuration of each batch, by the batch's key")


def ingest_batches(chain: BatchChain) -> dg.JobDefinition:
    """The job that reads several batches of a chain in one process, each in its own run of `ingest_<chain>`."""

    @dg.op(
        name=_op(chain),
        out=dg.Out(dg.Nothing),
        description="Read the batches one after the other. If one cannot be read, the others still are.",
    )
    def ingest(context: dg.OpExecutionContext, config: BatchesConfig) -> None:
        from pipelines.definitions import defs  # here, because it imports this module
        from pipelines.products import Products

        for finding in abandoned_runs(context.instance):  # left by an attempt of this run that was killed
            if finding.repair:
                finding.repair()
        warehouse = Warehouse(default_root())
        products = Products(context.instance, warehouse, defs, {}, tags={READ_BY: context.run.run_id})
        errors = {}
        for key, settings in config.batches.items():
            check_run_goes_on(context.instance, context.run.run_id)
            outcome = products.read(chain, {key: settings})[key]
            if isinstance(outcome, StorageError):
                raise outcome  # the run is tried again, and reads those that were not read yet
            if isinstance(outcome, TaproomError):
                errors[key] = str(outcome)
                context.log.error(f"{key}: {outcome}")
        if errors:
            raise dg.Failure(
                f"{len(errors)} of {len(config.batches)} batches could not be read: {', '.join(errors)}. The others "
                "were read. Correct the files, or the settings beside them; corrected files are read again.",
                metadata=errors,
            )

    @retry_if_a_store_was_away
    @dg.job(
        name=job_name(chain),
        description=f"Read several batches of the chain {chain.name} into the tables {', '.join(chain.ingested)}. "
        f"Launched by the sensor {chain.batches.inbox}.",
        tags=READS_BATCHES,
    )
    def job() -> None:
        ingest()

    return job


def requests(chain: Chain, batches: Mapping[str, Mapping[str, Any]], key: str) -> list[dg.RunRequest]:
    """Requests for runs that read batches.

    Args:
        chain: the chain of the batches.
        batches: the configuration of each batch, by its key.
        key: prefix of the run keys. Dagster starts one run for a run key, however often it is requested.
    """
    keys = sorted(batches)
    runs = max(ceil(len(keys) / BATCHES_PER_RUN), min(RUNS_AT_ONCE, ceil(len(keys) / FEW_BATCHES)))
    shares = [keys[number::runs] for number in range(runs)]
    return [
        dg.RunRequest(
            run_key=f"{key}-{share[0]}",
            run_config={"ops": {_op(chain): {"config": {"batches": {name: dict(batches[name]) for name in share}}}}},
            job_name=job_name(chain),
        )
        for share in shares
    ]


def inbox_sensor(chain: BatchChain, job: dg.JobDefinition) -> dg.SensorDefinition:
    """The sensor that has the files in a chain's inbox read."""

    @dg.sensor(
        name=chain.batches.inbox,
        job=job,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Reads each new or changed file in the inbox (data/inbox/{chain.name}/ by default) as a batch of "
        f"the chain {chain.name}. Switch on the sensor `follow_changes` too, to update the tables that depend on it.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return _requests_for_files(chain, context)

    return sensor


def _requests_for_files(chain: BatchChain, context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Request runs for the files that have not changed for a while and are not in the warehouse yet.

    Of each file the sensor remembers size and times, the settings it was to be read with, and the batch it became. So
    an unchanged file is hashed and requested once, and a changed file becomes a new batch. If its settings change, a
    file is read again; if its name or well changes, the new batch replaces the old one. Without a cursor, the warehouse
    says what was read.
    """
    folder = inbox_folder(chain.name)
    cursor = _cursor(context.cursor)
    known = _load_files(context.instance, chain, cursor)
    looks = look(folder, {name: Look(**file["look"]) for name, file in known.items()})
    settings = read_settings(folder)
    most = BATCHES_PER_RUN * _free_runs(context.instance, chain)
    requested: dict[str, dict[str, Any]] = {}
    files = {}
    for name, now in looks.items():
        drop = chain.batches.dropped(folder / name, settings)
        key, was = _known_keys(known.get(name), now, drop)
        if drop.waits_for:
            context.log.info(f"{name} waits for {drop.waits_for}")
        elif key is None and _has_settled(now) and len(requested) < most:
            key = file_key(drop.called, file_sha256(folder / name))
            if was == key or not _is_read(chain, context.instance, key, drop.config):
                # The same content under another key: the file's well was corrected, for instance.
                replaces = {"replaces": was} if was not in (None, key) else {}
                requested[key] = {**drop.config, **replaces}
        files[name] = {
            "look": asdict(now), "settings": drop.config, "key": key, "was": was if key is None else None
        }  # fmt: skip
    if files != known:
        cursor["looks"] += 1
        _save_files(context.instance, chain, cursor, files)
    # An evaluation whose cursor was lost requests the same run keys again. A file whose settings are changed back, or
    # that is requested after the cursor was reset, gets another.
    return dg.SensorResult(
        run_requests=requests(chain, requested, f"{cursor['since']}-{cursor['looks']}"),
        dynamic_partitions_requests=(
            [chain.batches.partitions.build_add_request(sorted(requested))] if requested else []
        ),
        cursor=json.dumps(cursor),
    )


def _known_keys(before: Mapping[str, Any] | None, now: Look, drop: Drop) -> tuple[str | None, str | None]:
    """The key of the batch that a file became, and the key that it had before.

    The first is None if the file is to be read: because it is new, has changed, or its settings have. The second is
    None if the file is new or has changed.
    """
    if before is None or before["look"] != asdict(now):
        return None, None
    was = before["key"] or before["was"]
    return (before["key"] if before["settings"] == drop.config else None), was


def _cursor(saved: str | None) -> dict[str, Any]:
    """The sensor's cursor; a new one if there is none, or if it has another form."""
    cursor = json.loads(saved or "{}")
    return cursor if cursor.keys() == {"since", "looks"} else {"since": time.time(), "looks": 0}


def _load_files(instance: dg.DagsterInstance, chain: BatchChain, cursor: Mapping[str, Any]) -> dict[str, Any]:
    """What the evaluation that gave the cursor saved about each file.

    It is not in the cursor, because Dagster stores a copy of that for every evaluation: for a thousand files, gigabytes
    a day.
    """
    slot = _slot(chain, cursor)
    saved = json.loads(instance.daemon_cursor_storage.get_cursor_values({slot}).get(slot, "{}"))
    return saved["files"] if saved.get("cursor") == cursor else {}


def _save_files(
    instance: dg.DagsterInstance, chain: BatchChain, cursor: Mapping[str, Any], files: Mapping[str, Any]
) -> None:
    saved = json.dumps({"cursor": cursor, "files": files})
    instance.daemon_cursor_storage.set_cursor_values({_slot(chain, cursor): saved})


def _slot(chain: BatchChain, cursor: Mapping[str, Any]) -> str:
    """Where the files are saved: one of two slots in turn, so that the evaluation before can be continued from."""
    return f"taproom/{chain.batches.inbox}/{cursor['looks'] % 2}"


def _has_settled(now: Look) -> bool:
    return time.time() - now.since >= SETTLE_SECONDS


def _free_runs(instance: dg.DagsterInstance, chain: Chain) -> int:
    """How many more runs may read batches now. The other files wait, so that runs do not pile up."""
    unfinished = dg.RunsFilter(job_name=job_name(chain), statuses=UNFINISHED)
    return max(0, RUNS_AT_ONCE - instance.get_runs_count(unfinished))


def _is_read(chain: Chain, instance: dg.DagsterInstance, key: str, settings: Mapping[str, Any]) -> bool:
    """Whether the warehouse has the batch, read with these settings."""
    warehouse = Warehouse(default_root())
    version = recorded_version(instance, warehouse, dg.AssetKey(chain.read), partitions=[key])
    if version is None or key not in warehouse.partitions(chain.read):
        return False
    commit = warehouse.newest_commit_of(chain.read, key, version)
    return commit is not None and commit["settings"] == settings


def job_name(chain: Chain) -> str:
    """Name of the job that reads several batches of a chain."""
    return f"ingest_{chain.name}_batches"


def _op(chain: Chain) -> str:
    return f"read_{chain.name}_batches"
