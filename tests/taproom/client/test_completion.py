import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taproom.client.command_line import COMMANDS, COMMON
from taproom.client.completion import SCRIPTS, completions
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from tests.taproom.warehouse.tables import MAIL, NOTES, mail, notes

REPO = Path(__file__).resolve().parents[3]
BY_NAME = {command.name: dict(command.arguments + COMMON) for command in COMMANDS}
# What a shell says that it would offer for a line; the script is $1, the words after `taproom` the rest.
ASKED = {
    "bash": 'eval "$1"; shift; COMP_WORDS=(taproom "$@"); COMP_CWORD=$#; _taproom; printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": """
        compdef() { }; compadd() { print -l -- "${(P)2[@]}" }; _files() { }
        eval "$1"; shift; words=(taproom "$@"); CURRENT=$#words; _taproom""",
    "fish": 'eval "$argv[1]"; complete -C "taproom $argv[2..]"',
}
TABLES = ["mail", "notes"]


@pytest.fixture
def two_tables(warehouse, monkeypatch):
    warehouse.publish(NOTES, notes(1), since=None)
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    monkeypatch.setenv(WAREHOUSE_VARIABLE, warehouse.root)
    return warehouse


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("he", ["head"]),
        ("head ", TABLES),
        ("head n", ["notes"]),
        ("head --version 3 --json ", TABLES),
        ("head notes ", []),
        ("head --version ", []),
        ("head -", ["--version", "--rows", "--warehouse", "--snapshot", "--at", "--json"]),
        ("export ", []),
        ("export folder ", TABLES),
        ("export folder notes ", TABLES),
        ("export --format ", ["parquet", "csv"]),
        ("verify ", TABLES),
        ("diff notes ", []),
        ("completion ", ["bash", "zsh", "fish"]),
        ("bogus ", []),
        ("head --warehouse /absent ", []),
    ],
)
def test_commands_options_and_tables_are_offered(two_tables, line, wanted):
    assert completions(line.split(" "), BY_NAME) == wanted


def test_tables_are_those_of_the_warehouse_that_the_line_names(two_tables, monkeypatch):
    monkeypatch.setenv(WAREHOUSE_VARIABLE, "/absent")
    assert completions(["show", ""], BY_NAME) == []
    assert completions(["show", "--warehouse", two_tables.root, ""], BY_NAME) == TABLES


@pytest.mark.slow
@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_completes(two_tables, tmp_path, monkeypatch, shell):
    if not (program := shutil.which(shell)):
        pytest.skip(f"{shell} is not installed")
    command = tmp_path / "bin" / "taproom"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m taproom "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("HOME", str(tmp_path))
    (empty := tmp_path / "empty").mkdir()

    def offered(*words):
        arguments = [program, "-c", ASKED[shell], *([shell] if shell != "fish" else []), script, *words]
        ran = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=empty)
        assert ran.stderr == ""
        return ran.stdout.split()

    asked = [command, "completion", shell]
    script = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert offered("sn") == ["snapshot"]
    assert offered("show", "") == TABLES
    assert offered("head", "notes", "--ro") == ["--rows"]
    assert offered("head", "notes", "--rows", "") == []
