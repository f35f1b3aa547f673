"""`make ui` and `make stack`: run Dagster's processes under a supervisor until it is interrupted.

    python -m pipelines.serving [--port 3000]            `make ui`
    python -m pipelines.serving --stack [--port 3000]    with PostgreSQL and an S3 server: `make stack`
        [--workers 2]                                    and a Dask cluster of two workers: `make stack CLUSTER=2`
    python -m pipelines.serving --stack --stop           `make stack-stop`

It prints the address of the UI, and which process died or did not start and is started again. Everything else is in
the processes' logs, under `$DAGSTER_HOME/logs`. Exits 1 if the port is in use or if another `make ui` serves the same
`$DAGSTER_HOME`.
"""

import argparse
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

from pipelines.serving.environment import (
    ADDRESS,
    CODE_WAITS_VARIABLE,
    LOGS_VARIABLE,
    PORT_VARIABLE,
    SERVED_VARIABLE,
    SOCKET_VARIABLE,
)
from pipelines.serving.stack import (
    check_ports_are_free,
    cluster_environment,
    stack_environment,
    stack_exists,
    stack_folder,
)
from taproom.errors import TaproomError
from taproom.sources.allowed_folders import FOLDERS_VARIABLE
from taproom.sources.inbox import inbox_root

CONFIGURATION = Path(__file__).with_name("supervisord.conf")
STACK_CONFIGURATION = Path(__file__).with_name("stack.conf")
GRACE_SECONDS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.serving", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--port", type=int, default=3000, help="port of the web server, on the loopback interface")
    parser.add_argument("--stack", action="store_true", help="serve PostgreSQL and an S3 server, too")
    parser.add_argument("--workers", type=int, default=0, help="with --stack: workers of a Dask cluster to run, too")
    parser.add_argument("--stop", action="store_true", help="end what serves the same DAGSTER_HOME")
    options = parser.parse_args(arguments)
    port = options.port
    try:
        if options.stack:
            if options.stop and not stack_exists(stack_folder()):
                print(f"There is no stack in {stack_folder()}.")
                return 0
            os.environ |= stack_environment(stack_folder())
        home = _dagster_home()
        if options.stop:
            stop(home)
            return 0
        with _locked(home, port), tempfile.TemporaryDirectory(prefix="taproom-") as folder:
            _check_port_is_free(port)
            _set_environment(home, port, Path(folder))
            if options.stack:
                check_ports_are_free()
                os.environ |= cluster_environment(stack_folder(), options.workers)
                os.environ[CODE_WAITS_VARIABLE] = "python -m pipelines.serving.prepare "
            else:
                # The warehouse may have been lost, or restored, since Dagster last ran. In a process of its own,
                # because it loads the definitions, which would stay in memory.
                subprocess.run([sys.executable, "-m", "pipelines.reconcile"], check=False)
            try:
                _supervise(port, STACK_CONFIGURATION if options.stack else CONFIGURATION)
            finally:
                end_processes(home)
    except TaproomError as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    return 0


def stop(home: Path) -> None:
    """End the supervisor that serves `home`, and what a killed one has left."""
    with suppress(FileNotFoundError), (home / "served.lock").open() as lock:
        signalled = ""
        while _is_locked(lock):
            lock.seek(0)
            holder = lock.read()  # empty between being locked and being written to
            if holder not in ("", signalled):
                signalled = holder
                with suppress(ProcessLookupError):  # it has ended since
                    os.kill(int(holder.split()[1].rstrip(",")), signal.SIGTERM)
            time.sleep(0.2)
    end_processes(home)


def end_processes(home: Path) -> int:
    """End all processes that were started to serve `home`, and their children; return how many there were.

    They get a signal to terminate, so that a run can record that it was interrupted, and are killed after
    `GRACE_SECONDS`.
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
    """The running processes that were started to serve `home`, and their children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # belongs to another user, or has ended
            if process.environ().get(SERVED_VARIABLE) == str(home):
                found.append(process)
    return found


def _dagster_home() -> Path:
    if not (given := os.environ.get("DAGSTER_HOME")):
        raise TaproomError("DAGSTER_HOME is not set. Run `make ui`, which sets it, or set it to Dagster's folder.")
    return Path(given).resolve()


def _is_locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


@contextmanager
def _locked(home: Path, port: int) -> Iterator[None]:
    """Hold the lock on Dagster's folder, and end the processes of a supervisor that was killed."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "served.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise TaproomError(f"{home} is already served by {lock.read().strip()}. End that process first.") from None
        lock.truncate(0)
        print(f"process {os.getpid()}, {_address(port)}", file=lock, flush=True)
        if left := end_processes(home):
            _print(f"Ended {left} processes of a `make ui` that was killed.")
        yield


def _check_port_is_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            raise TaproomError(
                f"port {port} of {ADDRESS} cannot be used ({error}). Another program may use it, for instance the "
                f"`make ui` of another checkout. Choose another port: make ui PORT={port + 1}"
            ) from error


def _set_environment(home: Path, port: int, folder: Path) -> None:
    """Set the variables that `supervisord.conf` and the processes use, and make the folder of their logs."""
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    os.environ |= {
        "DAGSTER_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        PORT_VARIABLE: str(port),
        # In a folder that only this user can open. In Dagster's folder the path could be too long for a socket.
        SOCKET_VARIABLE: str(folder / "code.sock"),
        LOGS_VARIABLE: str(logs),
        SERVED_VARIABLE: str(home),
        CODE_WAITS_VARIABLE: "",
        # Runs that are launched from a browser, a schedule or a sensor may read files of the inbox only.
        FOLDERS_VARIABLE: os.environ.get(FOLDERS_VARIABLE) or str(inbox_root().resolve()),
    }


def _supervise(port: int, configuration: Path) -> None:
    _print(f"Starting Dagster; the logs of its processes are in {os.environ[LOGS_VARIABLE]}")
    threading.Thread(target=_print_when_up, args=[port], daemon=True).start()
    options = ServerOptions()
    options.realize(["--configuration", str(configuration)])
    options.first, options.test = True, False  # as `supervisord.main` sets them
    with suppress(ExitNow):
        _ReportingSupervisor(options).main()
    _print("Ended.")


class _ReportingSupervisor(Supervisor):
    """A supervisor that prints on the terminal which process has ended."""

    def runforever(self) -> None:
        """Run until a signal ends it."""
        for kind in (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent):
            events.subscribe(kind, self._report)
        super().runforever()

    def _report(self, event: events.ProcessStateEvent) -> None:
        config = event.process.config
        name = config.name.replace("_", " ")
        _print(f"{time.strftime('%X')} The {name} has ended and is started again. See {config.stdout_logfile}")


def _print_when_up(port: int) -> None:
    while True:
        with suppress(OSError), socket.create_connection((ADDRESS, port)):
            _print(f"Dagster's UI is on {_address(port)}   (Ctrl-C ends it)")
            return
        time.sleep(0.5)


def _print(line: str) -> None:
    with suppress(OSError):  # the terminal may have been closed; the processes go on
        print(line, flush=True)


def _address(port: int) -> str:
    return f"http://{ADDRESS}:{port}"


if __name__ == "__main__":
    sys.exit(main())
