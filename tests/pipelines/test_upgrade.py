"""A warehouse and a Dagster instance that an earlier release has made are used by this one.

`tests/releases/` has one archive a release, of the folders `warehouse` and `home` (`DAGSTER_HOME`), made by its code
(`tests/releases/make_release.py`).
"""

import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc
import pytest

import taproom
from assets.reviews.reviews import BATCHES
from assets.table import CONTRACTS
from pipelines import doctor
from pipelines.definitions import defs
from pipelines.pages_asset import make_pages
from taproom.sources.inbox import file_key, file_sha256
from taproom.warehouse.difference import diff
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse

pytestmark = pytest.mark.slow

RELEASES = Path(__file__).parents[1] / "releases"
PLACE = "/tmp/taproom-release"  # where the archives' folders were when they were made


@pytest.fixture(params=sorted(RELEASES.glob("*.tar.xz")), ids=lambda path: path.name.removesuffix(".tar.xz"))
def upgraded(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance of a release, and its warehouse as the default one, at another place than they were made at."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    for database in (tmp_path / "home").rglob("*.db"):
        move_records(database, str(tmp_path))
    monkeypatch.setenv(WAREHOUSE_VARIABLE, str(tmp_path / "warehouse"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with dg.DagsterInstance.get() as instance:
        yield instance


def move_records(database: Path, place: str) -> None:
    """Name another folder in Dagster's records, which name the tables by their full paths."""
    columns = {"event_logs": "event", "asset_keys": "last_materialization"}
    with closing(sqlite3.connect(database)) as connection, connection:
        known = {name for (name,) in connection.execute("select name from sqlite_master")}
        for table in known & columns.keys():
            column = columns[table]
            connection.execute(f"update {table} set {column} = replace({column}, ?, ?)", [PLACE, place])


def test_every_version_verifies_and_a_reader_has_all_there_is(upgraded):
    warehouse = taproom.open()
    for name in warehouse.tables():
        for commit in warehouse.history(name):
            version = commit["version"]
            rows = warehouse.load(name, version=version)
            assert rows.num_rows == sum(file.rows for file in Warehouse().files(name, version))
        assert warehouse.describe(name)
    assert warehouse.sql("select count(*) as n from items").to_pylist() == [{"n": 40}]


def test_nothing_is_wrong(upgraded, capsys):
    doctor.main([])
    assert "Nothing is wrong." in capsys.readouterr().out


def test_refreshed_tables_keep_their_rows_and_settings(upgraded):
    warehouse = Warehouse()
    before = warehouse.heads()
    for name in ("refresh_reviews", "refresh_text"):
        job = defs.resolve_job_def(name)
        made = [key for key in job.asset_layer.executable_asset_keys if key.path[0] in before]
        keys = [key for key in made if key.path != ["documents"]]  # whose files are gone
        assert job.execute_in_process(instance=upgraded, asset_selection=keys).success
    for table in ("items", "tfidf", "neighbors", "topics", "document_topics"):
        # The last digits are those of the processor that made the release's tables. It computed topics in double
        # precision, so that three or four more digits of small weights and shares are others.
        key, rtol = CONTRACTS[table].row_key, 1e-3 if "topics" in table else 1e-6
        found = diff(warehouse.storage, table, before[table], warehouse.head(table), key=key, rtol=rtol)
        assert (found.rows_added, found.rows_gone, found.rows_changed) == (0, 0, 0), table
    assert warehouse.history("neighbors")[0]["settings"] == {"k": 6}
    doctor_says = list(doctor.findings(upgraded, warehouse))
    assert doctor_says == []


def test_a_new_batch_is_read_beside_the_old_ones(upgraded, write_csv, themed_reviews):
    old = taproom.load("reviews")
    rows = [{**row, "review_id": f"july-{row['review_id']}"} for row in themed_reviews(items=8)]
    path = write_csv("july.csv", rows)
    july = file_key(path.name, file_sha256(path))
    upgraded.add_dynamic_partitions(BATCHES.name, [july])
    done = defs.resolve_job_def("ingest_reviews").execute_in_process(
        {"ops": {"reviews": {"config": {"source": "table", "path": str(path)}}}},
        instance=upgraded,
        partition_key=july,
    )
    assert done.success
    new = taproom.load("reviews")
    assert new.num_rows == old.num_rows + len(rows)
    assert new.filter(pc.field("batch") != july).select(old.schema.names).equals(old)


def test_old_versions_are_swept_and_pages_are_written(upgraded):
    warehouse = Warehouse()
    job = defs.resolve_job_def("maintain_warehouse")
    config = {"ops": {"maintain": {"config": {"keep_newest": 1, "keep_days": 0.0}}}}
    assert job.execute_in_process(instance=upgraded, run_config=config).success
    assert len(warehouse.history("neighbors")) >= 1
    assert make_pages(upgraded, warehouse, defs).pages > 60
