"""An installation that is started once for all tests of a file, and `make run` on tables of a test's own."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from pipelines.run import main
from tests.pipelines.installation import Installation
from tests.pipelines.made_by_run import ROOT, write_config


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("installation"))
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()


@dataclass
class Done:
    """What a run has ended with."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def unsynced() -> Iterator[None]:
    """SQLite in this process does not wait until the disk has written: no test cuts the power."""

    def turn_off(connection, _) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("pragma synchronous = off")

    event.listen(Engine, "connect", turn_off)
    yield
    event.remove(Engine, "connect", turn_off)


@pytest.fixture
def home(tmp_path, monkeypatch, unsynced) -> Path:
    """Dagster's records in a folder, as `make run` finds them."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


@pytest.fixture
def run(warehouse, home, tmp_path, capsys):
    """Does what `make run` does, in this process (one of its own costs seconds), with `ops` as configuration."""

    def command(**ops: dict) -> Done:
        capsys.readouterr()
        returncode = main(["--config", str(write_config(tmp_path, ops))])
        return Done(returncode, *capsys.readouterr())

    return command
