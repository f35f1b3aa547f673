"""The state of `make stack`; `tests/deploy/test_stack.py` starts it."""

import os
import shlex
import socket
import stat
import subprocess

import pytest

from pipelines.serving import postgres
from pipelines.serving.__main__ import main
from pipelines.serving.stack import (
    FIRST_PORTS,
    PORTS,
    SETTINGS,
    STACK_VARIABLE,
    check_ports_are_free,
    cluster_environment,
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


def test_a_quotation_mark_without_its_pair_is_named(folder):
    stack_environment(folder)
    with (folder / "stack.env").open("a") as file:
        file.write("TAPROOM_INBOX='s3://taproom/inbox\n")
    with pytest.raises(TaproomError, match=r"'TAPROOM_INBOX' is not NAME=VALUE"):
        stack_environment(folder)


def test_to_stop_a_stack_that_was_never_started_makes_none(folder, capsys):
    assert main(["--stack", "--stop"]) == 0
    assert capsys.readouterr().out == f"There is no stack in {folder}.\n"
    assert not folder.exists()


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
    assert (postgres.postgres_binaries(tmp_path) / "initdb").exists()
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TaproomError, match="apt-get install postgresql"):
        postgres.postgres_binaries(tmp_path)


def test_an_older_cluster_gets_the_programs_of_its_version(monkeypatch, tmp_path):
    for version in (15, 16, 17):
        program = tmp_path / "debian" / str(version) / "bin" / "postgres"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}.4 (Debian {version}.4-1)'\n")
        program.chmod(0o755)
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("PATH", f"{tmp_path / 'debian' / '16' / 'bin'}:/usr/bin:/bin")
    data = tmp_path / "data"
    data.mkdir()
    assert postgres.postgres_binaries(data).parts[-2] == "16"
    for version in (15, 16):
        (data / "PG_VERSION").write_text(f"{version}\n")
        assert postgres.postgres_binaries(data).parts[-2] == str(version)
    (data / "PG_VERSION").write_text("14\n")
    with pytest.raises(TaproomError, match=r"PostgreSQL 14, which cannot be opened by the installed 15, 16, 17"):
        postgres.postgres_binaries(data)


def test_a_cluster_has_a_port_of_the_stack_of_its_own(folder, monkeypatch):
    monkeypatch.setenv("PGPORT", stack_environment(folder)["PGPORT"])
    environment = cluster_environment(folder, workers=2)
    port = int(environment["TAPROOM_STACK_SCHEDULER_PORT"])
    assert port == int(os.environ["PGPORT"]) + PORTS - 1
    assert environment["TAPROOM_CLUSTER"] == f"tcp://127.0.0.1:{port}"
    assert cluster_environment(folder, workers=0) == {"TAPROOM_STACK_INCLUDES": ""}
