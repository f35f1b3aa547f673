"""What runs by schedule, sensor, automation or button, run by the real daemon and the real web server.

One small installation serves all of these tests, in their order; each leaves it as it found it, but for its tables.
They take minutes, so `make soak` runs them and `make test` does not.
"""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from tests.conftest import THEMES
from tests.pipelines.installation import ROOT, Installation
from tests.waiting import is_alive, wait_for

pytestmark = pytest.mark.soak


def reviews(items: range, word: str = "beer", header: str = "review_id,item_id,text") -> str:
    """A file of three reviews each of some items; `word` makes them others than those of another file."""
    lines = [header]
    for item in items:
        words = list(THEMES.values())[item % 4].split()
        for review in range(3):
            said = [words[(item + review + step * (review + 1)) % 7] for step in range(5)]
            lines.append(f"{word}{item}-{review},item {item:03d},{' '.join(said)} {word}{item % 9}")
    return "\n".join(lines) + "\n"


def mapped(installation: Installation) -> int:
    """How many items are on the map."""
    if "item_map" not in installation.warehouse.tables():
        return 0
    return len(installation.warehouse.read("item_map", columns=["item_id"])["item_id"].unique())


def content_hashes(installation: Installation) -> dict[str, str]:
    """Of the newest version of each table."""
    warehouse = installation.warehouse
    return {table: warehouse.history(table)[0]["content_hash"] for table in warehouse.tables()}


def runs_of_tables(installation: Installation) -> list[dg.DagsterRun]:
    """All runs but those that made the pages, which come some minutes after a change."""
    return [run for run in installation.runs() if run.asset_selection != {dg.AssetKey("pages")}]


def wait_for_map(installation: Installation, items: int) -> None:
    wait_for(lambda: mapped(installation) == items, f"{items} items are on the map")
    wait_for(lambda: not installation.runs(statuses=[dg.DagsterRunStatus.STARTED]), "the runs have ended")


