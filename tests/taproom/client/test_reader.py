import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import taproom
from assets.reviews.items import ITEMS
from assets.reviews.neighbors import CONTRACT as NEIGHBORS
from assets.text.word_vectors import WORD_VECTORS
from taproom.errors import DamagedFileError, InputError, MissingPackageError, UnknownColumnError, UnknownTableError
from taproom.warehouse.contracts import Between, Column, Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse

BEERS = Contract(
    "beers",
    "one beer",
    (
        Column("batch", pa.string(), "where it came in"),
        Column("beer", pa.string(), "name"),
        Column("abv_percent", pa.float64(), "alcohol by volume", unit="%", nullable=True),
        Column("ratings", pa.list_(pa.field("item", pa.int32(), nullable=False)), "one a review"),
    ),
    key=("beer",),
    invariants=(Between("abv_percent", 0, 100),),
    partition="batch",
    limits=("The alcohol is what the label says.",),
    version="1.1.0",
)
FIRST = BEERS.table_of(batch=["a", "a"], beer=["ale", "bock"], abv_percent=[5.5, None], ratings=[[4, 5], []])
SECOND = BEERS.table_of(batch=["b"], beer=["stout"], abv_percent=[7.0], ratings=[[3]])
BOTH = pa.concat_tables([FIRST, SECOND])
STYLES = Contract(
    "styles", "one style", (Column("style", pa.string(), "name", made_from=("beers.beer",)),), key=("style",)
)


@pytest.fixture
def beers(tmp_path):
    """A warehouse of beers in two versions, and of styles made from the first."""
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.publish(BEERS, FIRST, since=None, partition="a")
    warehouse.publish(STYLES, STYLES.table_of(style=["dark"]), since=None, origin=Origin(inputs={"beers": 0}))
    warehouse.publish(BEERS, SECOND, since=0, partition="b")
    return warehouse


@pytest.fixture
def reader(beers):
    return taproom.open(beers.root)


def test_rows_are_those_of_the_warehouse_to_the_type(beers, reader):
    for version, rows in ((None, BOTH), (1, BOTH), (0, FIRST)):
        assert reader.load("beers", version).equals(rows)
        assert reader.load("beers", version).schema.equals(beers.read("beers", version).schema, check_metadata=True)
        assert reader.scan("beers", version).read_all().equals(rows)


def test_columns_rows_and_partitions_are_chosen(reader):
    strong = pc.field("abv_percent") > 6
    assert reader.load("beers", columns=["beer"], where=strong).to_pydict() == {"beer": ["stout"]}
    assert reader.scan("beers", columns=["beer"], where=strong).read_all().to_pydict() == {"beer": ["stout"]}
    assert reader.load("beers", columns=["ratings", "batch"]).column_names == ["ratings", "batch"]
    assert reader.load("beers", partitions=["a"]).equals(FIRST)
    assert reader.load("beers", partitions=[]).equals(BEERS.schema.empty_table())
    assert reader.load("beers", where=pc.field("batch") == "b").equals(SECOND)
    assert reader.load("beers", where=pc.field("batch") == "c").equals(BEERS.schema.empty_table())
    frame = reader.to_pandas("beers", columns=["beer"], where=strong)
    assert isinstance(frame, pd.DataFrame)
    assert frame["beer"].tolist() == ["stout"]


