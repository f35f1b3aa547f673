import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from deltalake import DeltaTable

import taproom
from taproom.errors import StorageError, UnknownTableError
from taproom.warehouse.publishing import Origin
from taproom.warehouse.storage import DEFAULT_WAREHOUSE, WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.client.test_reader import BEERS, BOTH, FIRST, SECOND

REPO = Path(taproom.__file__).resolve().parents[1]


@pytest.fixture
def beers(warehouse):
    warehouse.publish(BEERS, FIRST, since=None, partition="a", origin=Origin(run_id="one", config={"source": "bar"}))
    warehouse.publish(BEERS, SECOND, since=0, partition="b", origin=Origin(run_id="two", inputs={"hops": 4}))
    return warehouse.uri("beers")


def test_load_reads_the_newest_or_a_given_version(beers):
    assert taproom.load("beers").equals(BOTH)
    assert taproom.load("beers", version=1).equals(BOTH)
    assert taproom.load("beers", version=0).equals(FIRST)


def test_load_names_what_is_not_there(beers):
    with pytest.raises(UnknownTableError, match="versions 0 to 1; version 2"):
        taproom.load("beers", version=2)
    with pytest.raises(UnknownTableError, match="no table 'wines'; it has: beers"):
        taproom.load("wines")


def test_placing_needs_a_map(beers):
    with pytest.raises(UnknownTableError, match="no table 'item_map'; it has: beers"):
        taproom.place("a hoppy ale")


def test_history_tells_what_each_version_was_made_from(beers):
    second, first = taproom.history("beers")
    assert (second["version"], second["run_id"], second["inputs"], second["rows"]) == (1, "two", {"hops": 4}, 1)
    assert (first["version"], first["run_id"], first["config"], first["rows"]) == (0, "one", {"source": "bar"}, 2)
    assert first["time"] <= second["time"]
    assert set(first) == {
        "version", "time", "run_id", "partition", "rows", "content_hash", "code_version", "inputs", "config",
        "settings",
    }  # fmt: skip


def test_the_environment_names_the_warehouse(beers, tmp_path, monkeypatch):
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(tmp_path / "other"))
    with pytest.raises(UnknownTableError, match="other has no table 'beers'"):
        taproom.load("beers")
    monkeypatch.delenv(WAREHOUSE_VARIABLE)
    assert Warehouse().root == str(DEFAULT_WAREHOUSE) == str(REPO / "data" / "warehouse")


def test_outside_the_repo_a_warehouse_has_to_be_named(tmp_path, monkeypatch):
    monkeypatch.delenv(WAREHOUSE_VARIABLE, raising=False)
    monkeypatch.setattr("taproom.warehouse.storage._REPO", tmp_path)
    with pytest.raises(StorageError, match=r"No warehouse was given.*TAPROOM_WAREHOUSE"):
        taproom.load("beers")


@pytest.mark.parametrize(
    ("old", "new", "arguments"),
    [
        ("nearest", "words.nearest", ["man"]),
        ("analogy", "words.analogy", ["man", "king", "woman"]),
        ("topics_of", "topics.of", ["a text"]),
        ("features", "images.features", ["a.png"]),
    ],
)
def test_old_names_work_and_name_the_new_ones(beers, old, new, arguments):
    with (
        pytest.warns(DeprecationWarning, match=rf"taproom.{old} .*; use taproom.open\(\).{new}"),
        pytest.raises(UnknownTableError),
    ):
        getattr(taproom, old)(*arguments)


def test_pandas_reads_a_table_without_taproom(beers):
    frame = DeltaTable(beers).to_pyarrow_dataset().to_table().to_pandas().sort_values("beer")
    assert isinstance(frame, pd.DataFrame)
    assert frame["beer"].tolist() == ["ale", "bock", "stout"]
    assert frame["batch"].tolist() == ["a", "a", "b"]
    assert frame["abv_percent"].isna().tolist() == [False, True, False]
    assert [list(ratings) for ratings in frame["ratings"]] == [[4, 5], [], [3]]
    old = DeltaTable(beers, version=0).to_pyarrow_dataset().to_table(columns=["beer"]).to_pandas()
    assert old["beer"].tolist() == ["ale", "bock"]


def test_duckdb_reads_a_table_without_taproom(beers):
    table = DeltaTable(beers).to_pyarrow_dataset()
    with duckdb.connect() as database:
        database.register("beers", table)
        rows = database.execute(
            "select batch, count(*), max(abv_percent), sum(len(ratings)) from beers group by 1 order by 1"
        )
        assert rows.fetchall() == [("a", 2, 5.5, 2), ("b", 1, 7.0, 1)]
        assert database.execute("select beer from beers where batch = 'b'").fetchall() == [("stout",)]


IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys
import taproom
names = [module.name for module in pkgutil.walk_packages(taproom.__path__, "taproom.")]
for name in names:
    importlib.import_module(name)
print(json.dumps([names, sorted(sys.modules)]))
"""


def printed_by(code):
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPO, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout)


@pytest.mark.slow
def test_no_module_of_taproom_loads_dagster():
    names, loaded = printed_by(IMPORT_EVERYTHING)
    files = {path.relative_to(REPO).with_suffix("") for path in (REPO / "taproom").rglob("*.py")}
    assert set(names) == {".".join(file.parts).removesuffix(".__init__") for file in files} - {"taproom"}
    assert {"taproom.warehouse.warehouse", "pyarrow", "deltalake"} <= set(loaded)
    assert [name for name in loaded if name.partition(".")[0].startswith("dagster")] == []


def test_importing_taproom_loads_nothing_heavy():
    heavy = ["pyarrow", "deltalake", "numpy", "scipy", "numba", "pandas"]
    code = f"import json, sys, taproom; print(json.dumps([taproom.__all__, sorted(sys.modules.keys() & {heavy})]))"
    public = ["analogy", "call", "classify", "features", "history", "load", "nearest", "open", "place", "topics_of"]
    assert printed_by(code) == [public, []]


WITHOUT_THE_REST = """
import json, sys

class NotInstalled:
    def find_spec(self, name, *_):
        if name in {"dagster", "pandas", "scipy", "sklearn", "numba", "matplotlib", "duckdb"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
import taproom
print(json.dumps([taproom.load("beers").to_pydict(), len(taproom.history("beers"))]))
"""


def test_the_client_needs_only_pyarrow_and_deltalake(beers):
    assert printed_by(WITHOUT_THE_REST) == [BOTH.to_pydict(), 2]
