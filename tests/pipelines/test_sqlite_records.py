import sqlite3
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from pipelines import sqlite_records
from pipelines.sqlite_records import do_not_wait_for_the_disk
from tests.waiting import wait_for

FULL, NORMAL = 2, 1


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Listened to once, as in a process of its own, and nothing open from tests before."""
    monkeypatch.setattr(sqlite_records, "_open", type(sqlite_records._open)())
    do_not_wait_for_the_disk()


def level(path: Path, mode: str) -> int:
    """SQLite's level of waiting on a new connection to a file of a journal mode."""
    connection = sqlite3.connect(path)
    connection.execute(f"pragma journal_mode = {mode}")
    sqlite_records._prepare(connection, None)
    (found,) = connection.execute("pragma synchronous").fetchone()
    connection.close()
    return found


def test_files_with_a_write_ahead_log_do_not_wait_and_others_do(tmp_path):
    assert level(tmp_path / "a.db", "wal") == NORMAL
    assert level(tmp_path / "b.db", "delete") == FULL


def test_saying_it_again_changes_nothing(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(sqlite_records, "_keep_open", calls.append)
    do_not_wait_for_the_disk()
    with create_engine(f"sqlite:///{tmp_path / 'index.db'}", poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("pragma journal_mode = wal")
    calls.clear()
    with create_engine(f"sqlite:///{tmp_path / 'index.db'}", poolclass=NullPool).connect():
        assert len(calls) == 1


def test_few_files_stay_open(tmp_path):
    for number in range(sqlite_records.MOST_OPEN + 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        level(folder / "index.db", "wal")
    logs = sorted(int(path.parent.name) for path in tmp_path.glob("*/index.db-wal"))
    assert logs == list(range(3, sqlite_records.MOST_OPEN + 3))


@pytest.mark.slow
def test_what_is_recorded_in_a_run_reaches_those_who_watch_and_those_who_read(tmp_path):
    """The UI watches the file of a run; other processes read all of them."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = dg.materialize([dg.asset(name="beer")(lambda: None)], instance=instance)
        assert {f"{name}.db-wal" for name in ("index", "runs", result.run_id)} <= {
            path.name for path in tmp_path.rglob("*-wal")
        }
        seen = []
        # Another instance, as that of the web server.
        with dg.DagsterInstance.from_ref(instance.get_ref()) as watching:
            cursor = watching.get_records_for_run(result.run_id).cursor
            watching.watch_event_logs(result.run_id, cursor, lambda entry, _: seen.append(entry.message))
            run = instance.get_run_by_id(result.run_id)
            # Again and again, since watching begins a little later.
            wait_for(lambda: instance.report_engine_event("poured", run) and "poured" in seen, "it was seen", every=0.1)
        with sqlite3.connect(next(tmp_path.rglob("index.db"))) as other:
            assert other.execute("select count(*) from event_logs").fetchone()[0] > 0


@pytest.mark.slow
def test_reading_touches_no_file(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = dg.materialize([dg.asset(name="beer")(lambda: None)], instance=instance)
        times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.db")}
        assert instance.all_logs(result.run_id)
        assert {path: path.stat().st_mtime_ns for path in times} == times
