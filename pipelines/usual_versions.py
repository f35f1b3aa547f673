"""The asset check `usual_version` of every table: a warning if a version is unlike the one before it.

The limits are in the contracts (`taproom.warehouse.contracts.Usual`). A check is a step of its own, so that it runs
even if another table of the run fails; it has the rows added and gone from the record of the materialization.
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from assets.table import CONTRACTS, table_and_part
from pipelines.records import newest_materialization, recorded_value, version_in_record
from taproom.errors import TaproomError
from taproom.warehouse.contracts import Contract
from taproom.warehouse.storage import default_root
from taproom.warehouse.version_change import VersionChange, drift
from taproom.warehouse.warehouse import Warehouse

NAME = "usual_version"


def usual_version_checks(tables: Iterable[dg.AssetsDefinition]) -> Iterator[dg.AssetChecksDefinition]:
    """The check of each table that some assets make."""
    for table in tables:
        yield from map(_usual_version_check, sorted(table.keys))


def _usual_version_check(key: dg.AssetKey) -> dg.AssetChecksDefinition:
    table, part = table_and_part(key)
    contract = CONTRACTS[table]

    @dg.asset_check(asset=key, name=NAME, description=f"Of a new version, {contract.usual}.")
    def usual_version(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        batch = [context.partition_key] if context.has_partition_key else None
        record = newest_materialization(context.instance, key, batch)
        partition = part or (record.partition_key if record else None)
        return _checked(Warehouse(default_root()), contract, partition, key, record)

    return usual_version


def _checked(
    warehouse: Warehouse,
    contract: Contract,
    partition: str | None,
    key: dg.AssetKey,
    record: dg.EventLogRecord | None,
) -> dg.AssetCheckResult:
    """Compare the version of a record with the one before it; without one before it, the check passes."""
    version = version_in_record(record, warehouse, key)
    if record is None or version is None:
        return _passed("This warehouse has no version on record.")
    previous = recorded_value(record, "previous_version")
    if previous is None:
        is_first = recorded_value(record, "rows_added") == recorded_value(record, "dagster/row_count")
        return _passed("There were no rows before." if is_first else f"The rows are those of version {version}.")
    try:
        change = _change(warehouse, contract, partition, previous, version, record)
    except TaproomError as error:
        return _passed(f"Version {version} could not be compared with version {previous}: {error}")
    unusual = change.beyond(contract.usual)
    return dg.AssetCheckResult(
        passed=not unusual,
        severity=dg.AssetCheckSeverity.WARN,
        description=_message(contract, previous, version, change, unusual),
        metadata={
            "version": version,
            "previous_version": previous,
            "share_added": change.added,
            "share_gone": change.gone,
            **_drift_metadata(change),
        },
    )


def _passed(reason: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=True, description=f"Nothing is compared. {reason}", metadata={"nothing_compared": reason}
    )


def _change(
    warehouse: Warehouse, contract: Contract, partition: str | None, old: int, new: int, record: dg.EventLogRecord
) -> VersionChange:
    after, added, gone = (recorded_value(record, name) for name in ("dagster/row_count", "rows_added", "rows_gone"))
    if added is None:  # too large
        files = warehouse.files(contract.table, old)
        return VersionChange(sum(file.rows for file in files if partition in (None, file.partition)), after)
    change = drift(warehouse.storage, contract, old, new, partition=partition)
    return VersionChange(after - added + gone, after, added, gone, change)


def _drift_metadata(change: VersionChange) -> dict[str, float | dg.JsonMetadataValue]:
    if not change.drift:
        return {}
    return {"largest_drift": max(change.drift.values()), "drift": dg.JsonMetadataValue(change.drift)}


def _message(contract: Contract, previous: int, version: int, change: VersionChange, unusual: list[str]) -> str:
    what = "numbers of rows of " if change.rows_added is None else ""
    compared = f"Comparing {what}version {version} with version {previous}"
    if not unusual:
        return f"{compared}, all is as usual."
    return (
        f"{compared}: {'; '.join(unusual)}. Why these are the limits: {contract.usual.reason}. What changed: "
        f"taproom diff {contract.table} {previous} {version}. If the version is right, nothing has to be done."
    )
