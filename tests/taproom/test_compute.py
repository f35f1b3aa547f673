import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

from taproom.compute import Made, derived, made_ahead, workers
from tests.waiting import is_alive, wait_for

REPO = Path(__file__).parents[2]


def all_gone(pids: list[int], seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and any(map(is_alive, pids)):
        time.sleep(0.05)
    return not any(map(is_alive, pids))


def pid_and(_shared: None, value: int) -> tuple[int, int]:
    return os.getpid(), value


def pid_after(_shared: None, seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def fail(_shared: None, _value: int) -> None:
    raise ValueError("on purpose")


def say_and_wait(path: str, place: int) -> None:
    """Leave this process's id in a file, and wait for longer than any test does."""
    Path(path, str(place)).write_text(str(os.getpid()))
    time.sleep(600)


def mean_of(_shared: None, values: np.ndarray) -> float:
    return float(values.mean())


def array_of_ones(count: int) -> np.ndarray:
    return np.ones(count)


def shared_and(shared: np.ndarray, value: int) -> tuple[np.ndarray, int]:
    return shared, value


def start(script: str, *given: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.Popen([sys.executable, "-c", script, *given], cwd=REPO, env=environment)


def pids_said(folder: Path) -> list[int]:
    """The processes that have called `say_and_wait`, once there are two."""

    def said() -> list[str]:
        pids = [path.read_text() for path in folder.iterdir()]
        return pids if len(pids) >= 2 and "" not in pids else []

    return [int(pid) for pid in wait_for(said, "two processes have called it", every=0.05)]


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_results_come_in_the_order_of_the_tasks(n_jobs):
    with workers(None, n_jobs, prefer="processes") as run:
        for start_at in (0, 100):  # a pool is called many times
            found = list(run(pid_and, ((value,) for value in range(start_at, start_at + 20))))
            assert [value for _, value in found] == list(range(start_at, start_at + 20))
            assert (os.getpid() in {pid for pid, _ in found}) == (n_jobs != 2)


@pytest.mark.slow
def test_workers_stay_for_the_block_and_end_with_it():
    with workers(None, 2, prefer="processes") as run:
        first, second = (set(run(pid_after, [(0.2,)] * 4)) for _ in range(2))
        assert first == second
        assert len(first) == 2
        assert all(map(is_alive, first))
    assert all_gone(list(first), seconds=1)


@pytest.mark.slow
def test_workers_end_when_a_task_fails():
    pids = set()

    def work() -> None:
        with workers(None, 2, prefer="processes") as run:
            pids.update(run(pid_after, [(0.2,)] * 4))
            list(run(fail, [(0,)]))

    with pytest.raises(ValueError, match="on purpose"):
        work()
    assert len(pids) == 2
    assert all_gone(list(pids), seconds=1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tasks which were still being processed:UserWarning")
def test_workers_end_when_the_block_is_left_with_tasks_under_way(tmp_path):
    with workers(str(tmp_path), 2, prefer="processes") as run:
        results = run(say_and_wait, [(place,) for place in range(6)])
        pids = pids_said(tmp_path)
    assert all_gone(pids, seconds=1)
    del results


@pytest.mark.slow
def test_a_block_can_follow_a_block_that_has_failed():
    with pytest.raises(ValueError, match="on purpose"), workers(None, 2, prefer="processes") as run:
        list(run(fail, [(0,)]))
    with workers(None, 2, prefer="processes") as run:
        assert [value for _, value in run(pid_and, [(1,), (2,)])] == [1, 2]


@pytest.mark.slow
def test_large_arrays_arrive_whole():
    values = np.arange(1_000_000.0)
    with workers(None, 2, prefer="processes") as run:
        assert list(run(mean_of, [(values,), (values + 1,)])) == [values.mean(), values.mean() + 1]


def test_a_configuration_around_the_block_chooses_threads():
    with parallel_config(backend="threading"), workers(None, 2, prefer="processes") as run:
        assert {pid for pid, _ in run(pid_and, [(value,) for value in range(4)])} == {os.getpid()}


def test_workers_share_a_value_that_is_made_once():
    for shared in (array_of_ones(3), Made(array_of_ones, (3,))):
        with workers(shared, 2) as run:
            first, second = run(shared_and, [(1,), (2,)])
            assert first[0] is second[0]
            assert (first[1], second[1]) == (1, 2)


def scaled(values: np.ndarray, factor: float) -> np.ndarray:
    return factor * values


def test_what_is_derived_from_a_made_value_is_made_by_each_process_and_known_here():
    np.testing.assert_array_equal(derived(array_of_ones(2), scaled, 3.0), [3, 3])
    made = derived(Made(array_of_ones, (2,), known=np.full(2, 5.0)), scaled, 3.0)
    np.testing.assert_array_equal(made.here, [15, 15])
    np.testing.assert_array_equal(made.make(*made.given), [3, 3])
    assert made == derived(Made(array_of_ones, (2,)), scaled, 3.0)


# As Dagster loads code: the folder is in `sys.path` only meanwhile.
LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
from taproom.compute import Made, workers
from taproom.search.trials import seed_of
sys.path.remove(sys.argv[1])
with workers(None, 2, prefer="processes") as run:
    assert list(run(seed_of, [(1,), (2,)])) == [seed_of(None, 1), seed_of(None, 2)]
"""


@pytest.mark.slow
def test_workers_find_the_code_that_their_parent_has_loaded(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", LOADED, str(REPO)], cwd=tmp_path, env=environment, timeout=60, check=True)


# As a step of Dagster's executor ends: a process of `multiprocessing` waits for all processes that it has started.
STEP = """
import multiprocessing, sys
from pathlib import Path
from taproom.compute import workers
from tests.taproom.test_compute import pid_after

def step(path):
    with workers(None, 2, prefer="processes") as run:
        pids = set(run(pid_after, [(0.2,)] * 4))
    Path(path).write_text(" ".join(map(str, pids)))

process = multiprocessing.get_context("fork").Process(target=step, args=sys.argv[1:])
process.start()
process.join()
"""


@pytest.mark.slow
def test_a_process_ends_when_its_work_has_ended(tmp_path):
    process = start(STEP, str(tmp_path / "pids"))
    try:
        assert process.wait(timeout=60) == 0  # idle workers would keep it for 300 seconds
    finally:
        process.kill()
    assert all_gone([int(pid) for pid in (tmp_path / "pids").read_text().split()], seconds=1)


WAITING = """
import sys
from taproom.compute import workers
from tests.taproom.test_compute import say_and_wait

with workers(sys.argv[1], 2, prefer="processes") as run:
    list(run(say_and_wait, [(place,) for place in range(2)]))
"""


@pytest.mark.slow
def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path):
    process = start(WAITING, str(tmp_path))
    try:
        pids = pids_said(tmp_path)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert all_gone(pids, seconds=10)


@pytest.mark.slow
def test_workers_end_when_the_process_that_started_them_is_interrupted(tmp_path):
    # As in a terminal, also where these tests are run in the background of a shell, which ignores the signal.
    listening = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = start(listening + WAITING, str(tmp_path))
    try:
        pids = pids_said(tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
    finally:
        process.kill()
    assert all_gone(pids, seconds=1)


def test_the_next_item_is_made_while_one_is_used():
    second_is_begun, first_is_used = threading.Event(), threading.Event()

    def items():
        yield "first"
        second_is_begun.set()
        assert first_is_used.wait(10)
        yield "second"

    ahead = made_ahead(items())
    assert next(ahead) == "first"
    assert second_is_begun.wait(10)
    first_is_used.set()
    assert list(ahead) == ["second"]


def test_closed_early_it_makes_no_more_items_and_closes_the_iterable_where_it_began():
    made, threads, waits, go_on = [], [], threading.Event(), threading.Event()

    def items():
        threads.append(threading.get_ident())
        try:
            for number in range(100):
                made.append(number)
                yield number
                waits.set()
                assert go_on.wait(10)
        finally:
            threads.append(threading.get_ident())

    ahead = made_ahead(items(), 3)
    assert next(ahead) == 0
    assert waits.wait(10)
    threading.Timer(0.1, go_on.set).start()
    ahead.close()
    assert made == [0, 1]
    began, ended = threads
    assert began == ended != threading.get_ident()


def test_what_making_an_item_raises_comes_in_its_turn():
    def items():
        yield 1
        raise OSError("no more")

    ahead = made_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="no more"):
        next(ahead)
