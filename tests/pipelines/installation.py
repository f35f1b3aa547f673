"""A whole installation of its own: web server, daemon and code server on a small warehouse, as an operator has it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from taproom.inbox import INBOX_VARIABLE
from taproom.warehouse import WAREHOUSE_VARIABLE, Warehouse

ROOT = Path(__file__).resolve().parents[2]
LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "pipelines.definitions"}
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


class Installation:
    """What an operator has: folders, processes, and the web server's API."""

    def __init__(self, folder: Path) -> None:
        self.home, self.inbox = folder / "dagster_home", folder / "inbox"
        self.home.mkdir()
        for chain in ("reviews", "assays"):
            (self.inbox / chain).mkdir(parents=True)
        (self.home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
        self.warehouse = Warehouse(folder / "warehouse")
        self.environment = os.environ | {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            WAREHOUSE_VARIABLE: self.warehouse.root,
            INBOX_VARIABLE: str(self.inbox),
        }
        self.port = free_port()
        self._log = (folder / "log.txt").open("wb")
        self.processes: list[subprocess.Popen] = []

    def start(self) -> None:
        """Start the processes and wait until the web server knows the jobs."""
        bin_ = Path(sys.executable).parent
        for command in (
            [bin_ / "dagster-webserver", "-h", "127.0.0.1", "-p", str(self.port), "-w", "workspace.yaml"],
            [bin_ / "dagster-daemon", "run", "-w", "workspace.yaml"],
        ):
            self.processes.append(
                subprocess.Popen(
                    [str(word) for word in command],
                    cwd=ROOT,
                    env=self.environment,
                    stdout=self._log,
                    stderr=self._log,
                    start_new_session=True,
                )
            )
        wait_for(self._is_up, 60, "the web server is up")

    def stop(self) -> None:
        """End all that was started."""
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer of the web server to a GraphQL query."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def switch_on(self, sensor: str) -> None:
        answer = self.ask(
            "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) "
            "{ __typename ... on PythonError { message } } }",
            s={**LOCATION, "sensorName": sensor},
        )
        assert answer["startSensor"]["__typename"] == "Sensor", answer

    def launch(self, job: str, tags: dict[str, str] | None = None, **ops: dict) -> str:
        """Launch a job as the launchpad does; gives the run's id."""
        answer = self.ask(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } "
            "... on RunConfigValidationInvalid { errors { message } } } }",
            p={
                "selector": {**LOCATION, "jobName": job},
                "runConfigData": {"ops": {op: {"config": config} for op, config in ops.items()}},
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
            },
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def status(self, run_id: str) -> str:
        with self.instance as instance:
            return instance.get_run_by_id(run_id).status.value

    def run(self, job: str, seconds: float = 120, **ops: dict) -> str:
        """Launch a job and wait for its end; gives its status."""
        run_id = self.launch(job, **ops)
        wait_for(lambda: self.status(run_id) in FINISHED, seconds, f"{job} has ended")
        return self.status(run_id)

    def runs(self, **which: Any) -> list[dg.DagsterRun]:
        """Runs, the newest first."""
        with self.instance as instance:
            return list(instance.get_runs(dg.RunsFilter(**which)))

    def _is_up(self) -> bool:
        try:
            self.ask("{ version }")
        except OSError:
            return False
        return True


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until `holds` is true; gives what it gave. Fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := holds():
            return result
        time.sleep(0.5)
    raise AssertionError(f"after {seconds} s it still does not hold that {what}")
