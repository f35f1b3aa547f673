"""Old runs and their logs are deleted, but for those whose records tell how the newest of a table was made."""

from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg

from pipelines.dagster_internals import SqliteEventLogStorage
from pipelines.run_watch import UNFINISHED


def delete_old_runs(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], before: datetime) -> int:
    """Delete the runs that were created before a time, with all that Dagster keeps of them; give how many.

    Kept are runs that go on, and those with the newest materialization of one of the assets `keys` or of one of its
    partitions: freshness, settings and what the UI shows come from these.
    """
    kept = {run_id for key in keys for run_id in _newest_runs(instance, key)}
    deleted = 0
    for run in instance.get_runs(dg.RunsFilter(created_before=before)):
        if run.run_id not in kept and run.status not in UNFINISHED:
            _delete(instance, run.run_id)
            deleted += 1
    return deleted


def _newest_runs(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[str]:
    """The runs with the newest materialization of an asset and of each of its partitions."""
    newest = instance.get_latest_materialization_event(key)
    if newest is None:
        return
    yield newest.run_id
    of_type = dg.DagsterEventType.ASSET_MATERIALIZATION
    ids = list(instance.event_log_storage.get_latest_storage_id_by_partition(key, of_type).values())
    if ids:
        which = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
        yield from (record.run_id for record in instance.fetch_materializations(which, limit=len(ids)).records)


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    if isinstance(storage := instance.event_log_storage, SqliteEventLogStorage):
        # Dagster empties the run's own file, which keeps its size.
        for suffix in ("", "-wal", "-shm"):
            Path(f"{storage.path_for_shard(run_id)}{suffix}").unlink(missing_ok=True)