def test_only_the_files_of_wanted_partitions_are_read(beers, reader):
    (first,) = (file for file in beers.files("beers") if file.partition == "a")
    path = Path(beers.root, "beers", first.path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert reader.load("beers", partitions=["b"]).equals(SECOND)
    for read in (
        reader.load, lambda table: reader.scan(table).read_all(), lambda table: reader.sql(f"select 1 from {table}")
    ):  # fmt: skip
        with pytest.raises(DamagedFileError, match="not those that were committed"):
            read("beers")


def test_a_version_that_was_swept_is_a_named_error(beers, reader):
    beers.publish(BEERS, FIRST.slice(0, 1), since=1, partition="a")
    beers.publish(STYLES, STYLES.table_of(style=["pale"]), since=0, origin=Origin(inputs={"beers": 2}))
    scan = reader.scan("beers", 1)
    beers.sweep(keep_newest=1, keep_younger_than=timedelta(0))
    with pytest.raises(DamagedFileError, match="vacuumed with the old version"):
        reader.load("beers", 0)
    assert len(reader.load("beers")) == 2
    assert scan.schema.names == BEERS.schema.names


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ({"table": "beer"}, UnknownTableError, r"no table 'beer' \(did you mean 'beers'\?\); it has: beers, styles"),
        ({"table": "beers", "version": 9}, UnknownTableError, "versions 0 to 1; version 9 was wanted"),
        ({"table": "beers", "columns": ["abv"]}, UnknownColumnError, "no column 'abv'; it has: batch, beer"),
        ({"table": "beers", "columns": ["rating"]}, UnknownColumnError, "did you mean 'ratings'"),
        ({"table": "beers", "where": pc.field("bear") == "ale"}, UnknownColumnError, "did you mean 'beer'"),
        ({"table": "beers", "where": "abv_percent > 5"}, InputError, "'abv_percent > 5' is no expression"),
        ({"table": "beers", "where": pc.field("beer") > 1}, InputError, "cannot be applied"),
        ({"table": "beers", "partitions": ["c"]}, UnknownTableError, "no partition 'c' in version 1"),
        ({"table": "beers", "where": pc.field("abv_percent") + 1}, InputError, "cannot be applied"),
        ({"table": "beers", "partitions": "a"}, InputError, r"such as partitions=\['a'\]"),
        ({"table": "beers", "columns": "beer"}, InputError, r"such as columns=\['beer'\]"),
        ({"table": "beers", "columns": []}, InputError, "names no column"),
        ({"table": "beers", "version": "1"}, InputError, "version '1' was given. Wanted: a number from 0 to 1"),
        ({"table": "../warehouse/beers"}, UnknownTableError, "no table '../warehouse/beers'"),
        ({"table": "beers/"}, UnknownTableError, "no table 'beers/'"),
        ({"table": None}, UnknownTableError, "no table None"),
    ],
)
def test_what_is_not_there_is_refused_and_the_nearest_name_offered(reader, wanted, error, message):
    for read in (reader.load, reader.scan):
        with pytest.raises(error, match=message):
            read(**wanted)


def test_a_table_is_described(reader):
    about = reader.describe("beers")
    assert (about.grain, about.version, about.newest, about.rows) == ("one beer", 1, 1, 3)
    assert (about.key, about.partition) == (("batch", "beer"), "batch")
    assert "abv_percent is finite, at least 0, at most 100" in about.rules
    assert (about.limits, about.contract_version) == (("The alcohol is what the label says.",), "1.1.0")
    abv = next(column for column in about.columns if column.name == "abv_percent")
    assert (abv.type, abv.nullable, abv.description, abv.unit) == ("double", True, "alcohol by volume", "%")
    assert (about.made_from, about.used_for) == ({}, ("styles",))
    styles = reader.describe("styles")
    assert (styles.made_from, styles.outdated) == ({"beers": 0}, {"beers": 1})
    assert [column.made_from for column in styles.columns] == [("beers.beer",)]
    assert "made from beers.beer" in str(styles)
    assert "<td>beers.beer</td>" in styles._repr_html_()
    assert [column.made_from for column in about.columns] == [()] * 4
    wanted = ("one beer", "alcohol by volume", "used for", "styles", "The alcohol is what the label says.", "1.1.0")
    for text in (str(about), about._repr_html_()):
        assert {word for word in wanted if word not in text} == set()
    assert about.as_dict()["made"] == about.made.isoformat()


def test_the_history_is_a_list_that_prints_as_a_table(reader):
    history = reader.history("styles")
    assert [commit["version"] for commit in history] == [0]
    assert str(history).split()[-3:] == ["1", "rows", "beers@0"]
    assert "<td>beers@0</td>" in history._repr_html_()


def test_a_single_name_instead_of_several_is_refused(reader, tmp_path):
    for ask in (
        lambda: reader.export(tmp_path / "export", "beers"),
        lambda: reader.diff("beers", 0, key="beer"),
        lambda: reader.changes("beers", 0, key="beer"),
    ):
        with pytest.raises(InputError, match=r"is a text\. Wanted: a list"):
            ask()
    assert not (tmp_path / "export").exists()


