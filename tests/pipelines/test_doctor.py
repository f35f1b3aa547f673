import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._daemon.types import DaemonHeartbeat

from assets.reviews.items import REVIEW_BATCHES
from pipelines import disk_space, doctor
from pipelines.chains import REVIEWS
from pipelines.dagster_internals import runs_with_pool_slots
from pipelines.definitions import defs
from pipelines.products import Products
from pipelines.reconcile import YOUNG_SECONDS, abandoned_runs, end_runs_of
from taproom.warehouse.publishing import Origin
from tests.pipelines.test_maintenance import batches_of


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Dagster's records in a folder, as commands find them."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("")
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def two_versions(warehouse, home):
    """A table of two versions, of which only the first is recorded."""
    warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None, origin=Origin(run_id="one"))
    assert doctor.main(["--repair"]) == 0
    warehouse.publish(REVIEW_BATCHES, batches_of("b1", "b2"), since=0, origin=Origin(run_id="two"))
    assert doctor.main(["--repair"]) == 0


def test_nothing_is_wrong_with_a_sound_installation(warehouse, home, capsys):
    assert doctor.main([]) == 0
    assert capsys.readouterr().out == "Nothing is wrong.\n"


def test_a_version_that_is_not_recorded_is_listed_and_repaired_on_demand(warehouse, home, capsys):
    warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None, origin=Origin(run_id="killed"))
    assert doctor.main([]) == 1
    told = capsys.readouterr().out
    assert "- review_batches: version 0 is in the warehouse, but not recorded\n  Can be repaired: make doctor" in told
    assert "1 problems are left." in told
    assert doctor.main(["--repair"]) == 0
    assert "not recorded (repaired)" in capsys.readouterr().out
    assert doctor.main([]) == 0


def test_a_damaged_table_is_named_and_its_newest_undamaged_version_restored(two_versions, warehouse, capsys):
    newest = Path(warehouse.uri("review_batches"), warehouse.files("review_batches")[0].path)
    newest.write_bytes(newest.read_bytes()[:-1])
    capsys.readouterr()
    assert doctor.main([]) == 1
    assert newest.name in capsys.readouterr().out
    doctor.main(["--repair"])
    assert warehouse.read("review_batches")["batch"].to_pylist() == ["b1"]
    assert doctor.main(["--repair"]) == 0


def test_a_full_disk_is_listed(two_versions, monkeypatch, capsys):
    monkeypatch.setattr(disk_space, "LEAST_FREE_BYTES", 2**60)
    assert doctor.main([]) == 1
    assert "GB left" in capsys.readouterr().out


def switch_on(instance: dg.DagsterInstance, sensor: str) -> None:
    """What the UI records when somebody switches a sensor on."""
    location = GrpcServerCodeLocationOrigin(host="localhost", socket="code.sock", location_name="pipelines.definitions")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), sensor)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
    instance.add_instigator_state(state)


def test_a_daemon_that_does_not_run_is_listed_if_something_is_switched_on(home):
    assert list(doctor._silent_daemon(home)) == []
    switch_on(home, "notify_operators")
    (finding,) = doctor._silent_daemon(home)
    assert "the daemon has not reported for five minutes (asset, " in finding.what
    assert "what is switched on does not run: notify_operators" in finding.what
    report_daemon(home, seconds_ago=0)
    assert list(doctor._silent_daemon(home)) == []
    report_daemon(home, seconds_ago=360)
    assert len(list(doctor._silent_daemon(home))) == 1


def report_daemon(instance: dg.DagsterInstance, seconds_ago: float) -> None:
    """What the daemon records while it runs."""
    for part in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, part, "a daemon"))


KILLED = """
import os, signal, dagster as dg
@dg.op
def die():
    os.kill(os.getpid(), signal.SIGKILL)
@dg.job
def killed():
    die()
with dg.DagsterInstance.get() as instance:
    killed.execute_in_process(instance=instance)
"""


def test_a_run_whose_process_was_killed_is_ended(home, warehouse, monkeypatch):
    subprocess.run([sys.executable, "-c", KILLED], check=False, capture_output=True)
    (run,) = home.get_runs()
    assert run.status is dg.DagsterRunStatus.STARTED
    assert list(abandoned_runs(home)) == []  # it has only just begun
    monkeypatch.setattr("pipelines.reconcile.YOUNG_SECONDS", YOUNG_SECONDS - 61)
    (finding,) = abandoned_runs(home)
    assert "the run" in finding.what
    assert "is gone" in finding.what
    finding.repair()
    assert home.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    assert list(abandoned_runs(home)) == []


def test_runs_of_a_process_that_is_known_to_be_killed_are_ended_at_once(home, warehouse):
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.wait()
    (run,) = home.get_runs()
    home.event_log_storage.set_concurrency_slots("numerics", 1)
    home.event_log_storage.claim_concurrency_slot("numerics", run.run_id, "die")
    end_runs_of(home, [process.pid + 1])
    assert runs_with_pool_slots(home) == {run.run_id}
    end_runs_of(home, [process.pid])
    assert home.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    assert runs_with_pool_slots(home) == set()


def test_batches_of_a_lost_warehouse_are_read_again_with_their_settings(
    write_csv, ingest, instance, warehouse, tmp_path, themed_reviews
):
    there = write_csv("a.csv", themed_reviews(items=4))
    ingest(there, collection="beers")
    gone = write_csv("b.csv", [{"review_id": "r", "item_id": "ale", "text": "pine"}])
    ingest(gone, collection="beers")
    Path(warehouse.root).rename(tmp_path / "away")
    gone.unlink()
    products = Products(instance, warehouse, defs, {})
    outcomes = products.read(REVIEWS, products._reads(REVIEWS))
    told = {key.partition("-")[0]: outcome for key, outcome in outcomes.items()}
    assert told["a.csv"] is True
    assert "there is no file" in str(told["b.csv"])
    assert warehouse.read("reviews")["collection"].unique().to_pylist() == ["beers"]
    assert len(warehouse.read("reviews")) == 12
