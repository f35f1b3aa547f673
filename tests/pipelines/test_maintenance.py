import os
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.reviews.items import REVIEW_BATCHES
from assets.reviews.term_counts import CONTRACT as TERM_COUNTS
from assets.table import part_key
from pipelines.chains import ASSAYS
from pipelines.definitions import defs
from pipelines.reconcile import lost_batches, lost_commits, reconcile
from pipelines.records import newest_materialization, recorded_version
from taproom.warehouse.publishing import Origin


def batches_of(*names: str) -> pa.Table:
    rows = [{"batch": name, "reviews": 1, "duplicates": 0, "replaced": 0, "words_hash": ""} for name in names]
    return pa.Table.from_pylist(rows, schema=REVIEW_BATCHES.schema)


def counts_of(batch: str, word: str) -> pa.Table:
    row = {"batch": batch, "item_id": "ale", "token_pattern": "", "words": [word], "counts": [1]}
    return pa.Table.from_pylist([row], schema=TERM_COUNTS.schema)


KEY, COUNTS = dg.AssetKey("review_batches"), dg.AssetKey("term_counts")


@pytest.fixture
def maintain(instance):
    """Runs the maintenance job as it is in the code location, with its resources."""

    def run(**sweep) -> None:
        run_config = {"ops": {"maintain": {"config": sweep}}}
        job = defs.resolve_job_def("maintain_warehouse")
        assert job.execute_in_process(instance=instance, run_config=run_config).success

    return run


def versions(commits: list[dict]) -> list[int]:
    return [commit["version"] for commit in commits]


def lost(warehouse, instance, key: dg.AssetKey) -> list[dict]:
    """The lost commits of a table of one asset."""
    recorded = recorded_version(instance, warehouse, key)
    return lost_commits(warehouse, key, recorded, warehouse.head(key.to_user_string()))


def test_a_commit_whose_event_was_lost_is_recorded(warehouse, instance, maintain):
    made = {"inputs": {"reviews": 3}, "config": {"seed": 1}, "settings": {"seed": 1}}
    origin = Origin(run_id="killed", code_version="abc", **made)
    published = warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None, origin=origin)
    assert versions(lost(warehouse, instance, KEY)) == [0]

    maintain()
    record = newest_materialization(instance, KEY).asset_materialization
    assert record.tags["dagster/data_version"] == published.content_hash
    assert record.tags["dagster/code_version"] == "abc"
    told = {name: entry.value for name, entry in record.metadata.items()}
    assert (told["version"], told["dagster/row_count"], told["recovered_from_run"]) == (0, 1, "killed")
    assert {name: told[name] for name in made} == made
    assert recorded_version(instance, warehouse, KEY) == 0

    assert lost(warehouse, instance, KEY) == []
    assert list(reconcile(instance, warehouse, defs)) == []


def test_lost_commits_are_recorded_from_the_oldest_on(warehouse, instance):
    for version in range(3):
        rows = batches_of(*(f"b{number}" for number in range(version + 1)))
        since = version - 1 if version else None
        warehouse.publish(REVIEW_BATCHES, rows, since=since, origin=Origin(run_id=f"run {version}"))
    assert list(reconcile(instance, warehouse, defs)) == [
        "review_batches: version 0, 1, 2 is in the warehouse, but not recorded (repaired)"
    ]
    assert recorded_version(instance, warehouse, KEY) == 2


def test_lost_partitions_are_recorded_as_these_partitions(warehouse, instance):
    since = None
    for name in ("b1", "b2", "b1"):
        rows = counts_of(name, word=f"w{since}")
        published = warehouse.publish(TERM_COUNTS, rows, since=since, partition=name, origin=Origin(run_id=name))
        since = published.version
    assert versions(lost(warehouse, instance, COUNTS)) == [2, 1]
    assert list(reconcile(instance, warehouse, defs))
    assert instance.get_materialized_partitions(COUNTS) == {"b1", "b2"}
    assert [recorded_version(instance, warehouse, COUNTS, partitions=[name]) for name in ("b1", "b2")] == [2, 1]


