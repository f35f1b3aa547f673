"""Each function that uses a part of Dagster that is not public: a test fails when a release changes that part."""

import asyncio
import time
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.execution.plan import instance_concurrency_context
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._daemon.types import DaemonHeartbeat
from sqlalchemy import Engine
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pipelines import dagster_internals
from pipelines.dagster_internals import (
    StaleStatus,
    assets_of_step,
    config_type,
    free_pool_slots,
    fresh_for,
    input_record_id,
    instance_and_run,
    newest_check_evaluations,
    newest_record_ids,
    recorded_code_version,
    reuse_sqlite_engines,
    run_database_files,
    runs_with_pool_slots,
    set_data_version,
    silent_daemons,
    sleep_while_a_pool_is_full,
    stale_statuses,
    version_tags,
    with_op_tags,
    workspace_context,
)

PARTS = dg.StaticPartitionsDefinition(["a", "b"])


class Settings(dg.Config):
    k: int = 1


class HashingIOManager(dg.IOManager):
    """Sets a data version for every output, and notes its run and the record of every input."""

    def __init__(self):
        self.input_records: list[int | None] = []
        self.assets: dict[type[dg.InputContext | dg.OutputContext], list[dg.AssetsDefinition | None]] = {
            dg.InputContext: [],
            dg.OutputContext: [],
        }
        self.runs: list[tuple[dg.DagsterInstance, str]] = []

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        instance, run = instance_and_run(context)
        self.runs.append((instance, run.run_id))
        self.assets[dg.OutputContext].append(assets_of_step(context))
        set_data_version(context, f"hash of {obj}")

    def load_input(self, context: dg.InputContext) -> int:
        self.input_records.append(input_record_id(context))
        self.assets[dg.InputContext].append(assets_of_step(context))
        return 0


@dg.asset(code_version="1")
def whole(config: Settings) -> int:
    return config.k


@dg.asset(code_version="1")
def dependent(whole: int) -> str:
    return "dependent"


@dg.asset(code_version="2", partitions_def=PARTS)
def parted() -> str:
    return "part"


@pytest.fixture
def home(tmp_path):
    """An instance in a folder, with SQLite."""
    (tmp_path / "dagster.yaml").write_text("")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def make(instance, *assets, io_manager=None, **more) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        list(assets), instance=instance, resources={"io_manager": io_manager or HashingIOManager()}, **more
    )


def newest(instance, key: str) -> dg.EventLogRecord:
    return instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=dg.AssetKey(key)), limit=1).records[0]


def answer(app, path: str) -> bytes:
    """The body that an ASGI app answers a GET with."""
    sent = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "http_version": "1.1"}
    asyncio.run(app(scope, receive, send))
    return b"".join(message.get("body", b"") for message in sent)


def statuses(instance, partition: str | None = None, *, of: tuple = (whole, dependent)) -> list[StaleStatus]:
    found = stale_statuses(instance, dg.Definitions(list(of)), [asset.key for asset in of], partition)
    return [found[asset.key] for asset in of]


def test_stale_statuses(instance):
    assert statuses(instance) == [StaleStatus.MISSING, StaleStatus.MISSING]
    make(instance, whole, dependent)
    assert statuses(instance) == [StaleStatus.FRESH, StaleStatus.FRESH]
    make(instance, whole, run_config={"ops": {"whole": {"config": {"k": 2}}}})
    assert statuses(instance) == [StaleStatus.FRESH, StaleStatus.STALE]


def test_stale_statuses_of_a_partition(instance):
    make(instance, parted, partition_key="a")
    assert statuses(instance, "a", of=(parted,)) == [StaleStatus.FRESH]
    assert statuses(instance, "b", of=(parted,)) == [StaleStatus.MISSING]


def test_fresh_for():
    assert fresh_for(dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48))) == timedelta(hours=48)
    assert fresh_for(None) is None


def test_recorded_code_version(instance):
    make(instance, parted, partition_key="a")
    assert recorded_code_version(newest(instance, "parted")) == "2"


def test_version_tags_count_as_the_versions_that_a_step_sets(instance):
    make(instance, whole, dependent)
    instance.report_runless_asset_event(dg.AssetMaterialization("whole", tags=version_tags("hash of 1", "1")))
    assert statuses(instance) == [StaleStatus.FRESH, StaleStatus.FRESH]
    instance.report_runless_asset_event(dg.AssetMaterialization("whole", tags=version_tags("another", "1")))
    assert statuses(instance) == [StaleStatus.FRESH, StaleStatus.STALE]
    assert recorded_code_version(newest(instance, "whole")) == "1"


def test_config_type():
    assert config_type(whole.op) is Settings
    assert config_type(dependent.op) is dg.Config


def test_set_data_version(instance):
    make(instance, whole)
    assert newest(instance, "whole").asset_materialization.tags["dagster/data_version"] == "hash of 1"


def test_instance_and_run(instance):
    io_manager = HashingIOManager()
    run_id = make(instance, whole, io_manager=io_manager).run_id
    assert io_manager.runs == [(instance, run_id)]


def test_input_record_id(instance):
    io_manager = HashingIOManager()
    make(instance, dg.AssetSpec("whole"), dependent, io_manager=io_manager)
    make(instance, whole)
    make(instance, dg.AssetSpec("whole"), dependent, io_manager=io_manager)
    assert io_manager.input_records == [None, newest(instance, "whole").storage_id]


