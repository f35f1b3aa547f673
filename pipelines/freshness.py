"""Which tables are fresh: what Dagster knows of changed code and data, and what it does not.

Dagster compares code versions and data versions. It does not compare settings, nor does it know that a warehouse
other than the one it remembers is in use; both are looked at here. What is used of Dagster's inner parts is pinned by
`tests/pipelines/test_dagster_behaviour.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.table import table_and_part
from pipelines.dagster_internals import CODE_VERSION_TAG, CachingStaleStatusResolver, LoadingContext, StaleStatus
from pipelines.io_manager import (
    config_type,
    newest_by_partition,
    recorded_version,
    requested_settings,
    settings_affecting_rows,
    settings_of,
)
from taproom.warehouse.warehouse import Warehouse


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
    ops: Mapping[str, Any],
    partition: str | None = None,
) -> bool:
    """Whether making the table (or one partition of it) again could only give what is there.

    `ops` has the settings that are asked for, by op; those of other ops are kept.
    """
    graph = definitions.resolve_asset_graph()
    version = recorded_version(instance, warehouse, key, partitions=[partition] if partition else None)
    head = warehouse.head(table_and_part(key)[0])
    if version is None or head is None or version > head:
        return False
    status = CachingStaleStatusResolver(instance, graph, _Loading(instance)).get_status(key, partition)
    if status is not StaleStatus.FRESH:
        return False
    asked = requested_settings(ops, graph.get(key).assets_def.op.name)
    if asked is None:
        return True
    table, part = table_and_part(key)
    commit = warehouse.newest_commit_of(table, partition or part, version)
    if commit is None:
        return False
    committed = settings_of(commit, config_type(graph.get(key).assets_def))
    return settings_affecting_rows(asked) == settings_affecting_rows(committed)


def stale_batches(
    instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions, keys: Sequence[dg.AssetKey]
) -> list[str]:
    """The batches in the warehouse that one of the assets `keys` made by other code, or never; sorted.

    One look for all batches, since there may be thousands.
    """
    graph = definitions.resolve_asset_graph()
    batches = warehouse.partitions(keys[0].path[0])
    fresh = set(batches)
    for key in keys:
        code_version = graph.get(key).code_version
        fresh &= {
            record.partition_key
            for record in newest_by_partition(instance, key)
            if record.asset_materialization.tags.get(CODE_VERSION_TAG) == code_version
        }
    return [batch for batch in batches if batch not in fresh]


def settings_on_record(warehouse: Warehouse, definitions: dg.Definitions, key: dg.AssetKey) -> dict[str, Any]:
    """The settings that a table without partitions was last made with; none where there is no such table yet."""
    (table,) = key.path
    head = warehouse.head(table)
    if head is None:
        return {}
    kind = config_type(definitions.resolve_asset_graph().get(key).assets_def)
    return settings_of(warehouse.commit_of(table, head), kind)
