"""The servers that a deployment stores its data in, started as `make stack` starts them, for tests."""

import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pyarrow.fs as pafs
import pytest

from pipelines.serving.stack import BUCKET, STACK_VARIABLE, stack_environment
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def stack_in_a_folder() -> Iterator[dict[str, str]]:
    """A new stack of which nothing runs yet; gives its environment.

    PostgreSQL must be able to enter the folder as another user, so it is not in pytest's.
    """
    folder = Path(tempfile.mkdtemp(prefix="taproom-stack-"))
    folder.chmod(0o755)
    try:
        yield {STACK_VARIABLE: str(folder), **stack_environment(folder)}
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(module: str, environment: dict[str, str], variables: str) -> Iterator[subprocess.Popen]:
    """A server of `pipelines.serving`, ended at the end; this process has its variables, which begin with a word."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with Path(environment[STACK_VARIABLE], f"{module}.log").open("wb") as log, pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen(
            [sys.executable, "-m", f"pipelines.serving.{module}"],
            cwd=ROOT, env=os.environ | {"PATH": path} | environment, stdout=log, stderr=log,
        )  # fmt: skip
        for name, value in environment.items():
            if name.startswith(variables):
                patch.setenv(name, value)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)  # of PostgreSQL, SIGTERM would wait for its clients
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running_postgres(environment: dict[str, str]) -> Iterator[None]:
    """PostgreSQL, once it answers; libpq's variables lead this process and its children to it."""
    with running("postgres", environment, "PG") as process:
        wait_for_server(process, lambda: psycopg2.connect("").close())
        yield


@contextmanager
def running_object_store(environment: dict[str, str]) -> Iterator[None]:
    """The S3 server with an empty bucket, once it answers; the variables of AWS lead this process to it."""
    with running("object_store", environment, "AWS") as process:
        wait_for_server(process, lambda: make_bucket(environment["AWS_ENDPOINT_URL"]))
        yield


def make_bucket(address: str) -> None:
    files = pafs.S3FileSystem(endpoint_override=address, allow_bucket_creation=True, connect_timeout=1)
    files.create_dir(BUCKET)
    with files.open_output_stream(f"{BUCKET}/first") as stream:  # refused until the volumes are there
        stream.write(b"written")


def wait_for_server(process: subprocess.Popen, ask: Callable[[], object]) -> None:
    def answers() -> bool:
        try:
            ask()
            return True
        except (psycopg2.OperationalError, OSError):
            assert process.poll() is None
            return False

    wait_for(answers, "the server answers", every=0.1)


class Between(socketserver.ThreadingTCPServer):
    """Between this process and a store: passes bytes on and notes requests.

    It may claim that conditions were ignored, and refuse writes.
    """

    daemon_threads = True

    def __init__(self, store: str) -> None:
        super().__init__(("127.0.0.1", 0), _PassedOn)
        self.store = ("127.0.0.1", urlsplit(store).port)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[str] = []
        self.ignores_conditions = self.refuses_writes = False


class _PassedOn(socketserver.BaseRequestHandler):
    server: Between

    def handle(self) -> None:
        with socket.create_connection(self.server.store) as store:
            threading.Thread(target=self._pass_back, args=[store], daemon=True).start()
            while sent := self.request.recv(2**16):
                found = re.findall(rb"([A-Z]+ /\S*) HTTP/1.1\r\n", sent)
                self.server.requests += [request.decode() for request in found]
                if self.server.refuses_writes and sent.startswith(b"PUT "):
                    self.request.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                store.sendall(sent)

    def _pass_back(self, store: socket.socket) -> None:
        with suppress(OSError):
            while answer := store.recv(2**16):
                if self.server.ignores_conditions:
                    answer = answer.replace(b"HTTP/1.1 412 Precondition Failed", b"HTTP/1.1 200 OK")
                self.request.sendall(answer)
