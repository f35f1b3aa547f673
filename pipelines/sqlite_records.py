"""Dagster's records in SQLite, which a process writes without waiting for the disk at each event.

Dagster opens a file of its records anew for each statement, waits at each commit until the disk has it, and, as the
last connection to a file closes, copies the write-ahead log into the file and waits again: some four times an event.
Where the disk takes 10 ms to confirm, the dozen events of a step cost half a second.

With a write-ahead log, SQLite's level NORMAL keeps the file whole if the power fails, and may lose what was recorded in
the last moments; tables are on disk before they are recorded, and `pipelines.reconcile` finds those without a record.
The files that all runs share stay open, so that their logs are copied now and then, not at each event. The file of each
run does not: the UI shows what happens in a run as its file changes.

Source: SQLite's documentation of `PRAGMA synchronous` and of write-ahead logging.
"""

import sqlite3
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Engine, event

SHARED = ("index.db", "runs.db")
MOST_OPEN = 4

_open: OrderedDict[str, sqlite3.Connection] = OrderedDict()
_lock = Lock()


def do_not_wait_for_the_disk() -> None:
    """Let all connections of this process to SQLite files with a write-ahead log wait as the module says."""
    if not event.contains(Engine, "connect", _prepare):
        event.listen(Engine, "connect", _prepare)


def _prepare(connection: Any, _: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    if connection.execute("pragma journal_mode").fetchone()[0] != "wal":
        return
    connection.execute("pragma synchronous = normal")
    path = connection.execute("pragma database_list").fetchone()[2]
    if Path(path).name in SHARED:
        _keep_open(path)


def _keep_open(path: str) -> None:
    with _lock:
        if path not in _open:
            kept = sqlite3.connect(path, check_same_thread=False)
            kept.execute("select count(*) from sqlite_master").fetchone()  # else it does not have the log open
            _open[path] = kept
        _open.move_to_end(path)
        while len(_open) > MOST_OPEN:
            _open.popitem(last=False)[1].close()
