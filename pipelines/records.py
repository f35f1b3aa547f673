"""Dagster's records of materializations, and the table versions in them."""

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from assets.table import table_and_part
from pipelines.dagster_internals import newest_record_ids
from taproom.warehouse.warehouse import Warehouse


def recorded_version(
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    key: dg.AssetKey,
    record_id: int | None = None,
    partitions: Sequence[str] | None = None,
) -> int | None:
    """The table version that the newest materialization recorded (or the one with the id `record_id`).

    Of a single partition, it is that partition's newest. None where nothing was recorded for this warehouse: the
    instance may have run on another one, whose versions are different.
    """
    return version_in_record(newest_materialization(instance, key, partitions, record_id), warehouse, key)


def version_in_record(record: dg.EventLogRecord | None, warehouse: Warehouse, key: dg.AssetKey) -> int | None:
    """The table version in a record; None without a record, or where it is of another warehouse."""
    if record is None:
        return None
    table, _ = table_and_part(key)
    is_here = recorded_value(record, "dagster/uri") == warehouse.uri(table)
    return recorded_value(record, "version") if is_here else None


def recorded_value(record: dg.EventLogRecord, name: str) -> Any:
    """A value in the metadata of a materialization; None where there is none of this name."""
    materialization = record.asset_materialization
    value = materialization.metadata.get(name) if materialization else None
    return value.value if value is not None else None


def newest_materialization(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partitions: Sequence[str] | None = None,
    record_id: int | None = None,
) -> dg.EventLogRecord | None:
    """The newest record of an asset; of a single partition, where one is given; else the one with the id, if any."""
    which: dict[str, Any] = {"asset_key": key}
    if partitions is not None and len(partitions) == 1:
        which["asset_partitions"] = partitions
    elif record_id is not None:
        which["storage_ids"] = [record_id]
    return next(iter(instance.fetch_materializations(dg.AssetRecordsFilter(**which), limit=1).records), None)


def newest_materializations(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, dg.EventLogRecord]:
    """The newest record of each asset that was ever made, in one query."""
    records = {record.asset_entry.asset_key: record.asset_entry for record in instance.get_asset_records(list(keys))}
    newest = {key: entry.last_materialization_record for key, entry in records.items()}
    return {key: record for key, record in newest.items() if record is not None}


def newest_by_partition(instance: dg.DagsterInstance, key: dg.AssetKey) -> Sequence[dg.EventLogRecord]:
    """The newest record of each partition of an asset, in two queries; none where it has no partitions."""
    ids = newest_record_ids(instance, key)
    which = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
    return instance.fetch_materializations(which, limit=len(ids)).records if ids else []
