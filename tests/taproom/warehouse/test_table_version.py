import pickle
from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pytest

from taproom.errors import UnknownTableError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse

BEERS = Contract(
    "beers",
    "a beer",
    (Column("brewery", pa.string(), "its brewery"), Column("beer", pa.int64(), "its number")),
    key=("beer",),
    partition="brewery",
)


def test_a_version_read_from_its_description_has_the_rows_that_were_published(tmp_path):
    warehouse = Warehouse(tmp_path)
    first = warehouse.publish(BEERS, BEERS.table_of(brewery=["a", "a"], beer=[1, 2]), since=None, partition="a")
    second = warehouse.publish(BEERS, BEERS.table_of(brewery=["b"], beer=[3]), since=first.version, partition="b")
    root = str(tmp_path)
    sent = pickle.loads(pickle.dumps(TableVersion(root, "beers", second.version)))
    assert sent.read().sort_by("beer")["beer"].to_pylist() == [1, 2, 3]
    assert TableVersion(root, "beers", first.version).read()["beer"].to_pylist() == [1, 2]
    some = TableVersion(root, "beers", second.version, partitions=("b",), columns=("beer",))
    assert some.read().to_pydict() == {"beer": [3]}
    assert len(pickle.dumps(some)) < 300
    assert some.config == {}
    third = warehouse.publish(
        BEERS, BEERS.table_of(brewery=["b"], beer=[4]), since=1, partition="b", origin=Origin(config={"k": 2})
    )
    assert TableVersion(root, "beers", third.version).config == {"k": 2}
    with pytest.raises(UnknownTableError):
        TableVersion(root, "beers", 7).read()


def test_the_rows_can_be_described_file_by_file(tmp_path, monkeypatch):
    for limit in ("BYTES_PER_BATCH", "BYTES_PER_FILE"):
        monkeypatch.setattr(f"taproom.warehouse.data_files.{limit}", 20)
    warehouse = Warehouse(tmp_path)
    for brewery, numbers in (("a", [1, 2, 3, 4]), ("b", [5, 6, 7])):
        rows = BEERS.table_of(brewery=[brewery] * len(numbers), beer=numbers)
        warehouse.publish(BEERS, rows, since=warehouse.head("beers"), partition=brewery)
    everything = TableVersion(str(tmp_path), "beers", 1, columns=("beer",))
    files = [each.read()["beer"].to_pylist() for each in pickle.loads(pickle.dumps(everything.by_file()))]
    assert len(files) > 3
    assert list(chain.from_iterable(files)) == everything.read()["beer"].to_pylist() == [1, 2, 3, 4, 5, 6, 7]
    some = replace(everything, partitions=("b",)).by_file()
    assert list(chain.from_iterable(each.read()["beer"].to_pylist() for each in some)) == [5, 6, 7]
    assert some[0].by_file() == [some[0]]
    with pytest.raises(UnknownTableError, match="no data file"):
        replace(everything, version=0, paths=some[0].paths).read()


def test_a_table_that_has_not_been_made_has_no_rows(tmp_path):
    none = TableVersion(str(tmp_path), "beers", None, schema=BEERS.schema)
    assert none.read().equals(BEERS.schema.empty_table())
    assert none.config == {}
    assert none.by_file() == []
