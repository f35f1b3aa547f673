"""A whole installation of its own: web server, daemon and code server on a small warehouse, as an operator has it."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import dagster as dg

from taproom.sources.inbox import INBOX_VARIABLE, file_key, file_sha256
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "pipelines.definitions"}
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


class Installation:
    """What an operator has: folders, processes, and the web server's API."""

    arguments: tuple[str, ...] = ()

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

    def start(self) -> None:
        """Start it as `make ui` does, and wait until the web server knows the jobs."""
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "pipelines.serving", "--port", str(self.port), *self.arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=self._log,
            stderr=self._log,
        )
        wait_for(self._is_up, "the web server is up")

    def stop(self) -> None:
        """End all that was started."""
        self._supervisor.terminate()
        self._supervisor.wait(60)

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
        self._switch("startSensor", "sensorSelector: SensorSelector!", {"sensorName": sensor}, "Sensor")

    def stop_sensor(self, sensor: str) -> None:
        self._stop("sensorOrError", "sensorSelector: SensorSelector!", {"sensorName": sensor}, "stopSensor")

    def start_schedule(self, schedule: str) -> None:
        selector = "scheduleSelector: ScheduleSelector!"
        self._switch("startSchedule", selector, {"scheduleName": schedule}, "ScheduleStateResult")

    def stop_schedule(self, schedule: str) -> None:
        selector = "scheduleSelector: ScheduleSelector!"
        self._stop("scheduleOrError", selector, {"scheduleName": schedule}, "stopRunningSchedule")

    def _switch(self, mutation: str, selector: str, name: dict[str, str], wanted: str) -> None:
        argument, kind = selector.split(": ")
        query = (
            f"mutation($s: {kind}) {{ {mutation}({argument}: $s) {{ __typename ... on PythonError {{ message }} }} }}"
        )
        assert self.ask(query, s=LOCATION | name)[mutation]["__typename"] == wanted

    def _stop(self, question: str, selector: str, name: dict[str, str], mutation: str) -> None:
        argument, kind = selector.split(": ")
        of, state = question.removesuffix("OrError"), question.replace("OrError", "State")
        query = f"query($s: {kind}) {{ {question}({argument}: $s) {{ ... on {of.title()} {{ {state} {{ id }} }} }} }}"
        found = self.ask(query, s=LOCATION | name)[question][state]["id"]
        query = f"mutation($id: String!) {{ {mutation}(id: $id) {{ __typename }} }}"
        assert self.ask(query, id=found)[mutation]["__typename"] != "PythonError"

    def terminate(self, run_id: str) -> None:
        answer = self.ask(
            "mutation($r: String!) { terminateRun(runId: $r) { __typename ... on PythonError { message } } }", r=run_id
        )
        assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess", answer

    def drop(self, name: str, content: str | bytes, chain: str = "reviews") -> str:
        """Drop a file into an inbox; gives the key of the batch that it is."""
        path = self.inbox / chain / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return file_key(name, file_sha256(path))

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

    def end(self, run_id: str) -> str:
        """Wait for the end of a run; gives its status."""
        wait_for(lambda: self.status(run_id) in FINISHED, f"the run {run_id} has ended")
        return self.status(run_id)

    def run(self, job: str, tags: dict[str, str] | None = None, **ops: dict) -> str:
        """Launch a job and wait for its end; gives its status."""
        return self.end(self.launch(job, tags, **ops))

    def reason(self, run_id: str) -> str:
        """Why the steps of a run have failed: all messages."""
        messages = []
        with self.instance as instance:
            for event in self._events(instance, run_id):
                error = event.step_failure_data.error if event.is_step_failure else None
                while error:
                    messages.append(error.message)
                    error = error.cause
        return "\n".join(messages)

    def wait_for_step(self, run_id: str, step: str | None = None) -> None:
        """Wait until a step of a run (None: any) has begun."""

        def begun() -> bool:
            with self.instance as instance:
                steps = [event.step_key for event in self._events(instance, run_id) if event.is_step_start]
            return step in steps if step else bool(steps)

        wait_for(begun, f"a step of the run {run_id} has begun")

    def worker(self, run_id: str) -> int:
        """The id of the process that a run's steps are in."""
        with self.instance as instance:
            told = [
                event.engine_event_data.metadata.get("pid")
                for event in self._events(instance, run_id)
                if event.is_engine_event
            ]
        return int([pid.value for pid in told if pid][-1])

    def _events(self, instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEvent]:
        return [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]

    def runs(self, **which: Any) -> list[dg.DagsterRun]:
        """Runs, the newest first."""
        with self.instance as instance:
            return list(instance.get_runs(dg.RunsFilter(**which)))

    def _is_up(self) -> bool:
        try:
            answer = self.ask("{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } } }")
        except OSError:
            return False
        return bool(answer["repositoriesOrError"].get("nodes"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
