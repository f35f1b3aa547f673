"""Dagster's records in SQLite, which a process writes without waiting for the disk at each event.

Dagster opens a file of its records anew for each statement, waits at each commit until the disk has it, and, as the
last connection to a file closes, copies the write-ahead log into the file and waits again: some four times an event.
Where the disk takes 10 ms to confirm, the dozen events of a step cost half a second.

With a write-ahead log, SQLite's level NORMAL keeps the file whole if the power fails, and may lose what was recorded in
the last moments; tables are on disk before they are recorded, and `pipelines.reconcile` finds those without a record.
Files that were used last stay open, so that their logs are copied now and then, not at each event. A file that was
written to is touched, because Dagster's UI learns from its time that there is something new.

Source: SQLite's documentation of `PRAGMA synchronous` and of write-ahead logging.
"""

import os
import sqlite3
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection

# The index of events, the runs, and the events of a few runs.
MOST_OPEN = 6

_open: OrderedDict[str, sqlite3.Connection] = OrderedDict()
_lock = Lock()


def do_not_wait_for_the_disk() -> None:
    """Let all connections of this process to SQLite files with a write-ahead log wait as the module says."""
    from sqlalchemy import Engine, event

    for what, listener in (("connect", _prepare), ("commit", _touch)):
        if not event.contains(Engine, what, listener):
            event.listen(Engine, what, listener)


def _prepare(connection: Any, _: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    if connection.execute("pragma journal_mode").fetchone()[0] == "wal":
        connection.execute("pragma synchronous = normal")
        _keep_open(_path(connection))


def _path(connection: sqlite3.Connection) -> str:
    return connection.execute("pragma database_list").fetchone()[2]


def _keep_open(path: str) -> None:
    with _lock:
        if path not in _open:
            kept = sqlite3.connect(path, check_same_thread=False)
            kept.execute("select count(*) from sqlite_master").fetchone()  # else it does not have the log open
            _open[path] = kept
        _open.move_to_end(path)
        while len(_open) > MOST_OPEN:
            _open.popitem(last=False)[1].close()


def _touch(connection: "Connection") -> None:
    """Only what was written to: who reads because of a touch would else touch it again."""
    given = connection.connection.dbapi_connection
    if isinstance(given, sqlite3.Connection) and given.total_changes:
        path = _path(given)
        if path in _open:
            os.utime(path)
