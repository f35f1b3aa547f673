"""Old runs and their logs are deleted, except those that made the newest version of a table or partition."""

from collections.abc import Collection, Iterator
from datetime import datetime

import dagster as dg

from pipelines.dagster_internals import run_database_files
from pipelines.records import newest_by_partition, newest_materialization
from pipelines.run_watch import UNFINISHED


def delete_old_runs(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], before: datetime) -> int:
    """Delete the runs that were created before a time, with all their records and logs; give their number.

    Runs that have not ended are kept, and so are those with the newest materialization of one of the assets `keys` or
    of one of its partitions: freshness, settings and what the UI shows come from these.
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
    for record in (newest_materialization(instance, key), *newest_by_partition(instance, key)):
        if record is not None:
            yield record.run_id


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    for file in run_database_files(instance, run_id):
        file.unlink(missing_ok=True)
