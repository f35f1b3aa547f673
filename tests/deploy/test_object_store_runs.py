"""Runs on a warehouse in a real object store: what the products do there, what they ask for, what they leave behind."""

import logging
import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from distributed import Client, LocalCluster

import taproom
from assets.table import CONTRACTS
from pipelines.definitions import defs
from pipelines.io_manager import TableIOManager
from pipelines.serving.prepare import open_bucket, wait_for
from taproom.compute import Made, workers
from taproom.errors import SourceError, StorageError
from taproom.sources.inbox import INBOX_VARIABLE, data_files, file_key, file_sha256, inbox_folder, set_aside
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.storage import WAREHOUSE_VARIABLE, Storage
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse
from tests.servers import ROOT, Between, running_object_store, stack_in_a_folder
from tests.serving import serving
from tests.taproom.test_cluster import pause

pytestmark = pytest.mark.slow
# docs/deployment.md states them: of a step whose rows are unchanged, and of one that publishes others.
UNCHANGED, CHANGED = 35, 115
NUMBER = (Column("id", pa.int64(), "number"),)
ONE, SUM = (Contract(table, "one number", NUMBER, ("id",)) for table in ("one", "sum"))

NEIGHBORS = ["items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf", "neighbors"]


@pytest.fixture(scope="module")
def store():
    with stack_in_a_folder() as environment, running_object_store(environment):
        yield environment


@pytest.fixture
def bucket(store, request, monkeypatch):
    """An empty warehouse of each test's own, which runs publish in."""
    monkeypatch.setenv(WAREHOUSE_VARIABLE, f"s3://taproom/{request.node.name}")
    return Warehouse()


