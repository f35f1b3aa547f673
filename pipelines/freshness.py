"""Which tables are fresh, that is, need not be made again.

Dagster compares code versions and data versions. It does not compare settings, and it does not notice that another
warehouse is in use than the one it has recorded; both are compared here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from assets.table import table_and_part
from pipelines.dagster_internals import StaleStatus, config_type, recorded_code_version, stale_statuses
from pipelines.records import newest_by_partition, newest_materialization, newest_materializations, version_in_record
from pipelines.settings import config_with, requested_settings, settings_affecting_rows, settings_of
from taproom.warehouse.warehouse import Warehouse


def fresh_assets(
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    definitions: dg.Definitions,
    keys: Iterable[dg.AssetKey],
    ops: Mapping[str, Any],
    partition: str | None = None,
) -> set[dg.AssetKey]:
    """The assets whose tables (or one partition of them) would get the same rows if they were made again.

    `ops` has the requested settings, as in a run configuration; tables of other ops keep their settings.
    """
    heads = warehouse.heads()
    records = (
        {key: newest_materialization(instance, key, [partition]) for key in keys}
        if partition
        else newest_materializations(instance, keys)
    )
    versions = {key: version_in_record(record, warehouse, key) for key, record in records.items()}
    made = {
        key: version
        for key, version in versions.items()
        if version is not None and version <= heads.get(table_and_part(key)[0], -1)
    }
    return {
        key
        for key, status in stale_statuses(instance, definitions, made, partition).items()
        if status is StaleStatus.FRESH and _has_settings(warehouse, definitions, key, ops, made[key], partition)
    }


def _has_settings(
    warehouse: Warehouse,
    definitions: dg.Definitions,
    key: dg.AssetKey,
    ops: Mapping[str, Any],
    version: int,
    partition: str | None,
) -> bool:
    """Whether a version was made with the requested settings; also true if none are requested."""
    op = definitions.resolve_assets_def(key).op
    requested = requested_settings(ops, op.name)
    if requested is None:
        return True
    table, part = table_and_part(key)
    commit = warehouse.newest_commit_of(table, partition or part, version)
    if commit is None:
        return False
    committed = settings_of(commit, config_type(op))
    return settings_affecting_rows(requested) == settings_affecting_rows(committed)


def stale_batches(
    instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions, keys: Sequence[dg.AssetKey]
) -> list[str]:
    """The batches in the warehouse that one of the assets `keys` has made with other code, or never; sorted.

    It takes two queries an asset for all batches, since there may be thousands.
    """
    graph = definitions.resolve_asset_graph()
    batches = warehouse.partitions(keys[0].path[0])
    fresh = set(batches)
    for key in keys:
        code_version = graph.get(key).code_version
        fresh &= {
            record.partition_key
            for record in newest_by_partition(instance, key)
            if recorded_code_version(record) == code_version
        }
    return [batch for batch in batches if batch not in fresh]


def settings_on_record(warehouse: Warehouse, definitions: dg.Definitions, key: dg.AssetKey) -> dict[str, Any]:
    """The settings that a table without partitions was last made with; empty where there is no such table yet.

    Raises:
        InputError: an earlier release took these settings, and this one refuses them.
    """
    (table,) = key.path
    head = warehouse.head(table)
    if head is None:
        return {}
    op = definitions.resolve_assets_def(key).op
    settings = settings_of(warehouse.commit_of(table, head), config_type(op))
    config_with(settings, config_type(op), op.name)
    return settings
