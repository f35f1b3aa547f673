import json

import pandas as pd
import pyarrow as pa
import pytest

from taproom.errors import InputError, UnknownTableError
from taproom.maps.map_files import export_map
from taproom.warehouse.contracts import Column, Contract

ITEM_MAP = Contract(
    "item_map",
    "an item on a map",
    (
        Column("dimension", pa.int32(), "of the map"),
        Column("item_id", pa.string(), "the item"),
        Column("item_name", pa.string(), "its name"),
        Column("category", pa.string(), "its category", nullable=True),
        Column("x", pa.float64(), "first"),
        Column("y", pa.float64(), "second"),
        Column("z", pa.float64(), "third", nullable=True),
    ),
    ("dimension", "item_id"),
)
WORD_MAP = Contract(
    "word_map",
    "a word",
    (Column("word", pa.string(), "the word"), Column("x", pa.float64(), "first"), Column("y", pa.float64(), "second")),
    ("word",),
)


@pytest.fixture
def maps(warehouse):
    rows = ITEM_MAP.table_of(
        dimension=[2, 2, 3],
        item_id=["a", "b", "a"],
        item_name=["Ale", "Böck", "Ale"],
        category=["beer", None, "beer"],
        x=[0.1, 1.0, 2.0],
        y=[-0.5, 1.5, 2.5],
        z=[None, None, 3.5],
    )
    warehouse.publish(ITEM_MAP, rows, since=None)
    warehouse.publish(WORD_MAP, WORD_MAP.table_of(word=["ale"], x=[1.0], y=[2.0]), since=None)
    return warehouse


def test_a_map_as_csv(maps, tmp_path):
    export_map(maps, tmp_path / "map.csv")
    frame = pd.read_csv(tmp_path / "map.csv")
    assert list(frame) == ["item_id", "item_name", "category", "x", "y"]
    assert frame["item_name"].tolist() == ["Ale", "Böck"]
    assert frame[["x", "y"]].to_numpy().tolist() == [[0.1, -0.5], [1.0, 1.5]]
    export_map(maps, tmp_path / "3.csv", dimension=3)
    assert pd.read_csv(tmp_path / "3.csv")["z"].tolist() == [3.5]


def test_a_map_as_geojson(maps, tmp_path):
    export_map(maps, tmp_path / "map.geojson", version=0)
    collection = json.loads((tmp_path / "map.geojson").read_text(encoding="utf-8"))
    assert (collection["type"], collection["crs"]) == ("FeatureCollection", None)
    assert collection["features"][1] == {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [1.0, 1.5]},
        "properties": {"item_id": "b", "item_name": "Böck", "category": None},
    }
    export_map(maps, tmp_path / "words.geojson", table="word_map")
    (word,) = json.loads((tmp_path / "words.geojson").read_text())["features"]
    assert (word["geometry"]["coordinates"], word["properties"]) == ([1.0, 2.0], {"word": "ale"})


def test_what_is_asked_for_wrongly_is_refused(maps, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.csv or \.geojson"):
        export_map(maps, tmp_path / "map.xlsx")
    with pytest.raises(InputError, match="dimension=4 was given; wanted 2 or 3"):
        export_map(maps, tmp_path / "map.csv", dimension=4)
    with pytest.raises(InputError, match="dimension=3 was given; wanted 2"):
        export_map(maps, tmp_path / "map.csv", table="word_map", dimension=3)
    with pytest.raises(InputError, match="'items' is no map"):
        export_map(maps, tmp_path / "map.csv", table="items")
    with pytest.raises(UnknownTableError, match="version 7 was wanted"):
        export_map(maps, tmp_path / "map.csv", version=7)
    assert list(tmp_path.glob("map*")) == []
