"""The parts of Dagster that are used although they are not public: one function for each use.

They are imported and called here alone. `tests/pipelines/test_dagster_internals.py` has a test for each, so that an
upgrade of Dagster shows at once what it broke. Each docstring says what is missing in the public interface of 1.13.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.data_version import (  # noqa: PLC2701
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    CachingStaleStatusResolver,
    StaleStatus,
)
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction  # noqa: PLC2701
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy  # noqa: PLC2701
from dagster._core.loader import LoadingContext  # noqa: PLC2701

if TYPE_CHECKING:
    from dagster._core.workspace.context import WorkspaceProcessContext
    from sqlalchemy import Engine

__all__ = [
    "StaleStatus",
    "assets_of_step",
    "config_type",
    "database_bytes",
    "free_pool_slots",
    "fresh_for",
    "input_record_id",
    "instance_and_run",
    "newest_check_evaluations",
    "newest_record_ids",
    "recorded_code_version",
    "reuse_sqlite_engines",
    "run_database_files",
    "runs_with_pool_slots",
    "set_data_version",
    "silent_daemons",
    "sleep_while_a_pool_is_full",
    "stale_statuses",
    "version_tags",
    "with_op_tags",
    "workspace_context",
]


# The daemon reports every half minute; the UI waits for half an hour.
SILENT_SECONDS = 300

# Each run has a database of its own, and a process may make thousands of runs.
MOST_ENGINES = 16


class _Loading(LoadingContext):
    """The resolver of stale statuses fetches records through this."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict:
        return self._loaders


def stale_statuses(
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    keys: Iterable[dg.AssetKey],
    partition: str | None = None,
) -> dict[dg.AssetKey, StaleStatus]:
    """Whether each asset (or one partition of it) is missing, stale or fresh, by code and data versions.

    One resolver is used for all, which fetches their records in one query and keeps those of inputs. Publicly, only the
    UI and GraphQL show this status.
    """
    keys = list(keys)
    resolver = CachingStaleStatusResolver(instance, definitions.resolve_asset_graph(), _Loading(instance))
    resolver.instance_queryer.prefetch_asset_records(keys)
    return {key: resolver.get_status(key, partition) for key in keys}


def fresh_for(policy: dg.FreshnessPolicy | None) -> timedelta | None:
    """The time after which an asset with a time window fails its freshness policy. Publicly, policies show nothing."""
    return policy.fail_window.to_timedelta() if isinstance(policy, TimeWindowFreshnessPolicy) else None


def recorded_code_version(record: dg.EventLogRecord) -> str | None:
    """The code version that a materialization was recorded with.

    `DagsterInstance.get_latest_materialization_code_versions` is public, but knows no partitions.
    """
    materialization = record.asset_materialization
    return (materialization.tags or {}).get(CODE_VERSION_TAG) if materialization else None


def version_tags(data_version: str, code_version: str) -> dict[str, str]:
    """The tags of a materialization that is reported for a table that exists already.

    Publicly, only a step can set these versions.
    """
    return {DATA_VERSION_TAG: data_version, CODE_VERSION_TAG: code_version}


def config_type(op: dg.OpDefinition) -> type[dg.Config]:
    """The configuration class of an op; one without parameters if it takes none.

    `OpDefinition.config_schema` is public, but has lost the class.
    """
    compute = op.compute_fn
    if isinstance(compute, DecoratedOpFunction) and compute.has_config_arg():
        return compute.get_config_arg().annotation
    return dg.Config


def set_data_version(context: dg.OutputContext, data_version: str) -> None:
    """Set the data version of an output. Publicly, only the asset itself can, when it gives `dg.Output`."""
    context.step_context.set_data_version(context.asset_key, dg.DataVersion(data_version))


def instance_and_run(context: dg.OutputContext) -> tuple[dg.DagsterInstance, dg.DagsterRun]:
    """The instance and the run of an output. Publicly, an output's context has only the run's id."""
    return context.step_context.instance, context.step_context.dagster_run


def assets_of_step(context: dg.InputContext | dg.OutputContext) -> dg.AssetsDefinition | None:
    """The assets that the step of an input or output makes; None for an asset check.

    Publicly, an input or output has only its own key.
    """
    return context.step_context.assets_def


def input_record_id(context: dg.InputContext) -> int | None:
    """The id of the materialization that Dagster resolved an input to when the step began; None where there is none.

    Publicly, the newest record can be fetched, which may be newer than what Dagster puts into the provenance.
    """
    info = context.step_context.maybe_fetch_and_get_input_asset_version_info(context.asset_key)
    return info.storage_id if info else None


def newest_record_ids(instance: dg.DagsterInstance, key: dg.AssetKey) -> Sequence[int]:
    """The id of the newest materialization of each partition of an asset.

    `DagsterInstance.fetch_materializations` is public, but needs one query a partition.
    """
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    return list(instance.event_log_storage.get_latest_storage_id_by_partition(key, kind).values())