@pytest.fixture
def kept(tmp_path):
    """An instance in a folder, as an operator has it."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def test_what_a_step_asks_for_does_not_grow_with_the_tables(store, bucket, instance, corpus_folder, monkeypatch):
    with serving(Between(store["AWS_ENDPOINT_URL"])) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)

        def requests() -> int:
            between.requests.clear()
            ops = {"documents": {"config": {"source": "files", "path": str(corpus_folder)}}}
            documents = [dg.AssetKey("documents")]
            job = defs.resolve_job_def("ingest_text")
            assert job.execute_in_process({"ops": ops}, instance=instance, asset_selection=documents).success
            return len(between.requests)

        requests()
        alone = requests()
        for number in range(4):
            bucket.publish(Contract(f"other_{number}", "one number", NUMBER, ("id",)), ONE.table_of(id=[1]), since=None)
        assert requests() == alone <= UNCHANGED
        (corpus_folder / "one_more.txt").write_text("hops and malt")
        assert requests() <= CHANGED


def test_reviews_become_neighbors_and_pages_and_no_key_is_left_behind(
    store, bucket, kept, write_csv, themed_reviews, capfd, caplog
):
    caplog.set_level(logging.INFO)
    file = write_csv("ales.csv", themed_reviews(items=12))
    key = file_key(file.name, file_sha256(file))
    kept.add_dynamic_partitions("review_batches", [key])
    reviews = {"reviews": {"config": {"source": "table", "path": str(file)}}}
    for job, ops, partition, tables in [
        ("ingest_reviews", reviews, key, None),
        ("refresh_reviews", {}, None, NEIGHBORS),
        ("make_pages", {}, None, None),
    ]:
        resolved = defs.resolve_job_def(job)
        selection = tables and [dg.AssetKey(table) for table in tables]
        assert resolved.execute_in_process(
            {"ops": ops}, instance=kept, partition_key=partition, asset_selection=selection
        ).success
    reader = taproom.open(bucket.root)
    assert reader.sql("select count(distinct item_id) as items from neighbors").to_pylist() == [{"items": 12}]
    assert all(not bucket.check(table).problems for table in bucket.tables())
    assert bucket.storage.size("_pages/index.html")

    secrets = [store["AWS_SECRET_ACCESS_KEY"].encode(), store["AWS_ACCESS_KEY_ID"].encode()]
    left = {str(path): path.read_bytes() for path in Path(kept.root_directory).rglob("*") if path.is_file()}
    objects = [info for info in bucket.storage.listing(recursive=True) if info.type == pafs.FileType.File]
    paths = [bucket.storage.relative(info, "") for info in objects]
    left |= {path: bucket.storage.read(path) for path in paths}
    left["output"] = "".join([*capfd.readouterr(), caplog.text]).encode()
    assert len(left) > 60
    assert not [name for name, content in left.items() if any(secret in content for secret in secrets)]


def total(rows: pa.Table, _block: int) -> int:
    return sum(rows["id"].to_pylist())


@dg.asset(name="sum")
def sum_on_workers(one: TableVersion) -> pa.Table:
    with workers(Made(TableVersion.read, (one,))) as run:
        return SUM.table_of(id=list(run(total, [(0,)])))


def test_a_store_that_a_worker_cannot_reach_fails_the_step_and_leaves_its_table(bucket, instance, monkeypatch):
    monkeypatch.setitem(CONTRACTS, "sum", SUM)
    monkeypatch.setitem(CONTRACTS, "one", ONE)

    def make(number: int) -> None:
        @dg.asset
        def one() -> pa.Table:
            return ONE.table_of(id=[number])

        dg.materialize([one, sum_on_workers], instance=instance, resources={"io_manager": TableIOManager()})

    make(1)
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        client.run(pause, (0.01, 0.01, 0.01))
        monkeypatch.setenv("TAPROOM_CLUSTER", local.scheduler_address)
        with pytest.raises(StorageError, match=r"cannot use the warehouse of this step: .* AWS_ENDPOINT_URL"):
            make(2)
    assert [bucket.read(table)["id"].to_pylist() for table in ("one", "sum")] == [[2], [1]]


def test_files_under_a_prefix_are_read_like_those_of_a_folder(
    bucket, instance, write_csv, themed_reviews, tmp_path, monkeypatch
):
    file = write_csv("ales.csv", themed_reviews(items=4))
    inbox = Storage("s3://taproom/inbox")
    for name, content in {"ales.csv": file.read_bytes(), ".hidden/b.csv": b"x", "..x/c.csv": b"x"}.items():
        inbox.write(f"reviews/{name}", content)
    monkeypatch.setenv(INBOX_VARIABLE, inbox.root)
    monkeypatch.setenv("TAPROOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pipelines.inbox.SETTLE_SECONDS", 0)
    with dg.build_sensor_context(instance=instance, definitions=defs) as context:
        (request,) = defs.resolve_sensor_def("review_inbox")(context).run_requests
    key = file_key(file.name, file_sha256(file))
    instance.add_dynamic_partitions("review_batches", [key])
    assert defs.resolve_job_def("ingest_reviews_batches").execute_in_process(request.run_config, instance).success
    assert bucket.partitions("reviews") == [key]

    (copied,) = data_files(inbox_folder("reviews"))
    assert copied.read_bytes() == file.read_bytes()
    inbox.write("reviews/ales.csv", b"longer" * 1000)
    inbox.write("reviews/more/plate.csv", b"another")
    assert [path.stat().st_size for path in data_files(inbox_folder("reviews"))] == [6000, 7]
    set_aside("reviews", copied)
    assert [path.name for path in data_files(inbox_folder("reviews"))] == ["plate.csv"]
    assert inbox.read("reviews/.removed/ales.csv") == b"longer" * 1000


def test_an_inbox_that_cannot_be_read_is_a_named_error(store, monkeypatch):
    monkeypatch.setenv(INBOX_VARIABLE, "s3://taproom/inbox")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match="The inbox s3://taproom/inbox/reviews could not be read"):
        inbox_folder("reviews")


def test_a_deployment_waits_for_the_store_and_makes_its_bucket(store, monkeypatch, capsys):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    key = store["AWS_SECRET_ACCESS_KEY"]

    def open_with_the_right_key_later() -> None:
        try:
            open_bucket("s3://another/warehouse")
        finally:
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key)

    wait_for("the object store", open_with_the_right_key_later)
    assert "Waiting for the object store: the bucket 'another' cannot be used" in capsys.readouterr().out
    assert Storage("s3://another/warehouse").listing() == []
