"""`make ui` as it is: its processes are started once, asked, killed one after the other, and ended."""

import fcntl
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from pipelines.io_manager import FIGURE_ADDRESS
from pipelines.serving import __main__ as serving
from pipelines.serving.environment import SERVED_VARIABLE
from taproom.sources.allowed_folders import FOLDERS_VARIABLE
from taproom.sources.inbox import INBOX_VARIABLE
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from tests.waiting import is_alive, wait_for

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = {"code_server": "dagster api grpc", "daemon": "dagster._daemon", "web_server": "pipelines.serving.web"}
LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
ERRORS = """
query ($id: ID!) {
  runOrError(runId: $id) {
    ... on Run {
      eventConnection { events { ... on ExecutionStepFailureEvent { error { message causes { message } } } } }
    }
  }
}"""

MATERIALIZED = """
query ($id: ID!) {
  runOrError(runId: $id) {
    ... on Run { assetMaterializations { metadataEntries { ... on MarkdownMetadataEntry { mdStr } } } }
  }
}"""


@dataclass
class Served:
    """What was started, by the command that `make ui` runs, with folders of its own."""

    supervisor: psutil.Popen
    home: Path
    inbox: Path
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables) -> dict:
        answer = requests.post(
            f"{self.address}/graphql", json={"query": query, "variables": variables}, timeout=20
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def process(self, program: str) -> psutil.Process | None:
        """The living process of a program, once it is what it waits to be."""
        for process in self.supervisor.children():
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if PROGRAMS[program] in line and "serving.wait" not in line:
                    return process
        return None

    def launch(self, path: Path) -> str:
        """Launch a run that reads a file of text; give its id."""
        documents = {"source": "files", "path": str(path), "unit": "line"}
        params = {
            "selector": {
                "repositoryLocationName": "pipelines.definitions",
                "repositoryName": "__repository__",
                "jobName": "ingest_text",
            },
            "runConfigData": {"ops": {"documents": {"config": documents}}},
        }
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess"
        return launched["run"]["runId"]

    def status(self, run: str) -> str:
        return self.ask(STATUS, id=run)["runOrError"]["status"]

    def end(self, run: str) -> str:
        """The status of a run when it has ended."""
        return wait_for_answer(lambda: self._end(run), f"the run {run} has ended")

    def _end(self, run: str) -> str | None:
        status = self.status(run)
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None


def wait_for_answer(found: Callable, what: str):
    """What `found` gives once it is something; an error by then is no answer."""

    def answer():
        with suppress(requests.RequestException, AssertionError):
            return found()

    return wait_for(answer, what, every=0.3)  # asking costs the web server processor time


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def command(port: int) -> list[str]:
    return [sys.executable, "-m", "pipelines.serving", "--port", str(port)]


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    home, inbox, port = folder / "home", folder / "inbox", free_port()
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    (inbox / "text").mkdir(parents=True)
    for name in ("themes", "../outside"):
        (inbox / "text" / name).with_suffix(".txt").write_text("hops and malt\nyeast and water\n" * 20)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        INBOX_VARIABLE: str(inbox / "text"),
        WAREHOUSE_VARIABLE: str(folder / "warehouse"),
    }
    del environment[FOLDERS_VARIABLE]
    with (folder / "terminal").open("w") as terminal:
        supervisor = psutil.Popen(command(port), cwd=ROOT, env=environment, stdout=terminal, stderr=terminal)
        started = Served(supervisor, home, inbox / "text", port)
        try:
            wait_for(lambda: "UI is on" in (folder / "terminal").read_text(), "the UI is on")
            yield started
        finally:
            if supervisor.is_running():
                supervisor.terminate()
                supervisor.wait(60)


@pytest.fixture(scope="module")
def themes_run(served) -> str:
    """The id of a run that has read the inbox; starting one takes seconds."""
    run = served.launch(served.inbox / "themes.txt")
    assert served.end(run) == "SUCCESS"
    return run