def test_newest_record_ids(instance):
    for part in ("a", "b", "a"):
        make(instance, parted, partition_key=part)
    records = instance.fetch_materializations(parted.key, limit=10).records  # newest first
    assert sorted(newest_record_ids(instance, parted.key)) == sorted(record.storage_id for record in records[:2])
    assert newest_record_ids(instance, whole.key) == []


def test_newest_check_evaluations(instance):
    @dg.asset_check(asset=whole)
    def is_whole() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)

    key = dg.AssetCheckKey(whole.key, "is_whole")
    assert newest_check_evaluations(instance, [key]) == {}
    run_id = make(instance, whole, is_whole).run_id
    ((of_run, evaluation),) = newest_check_evaluations(instance, [key]).values()
    assert (of_run, evaluation.passed, evaluation.severity) == (run_id, False, dg.AssetCheckSeverity.WARN)


def test_silent_daemons(home):
    required = home.get_required_daemon_types()
    assert silent_daemons(home) == sorted(required)
    for part in required:
        home.add_daemon_heartbeat(DaemonHeartbeat(time.time(), part, "a daemon"))
    assert silent_daemons(home) == []


def test_pool_slots(home):
    home.event_log_storage.set_concurrency_slots("fits", 1)
    run_id = make(home, whole).run_id
    home.event_log_storage.claim_concurrency_slot("fits", run_id, "step")
    assert runs_with_pool_slots(home) == {run_id}
    free_pool_slots(home, run_id)
    assert runs_with_pool_slots(home) == set()


def test_sleep_while_a_pool_is_full(home):
    context_of = instance_concurrency_context.InstanceConcurrencyContext
    sleep_while_a_pool_is_full()
    home.event_log_storage.set_concurrency_slots("fits", 1)
    first, second = (home.get_run_by_id(make(home, whole).run_id) for _ in range(2))
    with context_of(home, first) as placed, context_of(home, second) as waiting:
        assert placed.claim("fits", "step")
        assert placed.interval_to_next_pending_claim_check() == 0
        assert not waiting.claim("fits", "step")
        assert 0.5 < waiting.interval_to_next_pending_claim_check() < 2


def test_run_database_files(home):
    run_id = make(home, whole).run_id
    database, *others = run_database_files(home, run_id)
    assert database.is_file()
    assert [file.name for file in others] == [f"{run_id}.db-wal", f"{run_id}.db-shm"]


def test_run_database_files_of_another_database(instance):
    assert run_database_files(instance, make(instance, whole).run_id) == []


def test_newest_check_evaluations_are_those_of_the_last_runs(instance):
    keys = [dg.AssetCheckKey(dg.AssetKey("whole"), name) for name in ("finite", "drift", "never run")]
    for name, passed in (("finite", True), ("drift", True), ("drift", False)):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=whole.key, check_name=name, passed=passed)
        )
    found = newest_check_evaluations(instance, keys)
    assert {key.name: evaluation.passed for key, (_, evaluation) in found.items()} == {"finite": True, "drift": False}


def test_reuse_sqlite_engines(home, monkeypatch):
    for module in (sqlite_event_log, sqlite_run_storage):
        monkeypatch.setattr(module, "create_engine", module.create_engine)  # so that it is put back after the test
    monkeypatch.setattr(dagster_internals, "MOST_ENGINES", 3)
    reuse_sqlite_engines.__wrapped__()

    def engine_of(run_id: str) -> Engine:
        with home.event_log_storage.run_connection(run_id) as connection:
            return connection.engine

    first, *others = [make(home, whole).run_id for _ in range(3)]
    assert engine_of(first) is engine_of(first)
    assert len({id(engine_of(run_id)) for run_id in (first, others[0], "index")}) == 3
    with home.run_storage.connect() as one, home.run_storage.connect() as another:
        assert one.engine is another.engine
    recorded = home.fetch_materializations(whole.key, limit=10).records
    assert sorted(record.run_id for record in recorded) == sorted([first, *others])


def test_workspace_context(home, tmp_path):
    from dagster_webserver.app import create_app_from_workspace_process_context  # takes a second to load

    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with workspace_context(home, workspace, "1.0") as context:
        app = create_app_from_workspace_process_context(context)
        app.routes.insert(0, Route("/figures/{name}", lambda request: PlainTextResponse(request.path_params["name"])))
        assert answer(app, "/figures/beers") == b"beers"
        assert b"dagster_webserver_version" in answer(app, "/server_info")


def test_the_assets_that_the_step_of_an_input_or_output_makes_are_found(home):
    io_manager = HashingIOManager()
    make(home, whole, dependent, io_manager=io_manager)
    assert [assets.keys for assets in io_manager.assets[dg.InputContext]] == [{dependent.key}]
    assert [assets.keys for assets in io_manager.assets[dg.OutputContext]] == [{whole.key}, {dependent.key}]


def test_tags_of_an_op():
    @dg.asset(op_tags={"a": "1"}, pool="heavy", check_specs=[dg.AssetCheckSpec("passes", asset="beers")])
    def beers():
        yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    tagged = with_op_tags(beers, {"b": "2"})
    assert (tagged.op.tags, tagged.op.pool) == ({"a": "1", "b": "2"}, "heavy")
    assert beers.op.tags == {"a": "1"}
    job = dg.Definitions([tagged], jobs=[dg.define_asset_job("make")]).resolve_job_def("make")
    assert job.graph.node_dict["beers"].definition.tags == tagged.op.tags
    assert job.execute_in_process().get_asset_check_evaluations()[0].passed
