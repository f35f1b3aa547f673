"""Every job and every schedule by the real daemon: some minutes, so `make soak` runs these and `make test` does not."""

import time

import dagster as dg
import numpy as np
import psutil
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from assets.table import table_assets
from pipelines.definitions import defs
from tests.conftest import THEMES
from tests.pipelines.installation import Installation
from tests.pipelines.test_daemon import reviews
from tests.planted_images import few_test_images, planted_images, write_images
from tests.waiting import is_alive, wait_for

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Small inputs for the chains of text, assays, images and tuning."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(80):
        theme = list(THEMES)[number % 4]
        words = THEMES[theme].split()
        said = [words[(number // 4 + 2 * step + step // 3) % len(words)] for step in range(30)]
        path = folder / "corpus" / theme / f"{number:03d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join([*said, "beer", f"glass{number % 7}"]))
    pixels, labels = planted_images(40)
    write_images(folder / "images.parquet", pixels, labels, few_test_images(len(labels)))
    random = np.random.default_rng(0)
    levels = random.integers(0, 80, (120, 28, 28))
    levels[::2, 4:24, 12:16] = 255
    levels[1::2, 12:16, 4:24] = 255
    np.savez(folder / "digits.npz", x=levels, y=np.arange(120) % 2)
    return folder


def plate(wells: str = "A") -> str:
    """A table of events in two channels: two wells of each of two classes, and one to call."""
    random = np.random.default_rng(0)
    lines = ["plate,well,label,first,second"]
    for place, label in enumerate(["green", "green", "red", "red", ""]):
        values = random.normal(0, 1, (120, 2))
        values[::2, place // 2 % 2] += 6
        lines += [f"P1,{wells}{place + 1},{label},{first:.4f},{second:.4f}" for first, second in values]
    return "\n".join(lines) + "\n"


QUICK_SEARCH = {"trials": 2, "workers": 1}
QUICK = {
    "make_text": {
        "reference_texts": {"source": "none"},
        "bag_of_words": {"min_document_frequency": 2, "max_document_share": 0.5},
        "topics": {"topics": 4},
        "topic_methods": {"topics": 4, "workers": 1},
        "word_vectors": {"dimensions": 8, "epochs": 1},
        "word_map": {"updates_per_word": 8},
        "tune_topics": QUICK_SEARCH,
        "tune_word_vectors": QUICK_SEARCH,
    },
    "make_assays": {
        "mixture": {"sizes": [2, 3], "restarts": 1},
        "class_mixtures": {"sizes": [2], "restarts": 1},
        "tune_class_mixtures": QUICK_SEARCH,
        "tune_kernel_density": QUICK_SEARCH,
    },
    "make_images": {
        "filters": {"filters": 8, "patches": 500, "patch_size": 4, "pools": 2},
        "filter_gallery": {},
        "feature_baselines": {"training_images": 60, "test_images": 30},
        "tune_classifier": QUICK_SEARCH,
    },
    "make_reviews": {"tune_item_map": QUICK_SEARCH},
    "make_tuning": {"search_comparison": {"workers": 2}},  # processes: a step that waits for them would take minutes
}


# The test of the schedules runs these.
SCHEDULED = {schedule.job_name for schedule in defs.schedules} - {"tune"}


def test_every_job_runs(installation, sources, subtests):
    installation.switch_on("review_inbox")
    installation.switch_on("assay_inbox")
    installation.drop("good.csv", reviews(range(24)))
    (installation.inbox / "assays" / "inbox.toml").write_text(
        '[columns]\nplate = "plate"\nwell = "well"\nlabel = "label"\n'
    )
    installation.drop("plate.csv", plate(), chain="assays")
    read = {
        "ingest_text": {"documents": {"source": "files", "path": str(sources / "corpus")}},
        "ingest_images": {"images": {"source": "files", "path": str(sources / "images.parquet")}},
        "ingest_tuning": {"digits": {"path": str(sources / "digits.npz")}},
    }
    runs = {job: installation.launch(job, **settings) for job, settings in read.items()}
    # The last tables that the runs of the inboxes make.
    for chain, table in (("assays", "events"), ("reviews", "term_counts")):
        (batch,) = wait_for(lambda table=table: installation.warehouse.partitions(table), f"{table} was read")
        runs[f"ingest_{chain}"] = installation.launch(f"ingest_{chain}", {"dagster/partition": batch})
    for job, run_id in runs.items():
        with subtests.test(job):
            assert installation.end(run_id) == "SUCCESS"
    for job, settings in QUICK.items():
        with subtests.test(job):
            assert installation.run(job, **settings) == "SUCCESS"
    searches = {op: QUICK_SEARCH for settings in QUICK.values() for op in settings if op.startswith("tune_")}
    for job, settings in (("tune", searches), ("make_pages", {})):
        with subtests.test(job):
            assert installation.run(job, **settings) == "SUCCESS"
    installation.drop("more.csv", reviews(range(24, 32)))
    wait_for(lambda: len(installation.warehouse.partitions("term_counts")) == 2, "another batch was read")
    wrong = installation.warehouse.partitions("reviews")[1]
    removal = {"chain": "reviews", "batch": wrong, "reason": "a test", "by": "the daemon's test"}
    with subtests.test("remove_batch"):
        assert installation.run("remove_batch", remove=removal) == "SUCCESS"

    with subtests.test("these are all jobs"):
        ran = {run.job_name for run in installation.runs()}
        jobs = {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
        assert ran >= jobs - SCHEDULED
    with subtests.test("these make all tables"):
        tables = {key.path[0] for key in table_assets(defs)}
        assert set(installation.warehouse.tables()) == tables


def last_tick(schedule: dg.ScheduleDefinition) -> float:
    """When the schedule was last due; seconds since the epoch."""
    ticks = schedule_execution_time_iterator(time.time(), schedule.cron_schedule, "UTC", ascending=False)
    return next(tick.timestamp() for tick in ticks if tick.timestamp() < time.time() - 1)


def make_due(installation: Installation, schedule: dg.ScheduleDefinition) -> None:
    """Start a schedule; the daemon makes up for the last tick of one that is on record as running since before it."""
    installation.start_schedule(schedule.name)
    with installation.instance as instance:
        (state,) = [each for each in instance.all_instigator_state() if each.name == schedule.name]
        data = state.instigator_data._replace(start_timestamp=last_tick(schedule) - 1)
        instance.update_instigator_state(state.with_data(data))


def run_of(installation: Installation, schedule: dg.ScheduleDefinition) -> str:
    """The id of the run that a schedule has launched; the scheduler looks once a minute."""
    tags = {"dagster/schedule_name": schedule.name}
    (run,) = wait_for(lambda: installation.runs(tags=tags), f"{schedule.name} has launched a run")
    assert run.job_name == schedule.job_name
    return run.run_id


def test_every_schedule_launches_its_run(installation, subtests):
    first_of_jobs = {schedule.job_name: schedule for schedule in defs.schedules}.values()
    others = [schedule for schedule in defs.schedules if schedule not in first_of_jobs]
    for schedules in (first_of_jobs, others):
        for schedule in schedules:
            make_due(installation, schedule)
        # Searches first: they would go on for long, and are cancelled.
        for schedule in sorted(schedules, key=lambda each: each.job_name != "tune"):
            with subtests.test(schedule.name):
                run_id = run_of(installation, schedule)
                if schedule.job_name == "tune":
                    installation.wait_for_step(run_id)
                    installation.terminate(run_id)
                    assert installation.end(run_id) == "CANCELED"
                else:
                    assert installation.end(run_id) == "SUCCESS"
                installation.stop_schedule(schedule.name)


def test_the_workers_of_a_step_that_is_killed_end_with_it(installation):
    run_id = installation.launch("refresh_tuning", search_comparison={"workers": 2, "seed": 1})
    installation.wait_for_step(run_id, "search_comparison")
    step = psutil.Process(installation.worker(run_id))
    workers = wait_for(lambda: len(found := step.children(recursive=True)) >= 2 and found, "there are workers")
    step.kill()
    # Idle ones would go on for 300 s.
    wait_for(lambda: not any(is_alive(worker.pid) for worker in workers), "they have ended", seconds=240)
    (retried,) = wait_for(
        lambda: [run for run in installation.runs() if run.parent_run_id == run_id], "the run is tried again"
    )
    assert installation.status(run_id) == "FAILURE"
    assert installation.end(retried.run_id) == "SUCCESS"


def test_a_bad_assay_keeps_no_other_from_the_products(installation):
    installation.switch_on("follow_changes")
    bad = installation.drop("bad.csv", "well,label,first\nA1,green,1.0\n", chain="assays")  # no plate
    good = installation.drop("good.csv", plate(wells="B"), chain="assays")
    wells = lambda table: set(installation.warehouse.read(table)["well"].to_pylist())  # noqa: E731
    wait_for(lambda: {"B1", "B5"} <= wells("well_shares"), "the new wells are in the products")
    samples = {row["sample"]: row for row in installation.warehouse.read("samples").to_pylist()}
    assert (samples[good]["damage"], samples[good]["events"]) == (None, 600)
    assert (samples[bad]["damage"], samples[bad]["events"]) == ("unreadable", 0)
    assert "has no column 'plate'" in samples[bad]["detail"]
