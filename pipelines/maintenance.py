"""Keeping the warehouse in order: commits that Dagster missed are put on record, and old files are swept."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from assets.table import CONTRACTS
from pipelines.tables import recorded_version
from taproom.warehouse import Warehouse, default_root


class SweepConfig(dg.Config):
    """What to keep, beside the versions that newest tables were made from."""

    keep_newest: int = Field(10, ge=1, description="newest versions of each table to keep")
    keep_days: float = Field(7, ge=0, description="versions and files younger than this are kept; days")


@dg.op(description="Record commits whose materialization was lost, for instance because the run was killed.")
def record_lost_commits(context: dg.OpExecutionContext) -> dict[str, list[int]]:
    """Report a materialization for each commit that is newer than the newest one on record."""
    warehouse = Warehouse(default_root())
    found = lost_commits(context.instance, warehouse)
    for table, commits in found.items():
        for commit in reversed(commits):
            context.instance.report_runless_asset_event(_materialization(warehouse, table, commit))
            context.log.info(f"{table} version {commit['version']} of run {commit['run_id']} was not on record")
    return {table: [commit["version"] for commit in commits] for table, commits in found.items()}


@dg.op(description="Delete the files of versions that nothing needs, and files that were never committed.")
def sweep_files(context: dg.OpExecutionContext, config: SweepConfig, recorded: dict[str, list[int]]) -> int:
    """Sweep after the record is complete; give the number of files deleted."""
    swept = Warehouse(default_root()).sweep(
        keep_newest=config.keep_newest, keep_younger_than=timedelta(days=config.keep_days)
    )
    for table, paths in swept.items():
        if paths:
            context.log.info(f"{table}: {len(paths)} files swept")
    return sum(map(len, swept.values()))


@dg.job(description="Put lost commits on record and sweep files that nothing needs.")
def maintain_warehouse() -> None:
    """Record first: a commit that is on record may be another table's input."""
    sweep_files(record_lost_commits())


maintain_warehouse_weekly = dg.ScheduleDefinition(
    name="maintain_warehouse",
    job=maintain_warehouse,
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Sunday at 3:00 UTC.",
)


def lost_commits(instance: dg.DagsterInstance, warehouse: Warehouse) -> dict[str, list[dict]]:
    """Per table the commits (as `Warehouse.history` gives them) newer than any on record, newest first."""
    found = {}
    for table in set(warehouse.tables()) & set(CONTRACTS):
        recorded = recorded_version(instance, warehouse, dg.AssetKey(table))
        newer = [
            commit
            for commit in warehouse.history(table)
            if commit["run_id"] and (recorded is None or commit["version"] > recorded)
        ]
        if newer:
            found[table] = newer
    return found


def _materialization(warehouse: Warehouse, table: str, commit: dict) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        table,
        partition=commit["partition"],
        metadata={
            "dagster/uri": warehouse.uri(table),
            "dagster/row_count": commit["rows"],
            "version": commit["version"],
            "content_hash": commit["content_hash"],
            "inputs": dg.JsonMetadataValue(commit["inputs"]),
            "config": dg.JsonMetadataValue(commit["config"]),
            "recovered_from_run": commit["run_id"],
        },
        tags={"dagster/data_version": commit["content_hash"], "dagster/code_version": commit["code_version"]},
    )
