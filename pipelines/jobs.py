"""The jobs, schedules and sensors of each chain: which tables are made together, and when.

Schedules and sensors are off until somebody switches them on in the UI.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from assets.table import part_key, table_and_part
from assets.tuning.champions import CHAMPIONS
from assets.tuning.study import CHALLENGES, TRIALS, SearchSize
from pipelines.chains import BATCH_CHAINS, CHAINS, Chain
from pipelines.inbox import inbox_sensor, ingest_batches
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse


def _ingest(chain: Chain) -> Any:
    return dg.define_asset_job(
        f"ingest_{chain.name}",
        selection=dg.AssetSelection.assets(*chain.ingested),
        description=f"Read {'one batch' if chain.batches else 'the input'} of the chain {chain.name} into the tables "
        f"{', '.join(chain.ingested)}.",
    )


def _refresh(chain: Chain) -> Any:
    return dg.define_asset_job(
        f"refresh_{chain.name}",
        selection=_downstream(chain),
        description=f"Make all tables of the chain {chain.name} that depend on its batches. No batch is read."
        if chain.batches
        else f"Read the input of the chain {chain.name} and make all its tables.",
    )


def _make(chain: Chain) -> Any:
    return dg.define_asset_job(
        f"make_{chain.name}",
        selection=_downstream(chain) | _studies(chain.studies),
        description=f"Search for better parameters in the studies {', '.join(chain.studies)}, then make the tables "
        f"of refresh_{chain.name} with them."
        if chain.studies
        else f"The same as refresh_{chain.name}: the chain has no studies, so there is nothing to search for.",
    )


def _downstream(chain: Chain) -> dg.AssetSelection:
    selection = dg.AssetSelection.groups(chain.name) - _studies(STUDIES)
    return selection - dg.AssetSelection.assets(*chain.ingested) if chain.batches else selection


def _studies(studies: Iterable[str]) -> dg.AssetSelection:
    """The assets of some studies."""
    return dg.AssetSelection.assets(*(key for study in studies for key in _study_keys(study)))


def _study_keys(study: str) -> list[dg.AssetKey]:
    return [part_key(contract.table, study) for contract in (TRIALS, CHALLENGES, CHAMPIONS)]


def _refresh_schedule(chain: Chain) -> dg.ScheduleDefinition:
    hour = 5 + CHAINS.index(chain)  # one after the other: a later chain may read an earlier one's tables
    return dg.ScheduleDefinition(
        name=f"refresh_{chain.name}",
        job=REFRESH[chain.name],
        cron_schedule=f"0 {hour} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Runs refresh_{chain.name} every day at {hour}:00 UTC. Each table keeps the configuration that it "
        "was last made with.",
    )


def _tune_schedule(name: str, cron: str, when: str, size: SearchSize, seconds: int) -> dg.ScheduleDefinition:
    """A schedule of the job `tune`. Each run is a new search, whose studies start no trials after `seconds`."""

    @dg.schedule(
        name=f"tune_{name}",
        job=TUNE,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"{when}: searches for better parameters, each study by its {size.value} plan for at most "
        f"{seconds // 60} minutes. Studies whose input tables have not been made are left out.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        studies = _studies_with_input(context.repository_def, Warehouse(default_root()))
        if not studies:
            return dg.SkipReason("The input tables of no study have been made yet.")
        search = f"{name} {context.scheduled_execution_time:%Y-%m-%d}"
        config = {"search": search, "size": size.name, "seconds": seconds}
        return dg.RunRequest(
            run_key=search,
            run_config={"ops": {f"tune_{study}": {"config": config} for study in studies}},
            asset_selection=[key for study in studies for key in _study_keys(study)],
        )

    return schedule


def _studies_with_input(repository: dg.RepositoryDefinition, warehouse: Warehouse) -> list[str]:
    """The studies whose input tables have all been made; the others would fail each time, as without any images."""
    made, graph = set(warehouse.tables()), repository.asset_graph
    inputs = {study: graph.get(part_key(TRIALS.table, study)).parent_keys for study in STUDIES}
    return [study for study, keys in inputs.items() if {table_and_part(key)[0] for key in keys} <= made]


STUDIES = tuple(study for chain in CHAINS for study in chain.studies)
INGEST = {chain.name: _ingest(chain) for chain in CHAINS}
REFRESH = {chain.name: _refresh(chain) for chain in CHAINS}
MAKE = {chain.name: _make(chain) for chain in CHAINS}
TUNE = dg.define_asset_job(
    "tune",
    selection=_studies(STUDIES),
    description="Search for better parameters of the tables that have a study. The best, if it is clearly better than "
    "the champion, replaces it.",
)
SCHEDULES = [
    *(_refresh_schedule(chain) for chain in CHAINS),
    _tune_schedule("nightly", "0 1 * * 1-6", "From Monday to Saturday at 1:00 UTC", SearchSize.small, seconds=300),
    _tune_schedule("weekly", "0 1 * * 0", "On Sundays at 1:00 UTC", SearchSize.large, seconds=1800),
]
INGEST_BATCHES = {chain.name: ingest_batches(chain) for chain in BATCH_CHAINS}
SENSORS = [
    *(inbox_sensor(chain, INGEST_BATCHES[chain.name]) for chain in BATCH_CHAINS),
    dg.AutomationConditionSensorDefinition(
        "follow_changes",
        target=dg.AssetSelection.all(),
        use_user_code_server=True,  # only that has the code of `InputsDiffer`
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Makes each table again whose inputs have changed, and all tables that depend on it, in one run.",
    ),
]
