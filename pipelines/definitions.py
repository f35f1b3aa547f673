"""The code location: every asset of `assets/`, with the jobs, schedules, sensors and resources that run them."""

import pkgutil
from importlib import import_module

import dagster as dg

import assets
from pipelines import jobs, maintenance, removal
from pipelines.dagster_internals import sleep_while_a_pool_is_full
from pipelines.io_manager import table_io_manager
from pipelines.notices.sensors import notify_consumers, notify_operators
from pipelines.pages_asset import MAKE_PAGES, pages_asset
from pipelines.retries import retry_if_a_store_was_away
from pipelines.step_log import log_ended
from pipelines.step_memory import give_back_after_failure, give_back_after_success
from pipelines.step_resources import step_executor, with_resources
from pipelines.usual_versions import usual_version_checks

HOOKS = {retry_if_a_store_was_away, give_back_after_success, give_back_after_failure, log_ended}


def build_definitions(**resources: object) -> dg.Definitions:
    """All definitions; `resources` replace those of the same name."""
    modules = [
        import_module(module.name)
        for module in pkgutil.walk_packages(assets.__path__, "assets.")
        if not module.ispkg and module.name.count(".") == 2
    ]
    loaded = dg.load_assets_from_modules(modules)
    tables = [each for each in loaded if isinstance(each, dg.AssetsDefinition)]
    return dg.Definitions(
        assets=[with_resources(each.with_hooks(HOOKS)) for each in (*tables, pages_asset(tables))],
        asset_checks=[*dg.load_asset_checks_from_modules(modules), *usual_version_checks(tables)],
        jobs=[
            *(job for each in (jobs.INGEST, jobs.INGEST_BATCHES, jobs.REFRESH, jobs.MAKE) for job in each.values()),
            jobs.TUNE,
            MAKE_PAGES,
            maintenance.maintain_warehouse,
            removal.remove_batch,
        ],
        schedules=[*jobs.SCHEDULES, maintenance.maintain_warehouse_weekly],
        sensors=[
            *jobs.SENSORS,
            maintenance.reconciling_sensor(list(jobs.INGEST_BATCHES.values())),
            notify_operators,
            notify_consumers,
        ],
        resources={"io_manager": table_io_manager, **resources},
        executor=step_executor(),
    )


# Every process that runs steps loads this module.
sleep_while_a_pool_is_full()
defs: dg.Definitions = build_definitions()
