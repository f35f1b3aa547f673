"""Dagster's records are compared with the warehouse, which is the truth, and with the running processes.

Either store may be lost, restored from a backup, or be ahead of the other because a process was killed between a commit
and its record. What the warehouse has is recorded; what it does not have any more is reported.

    python -m pipelines.reconcile    does so once; `make ui` begins with it
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
import psutil

from assets.table import CONTRACTS, table_and_part, table_assets
from pipelines.chains import CHAINS, Chain
from pipelines.dagster_internals import free_pool_slots, runs_with_pool_slots, version_tags
from pipelines.records import (
    newest_materialization,
    newest_materializations,
    recorded_value,
    recorded_version,
    version_in_record,
)
from pipelines.run_watch import UNFINISHED
from taproom.errors import TaproomError
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

# A run that has just begun may not have recorded its process yet.
YOUNG_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: a sentence, and a function that repairs it where that is safe."""

    what: str
    repair: Callable[[], object] | None = None


def reconcile(instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions) -> Iterator[str]:
    """Repair what is safe to repair in Dagster's records; give a sentence for each finding."""
    for finding in differences(instance, warehouse, definitions):
        if finding.repair:
            finding.repair()
        yield f"{finding.what}{' (repaired)' if finding.repair else ''}"


def differences(instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions) -> Iterator[Finding]:
    """Where Dagster's records differ from the warehouse and the running processes."""
    keys = table_assets(definitions)
    yield from abandoned_runs(instance)
    yield from _stale_slots(instance)
    for key in sorted(_records_of_no_asset(instance, keys)):
        yield Finding(
            f"{key.to_user_string()} is no asset, but has records",
            partial(instance.wipe_assets, [key]),
        )
    for chain in CHAINS:
        if chain.batches:
            yield from _batches_on_one_side(instance, warehouse, chain)
    newest, heads = newest_materializations(instance, keys), warehouse.heads()
    for key in sorted(keys):
        try:
            recorded = version_in_record(newest.get(key), warehouse, key)
            yield from _commits_on_one_side(instance, warehouse, key, recorded, heads.get(table_and_part(key)[0]))
        except TaproomError as error:  # the other tables are compared even if one is damaged
            yield Finding(f"{key.to_user_string()} could not be compared: {error}")


def abandoned_runs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Runs that are recorded as started, but whose process is gone: nothing else would ever end them.

    Dagster's monitor watches only runs that the daemon has launched, not those of a person's own process or of another
    run. A run that never ends keeps automation from making its tables.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run, pid = record.dagster_run, _process(instance, record.dagster_run.run_id)
        old = time.time() - (record.start_time or 0) > YOUNG_SECONDS
        if old and pid is not None and not psutil.pid_exists(pid):
            yield Finding(
                f"the run {run.run_id[:8]} of {run.job_name} is recorded as started, but its process {pid} is gone",
                partial(instance.report_run_failed, run, "Its process is gone: it was killed."),
            )


def end_runs_of(instance: dg.DagsterInstance, pids: Collection[int | None]) -> None:
    """End the runs that are recorded as started by processes which are known to be gone, and free their pool slots."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if (pid := _process(instance, run.run_id)) is not None and pid in pids:
            instance.report_run_failed(run, "Its process is gone: it was killed.")
            free_pool_slots(instance, run.run_id)


def _process(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The id of the process that runs a run's steps, if it is recorded."""
    of_type = {dg.DagsterEventType.ENGINE_EVENT}
    recorded = [
        entry.dagster_event.engine_event_data.metadata.get("pid")
        for entry in instance.all_logs(run_id, of_type=of_type)
        if entry.dagster_event
    ]
    pids = [int(str(pid.value)) for pid in recorded if pid]
    return pids[-1] if pids else None


