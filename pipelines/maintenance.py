"""Keeping the stores in order: Dagster's records are held against the warehouse, old files and old runs are deleted."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from pipelines.chains import CHAINS
from pipelines.inbox import requests
from pipelines.reconcile import lost_batches, reconcile
from pipelines.retention import delete_old_runs
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse


class SweepConfig(dg.Config):
    """What to keep, beside the versions that newest tables were made from and the runs that made newest tables."""

    keep_newest: int = Field(10, ge=1, description="newest versions of each table to keep")
    keep_days: float = Field(7, ge=0, description="versions younger than this are kept; days")
    keep_runs_days: float = Field(90, ge=0, description="runs younger than this are kept, with their logs; days")


@dg.op(
    out=dg.Out(dg.Nothing),  # nothing that the warehouse's IO manager could take for a table
    description="Reconcile the records with the warehouse, then delete the files of versions that nothing needs, "
    "files that were never committed, and old runs.",
)
def maintain(context: dg.OpExecutionContext, config: SweepConfig) -> None:
    """Reconcile first: a commit that is on record may be another table's input."""
    from pipelines.definitions import defs  # which has this op

    warehouse = Warehouse(default_root())
    for line in reconcile(context.instance, warehouse, defs):
        context.log.info(line)
    swept = warehouse.sweep(keep_newest=config.keep_newest, keep_younger_than=timedelta(days=config.keep_days))
    for table, paths in swept.items():
        if paths:
            context.log.info(f"{table}: {len(paths)} files swept")
    keys = defs.resolve_asset_graph().materializable_asset_keys
    before = datetime.now(UTC) - timedelta(days=config.keep_runs_days)
    context.log.info(f"{delete_old_runs(context.instance, keys, before)} old runs deleted")


@dg.job(description="Put lost commits on record, sweep files that nothing needs, and delete old runs.")
def maintain_warehouse() -> None:
    """One step, since there is nothing that could be had of a half."""
    maintain()


maintain_warehouse_weekly = dg.ScheduleDefinition(
    name="maintain_warehouse",
    job=maintain_warehouse,
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Sunday at 3:00 UTC.",
)


def reconciling_sensor(jobs: Sequence[dg.JobDefinition]) -> dg.SensorDefinition:
    """The sensor that holds the records against the warehouse; `jobs` read batches."""

    @dg.sensor(
        name="reconcile_records",
        jobs=jobs,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Puts on record what the warehouse has, ends runs whose process is gone, and has batches read "
        "again that a lost warehouse had.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from pipelines.definitions import defs  # which has this sensor

        warehouse = Warehouse(default_root())
        found = list(reconcile(context.instance, warehouse, defs))
        asked = []
        for chain in CHAINS:
            if chain.batches and (lost := lost_batches(context.instance, warehouse, chain)):
                # Once an hour: a batch whose file is gone, too, cannot be had by asking more often.
                asked += requests(chain, lost, f"lost {datetime.now(UTC):%Y-%m-%d %H}")
        told = "; ".join(found) or "the records are what the warehouse has"
        context.log.info(told)
        return dg.SensorResult(run_requests=asked, skip_reason=None if asked else dg.SkipReason(told))

    return sensor
