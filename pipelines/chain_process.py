"""The processes of chains that are made side by side: `python -m pipelines.chain_process FD...`

The command is started by `pipelines.run`. It loads what chains need and forks their processes
(`pipelines.forks`). Through its connection, a process gets what to make, and the number of cores that it may use, which
gives it a place; and sends what is logged, how far it is, and at the end why it failed. It ends when the process that
started the command is gone.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from threading import Event, Lock, Thread
from typing import Any

import dagster as dg

from pipelines.chains import CHAINS
from pipelines.dagster_internals import reuse_sqlite_engines
from pipelines.definitions import defs
from pipelines.forks import fork_each
from pipelines.messages import Message
from pipelines.products import Products
from pipelines.step_log import logged_to, show_steps
from taproom.progress import progress_reported
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

# Loaded before the processes are forked, since most chains need them.
LIBRARIES = (
    "matplotlib.backends.backend_agg",
    "numba",
    "optuna",
    "pandas",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.decomposition",
    "sklearn.ensemble",
    "sklearn.mixture",
)


def main(connection: Connection) -> None:
    """Make the chain whose name comes first through the connection, with its settings by op; send what happens."""
    try:
        name, ops = connection.recv()
    except EOFError:
        return
    (chain,) = [chain for chain in CHAINS if chain.name == name]
    tell, has_place = _teller(connection), Event()
    _use_cores(1)
    Thread(target=_listen, args=(connection, has_place), daemon=True).start()

    def wait_for_place() -> None:
        tell(Message.BEGUN, "waiting for its turn")
        has_place.wait()

    show_steps()
    reuse_sqlite_engines()
    with (
        logged_to(_Teller(tell)),
        progress_reported(partial(tell, Message.PROGRESS)),
        dg.DagsterInstance.get() as instance,
    ):
        failures = Products(instance, Warehouse(default_root()), defs, ops).make(chain, wait_for_place)
        tell(Message.DONE, {which: str(error) for which, error in failures.items()})


def _listen(connection: Connection, has_place: Event) -> None:
    """Take the number of cores whenever it changes, the first time with a place; end with the process that sends it."""
    try:
        while True:
            _use_cores(connection.recv())
            has_place.set()
    except (EOFError, OSError):
        os._exit(1)


def _use_cores(cores: int) -> None:
    """Have all that begins from now on count so many cores; joblib asks the variable each time."""
    os.environ["LOKY_MAX_CPU_COUNT"] = str(cores)


def _teller(connection: Connection) -> Callable[..., None]:
    """A function that sends a message; a connection takes one of one thread at a time."""
    lock = Lock()

    def tell(*message: Any) -> None:
        with lock:
            connection.send(message)

    return tell


class _Teller(logging.Handler):
    """Sends what is logged."""

    def __init__(self, tell: Callable[..., None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(*getattr(record, "message_of_step", (Message.LINE, self.format(record))))


if __name__ == "__main__":
    for library in LIBRARIES:
        import_module(library)
    fork_each([int(number) for number in sys.argv[1:]], main)
