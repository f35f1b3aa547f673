import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pytest

import taproom
from taproom.client.snapshots import Snapshot
from taproom.errors import InputError, UnknownTableError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse


def publish(warehouse, table, number, partition=None, **inputs):
    """A new version of a table of one number (or of a partition of it), made from versions of others."""
    columns = (Column("number", pa.int64(), "a number"), Column("part", pa.string(), "the partition"))
    contract = Contract(table, "a number", columns, key=("number",), partition="part" if partition else None)
    rows = contract.table_of(number=[number], part=[partition or ""])
    warehouse.publish(contract, rows, since=warehouse.head(table), partition=partition, origin=Origin(inputs=inputs))


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "warehouse")


@pytest.fixture
def chain(warehouse):
    """reviews 0 -> weights 0 -> map 0; since then, reviews 1 -> weights 1, of which there is no map yet."""
    publish(warehouse, "reviews", 0)
    publish(warehouse, "weights", 0, reviews=0)
    publish(warehouse, "map", 0, weights=0, reviews=0)
    publish(warehouse, "reviews", 1)
    publish(warehouse, "weights", 1, reviews=1)
    return taproom.open(warehouse.root)


def test_a_snapshot_has_the_versions_that_were_made_from_one_another(chain):
    snapshot = chain.snapshot()
    assert snapshot.versions == {"map": 0, "reviews": 0, "weights": 0}
    assert snapshot.disagreements == {}
    assert str(snapshot).splitlines() == ["map@0", "reviews@0", "weights@0"]


def test_inputs_that_disagree_are_named(warehouse, chain):
    publish(warehouse, "topics", 0, reviews=1)
    snapshot = chain.snapshot()
    assert snapshot.versions == {"map": 0, "reviews": 1, "topics": 0, "weights": 0}
    assert snapshot.disagreements == {"reviews": {"map": 0, "topics": 1, "weights": 0}}
    assert "reviews was used in several versions: version 0 for map" in str(snapshot)
    assert "version 1 for topics" in snapshot._repr_html_()


def test_each_partition_says_what_it_was_made_from(warehouse, chain):
    publish(warehouse, "trials", 0, "maps", weights=0)
    publish(warehouse, "trials", 1, "topics", reviews=1)
    assert chain.snapshot().disagreements == {
        "reviews": {"map": 0, "trials/topics": 1, "weights": 0},
    }


def test_a_table_that_continues_itself_is_at_its_newest_version(warehouse):
    publish(warehouse, "map", 0)
    publish(warehouse, "map", 1, map=0)
    assert taproom.open(warehouse.root).snapshot().versions == {"map": 1}


def test_a_pinned_handle_reads_what_it_read_before(warehouse, chain, tmp_path):
    chain.snapshot().save(tmp_path / "tables.lock.json")
    publish(warehouse, "map", 1, weights=1, reviews=1)
    for snapshot in (tmp_path / "tables.lock.json", Snapshot.read(tmp_path / "tables.lock.json")):
        pinned = taproom.open(warehouse.root, snapshot=snapshot)
        assert pinned.load("map")["number"].to_pylist() == [0]
        assert pinned.sql("select number from weights").to_pylist() == [{"number": 0}]
        assert pinned.describe("map").version == 0
        assert [commit["version"] for commit in pinned.history("map")] == [0]
        assert repr(pinned.tables()).splitlines()[0].split()[:2] == ["map", "@0"]
        assert pinned.load("map", version=1)["number"].to_pylist() == [1]
    publish(warehouse, "later", 0)
    with pytest.raises(UnknownTableError, match="The snapshot has no table 'later'; it has: map, reviews, weights"):
        pinned.load("later")


def test_a_warehouse_made_again_is_not_the_one_of_the_snapshot(warehouse, chain):
    snapshot = chain.snapshot()
    shutil.rmtree(warehouse.root)
    publish(warehouse, "map", 5)
    with pytest.raises(UnknownTableError, match=r"map: version 0 in .* is not the one of the snapshot"):
        taproom.open(warehouse.root, snapshot=snapshot).load("map")


def test_a_time_pins_the_versions_that_were_the_newest_then(warehouse, chain):
    made = warehouse.commit_of("weights", 0)["time"]
    then = taproom.open(warehouse.root, at=made)
    assert {table: then.version(table) for table in then.tables()} == {"reviews": 0, "weights": 0}
    today = taproom.open(warehouse.root, at=datetime.now(UTC).date().isoformat())
    assert {table: today.version(table) for table in today.tables()} == warehouse.heads()
    with pytest.raises(InputError, match="no table at 2001-02-03T23:59:59"):
        taproom.open(warehouse.root, at="2001-02-03")


def test_what_is_no_time_or_lock_file_is_refused(warehouse, chain, tmp_path):
    (tmp_path / "other.json").write_text('{"tables": []}')
    for given, message in [
        ({"at": "yesterday"}, "'yesterday' is no time"),
        ({"snapshot": tmp_path / "other.json"}, "is not a lock file"),
        ({"snapshot": tmp_path / "absent.json"}, "is not a lock file"),
        ({"snapshot": tmp_path / "absent.json", "at": "2026-11-28"}, "one of them"),
    ]:
        with pytest.raises(InputError, match=message):
            taproom.open(warehouse.root, **given)