def _stale_slots(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Slots of concurrency pools that are held by runs that have ended."""
    for run_id in sorted(runs_with_pool_slots(instance)):
        run = instance.get_run_by_id(run_id)
        if run is None or run.status not in UNFINISHED:
            yield Finding(
                f"the run {run_id[:8]} has ended, but holds a slot of a pool",
                partial(free_pool_slots, instance, run_id),
            )


def lost_batches(instance: dg.DagsterInstance, warehouse: Warehouse, chain: Chain) -> dict[str, Mapping[str, Any]]:
    """The batches that were read into this warehouse but are not in it any more, with their settings.

    A batch of which nothing could be read has no rows in the chain's table, but in another that says why.
    """
    known = set(instance.get_dynamic_partitions(partitions_name(chain)))
    described = {batch for table in chain.ingested for batch in warehouse.partitions(table)}
    settings = {}
    for batch in sorted(known - set(warehouse.partitions(chain.read))):
        key = dg.AssetKey(chain.read)
        record = newest_materialization(instance, key, [batch])
        if record and batch in described and recorded_value(record, "dagster/row_count") == 0:
            continue
        if record and recorded_version(instance, warehouse, key, partitions=[batch]) is not None:
            of_batch = recorded_value(record, "settings")
            settings[batch] = recorded_value(record, "config") if of_batch is None else of_batch
    return settings


def partitions_name(chain: Chain) -> str:
    """What Dagster calls the partitions of a chain that is read in batches."""
    assert chain.batches is not None  # others have no partitions
    name = chain.batches.partitions.name
    assert name is not None  # only deprecated definitions, by a function, have none
    return name


def lost_commits(
    warehouse: Warehouse, key: dg.AssetKey, recorded: int | None, head: int | None
) -> list[dict[str, Any]]:
    """The commits of an asset (as in `Warehouse.history`) after the version `recorded`, up to `head`, newest first.

    Of each partition only the newest, because the others are not read.
    """
    table, part = table_and_part(key)
    first, last = (0 if recorded is None else recorded + 1), (-1 if head is None else head)
    found: dict[Any, dict[str, Any]] = {}
    for version in range(last, first - 1, -1):
        commit = warehouse.commit_of(table, version)
        of_run = commit["run_id"] and "removed_batch" not in commit["config"]
        if of_run and part in (None, commit["partition"]):
            found.setdefault(commit["partition"] or version, commit)
    return list(found.values())


def _batches_on_one_side(instance: dg.DagsterInstance, warehouse: Warehouse, chain: Chain) -> Iterator[Finding]:
    name = partitions_name(chain)
    unknown = set(warehouse.partitions(chain.read)) - set(instance.get_dynamic_partitions(name))
    if unknown:
        yield Finding(
            f"{len(unknown)} batches of {chain.name} are in the warehouse, but not known to Dagster",
            partial(instance.add_dynamic_partitions, name, sorted(unknown)),
        )
    if lost := lost_batches(instance, warehouse, chain):
        some = f"{', '.join(sorted(lost)[:3])}{' ...' if len(lost) > 3 else ''}"
        yield Finding(
            f"{len(lost)} batches of {chain.name} were read into {warehouse.root}, which does not have them any more "
            f"({some}). `make run` reads them again"
        )


def _commits_on_one_side(
    instance: dg.DagsterInstance, warehouse: Warehouse, key: dg.AssetKey, recorded: int | None, head: int | None
) -> Iterator[Finding]:
    if recorded is not None and (head is None or head < recorded):
        has = "has no such table" if head is None else f"has only version {head}"
        yield Finding(
            f"{key.to_user_string()}: version {recorded} is recorded, the warehouse {has}. `make run` makes it again"
        )
    lost = list(reversed(lost_commits(warehouse, key, recorded, head)))
    if lost:
        numbers = [str(commit["version"]) for commit in lost]
        versions = ", ".join(numbers) if len(numbers) < 6 else f"{numbers[0]} ... {numbers[-1]}"

        def record() -> None:
            for commit in lost:
                instance.report_runless_asset_event(_materialization(warehouse, key, commit))

        yield Finding(f"{key.to_user_string()}: version {versions} is in the warehouse, but not recorded", record)


def _records_of_no_asset(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]) -> set[dg.AssetKey]:
    """Keys of a table that have records but no asset any more: an earlier release had one."""
    return {key for key in instance.all_asset_keys() if key.path[0] in CONTRACTS and key not in keys}


def _materialization(warehouse: Warehouse, key: dg.AssetKey, commit: dict[str, Any]) -> dg.AssetMaterialization:
    table, part = table_and_part(key)
    return dg.AssetMaterialization(
        key,
        partition=None if part else commit["partition"],
        metadata={
            "dagster/uri": warehouse.uri(table),
            "dagster/row_count": commit["rows"],
            "version": commit["version"],
            "content_hash": commit["content_hash"],
            "inputs": dg.JsonMetadataValue(commit["inputs"]),
            "config": dg.JsonMetadataValue(commit["config"]),
            **({} if commit["settings"] is None else {"settings": dg.JsonMetadataValue(commit["settings"])}),
            "recovered_from_run": commit["run_id"],
        },
        tags=version_tags(commit["content_hash"], commit["code_version"]),
    )


if __name__ == "__main__":
    from pipelines.definitions import defs

    with dg.DagsterInstance.get() as records:
        for sentence in reconcile(records, Warehouse(default_root()), defs):
            print(sentence, flush=True)
