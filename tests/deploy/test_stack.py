"""`make stack CLUSTER=2` as it is: PostgreSQL, the S3 server, a Dask cluster, Dagster's processes, for some minutes."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import psutil
import psycopg2
import pytest

from pipelines.reconcile import YOUNG_SECONDS
from pipelines.serving.__main__ import served_processes
from pipelines.serving.postgres import postgres_binaries
from pipelines.serving.stack import STACK_VARIABLE
from taproom.errors import StorageError
from taproom.sources.inbox import INBOX_VARIABLE, file_key
from taproom.warehouse.storage import Storage
from taproom.warehouse.warehouse import Warehouse
from tests.pipelines.installation import ROOT, Installation, free_port
from tests.pipelines.test_daemon import reviews
from tests.servers import stack_in_a_folder
from tests.waiting import wait_for

pytestmark = pytest.mark.soak
SECRETS = ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")
BACKUP = (sys.executable, "-m", "taproom.warehouse.backup")
QUICK_SEARCH = {"trials": 2, "workers": 1}
ON_THE_CLUSTER = ("neighbors", ["trials", "item_map_trials"])
QUICK_REVIEWS = {"item_map": {"updates_per_item": 170}, "tune_item_map": QUICK_SEARCH}


class Stack(Installation):
    """An installation whose stores are servers, with its inbox in the object store and a Dask cluster."""

    arguments = ("--stack", "--workers", "2")

    def __init__(self, environment: dict[str, str]) -> None:
        folder = Path(environment[STACK_VARIABLE])
        self.home = folder / "dagster_home"
        self.inbox = Storage("s3://taproom/inbox")
        self.warehouse = Warehouse(environment["TAPROOM_WAREHOUSE"])
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | environment | {INBOX_VARIABLE: self.inbox.root, "PATH": path}
        self.port = free_port()
        self._log = (folder / "log.txt").open("wb")

    def drop(self, name: str, content: str | bytes, chain: str = "reviews") -> str:
        content = content.encode() if isinstance(content, str) else content
        self.inbox.write(f"{chain}/{name}", content)
        return file_key(name, hashlib.sha256(content).hexdigest())


@pytest.fixture(scope="module")
def stack():
    with stack_in_a_folder() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            if name.startswith(("PG", "AWS")):
                patch.setenv(name, value)
        patch.setenv("TAPROOM_CACHE", f"{environment[STACK_VARIABLE]}/cache")
        stack = Stack(environment)
        stack.start()
        yield stack
        line = [sys.executable, "-m", "pipelines.serving", "--stack", "--stop"]
        subprocess.run(line, cwd=ROOT, env=stack.environment, check=True, timeout=120)
        assert not served_processes(stack.home)
        stack.stop()


def test_three_runs_at_once_make_the_review_chain_a_search_and_maintenance(stack):
    stack.switch_on("review_inbox")
    key = stack.drop("ales.csv", reviews(range(80)))
    wait_for(lambda: stack.warehouse.head("term_counts") is not None, "the batch is read")
    stack.stop_sensor("review_inbox")
    assert stack.warehouse.partitions("reviews") == [key]
    made = [stack.launch("make_reviews", **QUICK_REVIEWS), stack.launch("maintain_warehouse")]
    made.append(stack.launch("ingest_text", documents={"source": "reviews"}))
    assert [stack.end(run_id) for run_id in made] == ["SUCCESS"] * 3
    with stack.instance as instance:
        records = [instance.get_run_record_by_id(run_id) for run_id in made]
    assert max(record.start_time for record in records) < min(record.end_time for record in records)
    assert set(stack.warehouse.read("item_map")["item_id"].to_pylist()) == {f"item {item:03d}" for item in range(80)}
    assert stack.warehouse.read("trials").num_rows >= 2
    with stack.instance as instance:
        records = [instance.get_latest_materialization_event(dg.AssetKey(key)) for key in ON_THE_CLUSTER]
    for record in records:
        (used,) = record.asset_materialization.metadata["cluster"].value
        assert used["workers"] == 2
        assert used["blocks"] > 0
    assert not [problem for table in stack.warehouse.tables() for problem in stack.warehouse.check(table).problems]


def test_stores_that_are_killed_are_started_again_and_runs_succeed(stack):
    for program in ("postgres -D", "weed"):
        (killed,) = servers(stack, program)
        killed.kill()
        wait_for(lambda program=program: servers(stack, program), f"{program} runs again")
        wait_for(lambda: answers(stack), "the stores answer")
        run_id = wait_for(lambda: launched(stack), "a run can be launched")
        assert stack.end(run_id) == "SUCCESS", stack.reason(run_id)


def answers(stack: Stack) -> bool:
    try:
        psycopg2.connect("").close()
        return bool(stack.warehouse.heads())
    except (StorageError, psycopg2.OperationalError):
        return False


def launched(stack: Stack) -> str | None:
    try:
        return stack.launch("ingest_text", documents={"source": "reviews"})
    except (AssertionError, OSError):
        return None


def servers(stack: Stack, program: str) -> list[psutil.Process]:
    alive = [process for process in served_processes(stack.home) if process.status() != psutil.STATUS_ZOMBIE]
    return [process for process in alive if " ".join(process.cmdline()).startswith(program)]


def test_no_password_or_key_is_in_a_log_or_on_a_command_line(stack):
    secrets = [value for name, value in stack.environment.items() if name in SECRETS]
    logs = [path for path in stack.home.rglob("*") if path.is_file()] + [stack.home.parent / "log.txt"]
    assert len(secrets) == len(SECRETS)
    assert not [path for path in logs if any(secret.encode() in path.read_bytes() for secret in secrets)]
    lines = [" ".join(process.cmdline()) for process in served_processes(stack.home)]
    assert not [line for line in lines if any(secret in line for secret in secrets)]
    with stack.instance as instance:
        events = "".join(str(entry) for run in instance.get_runs() for entry in instance.all_logs(run.run_id))
    assert not [secret for secret in secrets if secret in events]


def test_a_backup_made_while_runs_go_on_is_restored_elsewhere(stack, tmp_path):
    going_on = [stack.launch("ingest_text", documents={"source": "reviews"}) for _ in range(3)]
    stack.wait_for_step(going_on[0])
    dump, copy = tmp_path / "records.dump", tmp_path / "warehouse"
    programs = postgres_binaries(stack.home.parent / "postgres" / "data")
    command(stack, programs / "pg_dump", "--format=custom", f"--file={dump}")
    command(stack, *BACKUP, copy)
    assert [stack.end(run_id) for run_id in going_on] == ["SUCCESS"] * 3

    restored = {"PGDATABASE": "restored", "TAPROOM_WAREHOUSE": "s3://taproom/restored"}
    command(stack, programs / "createdb", "restored")
    command(stack, programs / "pg_restore", "--no-owner", "--dbname=restored", dump)
    command(stack, *BACKUP, restored["TAPROOM_WAREHOUSE"], "--warehouse", copy)
    # The records have runs as started that have ended since; reconciling ends them once they are that old.
    time.sleep(YOUNG_SECONDS)
    command(stack, sys.executable, "-m", "pipelines.reconcile", **restored)
    warehouse = Warehouse(restored["TAPROOM_WAREHOUSE"])
    assert warehouse.tables() == stack.warehouse.tables()
    command(stack, sys.executable, "-m", "taproom", "verify", **restored)
    assert "Nothing is wrong" in command(stack, sys.executable, "-m", "pipelines.doctor", **restored)


def command(stack: Stack, *line: str | Path, **variables: str) -> str:
    """What a command of an operator says; it has to succeed."""
    environment = stack.environment | variables
    done = subprocess.run([*map(str, line)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