def test_the_ui_is_answered_and_other_sites_are_not(served):
    address, evil = f"{served.address}/graphql", {"Origin": "http://evil.example"}
    query = {"query": "{ version }"}
    assert requests.get(served.address, timeout=20).headers["Content-Type"].startswith("text/html")
    assert requests.post(address, json=query, headers={"Origin": served.address}, timeout=20).json()["data"]
    for refused, status in [
        (requests.post(address, json=query, headers=evil, timeout=20), 403),
        (requests.get(served.address, headers=evil, timeout=20), 403),
        (requests.post(address, json=query, headers={"Host": f"evil.example:{served.port}"}, timeout=20), 403),
        (requests.get(address, params={"query": LAUNCH}, timeout=20), 405),
        (requests.post(address, params={"query": LAUNCH}, timeout=20), 415),
    ]:
        assert refused.status_code == status
        assert refused.text.startswith("Refused: ")
    with connect(address.replace("http", "ws"), origin=served.address, subprotocols=["graphql-ws"]) as websocket:
        websocket.send('{"type": "connection_init"}')
        assert "connection_ack" in websocket.recv(timeout=20)
    with pytest.raises(InvalidStatus):
        connect(address.replace("http", "ws"), origin="http://evil.example", subprotocols=["graphql-ws"])


@pytest.mark.usefixtures("themes_run")
def test_a_run_reads_the_inbox_and_nothing_else(served):
    outside = served.launch(served.inbox / ".." / "outside.txt")
    assert served.end(outside) == "FAILURE"
    assert f"Allowed are paths in {served.inbox}" in str(served.ask(ERRORS, id=outside))


def test_the_figure_of_a_materialization_is_served(served, themes_run):
    from pipelines.serving.web import SMALL_PIXELS  # loads Dagster's web server, which no other test does

    warehouse = Warehouse(str(served.home.parent / "warehouse"))
    address = FIGURE_ADDRESS.format(table="documents", content_hash=warehouse.history("documents")[0]["content_hash"])
    assert f"[![documents]({address}?small)]({address})" in str(served.ask(MATERIALIZED, id=themes_run))
    figure = requests.get(f"{served.address}{address}", timeout=20)
    assert figure.headers["Content-Type"] == "image/png"
    assert figure.content == Path(warehouse.root, "_figures", "documents.png").read_bytes()
    small = requests.get(f"{served.address}{address}?small", timeout=20).content
    assert max(Image.open(io.BytesIO(small)).size) == SMALL_PIXELS
    missing = FIGURE_ADDRESS.format(table="documents", content_hash="0" * 64)
    assert requests.get(f"{served.address}{missing}", timeout=20).status_code == 404
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert requests.get(f"{served.address}{address}", headers=foreign, timeout=20).status_code == 403


def test_metrics_are_served(served):
    answer = requests.get(f"{served.address}/metrics", timeout=20)
    assert answer.headers["Content-Type"].startswith("text/plain")
    made = re.search(r'taproom_table_rows{asset="documents"} ([\d.]+)', answer.text)
    assert float(made[1]) == len(Warehouse(str(served.home.parent / "warehouse")).read("documents"))
    assert re.search(r'taproom_daemon_heartbeat_timestamp_seconds{daemon="sensor"} 1\.', answer.text)


def test_what_is_killed_is_started_again_and_runs_succeed(served):
    path = served.inbox / "themes.txt"
    for program in PROGRAMS:
        # What is queued when the code server is killed waits for the next one.
        queued = served.launch(path) if program == "code_server" else None
        killed = served.process(program)
        killed.kill()
        wait_for_answer(
            lambda program=program, killed=killed: served.process(program) not in (None, killed),
            f"{program} runs again",
        )
        run = queued or wait_for_answer(lambda: served.launch(path), "a run can be launched")
        assert served.end(run) == "SUCCESS"
        assert (served.home / "logs" / f"{program}.log").is_file()
    told = (served.home.parent / "terminal").read_text()
    for program in PROGRAMS:
        assert f"The {program.replace('_', ' ')} has ended and is started again" in told
    assert "DEBUG" not in told
    assert len(told.splitlines()) < 10


