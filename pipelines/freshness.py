"""Which tables are fresh: what Dagster knows of changed code and data, and what it does not.

Dagster compares code versions and data versions. It does not compare configurations, nor does it know that a warehouse
other than the one it remembers is in use; both are looked at here. What is used of Dagster's inner parts is pinned by
`tests/pipelines/test_dagster_behaviour.py`.
"""

from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContext

from pipelines.tables import newest_materialization, place_of, recorded_version
from taproom.warehouse import Warehouse


class _Loading(LoadingContext):
    """What the resolver fetches records through."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict:
        return self._loaders


def is_fresh(
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    definitions: dg.Definitions,
    key: dg.AssetKey,
    ops: dict[str, Any],
    partition: str | None = None,
) -> bool:
    """Whether making the table (or one partition of it) again, configured by `ops`, could only give what is there."""
    graph = definitions.resolve_asset_graph()
    version = recorded_version(instance, warehouse, key, partitions=[partition] if partition else None)
    head = warehouse.head(place_of(key)[0])
    if version is None or head is None or version > head:
        return False
    status = CachingStaleStatusResolver(instance, graph, _Loading(instance)).get_status(key, partition)
    if status is not StaleStatus.FRESH:
        return False
    record = newest_materialization(instance, key, [partition] if partition else None)
    run = instance.get_run_by_id(record.run_id)
    op = graph.get(key).assets_def.op.name
    asked = config_of(ops, op)
    if place_of(key)[1] and not asked:
        return True  # a part of a table goes on from what it has; which search was last does not make it another
    return run is not None and config_of(run.run_config.get("ops", {}), op) == asked


def configs_on_record(instance: dg.DagsterInstance, job: dg.JobDefinition) -> dict[str, dict[str, Any]]:
    """With what configuration the tables of a job were last made, by op; ops without any are left out.

    A refresh that nobody configures is to make the tables as they are: the same corpus, as many topics.
    """
    configs = {}
    for key in sorted(job.asset_layer.selected_asset_keys):
        record = newest_materialization(instance, key)
        if record and (run := instance.get_run_by_id(record.run_id)):
            op = job.asset_layer.get(key).assets_def.op.name
            if config := config_of(run.run_config.get("ops", {}), op):
                configs[op] = config
    return configs


def config_of(ops: dict[str, Any], op: str) -> dict[str, Any]:
    """What a run configuration's `ops` say of one op."""
    return ops.get(op, {}).get("config", {})