def test_a_lost_part_of_a_table_is_recorded_as_the_asset_that_it_is(warehouse, instance, crown):
    crown("topics", topics=7)
    key = part_key("champions", "topics")
    told = list(reconcile(instance, warehouse, defs))
    assert told == ["champions/topics_champions: version 0 is in the warehouse, but not recorded (repaired)"]
    assert recorded_version(instance, warehouse, key) == 0
    assert newest_materialization(instance, key).partition_key is None
    assert not instance.has_asset_key(dg.AssetKey("champions"))


@pytest.mark.parametrize("key", ["trials", "trials/topics"])  # as former versions called them
def test_records_of_tables_that_are_no_assets_are_wiped(key, warehouse, instance):
    instance.report_runless_asset_event(dg.AssetMaterialization(key.split("/"), partition="topics"))
    assert list(reconcile(instance, warehouse, defs)) == [f"{key} is no asset, but has records (repaired)"]
    assert not instance.has_asset_key(dg.AssetKey(key.split("/")))


def test_the_batches_of_a_lost_instance_are_known_again(write_csv, ingest, warehouse, instance, themed_reviews):
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    with dg.DagsterInstance.ephemeral() as another:
        told = list(reconcile(another, warehouse, defs))
        assert told[0] == "1 batches of reviews are in the warehouse, but not known to Dagster (repaired)"
        assert another.get_dynamic_partitions("review_batches") == warehouse.partitions("reviews")
        assert another.get_materialized_partitions(dg.AssetKey("reviews")) == set(warehouse.partitions("reviews"))
        assert list(reconcile(another, warehouse, defs)) == []


def test_tables_of_a_lost_warehouse_are_named(write_csv, ingest, warehouse, instance, themed_reviews, tmp_path):
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    (batch,) = warehouse.partitions("reviews")
    Path(warehouse.root).rename(tmp_path / "away")
    told = "\n".join(reconcile(instance, warehouse, defs))
    assert f"1 batches of reviews were read into {warehouse.root}, which does not have them any more" in told
    assert batch in told
    assert "term_counts: version 0 is recorded, the warehouse has no such table" in told


def test_a_file_of_which_nothing_could_be_read_is_not_lost(tmp_path, ingest_events, warehouse, instance):
    (tmp_path / "words.csv").write_text("x,y\n1,2\n")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    ingest_events(tmp_path / "words.csv")
    cut = ingest_events(tmp_path / "cut.parquet")
    assert cut not in warehouse.partitions("events")
    assert list(reconcile(instance, warehouse, defs)) == []
    Path(warehouse.root).rename(tmp_path / "away")
    assert cut in lost_batches(instance, warehouse, ASSAYS)


def test_commits_that_no_run_made_and_other_peoples_tables_are_left_alone(warehouse, instance):
    warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None)
    assert list(reconcile(instance, warehouse, defs)) == []
    assert newest_materialization(instance, KEY) is None


def test_what_a_run_recorded_itself_is_not_lost(write_csv, ingest, warehouse, instance, themed_reviews):
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    assert list(reconcile(instance, warehouse, defs)) == []


def test_files_that_nothing_needs_are_swept_and_the_newest_stay(warehouse, maintain):
    for version in range(4):
        since = version - 1 if version else None
        warehouse.publish(REVIEW_BATCHES, batches_of(f"b{version}"), since=since, origin=Origin(run_id="r"))
    stray = Path(warehouse.uri("review_batches"), "00000-stray.parquet")
    stray.write_bytes(b"never committed")
    folder = Path(warehouse.uri("review_batches"))
    files = set(folder.glob("*.parquet"))
    maintain(keep_newest=2, keep_days=1)
    assert set(folder.glob("*.parquet")) == files
    maintain(keep_newest=2, keep_days=0)
    assert stray.exists()  # a run may be about to commit it
    assert len(set(folder.glob("*.parquet"))) == len(files) - 2
    os.utime(stray, (0, 0))
    maintain(keep_newest=2, keep_days=0)
    assert not stray.exists()
    assert len(set(folder.glob("*.parquet"))) == len(files) - 3
    assert warehouse.read("review_batches")["batch"].to_pylist() == ["b3"]
    assert warehouse.read("review_batches", 2)["batch"].to_pylist() == ["b2"]
    assert len(warehouse.history("review_batches")) == 4
    assert warehouse.sweep(keep_newest=2, keep_younger_than=timedelta()) == {"review_batches": []}
