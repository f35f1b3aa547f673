"""Maintenance: Dagster's records are compared with the warehouse, old files and old runs are deleted."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from pipelines.chains import CHAINS
from pipelines.inbox import requests
from pipelines.reconcile import lost_batches, reconcile
from pipelines.retention import delete_old_runs
from pipelines.retries import retry_if_a_store_was_away
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse


class SweepConfig(dg.Config):
    """What to keep, besides the versions that newest tables were made from and the runs that made newest tables."""

    keep_newest: int = Field(10, ge=1, description="newest versions of each table to keep")
    keep_days: float = Field(7, ge=0, description="versions younger than this are kept; days")
    keep_runs_days: float = Field(90, ge=0, description="runs younger than this are kept, with their logs; days")


@dg.op(
    out=dg.Out(dg.Nothing),  # so that the IO manager does not take the result for a table
    description="Reconcile the records with the warehouse, then delete the files of versions that nothing needs, "
    "files that were never committed, and old runs.",
)
def maintain(context: dg.OpExecutionContext, config: SweepConfig) -> None:
    """Reconcile first: a recorded commit may be another table's input."""
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


@retry_if_a_store_was_away
@dg.job(description="Record lost commits, delete files that nothing needs, and delete old runs.")
def maintain_warehouse() -> None:
    """One step, since the parts are of no use alone."""
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
    """The sensor that compares the records with the warehouse; `jobs` are those that read batches."""

    @dg.sensor(
        name="reconcile_records",
        jobs=jobs,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Records what the warehouse has, ends runs whose process is gone, and requests the batches again "
        "that a lost warehouse had.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from pipelines.definitions import defs  # which has this sensor

        warehouse = Warehouse(default_root())
        found = list(reconcile(context.instance, warehouse, defs))
        requested = []
        for chain in CHAINS:
            if chain.batches and (lost := lost_batches(context.instance, warehouse, chain)):
                # Once an hour: if a batch's file is gone too, more requests would not help.
                requested += requests(chain, lost, f"lost {datetime.now(UTC):%Y-%m-%d %H}")
        summary = "; ".join(found) or "the records agree with the warehouse"
        context.log.info(summary)
        return dg.SensorResult(run_requests=requested, skip_reason=None if requested else dg.SkipReason(summary))

    return sensor