def test_versions_are_compared_and_followed(reader):
    assert reader.diff("beers", 0).rows_added == SECOND.num_rows
    assert reader.diff("beers", 1, 0).rows_gone == SECOND.num_rows
    assert reader.changes("beers", 0).rows.read_all().num_rows == SECOND.num_rows


def test_a_pinned_handle_exports_its_versions(beers, tmp_path):
    pinned = taproom.open(beers.root, snapshot=taproom.open(beers.root).snapshot())
    beers.publish(
        BEERS, BEERS.table_of(batch=["c"], beer=["dubbel"], abv_percent=[7.0], ratings=[[]]), since=1, partition="c"
    )
    assert [table.rows for table in pinned.export(tmp_path / "pinned", ["beers"])] == [FIRST.num_rows]
    assert [table.rows for table in taproom.open(beers.root).export(tmp_path / "newest", ["beers"])] == [4]
    assert pinned.diff("beers", 0).is_empty


def test_tables_are_listed(reader):
    tables = reader.tables()
    assert list(tables) == ["beers", "styles"]
    assert "beers" in tables
    assert repr(tables).splitlines() == ["beers   @1    one beer", "styles  @0    one style"]
    assert "<td>one style</td>" in tables._repr_html_()


def test_two_warehouses_in_one_program_are_never_mixed(tmp_path, monkeypatch):
    words = {"left": ["man", "king", "beer"], "right": ["man", "beer", "king"]}
    for name, order in words.items():
        vectors = WORD_VECTORS.table_of(
            word=order, count=[3, 2, 1], vector=np.array([[1, 0], [1, 0.1], [0, 1]], np.float32).tolist()
        )
        Warehouse(tmp_path / name).publish(WORD_VECTORS, vectors, since=None)
    readers = {name: taproom.open(tmp_path / name) for name in words}
    start = threading.Barrier(4)

    def ask(name):
        start.wait()
        return [(name, readers[name].words.nearest("man", 1)[0][0]) for _ in range(20)]

    with ThreadPoolExecutor(4) as threads:
        found = {answer for answers in threads.map(ask, [*words, *words]) for answer in answers}
    assert found == {("left", "king"), ("right", "beer")}
    for name, nearest in (("left", "king"), ("right", "beer"), ("left", "king")):
        monkeypatch.setenv(WAREHOUSE_VARIABLE, str(tmp_path / name))
        with pytest.warns(DeprecationWarning, match=r"use taproom.open\(\).words.nearest"):
            assert taproom.nearest("man", 1)[0][0] == nearest


def test_neighbors_have_names_and_come_nearest_first(beers, reader):
    items = {"item_id": ["1", "2", "3"], "item_name": ["ale", "bock", "stout"], "category": ["x", None, "y"]}
    rest = {"spellings": [[]] * 3, "reviews": [1] * 3, "mean_overall": [None] * 3}
    beers.publish(ITEMS, ITEMS.table_of(**items, **rest), since=None)
    graph = {"item_id": ["1", "2"], "neighbor_ids": [["3", "2"], ["1", "3"]], "distances": [[0.1, 0.2], [0.2, 0.3]]}
    beers.publish(NEIGHBORS, NEIGHBORS.table_of(**graph), since=None)
    assert reader.map.neighbors("1").to_pylist() == [
        {"item_id": "3", "item_name": "stout", "category": "y", "distance": 0.1},
        {"item_id": "2", "item_name": "bock", "category": None, "distance": 0.2},
    ]
    assert reader.map.neighbors("2", k=1)["item_name"].to_pylist() == ["ale"]
    with pytest.raises(InputError, match="There is no item '9'"):
        reader.map.neighbors("9")


def test_models_without_their_packages_name_the_extra(reader, monkeypatch):
    monkeypatch.setitem(sys.modules, "taproom.text.text_lookup", None)
    with pytest.raises(MissingPackageError, match=r'pip install "taproom\[models\]"'):
        reader.words.nearest("man")


def test_the_new_names_do_not_warn(reader):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnknownTableError, match="no table 'topics'"):
            reader.topics.of("a text")
        with pytest.raises(UnknownTableError, match="no table 'classifier'"):
            reader.images.features("a.png")
        with pytest.raises(UnknownTableError, match="no table 'event_calls'"):
            reader.cells.call({"x": [1.0]})
