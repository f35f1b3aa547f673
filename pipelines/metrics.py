"""Metrics for Prometheus: the age and cost of each table, runs, checks, daemons, and the size of both stores.

    python -m pipelines.metrics             prints them
    python -m pipelines.metrics FILE.prom   writes them to a file, for node_exporter's textfile collector

`make ui` serves them at `/metrics`. All are gauges that describe the present state: they are read from Dagster's
records and the warehouse when they are asked for, so that they survive restarts and need no process of their own.
"""

import argparse
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from assets.table import table_assets
from pipelines.dagster_internals import database_bytes, fresh_for, newest_check_evaluations
from pipelines.disk_space import free_bytes
from pipelines.records import newest_materializations, recorded_value
from taproom.errors import StorageError, TaproomError
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

# The sizes of the stores are measured again after this time. It takes a request for every 1,000 files of a bucket.
SECONDS_BETWEEN_SIZES = 300.0
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_RUNNING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]

# In the metadata of a materialization -> name of the metric, its meaning.
_RECORDED = {
    "dagster/row_count": ("taproom_table_rows", "Rows of the newest version."),
    "size_bytes": ("taproom_table_bytes", "Bytes of the newest version."),
    "seconds": ("taproom_table_seconds", "Seconds that the step took until the table was published."),
    "peak_memory_bytes": ("taproom_table_peak_memory_bytes", "Most resident memory of the step's process."),
}


class StateCollector(Collector):
    """Collects the state of an installation each time that it is asked.

    Args:
        instance: Dagster's records.
        warehouse: the tables.
        definitions: the assets; those that make tables are shown.
    """

    def __init__(self, instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions) -> None:
        """Collect nothing yet."""
        self._instance, self._warehouse = instance, warehouse
        self._graph = definitions.resolve_asset_graph()
        self._keys = sorted(table_assets(definitions))
        self._sizes: list[Metric] = []
        self._sizes_measured = -SECONDS_BETWEEN_SIZES

    def collect(self) -> Iterator[Metric]:
        """All metrics; without the sizes of the stores while one does not answer."""
        yield from self._tables()
        yield self._checks()
        yield from self._runs()
        yield self._daemons()
        if time.monotonic() - self._sizes_measured >= SECONDS_BETWEEN_SIZES:
            self._sizes, self._sizes_measured = self._measured_stores(), time.monotonic()
        yield from self._sizes

    def describe(self) -> Iterable[Metric]:
        """Nothing, or the registry would collect once to learn the names."""
        return []

    def _tables(self) -> Iterator[Metric]:
        """What the newest materialization of each asset recorded; times are in seconds since 1970."""
        newest = newest_materializations(self._instance, self._keys)
        made = _gauge("taproom_table_made_timestamp_seconds", "When the table was made last.", "asset")
        limit = _gauge("taproom_table_fresh_for_seconds", "A table that is older is overdue.", "asset")
        for key in self._keys:
            if (record := newest.get(key)) is not None:
                made.add_metric([key.to_user_string()], record.timestamp)
            if (policy := fresh_for(self._graph.get(key).freshness_policy)) is not None:
                limit.add_metric([key.to_user_string()], policy.total_seconds())
        yield from (made, limit)
        for recorded, (name, meaning) in _RECORDED.items():
            metric = _gauge(name, meaning, "asset")
            for key, record in newest.items():
                if (value := recorded_value(record, recorded)) is not None:
                    metric.add_metric([key.to_user_string()], value)
            yield metric

    def _checks(self) -> Metric:
        passed = _gauge(
            "taproom_check_passed",
            "Whether a check passed when it was last run (0 or 1).",
            "asset",
            "check",
            "severity",
        )
        checks = [check for key in self._keys for check in self._graph.get(key).check_keys]
        for check, (_, evaluation) in sorted(newest_check_evaluations(self._instance, checks).items()):
            labels = [check.asset_key.to_user_string(), check.name, evaluation.severity.value.lower()]
            passed.add_metric(labels, float(evaluation.passed))
        return passed

    def _runs(self) -> Iterator[Metric]:
        runs = _gauge("taproom_runs", "Runs that wait or go on.", "state")
        runs.add_metric(["waiting"], self._instance.get_runs_count(dg.RunsFilter(statuses=_WAITING)))
        runs.add_metric(["running"], self._instance.get_runs_count(dg.RunsFilter(statuses=_RUNNING)))
        yield runs
        failed = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.now(UTC) - timedelta(days=1)
        )
        yield GaugeMetricFamily(
            "taproom_runs_failed_last_day",
            "Runs that failed in the last 24 hours.",
            value=self._instance.get_runs_count(failed),
        )

    def _daemons(self) -> Metric:
        heartbeats = _gauge("taproom_daemon_heartbeat_timestamp_seconds", "When a daemon last gave a sign.", "daemon")
        for daemon, status in sorted(self._instance.get_daemon_statuses().items()):
            if status.last_heartbeat is not None:
                heartbeats.add_metric([daemon.lower()], status.last_heartbeat.timestamp)
        return heartbeats

    def _measured_stores(self) -> list[Metric]:
        try:
            return list(self._stores())
        except StorageError:  # tried again after the usual time, since a try may take half a minute
            return []

    def _stores(self) -> Iterator[Metric]:
        sizes = _gauge("taproom_store_bytes", "Bytes of all versions of all tables, and of Dagster's records.", "store")
        storage, home = self._warehouse.storage, Path(self._instance.root_directory)
        sizes.add_metric(["warehouse"], sum(info.size or 0 for info in storage.listing(recursive=True)))
        sizes.add_metric(["records"], _folder_bytes(home) + database_bytes(self._instance))
        yield sizes
        free = _gauge("taproom_store_free_bytes", "Free bytes on the disk of a local store.", "store")
        for store, free_there in free_bytes(self._instance, self._warehouse).items():
            free.add_metric([store], free_there)
        yield free


def registry(instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions) -> CollectorRegistry:
    """A registry of Prometheus's client that collects the state of an installation."""
    metrics = CollectorRegistry()
    metrics.register(StateCollector(instance, warehouse, definitions))
    return metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the metrics or write them to a file; return the exit status."""
    from pipelines.definitions import defs

    parser = argparse.ArgumentParser(prog="python -m pipelines.metrics", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("file", nargs="?", help="where to write them; the file is replaced in one step")
    file = parser.parse_args(arguments).file
    try:
        with dg.DagsterInstance.get() as instance:
            metrics = registry(instance, Warehouse(default_root()), defs)
            if file is None:
                print(generate_latest(metrics).decode(), end="")
            else:
                write_to_textfile(file, metrics)
    except (TaproomError, OSError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    return 0


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=labels)


def _folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder and those below it, where others may delete files meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = Path(parent, name).lstat()
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


if __name__ == "__main__":
    sys.exit(main())