def test_a_second_one_says_what_is_in_its_way(served, tmp_path):
    def failure(port: int, home: Path | str) -> str:
        environment = os.environ | {"DAGSTER_HOME": str(home)}
        done = subprocess.run(command(port), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        return done.stderr

    assert f"port {served.port} of 127.0.0.1 cannot be used" in failure(served.port, tmp_path)
    assert f"is already served by process {served.supervisor.pid}" in failure(free_port(), served.home)
    assert "DAGSTER_HOME is not set" in failure(free_port(), "")


def test_a_signal_ends_all_processes_and_the_runs(served):
    # A run whose code server was killed is nobody's child; it ends, too.
    with (served.inbox / "long.txt").open("w") as text:
        text.writelines(f"{number} bottles of beer on the wall\n" for number in range(2_000_000))
    (warehouse := Path(served.home.parent / "warehouse")).rename(served.home.parent / "first")  # for another corpus
    run = served.launch(served.inbox / "long.txt")
    wait_for_answer(lambda: served.status(run) == "STARTED", f"the run {run} has started")
    served.process("code_server").kill()
    found = serving.served_processes(served.home)
    assert len(found) >= 3
    served.supervisor.send_signal(signal.SIGTERM)
    assert served.supervisor.wait(60) == 0
    assert not serving.served_processes(served.home)
    assert not any(is_alive(process.pid) for process in found)
    assert Warehouse(str(warehouse)).head("documents") is None


@pytest.mark.slow
def test_what_a_killed_supervisor_has_left_is_ended(tmp_path, monkeypatch):
    """As the next `make ui` does it; a process that does not listen to the first signal, too."""
    monkeypatch.setattr(serving, "GRACE_SECONDS", 1)
    # Each says what it does about the signal: a process inherits that this one ignores it, as after some other tests.
    waiting = "import signal, time; signal.signal(signal.SIGTERM, signal.{}); print(flush=True); time.sleep(60)"
    commands = [[sys.executable, "-c", waiting.format(how)] for how in ("SIG_DFL", "SIG_IGN")]
    environment = os.environ | {SERVED_VARIABLE: str(tmp_path)}
    left = [subprocess.Popen(each, env=environment, stdout=subprocess.PIPE) for each in commands]
    with subprocess.Popen(["sleep", "60"], env=environment | {SERVED_VARIABLE: str(tmp_path / "other")}) as other:
        for process in left:
            process.stdout.readline()
        assert serving.end_processes(tmp_path) == 2
        assert [process.wait(10) for process in left] == [-signal.SIGTERM, -signal.SIGKILL]
        assert other.poll() is None
        other.kill()
    assert serving.end_processes(tmp_path) == 0


@pytest.mark.slow
def test_what_holds_the_lock_is_ended_once_it_has_said_who_it_is(tmp_path):
    holding = f"""
import fcntl, os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which other tests may have set, and a process inherits
lock = open({str(tmp_path / "served.lock")!r}, "a")
fcntl.flock(lock, fcntl.LOCK_EX)
print(flush=True)
time.sleep(0.5)
print(f"process {{os.getpid()}}, http://127.0.0.1:3000", file=lock, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        serving.stop(tmp_path)
        assert holder.wait(10) == -signal.SIGTERM


@pytest.mark.slow
def test_a_lock_that_an_ended_process_has_left_is_no_obstacle(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / "served.lock").write_text(f"process {ended.pid}, http://127.0.0.1:3000\n")
    with (tmp_path / "served.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(0.5, fcntl.flock, [lock, fcntl.LOCK_UN]).start()
        serving.stop(tmp_path)
