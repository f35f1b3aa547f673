import os
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.reviews.items import REVIEW_BATCHES
from assets.reviews.term_counts import CONTRACT as TERM_COUNTS
from pipelines.maintenance import lost_commits, maintain_warehouse
from pipelines.tables import newest_materialization, recorded_version
from taproom.warehouse import Origin


def batches_of(*names: str) -> pa.Table:
    rows = [{"batch": name, "reviews": 1, "duplicates": 0, "words_hash": ""} for name in names]
    return pa.Table.from_pylist(rows, schema=REVIEW_BATCHES.schema)


def counts_of(batch: str) -> pa.Table:
    row = {"batch": batch, "item_id": "ale", "token_pattern": "", "words": ["pine"], "counts": [1]}
    return pa.Table.from_pylist([row], schema=TERM_COUNTS.schema)


@pytest.fixture
def maintain(instance):
    """Runs the maintenance job; gives what it recorded and how many files it swept."""

    def run(**sweep) -> tuple[dict, int]:
        run_config = {"ops": {"sweep_files": {"config": sweep}}}
        result = maintain_warehouse.execute_in_process(instance=instance, run_config=run_config)
        return result.output_for_node("record_lost_commits"), result.output_for_node("sweep_files")

    return run


def test_a_commit_whose_event_was_lost_is_put_on_record(warehouse, instance, maintain):
    origin = Origin(run_id="killed", code_version="abc", inputs={"reviews": 3}, config={"seed": 1})
    published = warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None, origin=origin)
    assert [commit["version"] for commit in lost_commits(instance, warehouse)["review_batches"]] == [0]

    assert maintain()[0] == {"review_batches": [0]}
    record = newest_materialization(instance, dg.AssetKey("review_batches")).asset_materialization
    assert record.tags["dagster/data_version"] == published.content_hash
    assert record.tags["dagster/code_version"] == "abc"
    told = {name: entry.value for name, entry in record.metadata.items()}
    assert (told["version"], told["dagster/row_count"], told["recovered_from_run"]) == (0, 1, "killed")
    assert (told["inputs"], told["config"]) == ({"reviews": 3}, {"seed": 1})
    assert recorded_version(instance, warehouse, dg.AssetKey("review_batches")) == 0

    assert lost_commits(instance, warehouse) == {}
    assert maintain()[0] == {}


def test_lost_commits_are_recorded_from_the_oldest_on(warehouse, instance, maintain):
    for version in range(3):
        rows = batches_of(*(f"b{number}" for number in range(version + 1)))
        since = version - 1 if version else None
        warehouse.publish(REVIEW_BATCHES, rows, since=since, origin=Origin(run_id=f"run {version}"))
    assert maintain()[0] == {"review_batches": [2, 1, 0]}
    assert recorded_version(instance, warehouse, dg.AssetKey("review_batches")) == 2


def test_a_lost_partition_is_recorded_as_that_partition(warehouse, instance, maintain):
    since = None
    for name in ("b1", "b2"):
        published = warehouse.publish(
            TERM_COUNTS, counts_of(name), since=since, partition=name, origin=Origin(run_id=name)
        )
        since = published.version
    maintain()
    key = dg.AssetKey("term_counts")
    assert instance.get_materialized_partitions(key) == {"b1", "b2"}
    assert [recorded_version(instance, warehouse, key, partitions=[name]) for name in ("b1", "b2")] == [0, 1]


def test_commits_that_no_run_made_and_other_peoples_tables_are_left_alone(warehouse, instance, maintain):
    warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None)
    assert maintain()[0] == {}
    assert newest_materialization(instance, dg.AssetKey("review_batches")) is None


def test_what_a_run_recorded_itself_is_not_lost(write_csv, ingest, warehouse, instance, themed_reviews):
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    assert lost_commits(instance, warehouse) == {}


def test_files_that_nothing_needs_are_swept_and_the_newest_stay(warehouse, maintain):
    for version in range(4):
        since = version - 1 if version else None
        warehouse.publish(REVIEW_BATCHES, batches_of(f"b{version}"), since=since, origin=Origin(run_id="r"))
    stray = Path(warehouse.uri("review_batches"), "00000-stray.parquet")
    stray.write_bytes(b"never committed")
    assert maintain(keep_newest=2, keep_days=1)[1] == 0
    assert stray.exists()
    assert maintain(keep_newest=2, keep_days=0)[1] == 2
    assert stray.exists()  # a run may be about to commit it
    os.utime(stray, (0, 0))
    assert maintain(keep_newest=2, keep_days=0)[1] == 1
    assert not stray.exists()
    assert warehouse.read("review_batches")["batch"].to_pylist() == ["b3"]
    assert warehouse.read("review_batches", 2)["batch"].to_pylist() == ["b2"]
    assert len(warehouse.history("review_batches")) == 4
    assert warehouse.sweep(keep_newest=2, keep_younger_than=timedelta()) == {"review_batches": []}
