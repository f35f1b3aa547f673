"""Runs on a warehouse in a real object store: what the products do there, what they ask for, what they leave behind."""

import logging
import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.fs as pafs
import pytest

import taproom
from pipelines.definitions import defs
from taproom.sources.inbox import file_key, file_sha256
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from tests.servers import ROOT, Between, running_object_store, stack_in_a_folder

pytestmark = pytest.mark.slow
MOST_REQUESTS_OF_A_STEP = 60  # docs/deployment.md states it
NUMBER = (Column("id", pa.int64(), "number"),)
ONE = pa.table({"id": [1]}, Contract("one", "one number", NUMBER, ("id",)).schema)

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
    with Between(store["AWS_ENDPOINT_URL"]) as between:
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
            bucket.publish(Contract(f"other_{number}", "one number", NUMBER, ("id",)), ONE, since=None)
        assert requests() == alone <= MOST_REQUESTS_OF_A_STEP
        between.shutdown()


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
