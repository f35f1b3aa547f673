"""The servers that a deployment stores its data in, started as `make stack` starts them, for tests."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from pipelines.serving.stack import STACK_VARIABLE, stack_environment

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
def running(module: str, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A server of `pipelines.serving`, ended at the end."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with Path(environment[STACK_VARIABLE], f"{module}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"pipelines.serving.{module}"],
            cwd=ROOT, env=os.environ | {"PATH": path} | environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(2)  # of PostgreSQL, SIGTERM would wait for its clients
            process.wait(30)


@contextmanager
def running_postgres(environment: dict[str, str]) -> Iterator[None]:
    """PostgreSQL, once it answers; libpq's variables lead this process and its children to it."""
    with running("postgres", environment) as process, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if name.startswith("PG"):
                patch.setenv(name, value)
        end = time.monotonic() + 60
        while True:
            try:
                psycopg2.connect("").close()
                break
            except psycopg2.OperationalError:
                assert process.poll() is None, Path(environment[STACK_VARIABLE], "postgres.log").read_text()
                assert time.monotonic() < end
                time.sleep(0.1)
        yield
