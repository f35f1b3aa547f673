import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

from taproom import cluster
from taproom.compute import Made, workers
from taproom.errors import ComputeError, InputError, StorageError
from taproom.warehouse.table_version import TableVersion
from tests.waiting import is_alive, wait_for

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[2]


def ones(count: int) -> np.ndarray:
    return np.ones(count)


def nothing() -> None:
    return None


def text(value: str) -> str:
    return value


def total_and(values: np.ndarray, block: int) -> tuple[int, float, int]:
    return block, float(values.sum()), id(values)


def last_first(_shared: None, block: int) -> tuple[int, int]:
    """The block's number and this process; the first blocks take longest."""
    time.sleep(0.3 if block < 2 else 0.0)
    return block, os.getpid()


def pid_and_wait(folder: str, block: int, seconds: float) -> int:
    """Leave this process's id in a file, and wait."""
    Path(folder, f"{block}-{os.getpid()}").write_text("")
    time.sleep(seconds)
    return block


def take_memory(_shared: None) -> int:
    held = [np.ones(1 << 27) for _ in range(16)]
    time.sleep(60)
    return len(held)


def fails_at_first(folder: str, how: type[Exception], times: int) -> int:
    """The number of the call; so many raise."""
    Path(folder, str(time.time_ns())).write_text("")
    calls = len(list(Path(folder).iterdir()))
    if calls <= times:
        raise how("on purpose")
    return calls


@contextmanager
def local_cluster(**more):
    with LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0", **more) as local:
        yield local


def pause(seconds: tuple[float, ...]) -> None:
    """On a worker: wait so long before storage is asked again."""
    cluster.STORAGE_PAUSES = seconds


@pytest.fixture
def short_pauses(on_cluster):
    with Client(on_cluster, set_as_default=False) as client:
        client.run(pause, (0.01, 0.01, 0.01))
        yield
        client.run(pause, cluster.STORAGE_PAUSES)


def files_in(folder: Path, count: int) -> list[str]:
    def names() -> list[str]:
        return [path.name for path in folder.iterdir()]

    wait_for(lambda: len(names()) >= count, f"there are {count} files", every=0.02)
    return names()


def test_results_come_in_the_order_of_the_blocks_from_all_workers(on_cluster):
    with workers(Made(nothing, ())) as run:
        for first in (0, 100):
            found = list(run(last_first, ((block,) for block in range(first, first + 20))))
            assert [block for block, _ in found] == list(range(first, first + 20))
            pids = {pid for _, pid in found}
            assert os.getpid() not in pids
        assert len(pids) == 2


def test_a_block_may_depend_on_results(on_cluster):
    found = []

    def blocks():
        for number in range(4):
            while len(found) < number:
                yield None
            yield (number + sum(found),)

    with workers(Made(nothing, ())) as run:
        for block, _ in run(last_first, blocks()):
            found.append(block)
        assert list(run(last_first, [None])) == []
    assert found == [0, 1, 3, 7]


def test_the_shared_value_is_made_once_on_each_worker(on_cluster):
    with workers(Made(ones, (1000,))) as run:
        found = list(run(total_and, ((block,) for block in range(12))))
    assert {total for _, total, _ in found} == {1000.0}
    assert len({place for _, _, place in found}) <= 2


def test_blocks_are_taken_as_they_are_needed(on_cluster):
    taken = []

    def blocks():
        for block in range(1000):
            taken.append(block)
            yield (block,)

    with workers(Made(nothing, ())) as run:
        results = run(last_first, blocks())
        assert next(results)[0] == 0
        assert len(taken) <= 2 * cluster.BLOCKS_PER_THREAD + 1


def test_what_was_used_is_counted(on_cluster):
    cluster.taken_usages()
    with workers(Made(ones, (1_000_000,))) as run:
        list(run(total_and, ((block,) for block in range(5))))
    (usage,) = cluster.taken_usages()
    assert (usage.workers, usage.lost_workers, usage.blocks) == (2, 0, 5)
    assert usage.bytes_sent <= 5 * usage.largest_sent <= 5_000
    assert 0 < usage.largest_received <= usage.bytes_received <= 5_000
    assert cluster.taken_usages() == []


def test_a_value_that_is_not_made_is_computed_with_here(on_cluster):
    with workers(None, 2) as run:
        assert {pid for _, pid in run(last_first, [(5,), (6,)])} == {os.getpid()}


def test_an_error_of_a_block_is_raised_here_and_what_is_left_is_cancelled(on_cluster, tmp_path):
    with pytest.raises(InputError, match="on purpose"), workers(Made(text, (str(tmp_path),))) as run:
        list(run(fails_at_first, [(InputError, 1)]))
    with workers(Made(nothing, ())) as run:
        assert len(list(run(last_first, [(5,), (6,)]))) == 2


def test_storage_that_fails_for_a_moment_is_asked_again(on_cluster, short_pauses, tmp_path):
    with workers(Made(text, (str(tmp_path),))) as run:
        assert list(run(fails_at_first, [(StorageError, 3)])) == [4]


