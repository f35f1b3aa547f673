"""What runs together, and when: each chain's jobs, its schedule, its inbox, and what follows changes.

Nothing here is on by itself: schedules and sensors start when a person switches them on in the UI.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from assets.table import part_key, table_and_part
from assets.tuning.champions import CHAMPIONS
from assets.tuning.study import CHALLENGES, TRIALS, SearchSize
from pipelines.chains import CHAINS, Chain
from pipelines.inbox import inbox_sensor, ingest_batches
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse


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
    return dg.AssetSelection.assets(*(key for study in studies for key in _keys_of(study)))


def _keys_of(study: str) -> list[dg.AssetKey]:
    return [part_key(contract.table, study) for contract in (TRIALS, CHALLENGES, CHAMPIONS)]


def _daily(chain: Chain) -> dg.ScheduleDefinition:
    hour = 5 + CHAINS.index(chain)  # one after the other: a later chain may read an earlier one's tables

    return dg.ScheduleDefinition(
        name=f"refresh_{chain.name}",
        job=REFRESH[chain.name],
        cron_schedule=f"0 {hour} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Every day at {hour}:00 UTC, each table with the settings that it was last made with.",
    )


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
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        studies = _studies_with_input(context.repository_def, Warehouse(default_root()))
        if not studies:
            return dg.SkipReason("No study has its input tables yet.")
        search = f"{name} {context.scheduled_execution_time:%Y-%m-%d}"
        config = {"search": search, "size": size.name, "seconds": seconds}
        return dg.RunRequest(
            run_key=search,
            run_config={"ops": {f"tune_{study}": {"config": config} for study in studies}},
            asset_selection=[key for study in studies for key in _keys_of(study)],
        )

    return schedule


def _studies_with_input(repository: dg.RepositoryDefinition, warehouse: Warehouse) -> list[str]:
    """The studies whose input tables are all there: who has no images is not to see a search for them fail each day."""
    made, graph = set(warehouse.tables()), repository.asset_graph
    inputs = {study: graph.get(part_key(TRIALS.table, study)).parent_keys for study in STUDIES}
    return [study for study, keys in inputs.items() if {table_and_part(key)[0] for key in keys} <= made]


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
INGEST_BATCHES = {chain.name: ingest_batches(chain) for chain in CHAINS if chain.batches}
SENSORS = [
    *(inbox_sensor(chain, INGEST_BATCHES[chain.name]) for chain in CHAINS if chain.batches),
    dg.AutomationConditionSensorDefinition(
        "follow_changes",
        target=dg.AssetSelection.all(),
        use_user_code_server=True,  # where the conditions are, which are ours
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Makes tables again whose inputs have changed, and all that follows from them, in one run.",
    ),
]
