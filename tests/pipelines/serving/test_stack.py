"""The state of `make stack`; `tests/deploy/test_stack.py` starts it."""

import shlex
import socket
import stat
import subprocess

import pytest

from pipelines.serving import postgres
from pipelines.serving.stack import (
    FIRST_PORTS,
    PORTS,
    SETTINGS,
    STACK_VARIABLE,
    check_ports_are_free,
    stack_environment,
    stack_folder,
    store_port,
)
from taproom.errors import TaproomError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(STACK_VARIABLE, str(tmp_path / "a stack"))
    return stack_folder()


def test_the_first_start_makes_secrets_that_only_their_owner_can_read(folder, tmp_path):
    environment = stack_environment(folder)
    assert stat.S_IMODE((folder / "stack.env").stat().st_mode) == 0o600
    assert (folder / "dagster_home" / "dagster.yaml").readlink() == SETTINGS
    assert stack_environment(folder) == environment
    other = stack_environment(tmp_path / "other")
    for name in ("PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert len(environment[name]) >= 20
        assert environment[name] != other[name]


def test_a_shell_reads_the_same_variables(folder):
    environment = stack_environment(folder)
    read = subprocess.run(
        ["sh", "-c", f"set -a; . {shlex.quote(str(folder / 'stack.env'))}; env"],
        env={}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert environment.items() <= dict(line.split("=", 1) for line in read.stdout.splitlines()).items()


def test_a_line_that_is_no_variable_is_named_without_its_value(folder):
    stack_environment(folder)
    with (folder / "stack.env").open("a") as file:
        file.write("# a comment\nexport secret\n")
    with pytest.raises(TaproomError, match="'export secret' is not NAME=VALUE"):
        stack_environment(folder)


def test_all_servers_listen_on_the_loopback_interface_on_ports_of_their_own(folder, monkeypatch):
    for name, value in stack_environment(folder).items():
        monkeypatch.setenv(name, value)
    first = int(stack_environment(folder)["PGPORT"])
    assert first in FIRST_PORTS
    assert store_port() == first + 1
    assert stack_environment(folder)["PGHOST"] == "127.0.0.1"
    check_ports_are_free()
    with socket.create_server(("127.0.0.1", first + PORTS - 1)), pytest.raises(TaproomError, match="is in use"):
        check_ports_are_free()


def test_postgresql_is_found_or_named(monkeypatch, tmp_path):
    assert (postgres.postgres_binaries() / "initdb").exists()
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TaproomError, match="apt-get install postgresql"):
        postgres.postgres_binaries()
