import weakref
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from taproom.warehouse import data_files, reading
from taproom.warehouse.contracts import Column, Contract
from tests.taproom.warehouse.tables import MAIL, NOTES, ids, mail, megabytes, notes, reader


def test_columns_and_partitions_can_be_selected_together(warehouse):
    for batch, number in (("b", 2), ("a", 1), ("c", 3)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch)
    assert warehouse.partitions("mail") == ["a", "b", "c"]
    assert warehouse.partitions("mail", 0) == ["b"]
    stream = warehouse.stream("mail", partitions=["c", "a", "z"], columns=["text", "batch", "id"])
    assert stream.schema.names == ["text", "batch", "id"]
    assert stream.read_all().to_pydict() == {"text": ["ale", "ale"], "batch": ["a", "c"], "id": [1, 3]}
    assert warehouse.read("mail", columns=["batch"]).to_pydict() == {"batch": ["a", "b", "c"]}
    assert warehouse.read("mail", partitions=[]).num_rows == 0
    assert ids(warehouse.read("mail", 1)) == [1, 2]


def test_rows_are_read_back_with_the_schema_of_the_contract(warehouse):
    columns = (
        Column("batch", pa.string(), "where it came in"),
        Column("id", pa.int64(), "number"),
        Column("weights", pa.list_(pa.field("item", pa.float32(), nullable=False)), "of its words", unit="1"),
        Column("scores", pa.map_(pa.string(), pa.float64()), "by name", nullable=True),
        Column("time", pa.timestamp("us", tz="UTC"), "when", nullable=True),
        Column("pixels", pa.binary(), "of its label"),
        Column("fresh", pa.bool_(), "whether it is"),
    )
    contract = Contract("labels", "one label", columns, ("id",), partition="batch")
    table = contract.table_of(
        batch=["a"] * 3,
        id=[1, 2, 3],
        weights=[[0.1], [], [float("nan"), -0.0]],
        scores=[[("aroma", 4.5), ("taste", None)], None, []],
        time=[datetime(2026, 1, 1, tzinfo=UTC), None, datetime(1969, 1, 1, tzinfo=UTC)],
        pixels=[b"\0\xff", b"", b"x"],
        fresh=[True, False, True],
    )
    published = warehouse.publish(contract, table, since=None, partition="a")
    back = warehouse.read("labels")
    assert back.schema.equals(contract.schema)
    assert back.schema.field("weights").metadata[b"description"] == b"of its words"
    assert repr(back.to_pylist()) == repr(table.to_pylist())
    assert not warehouse.publish(contract, back, since=0, partition="a").changed
    assert published.rows == 3


def test_a_version_reads_the_same_while_newer_ones_come(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    stream = warehouse.stream("notes", 0)
    newest = warehouse.stream("notes")
    warehouse.publish(NOTES, notes(2), since=0)
    assert ids(stream.read_all()) == ids(newest.read_all()) == ids(warehouse.read("notes", 0)) == [1]
    assert ids(warehouse.read("notes")) == [2]


def test_a_stream_has_one_file_in_memory_and_gives_its_rows_in_pieces(warehouse, monkeypatch):
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_FILE", 4 * 2**20)
    monkeypatch.setattr("taproom.warehouse.reading.BYTES_PER_BATCH", 1_000)
    warehouse.publish(NOTES, reader(megabytes(10)), since=None)
    contents = []

    def read_verified(*given):
        content = data_files.read_verified(*given)
        contents.append(weakref.ref(content))
        return content

    monkeypatch.setattr(reading, "read_verified", read_verified)
    found = []
    for batch in warehouse.stream("notes"):
        assert sum(content() is not None for content in contents) == 1
        found.append(batch["id"].to_pylist())
    assert found == [[number] for number in range(10)]
    assert len(contents) == 3
    assert [len(batch) for batch in warehouse.stream("notes", columns=["id"])] == [4, 4, 2]


@pytest.mark.parametrize("count", [0, 1, 4, 6, 9])
def test_the_first_rows_are_those_of_the_version(warehouse, count):
    for batch in ("b", "a"):
        warehouse.publish(MAIL, mail(batch, 1, 2, 3), since=warehouse.head("mail"), partition=batch)
    assert reading.first_rows(warehouse.storage, "mail", count) == warehouse.read("mail").slice(0, count)


def test_batches_have_as_few_rows_as_are_asked_for(warehouse):
    warehouse.publish(NOTES, notes(*range(10)), since=None)
    batches = list(reading.stream(warehouse.storage, "notes", most_rows=4))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert pa.Table.from_batches(batches) == warehouse.read("notes")
