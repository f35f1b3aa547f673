"""What processes of chains do in tests of what starts them. They begin in a tenth of a second: they load nothing.

python tests/pipelines/quick_chains.py FUNCTION FD...
"""

import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pipelines.forks import fork_each
from pipelines.messages import Message
from tests.waiting import wait_for


def is_made(connection: Connection, name: str, ops: Any) -> None:
    """Waits for a place, and has it until some chains have begun or have a place."""
    Path(ops["folder"], name).touch()
    connection.send((Message.LINE, f"has a place and {connection.recv()} cores"))
    Path(ops["folder"], f"{name} has a place").write_text(str(time.monotonic_ns()))
    _wait_for(ops)
    Path(ops["folder"], f"{name} gives its place back").write_text(str(time.monotonic_ns()))
    connection.send((Message.DONE, {}))


def is_read(connection: Connection, name: str, ops: Any) -> None:
    """The reviews make `items`, and go on until another chain has begun."""
    if name != "reviews":
        return is_made(connection, name, ops)
    connection.send((Message.PLANNED, "make_reviews", "their tables", ("items", "tfidf")))
    connection.recv()
    connection.send((Message.LINE, "makes items"))
    connection.send((Message.ENDED, "items"))
    _wait_for(ops)
    connection.send((Message.DONE, {}))


def _wait_for(ops: Any) -> None:
    files = [Path(ops["folder"], name) for name in ops["files"]]
    wait_for(lambda: all(file.exists() for file in files), f"there are {ops['files']}", every=0.01)


def is_killed(connection: Connection, name: str, ops: Any) -> None:
    """The reviews are killed; other chains are made."""
    if name != "reviews":
        is_made(connection, name, ops)
    os.kill(os.getpid(), signal.SIGKILL)


def fails(connection: Connection, name: str, ops: Any) -> None:
    """Gives a reason."""
    connection.send((Message.DONE, {f"{name}, a batch": f"{ops['blamed']} is missing"}))


def never_ends(connection: Connection, name: str, ops: Any) -> None:
    """Goes on for a minute, interrupted or not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.send((Message.LINE, "begins"))
    time.sleep(60)


if __name__ == "__main__":
    _, function, *descriptors = sys.argv
    fork_each(
        [int(number) for number in descriptors],
        lambda connection: globals()[function](connection, *connection.recv()),
    )
