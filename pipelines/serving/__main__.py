"""`make ui`: run Dagster's processes under a supervisor until it is interrupted.

    python -m pipelines.serving [--port 3000]

It tells where to look, what died and is started again, and what does not start. All else is in the processes' logs,
under `$DAGSTER_HOME/logs`. Exits 1 when the port is taken or when these records are served already.
"""

import argparse
import fcntl
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

from pipelines.serving.environment import (
    ADDRESS,
    LOGS_VARIABLE,
    PORT_VARIABLE,
    SERVED_VARIABLE,
    SOCKET_VARIABLE,
)
from taproom.errors import TaproomError
from taproom.sources.allowed_folders import FOLDERS_VARIABLE
from taproom.sources.inbox import inbox_root

CONFIGURATION = Path(__file__).with_name("supervisord.conf")
GRACE_SECONDS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.serving", description=__doc__.split("\n\n")[0])
    parser.add_argument("--port", type=int, default=3000, help="port of the web server, on the loopback interface")
    port = parser.parse_args(arguments).port
    try:
        home = _records()
        with _alone(home, port), tempfile.TemporaryDirectory(prefix="taproom-") as folder:
            _check_is_free(port)
            _prepare(home, port, Path(folder))
            # The warehouse may have been lost, or restored, since these records were last served. This process does
            # not load the definitions, which would stay in its memory.
            subprocess.run([sys.executable, "-m", "pipelines.reconcile"], check=False)
            try:
                _supervise(port)
            finally:
                end_processes(home)
    except TaproomError as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    return 0


def end_processes(home: Path) -> int:
    """End all processes that were started to serve `home`, and theirs; give how many there were.

    They are asked first, so that a run can record that it was interrupted, and killed after `GRACE_SECONDS`.
    """
    found = served_processes(home)
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in served_processes(home):
            with suppress(psutil.NoSuchProcess):
                send(process)
        end = time.monotonic() + GRACE_SECONDS
        while served_processes(home) and time.monotonic() < end:
            time.sleep(0.1)
    return len(found)


def served_processes(home: Path) -> list[psutil.Process]:
    """The living processes that were started to serve `home`, and theirs."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or gone meanwhile
            if process.environ().get(SERVED_VARIABLE) == str(home):
                found.append(process)
    return found


def _records() -> Path:
    """The folder of Dagster's records."""
    if not (given := os.environ.get("DAGSTER_HOME")):
        raise TaproomError("DAGSTER_HOME is not set. `make ui` sets it; or set it to the folder of Dagster's records.")
    return Path(given).resolve()


@contextmanager
def _alone(home: Path, port: int) -> Iterator[None]:
    """Hold the lock on Dagster's records, and end what a supervisor that was killed has left."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "served.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise TaproomError(f"{home} is served already: {lock.read().strip()}. End that one first.") from None
        lock.truncate(0)
        print(f"process {os.getpid()}, {_address(port)}", file=lock, flush=True)
        if left := end_processes(home):
            _tell(f"Ended {left} processes of a `make ui` that was killed.")
        yield


def _check_is_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            raise TaproomError(
                f"port {port} of {ADDRESS} cannot be had ({error}). Another program has it, for instance the `make ui` "
                f"of another checkout. Choose another: make ui PORT={port + 1}"
            ) from error


def _prepare(home: Path, port: int, folder: Path) -> None:
    """Set what `supervisord.conf` and the processes take from their environment."""
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    os.environ |= {
        "DAGSTER_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        PORT_VARIABLE: str(port),
        # In a folder of this user alone; beside the records its path could be longer than a socket's may be.
        SOCKET_VARIABLE: str(folder / "code.sock"),
        LOGS_VARIABLE: str(logs),
        SERVED_VARIABLE: str(home),
        # What is launched in a browser, or by itself, reads what was dropped and nothing else.
        FOLDERS_VARIABLE: os.environ.get(FOLDERS_VARIABLE) or str(inbox_root().resolve()),
    }


def _supervise(port: int) -> None:
    _tell(f"Starting Dagster; the logs of its processes are in {os.environ[LOGS_VARIABLE]}")
    threading.Thread(target=_tell_when_there, args=[port], daemon=True).start()
    options = ServerOptions()
    options.realize(["--configuration", str(CONFIGURATION)])
    options.first, options.test = True, False  # as `supervisord.main` sets them
    with suppress(ExitNow):
        _TellingSupervisor(options).main()
    _tell("Ended.")


class _TellingSupervisor(Supervisor):
    """A supervisor that tells on the terminal what dies."""

    def runforever(self) -> None:
        """Run until a signal ends it."""
        for kind in (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent):
            events.subscribe(kind, self._tell_of)
        super().runforever()

    def _tell_of(self, event: events.ProcessStateEvent) -> None:
        config = event.process.config
        name = config.name.replace("_", " ")
        _tell(f"{time.strftime('%X')} The {name} has ended and is started again. See {config.stdout_logfile}")


def _tell_when_there(port: int) -> None:
    while True:
        with suppress(OSError), socket.create_connection((ADDRESS, port)):
            _tell(f"Dagster's UI is on {_address(port)}   (Ctrl-C ends it)")
            return
        time.sleep(0.5)


def _tell(what: str) -> None:
    with suppress(OSError):  # the terminal may be gone; what is served goes on
        print(what, flush=True)


def _address(port: int) -> str:
    return f"http://{ADDRESS}:{port}"


if __name__ == "__main__":
    sys.exit(main())