def command(installation: Installation, module: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run one of our commands as a person does beside what is served."""
    line = [sys.executable, "-m", module, *arguments]
    return subprocess.run(line, cwd=ROOT, env=installation.environment, capture_output=True, text=True, check=False)


def test_maintenance_sweeps_and_wipes_records_of_what_is_no_asset(installation):
    warehouse = installation.warehouse
    stray, written = (Path(warehouse.uri("items"), f"00000-{name}.parquet") for name in ("stray", "just-written"))
    stray.parent.mkdir(parents=True)
    for file in (stray, written):
        file.write_bytes(b"not committed")
    old = time.time() - 30 * 24 * 3600
    os.utime(stray, (old, old))
    with installation.instance as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("trials", partition="topics"))
    assert installation.run("maintain_warehouse", maintain={"keep_days": 0}) == "SUCCESS"
    with installation.instance as instance:
        assert not instance.has_asset_key(dg.AssetKey("trials"))


def test_files_go_to_the_map_and_bad_ones_among_them_fail_alone(installation):
    installation.switch_on("review_inbox")
    doctor = command(installation, "pipelines.doctor")
    assert (doctor.returncode, "review_inbox is switched on, but not follow_changes" in doctor.stdout) == (1, True)
    installation.switch_on("follow_changes")
    good = installation.drop("good.csv", reviews(range(24)))
    wait_for_map(installation, 24)
    bad = installation.drop("bad.csv", reviews(range(24), "bad", header="review_id,item_id,score"))
    bomb = installation.drop("bomb.csv.gz", gzip.compress(b"review_id,item_id,text\n" + bytes(2**25)))
    more = installation.drop("more.csv", reviews(range(24, 32)))
    wait_for_map(installation, 32)
    assert installation.warehouse.partitions("reviews") == sorted([good, more])
    failed = installation.runs(job_name="ingest_reviews", statuses=[dg.DagsterRunStatus.FAILURE])
    reasons = {run.tags["dagster/partition"]: installation.reason(run.run_id) for run in failed}
    assert reasons.keys() == {bad, bomb}
    assert "text" in reasons[bad]
    assert "decompression bomb" in reasons[bomb]
    items = set(installation.warehouse.read("items")["item_id"].to_pylist())
    assert set(installation.warehouse.read("neighbors")["item_id"].to_pylist()) == items


def test_settings_hold_when_automation_makes_a_table_and_when_a_schedule_does(installation):
    assert installation.run("refresh_reviews", neighbors={"k": 2}) == "SUCCESS"
    installation.drop("third.csv", reviews(range(32, 36)))
    wait_for_map(installation, 36)
    neighbors = installation.warehouse.read("neighbors")
    assert len(neighbors) == 36
    assert {len(ids) for ids in neighbors["neighbor_ids"].to_pylist()} == {2}
    assert installation.run("refresh_reviews") == "SUCCESS"
    assert installation.warehouse.history("neighbors")[0]["settings"] == {"k": 2}


def test_what_was_made_again_with_the_same_rows_makes_nothing(installation):
    heads = installation.warehouse.heads()
    before = len(runs_of_tables(installation))
    batch = installation.warehouse.partitions("reviews")[0]
    assert installation.run("ingest_reviews", {"dagster/partition": batch}) == "SUCCESS"
    with installation.instance as instance:
        (state,) = [each for each in instance.all_instigator_state() if each.name == "follow_changes"]
        ended = time.time()
        wait_for(
            lambda: len(instance.get_ticks(state.instigator_origin_id, state.selector_id, after=ended)) > 1,
            "the sensor has looked twice",
        )
    assert len(runs_of_tables(installation)) == before + 1
    assert installation.warehouse.heads() == heads


def test_a_batch_that_failed_is_had_by_a_backfill_once_its_inbox_is_mended(installation):
    settings = installation.inbox / "reviews" / "inbox.toml"
    columns = '[columns]\nreview_id = "review_id"\nitem_id = "item_id"\ntext = "{}"\n'
    settings.write_text(columns.format("nowhere"))
    key = installation.drop("odd.csv", reviews(range(36, 40), header="review_id,item_id,body"))
    wait_for(
        lambda: [run for run in installation.runs(job_name="ingest_reviews") if run.tags["dagster/partition"] == key
                 and run.status is dg.DagsterRunStatus.FAILURE],
        "the batch has failed",
    )  # fmt: skip
    installation.stop_sensor("review_inbox")
    settings.write_text(columns.format("body"))
    assert installation.run("ingest_reviews", {"dagster/partition": key}) == "SUCCESS"
    wait_for_map(installation, 40)
    settings.unlink()
    (installation.inbox / "reviews" / "odd.csv").unlink()


def test_runs_that_are_killed_taken_for_lost_or_cancelled_commit_nothing_and_end(installation):
    heads = installation.warehouse.heads()
    long = {"updates_per_item": 4_000_000}
    run_id = installation.launch("refresh_reviews", item_map=long)
    installation.wait_for_step(run_id, "item_map")
    worker = installation.worker(run_id)
    os.kill(worker, signal.SIGKILL)
    retried = wait_for(
        lambda: [run for run in installation.runs() if run.parent_run_id == run_id], "the run is tried again"
    )[0]
    assert installation.status(run_id) == "FAILURE"
    installation.wait_for_step(retried.run_id, "item_map")
    assert not is_alive(worker)

    # The retry is marked as failed, as if the monitor had taken it for lost: it must not commit, and ends.
    worker = installation.worker(retried.run_id)
    with installation.instance as instance:
        instance.report_run_failed(instance.get_run_by_id(retried.run_id), "taken for lost")
    wait_for(lambda: not is_alive(worker), "the process has ended")

    # The last retry is cancelled.
    last = wait_for(
        lambda: [run for run in installation.runs() if run.parent_run_id == retried.run_id], "it is tried again"
    )[0]
    installation.wait_for_step(last.run_id, "item_map")
    worker = installation.worker(last.run_id)
    installation.terminate(last.run_id)
    assert installation.end(last.run_id) == "CANCELED"
    wait_for(lambda: not is_alive(worker), "the process has ended")

    assert installation.warehouse.head("item_map") == heads["item_map"]
    # What was asked for never became a table, so it is not on record.
    assert installation.warehouse.history("item_map")[0]["settings"] == {}


def test_a_damaged_log_stops_what_reads_it_by_name_and_nothing_else_until_it_is_repaired(installation):
    warehouse = installation.warehouse
    for sensor in ("review_inbox", "follow_changes"):
        installation.stop_sensor(sensor)
    ids = warehouse.read("neighbors")["neighbor_ids"]
    newest = sorted(Path(warehouse.uri("neighbors"), "_delta_log").glob("*.json"))[-1]
    newest.write_bytes(newest.read_bytes()[:100])

    refused = installation.launch("refresh_reviews")
    assert installation.end(refused) == "FAILURE"
    assert "python -m taproom.warehouse.repair neighbors" in installation.reason(refused)
    assert installation.run("ingest_text", documents={"source": "reviews"}) == "SUCCESS"

    doctor = command(installation, "pipelines.doctor")
    assert (doctor.returncode, newest.name in doctor.stdout) == (1, True)
    assert "The damaged log is kept as" in command(installation, "taproom.warehouse.repair", "neighbors").stdout
    assert installation.run("refresh_reviews") == "SUCCESS"
    assert warehouse.read("neighbors")["neighbor_ids"] == ids
    assert mapped(installation) == 40


def test_lost_records_are_had_from_the_warehouse_when_it_starts(installation):
    hashes, batches = content_hashes(installation), installation.warehouse.partitions("reviews")
    installation.stop()
    for name in ("history", "schedules", "storage"):
        (installation.home / name).rename(installation.home / f"lost_{name}")
    installation.start()
    with installation.instance as instance:
        assert sorted(instance.get_dynamic_partitions("review_batches")) == batches
    assert installation.run("refresh_reviews") == "SUCCESS"
    assert content_hashes(installation) == hashes
    assert installation.warehouse.history("neighbors")[0]["settings"] == {"k": 2}


def test_a_lost_warehouse_is_filled_again_from_the_files_with_its_settings(installation):
    batches = installation.warehouse.partitions("reviews")
    Path(installation.warehouse.root).rename(f"{installation.warehouse.root}_lost")
    for sensor in ("reconcile_records", "follow_changes"):
        installation.switch_on(sensor)
    wait_for_map(installation, 36)  # the file of four items is gone, too
    (gone,) = set(batches) - set(installation.warehouse.partitions("reviews"))
    assert gone.startswith("odd.csv")
    assert installation.warehouse.history("neighbors")[0]["settings"] == {"k": 2}
    failed = installation.runs(job_name="ingest_reviews", statuses=[dg.DagsterRunStatus.FAILURE])
    assert {run.tags["dagster/partition"] for run in failed} == {gone}
