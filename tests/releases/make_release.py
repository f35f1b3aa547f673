"""Makes the archive of a release that `tests/pipelines/test_upgrade.py` opens: three chains, two batches, two versions.

    python -m pytest tests/releases/make_release.py

Run it with the code of the release, and commit `tests/releases/<version>.tar.xz`.
"""

import shutil
import tarfile
import tomllib
from pathlib import Path

import dagster as dg
import pytest

from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from tests.pipelines.test_upgrade import PLACE, RELEASES

MAP = ["vocabulary", "tfidf", "neighbors", "item_map", "map_errors", "map_moves"]


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """At a fixed place, which Dagster's records name."""
    shutil.rmtree(PLACE, ignore_errors=True)
    monkeypatch.setenv(WAREHOUSE_VARIABLE, f"{PLACE}/warehouse")
    return Warehouse()


@pytest.fixture
def instance(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    """An instance in a folder, as an operator has it."""
    home = Path(PLACE, "home")
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def made_once():
    """Makes it, since the records of an instance in a folder cannot be copied from one test to another."""
    return lambda make: make()


def test_an_archive_is_made(warehouse, instance, ingest, make, write_csv, themed_reviews, themes, plate):
    reviews = themed_reviews()
    ingest(write_csv("may.csv", reviews[:70]))
    ingest(write_csv("june.csv", reviews[70:]))
    make("items", "review_batches", "duplicate_reviews", *MAP, tfidf={"min_reviews": 1}, neighbors={"k": 8})
    make("neighbors", neighbors={"k": 6})
    make("topics", "document_topics", topics={"topics": 4})
    shutil.rmtree(Path(warehouse.root, "_figures"))  # most of the bytes, and no part of what is tested
    version = tomllib.loads((RELEASES.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    with tarfile.open(RELEASES / f"{version}.tar.xz", "w:xz") as archive:
        for folder in ("home", "warehouse"):
            archive.add(Path(PLACE, folder), folder)
