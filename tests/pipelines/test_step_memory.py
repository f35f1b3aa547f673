"""Steps wait for memory: in runs side by side, in processes that were killed, and before they read anything."""

import fcntl
import tempfile
import threading
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import Field

from assets.table import CONTRACTS, keeps_settings
from pipelines import step_memory
from pipelines.definitions import HOOKS, defs
from pipelines.io_manager import table_io_manager
from pipelines.records import newest_materialization, recorded_value
from pipelines.step_memory import give_back_memory, memory_for_steps
from taproom.errors import InputError
from taproom.warehouse.contracts import Column, Contract

TAPS = Contract("taps", "a tap", (Column("tap", pa.int64(), "its number"),), ("tap",))

# Dagster has processes copy what a step prints, and those of a step in a thread may stay when the test is over.
NO_COMPUTE_LOGS = """
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where running steps say what they have; of this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(step_memory, "SECONDS_BETWEEN_LOOKS", 0.01)
    yield tmp_path / f"taproom-memory-{step_memory.os.getuid()}"
    give_back_memory()


def another_step(folder, taken):
    """What a step of another process has; closed, the process is gone."""
    folder.mkdir(exist_ok=True)
    path = folder / "other.bytes"
    path.write_text(str(taken))
    file = path.open()
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def started(wanted, limit):
    """A thread that takes memory, and is given time to."""
    thread = threading.Thread(target=step_memory._take, args=(wanted, limit))
    thread.start()
    thread.join(0.1)
    return thread


def test_two_steps_that_fit_run_side_by_side(folder):
    with another_step(folder, 60):
        assert not started(40, limit=100).is_alive()
        assert step_memory._bytes_taken(folder) == 100


def test_a_step_that_does_not_fit_waits_until_the_other_gives_its_memory_back(folder):
    other = another_step(folder, 60)
    waiting = started(41, limit=100)
    assert waiting.is_alive()
    Path(other.name).unlink()
    other.close()
    waiting.join(10)
    assert step_memory._bytes_taken(folder) == 41
    give_back_memory()
    assert not list(folder.glob("*.bytes"))


def test_the_memory_of_a_process_that_was_killed_is_free(folder):
    other = another_step(folder, 60)
    waiting = started(41, limit=100)
    assert waiting.is_alive()
    other.close()
    waiting.join(10)
    assert step_memory._bytes_taken(folder) == 41


def test_a_step_larger_than_the_machine_runs_alone(folder):
    assert not started(500, limit=100).is_alive()
    give_back_memory()
    with another_step(folder, 1):
        waiting = started(500, limit=100)
        assert waiting.is_alive()
    waiting.join(10)


def test_a_small_step_does_not_overtake_one_that_waits(folder):
    other = another_step(folder, 60)
    large = started(90, limit=100)
    small = started(10, limit=100)
    assert large.is_alive()
    assert small.is_alive()
    other.close()
    large.join(10)
    small.join(10)


def test_the_limit_is_given_or_a_share_of_the_machine_or_the_container(monkeypatch, tmp_path):
    machine = memory_for_steps()
    (tmp_path / "limit").write_text(f"{machine // 2}\n")
    monkeypatch.setattr(step_memory, "_CONTAINER_LIMIT", tmp_path / "limit")
    assert memory_for_steps() == int(0.8 * (machine // 2))
    monkeypatch.setenv("TAPROOM_MEMORY_BYTES", "123")
    assert memory_for_steps() == 123
    monkeypatch.setenv("TAPROOM_MEMORY_BYTES", "8 GB")
    with pytest.raises(InputError, match=r"'8 GB'.* a number of bytes"):
        memory_for_steps()


class TapsConfig(dg.Config):
    """How many taps."""

    taps: int = Field(2, ge=1)


@pytest.fixture
def run(home, warehouse, monkeypatch):
    """A function that makes a table of so many taps through Dagster's executor, and a list of those that it made."""
    monkeypatch.setitem(CONTRACTS, "taps", TAPS)
    with (home / "dagster.yaml").open("a") as settings:
        settings.write(NO_COMPUTE_LOGS)
    made = []

    @dg.asset
    @keeps_settings
    def taps(config: TapsConfig) -> pa.Table:
        made.append(config.taps)
        return TAPS.table_of(tap=[1] * config.taps)  # of several, the numbers are not unique

    definitions = dg.Definitions([taps.with_hooks(HOOKS)], resources={"io_manager": table_io_manager})
    job = definitions.resolve_implicit_global_asset_job_def()

    def make(taps):
        config = {"ops": {"taps": {"config": {"taps": taps}}}}
        with dg.DagsterInstance.get() as instance:
            job.execute_in_process(config, instance=instance, raise_on_error=False)
            return newest_materialization(instance, dg.AssetKey("taps"))

    return make, made


def test_a_run_waits_for_what_its_step_took_last_time_before_it_reads_anything(run, folder, monkeypatch):
    make, made = run
    peak = recorded_value(make(1), "peak_memory_bytes")
    monkeypatch.setenv("TAPROOM_MEMORY_BYTES", str(10 * peak))
    other = another_step(folder, 9 * peak + 1)
    thread = threading.Thread(target=make, args=(1,))
    thread.start()
    with (folder / "turn").open("a") as turn:
        while thread.is_alive() and step_memory._is_locked_now(turn):
            fcntl.flock(turn, fcntl.LOCK_UN)
            time.sleep(0.01)
    time.sleep(0.1)
    assert made == [1]
    other.close()
    thread.join(60)
    assert made == [1, 1]
    assert not list(folder.glob("*.bytes"))


def test_a_step_that_fails_gives_its_memory_back(run, folder):
    make, made = run
    make(1)
    make(2)
    assert made == [1, 2]
    assert (folder / "turn").exists()
    assert not list(folder.glob("*.bytes"))


def test_every_asset_gives_its_memory_back():
    assets = [each for each in defs.assets if isinstance(each, dg.AssetsDefinition)]
    assert all(each.hook_defs >= HOOKS for each in assets)