def test_storage_that_fails_again_and_again_is_an_error_by_name(on_cluster, short_pauses, tmp_path):
    refused = pytest.raises(StorageError, match=r"worker on \S+ cannot use the warehouse of this step: on purpose")
    with refused, workers(Made(text, (str(tmp_path),))) as run:
        list(run(fails_at_first, [(StorageError, 100)]))
    assert len(files_in(tmp_path, 4)) == 4


def test_a_folder_that_a_worker_does_not_have_is_no_table_that_was_not_made(on_cluster, short_pauses, tmp_path):
    elsewhere = TableVersion(str(tmp_path / "not mounted"), "tfidf", 3)
    refused = pytest.raises(StorageError, match="All workers must reach the same folder or object store")
    with refused, workers(Made(TableVersion.read, (elsewhere,))) as run:
        list(run(total_and, [(1,)]))


def test_a_closure_is_refused(on_cluster):
    with pytest.raises(ComputeError, match="cannot be sent to a worker"), workers(Made(nothing, ())) as run:
        list(run(lambda _shared, block: block, [(1,)]))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "foo://x"])
def test_without_a_scheduler_it_is_refused(address, monkeypatch):
    monkeypatch.setenv("TAPROOM_CLUSTER", address)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(ComputeError, match=f"The Dask cluster '{address}' cannot be used"), workers(Made(nothing, ())):
        pass


def test_without_workers_it_is_refused(monkeypatch):
    with local_cluster(n_workers=0) as local:
        monkeypatch.setenv("TAPROOM_CLUSTER", local.scheduler_address)
        with pytest.raises(ComputeError, match=r"has no workers\. Start some in"), workers(Made(nothing, ())):
            pass


def test_other_versions_of_packages_are_refused(on_cluster, monkeypatch):
    theirs = {**cluster.environment(), "numpy": "1.0", "code of taproom": "abc"}
    monkeypatch.setattr(cluster, "environment", lambda: theirs)
    refused = pytest.raises(ComputeError, match=r"has numpy 2[.0-9]+ instead of 1.0, code of taproom")
    with refused, workers(Made(nothing, ())) as run:
        list(run(last_first, [(1,)]))


@contextmanager
def dask_processes(folder: Path, **environment: str):
    """The address and the process of a scheduler, started in a folder as is its worker.

    `tests/pipelines/test_cluster_faults.py` has the steps that lose one of them.
    """
    address_file = folder / "scheduler.json"
    options = ("--host", "127.0.0.1", "--scheduler-file", str(address_file), "--no-dashboard")
    commands = (
        ("scheduler", *options, "--port", "0"),
        ("worker", *options, "--nthreads", "1", "--death-timeout", "20"),
    )
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *command], env=inherited | environment, cwd=folder,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]  # fmt: skip
    try:
        # The scheduler makes the file before it has written its address.
        wait_for(lambda: address_file.exists() and address_file.stat().st_size, "there is an address", every=0.05)
        address = json.loads(address_file.read_text())["address"]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        yield address, processes[0]
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=30)


def test_a_scheduler_that_does_not_find_taproom_is_an_error_by_name(tmp_path, monkeypatch):
    with dask_processes(tmp_path) as (address, _):
        monkeypatch.setenv("TAPROOM_CLUSTER", address)
        refused = pytest.raises(
            ComputeError, match=r"scheduler or a worker cannot import .*: No module named 'taproom'"
        )
        with refused, workers(Made(nothing, ())) as run:
            list(run(last_first, [(5,)]))


def test_a_worker_without_enough_memory_is_an_error_by_name(monkeypatch):
    import dask

    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with once, local_cluster(n_workers=1, memory_limit="700MB") as local:
        monkeypatch.setenv("TAPROOM_CLUSTER", local.scheduler_address)
        with pytest.raises(ComputeError, match="too little memory"), workers(Made(nothing, ())) as run:
            list(run(take_memory, [()]))


def test_blocks_under_way_end_within_seconds_when_a_run_is_cancelled(tmp_path, monkeypatch):
    with local_cluster(n_workers=2) as local:
        monkeypatch.setenv("TAPROOM_CLUSTER", local.scheduler_address)
        pids: list[int] = []
        began: list[float] = []

        def interrupted() -> None:
            with workers(Made(text, (str(tmp_path),))) as run:
                results = run(pid_and_wait, ((block, 0.0 if block == 0 else 60.0) for block in range(8)))
                assert next(results) == 0
                pids.extend(int(name.split("-")[1]) for name in files_in(tmp_path, 3))
                began.append(time.monotonic())
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert time.monotonic() - began[0] < 10
        assert not any(map(is_alive, pids))


class TestCache:
    def test_the_least_recently_used_values_go_when_there_are_too_many_bytes(self):
        made = []

        def make(name):
            made.append(name)
            return np.zeros(1000)

        cache = cluster.Cache(20_000)
        for name in ("a", "b", "a", "c", "a", "b"):
            assert cache.get(make, (name,)).nbytes == 8000
        assert made == ["a", "b", "c", "b"]

    def test_a_value_beyond_the_limit_is_kept_until_the_next(self):
        made = []

        def make(name):
            made.append(name)
            return np.zeros(1000)

        cache = cluster.Cache(10)
        for name in ("a", "a", "b", "b", "a"):
            cache.get(make, (name,))
        assert made == ["a", "b", "a"]
