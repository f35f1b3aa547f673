"""Processes that are forked: what is told of them, and that none is left."""

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path

import pytest

from pipelines.forks import Forks
from tests.waiting import is_alive, wait_for

SCRIPT = """
import os, sys
from pipelines.forks import fork_each

def run(connection):
    what = connection.recv()
    connection.send((os.getpid(), os.getppid()))
    sys.exit(what) if isinstance(what, int) else getattr(connection, what)()

fork_each([int(number) for number in sys.argv[1:]], run)
"""


@pytest.fixture
def forks(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    script = tmp_path / "forks.py"
    script.write_text(SCRIPT)
    started = Forks((sys.executable, str(script)), 3)
    yield started
    started.end()


def test_each_process_ends_for_itself_and_tells_its_status(forks):
    first, second, third = forks.processes
    for process, status in ((third, 3), (first, 0)):
        process.connection.send(status)
        assert process.connection.recv()[0] == process.pid
        with pytest.raises(EOFError):
            process.connection.recv()
        assert process.status == status
    assert second.pid not in (first.pid, third.pid, None)
    assert is_alive(second.pid)


def test_the_signal_that_killed_a_process_is_its_status(forks):
    process = forks.processes[1]
    # Not SIGTERM: a program that ignores it has children that do.
    os.kill(process.pid, signal.SIGUSR1)
    assert process.status == -signal.SIGUSR1


def test_none_is_left_at_the_end(forks):
    ids = [process.pid for process in forks.processes]
    forks.processes[0].connection.send("recv")
    assert forks.processes[0].connection.recv()[0] == ids[0]
    forks.end()
    wait_for(lambda: not any(map(is_alive, ids)), "they are gone", every=0.01, seconds=10)
    assert forks.processes[0].status == -signal.SIGKILL


def test_a_command_that_is_killed_leaves_processes_that_go_on_and_statuses_that_nobody_knows(forks):
    process = forks.processes[0]
    process.connection.send("recv")
    pid, command = process.connection.recv()
    assert pid == process.pid
    os.kill(command, signal.SIGKILL)
    assert process.status == -signal.SIGKILL
    process.connection.send("goes on")
    with pytest.raises(EOFError):
        process.connection.recv()


def test_a_command_that_fails_has_no_processes():
    broken = Forks((sys.executable, "-c", "raise SystemExit(2)"), 2)
    assert [(process.pid, process.status) for process in broken.processes] == [(None, -signal.SIGKILL)] * 2
    broken.end()


def test_a_command_whose_starter_is_gone_ends_without_a_word(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    code = (
        "import sys; from pipelines.forks import fork_each; fork_each(map(int, sys.argv[1:]), lambda connection: None)"
    )
    here, there = zip(Pipe(), Pipe(), strict=True)
    for end in here:
        end.close()
    numbers = [end.fileno() for end in there]
    command = [sys.executable, "-c", code, *map(str, numbers)]
    done = subprocess.run(command, pass_fds=numbers, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