def newest_check_evaluations(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, tuple[str, dg.AssetCheckEvaluation]]:
    """The newest evaluation of each check, with its run; of a check that is planned or being run there is none.

    `DagsterInstance.get_latest_asset_check_evaluation_record` is public, but needs one query a check.
    """
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    evaluations = {key: record.event.asset_check_evaluation for key, record in records.items() if record.event}
    return {key: (records[key].run_id, evaluation) for key, evaluation in evaluations.items() if evaluation}


def silent_daemons(instance: dg.DagsterInstance) -> list[str]:
    """The parts of the daemon that should run and have not reported for five minutes.

    Publicly, only the UI shows them.
    """
    from dagster._daemon.controller import get_daemon_statuses  # noqa: PLC2701  # loads all that the daemon needs

    statuses = get_daemon_statuses(
        instance,
        instance.get_required_daemon_types(),
        ignore_errors=True,
        heartbeat_tolerance_seconds=SILENT_SECONDS,
    )
    return sorted(name for name, status in statuses.items() if not status.healthy)


def runs_with_pool_slots(instance: dg.DagsterInstance) -> set[str]:
    """The runs that hold a slot of a concurrency pool. Publicly, only the UI shows them."""
    storage = instance.event_log_storage
    return {
        slot.run_id
        for pool in storage.get_concurrency_keys()
        for slot in storage.get_concurrency_info(pool).claimed_slots
    }


def free_pool_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Free the slots that a run holds. Publicly, only the UI and the daemon do."""
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def run_database_files(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    """The SQLite files of a run's events, which may exist or not; none with another database.

    `DagsterInstance.delete_run` is public, but only empties them, and they keep their size.
    """
    # Loads SQLAlchemy, which nothing else of the definitions needs.
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage  # noqa: PLC2701

    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return []
    return [Path(f"{storage.path_for_shard(run_id)}{suffix}") for suffix in ("", "-wal", "-shm")]


def database_bytes(instance: dg.DagsterInstance) -> int:
    """The size of the PostgreSQL database of the records; 0 with SQLite, whose files are in Dagster's folder.

    Publicly, an instance does not give access to its database.
    """
    from sqlalchemy import text

    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]  # of every SQL storage
        if connection.dialect.name != "postgresql":
            return 0
        return int(connection.execute(text("select pg_database_size(current_database())")).scalar_one())


@cache
def reuse_sqlite_engines() -> None:
    """From now on, use one SQLAlchemy engine for each SQLite database in this process, not a new one for each query.

    An engine keeps the statements that it has compiled, which takes longer than most of the queries. Connections are
    opened and closed as before. Publicly, the storages have no setting for it.
    """
    # Loads SQLAlchemy, which nothing else of the definitions needs.
    from dagster._core.storage.event_log.sqlite import sqlite_event_log  # noqa: PLC2701
    from dagster._core.storage.runs.sqlite import sqlite_run_storage  # noqa: PLC2701
    from sqlalchemy import create_engine

    engines: dict[str, Engine] = {}

    def engine_of(address: str, **settings: Any) -> "Engine":
        engine = engines.get(address)
        if engine is None:
            if len(engines) == MOST_ENGINES:
                engines.clear()
            engine = engines[address] = create_engine(address, **settings)
        return engine

    for module in (sqlite_event_log, sqlite_run_storage):
        module.create_engine = engine_of  # type: ignore[attr-defined]  # imported there, for its own use


def sleep_while_a_pool_is_full() -> None:
    """From now on, a run of this process that waits for a place in a pool sleeps between two looks.

    Dagster looks again after a second or more, but does not sleep until then: it takes the least of 0 and the seconds
    that are left. So each run that waits keeps a core busy. Publicly, there is no setting for it.
    """
    from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext  # noqa: PLC2701

    def seconds_left(context: InstanceConcurrencyContext) -> float:
        looks = context._pending_timeouts.values()
        return max(0.0, min(looks, default=0.0) - time.time())

    InstanceConcurrencyContext.interval_to_next_pending_claim_check = seconds_left  # type: ignore[assignment]


def with_op_tags(assets: dg.AssetsDefinition, tags: Mapping[str, str]) -> dg.AssetsDefinition:
    """The assets of an op that has further tags. Publicly, only the decorators of assets take tags of the op."""
    op = copy(assets.op)
    op._tags = {**op.tags, **tags}
    return dg.AssetsDefinition.dagster_internal_init(**{**assets.get_attributes_dict(), "node_def": op})


def workspace_context(
    instance: dg.DagsterInstance, workspace: Path, version: str, read_only: bool = False
) -> "WorkspaceProcessContext":
    """The code locations of a workspace file, for `dagster_webserver`'s app, which can then get routes and middleware.

    Publicly, the web server is started by a command, which takes neither. `version` is that of the web server.
    """
    from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: PLC2701
    from dagster._core.workspace.load_target import WorkspaceFileTarget  # noqa: PLC2701

    target = WorkspaceFileTarget([str(workspace)])
    return WorkspaceProcessContext(instance, target, version=version, read_only=read_only)
