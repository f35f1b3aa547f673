"""A step whose cluster loses a worker, or its scheduler: what it publishes, and what its metadata say."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.table import CONTRACTS
from pipelines.io_manager import TableIOManager
from pipelines.records import newest_materialization
from taproom.compute import Made, workers
from taproom.errors import ComputeError
from taproom.warehouse.contracts import Column, Contract
from tests.taproom.test_cluster import dask_processes, files_in, pid_and_wait, text

pytestmark = pytest.mark.slow
REPO = Path(__file__).parents[2]
NUMBERS = Contract("numbers", "a block", (Column("n", pa.int64(), "number of the block"),), ("n",))


def wait_once(folder: str, block: int) -> int:
    """Wait to be killed, unless a process before has been."""
    path = Path(folder, "first")
    if block == 0 and not path.exists():
        path.write_text(str(os.getpid()))
        time.sleep(60)
    return block


@pytest.fixture
def make(warehouse, instance, monkeypatch) -> Callable[..., dict]:
    """Computes the table `numbers` on the cluster, and gives its metadata."""
    monkeypatch.setitem(CONTRACTS, "numbers", NUMBERS)

    def run(folder: Path, function: Callable[..., int], blocks: list[tuple], then: Callable[[], None] = int) -> dict:
        @dg.asset
        def numbers() -> pa.Table:
            found = []
            with workers(Made(text, (str(folder),))) as run:
                for number in run(function, blocks):
                    found.append(number)
                    then()
            return NUMBERS.table_of(n=found)

        dg.materialize([numbers], instance=instance, resources={"io_manager": TableIOManager()})
        return newest_materialization(instance, dg.AssetKey("numbers")).asset_materialization.metadata

    return run


def kill_first(folder: Path) -> None:
    """Kill the worker that has left its process's id."""
    files_in(folder, 1)
    time.sleep(0.1)
    os.kill(int((folder / "first").read_text()), signal.SIGKILL)


def test_a_step_goes_on_without_a_worker_and_not_without_the_scheduler(make, warehouse, tmp_path, monkeypatch):
    lost_worker, lost_scheduler, again = folders = [tmp_path / name for name in ("worker", "scheduler", "again")]
    for folder in folders:
        folder.mkdir()
    with dask_processes(tmp_path, PYTHONPATH=str(REPO)) as (address, scheduler):
        monkeypatch.setenv("TAPROOM_CLUSTER", address)
        monkeypatch.setattr("taproom.cluster.CONNECT_SECONDS", 2)
        killer = threading.Thread(target=kill_first, args=[lost_worker])
        killer.start()
        metadata = make(lost_worker, wait_once, [(block,) for block in range(4)])
        killer.join()
        used = metadata["cluster"].value[-1]
        assert (used["lost_workers"], used["blocks"]) == (1, 4)
        with pytest.raises(ComputeError, match="was lost while blocks were computed"):
            make(lost_scheduler, pid_and_wait, [(block, 0.1) for block in range(50)], then=scheduler.kill)
    assert warehouse.read("numbers")["n"].to_pylist() == [0, 1, 2, 3]
    monkeypatch.delenv("TAPROOM_CLUSTER")
    make(again, pid_and_wait, [(block, 0.0) for block in range(6)])
    assert warehouse.read("numbers")["n"].to_pylist() == [0, 1, 2, 3, 4, 5]
