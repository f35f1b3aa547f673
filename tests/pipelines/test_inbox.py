import json
import time
from pathlib import Path

import dagster as dg
import pytest

from assets.reviews.reviews import BATCHES
from pipelines.definitions import defs
from pipelines.inbox import BATCHES_PER_RUN, FEW_BATCHES, RUNS_AT_ONCE, SETTLE_SECONDS
from pipelines.retries import ASKS_TAG
from taproom.errors import SourceError
from taproom.sources.inbox import file_key, file_sha256
from tests.fcs_file import fcs_bytes

TEXT = "review_id,item_id,text\nr1,ale,citrus pine\n"


SENSORS = {sensor.name: sensor for sensor in defs.sensors}


@pytest.fixture
def look_at(instance, monkeypatch):
    """Evaluates the sensor as at `now` (seconds) after `cursor`."""

    def evaluate(now: float, cursor: str | None = None, sensor: str = "review_inbox") -> dg.SensorResult:
        monkeypatch.setattr(time, "time", lambda: float(now))
        with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context:
            return SENSORS[sensor](context)

    return evaluate


def asked_for(result: dg.SensorResult) -> dict[str, dict]:
    """The settings of the batches that runs are asked to read, by key."""
    batches = {}
    for request in result.run_requests:
        ((op, given),) = request.run_config["ops"].items()
        dg.validate_run_config(defs.resolve_job_def(op.replace("read_", "ingest_")), request.run_config)
        batches |= given["config"]["batches"]
    keys = [key for request in result.dynamic_partitions_requests for key in request.partition_keys]
    assert sorted(batches) == keys
    return batches


def keys_asked_for(result: dg.SensorResult) -> list[str]:
    return sorted(asked_for(result))


def read(result: dg.SensorResult, instance: dg.DagsterInstance, job: str = "ingest_reviews_batches", **more):
    """Runs what a look has asked for."""
    return [
        defs.resolve_job_def(job).execute_in_process(request.run_config, instance, **more)
        for request in result.run_requests
    ]


def drop(inbox: Path, name: str, text: str = TEXT) -> str:
    path = inbox / name
    path.write_text(text)
    return file_key(name, file_sha256(path))


def test_a_file_is_left_alone_until_it_has_settled(inbox, look_at):
    key = drop(inbox, "june.csv")
    first = look_at(1000)
    assert keys_asked_for(first) == []
    soon = look_at(1000 + SETTLE_SECONDS - 1, first.cursor)
    assert keys_asked_for(soon) == []
    settled = look_at(1000 + SETTLE_SECONDS, soon.cursor)
    assert keys_asked_for(settled) == [key]
    assert asked_for(settled) == {key: {"source": "table"}}
    (partitions,) = settled.dynamic_partitions_requests
    assert partitions.partitions_def_name == BATCHES.name


def test_a_file_that_still_grows_is_left_alone(inbox, look_at):
    drop(inbox, "june.csv")
    first = look_at(1000)
    drop(inbox, "june.csv", TEXT + "r2,ale,more\n")
    grown = look_at(1000 + SETTLE_SECONDS, first.cursor)
    assert keys_asked_for(grown) == []
    assert len(keys_asked_for(look_at(1000 + 2 * SETTLE_SECONDS, grown.cursor))) == 1


def test_an_unchanged_file_is_hashed_and_asked_for_once(inbox, look_at, monkeypatch):
    hashed = []
    monkeypatch.setattr("pipelines.inbox.file_sha256", lambda path: hashed.append(path.name) or file_sha256(path))
    drop(inbox, "june.csv")
    result = look_at(1000)
    for later in range(1, 4):
        result = look_at(1000 + later * SETTLE_SECONDS, result.cursor)
    assert keys_asked_for(result) == []
    assert hashed == ["june.csv"]


def test_a_changed_file_becomes_another_batch(inbox, look_at):
    before = drop(inbox, "june.csv")
    taken = look_at(1000 + SETTLE_SECONDS, look_at(1000).cursor)
    after = drop(inbox, "june.csv", TEXT + "r2,ale,more\n")
    changed = look_at(2000, taken.cursor)
    again = look_at(2000 + SETTLE_SECONDS, changed.cursor)
    assert keys_asked_for(taken) == [before]
    assert keys_asked_for(changed) == []
    assert keys_asked_for(again) == [after] != [before]


def test_what_is_not_data_is_passed_over(inbox, look_at, tmp_path):
    drop(inbox, ".june.csv.part")
    drop(inbox, "README.md")
    drop(inbox, "empty.csv", "")
    drop(inbox, "inbox.toml", "")
    (inbox / "folder").mkdir()
    (tmp_path / "elsewhere.csv").write_text(TEXT)
    (inbox / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    result = look_at(1000 + SETTLE_SECONDS, look_at(1000).cursor)
    assert keys_asked_for(result) == []


def test_settings_beside_the_files_go_into_the_run(inbox, look_at):
    drop(inbox, "june.csv")
    drop(inbox, "inbox.toml", 'collection = "beers"\n[columns]\nitem_id = "beer"\ntext = "body"\n')
    (settings,) = asked_for(look_at(1000 + SETTLE_SECONDS, look_at(1000).cursor)).values()
    assert settings == {"source": "table", "collection": "beers", "columns": {"item_id": "beer", "text": "body"}}


def test_changed_settings_have_the_files_read_again(inbox, look_at):
    key = drop(inbox, "june.csv")
    taken = look_at(1000 + SETTLE_SECONDS, look_at(1000).cursor)
    drop(inbox, "inbox.toml", 'collection = "beers"\n')
    again = look_at(2000, taken.cursor)
    assert keys_asked_for(taken) == keys_asked_for(again) == [key]
    assert taken.run_requests[0].run_key != again.run_requests[0].run_key
    assert keys_asked_for(look_at(2010, again.cursor)) == []


def test_settings_that_cannot_be_read_are_named(inbox, look_at):
    drop(inbox, "june.csv")
    drop(inbox, "inbox.toml", "columns = nothing")
    with pytest.raises(SourceError, match=r"inbox\.toml is not TOML"):
        look_at(1000)


def test_thousands_of_files_are_taken_many_in_a_run_and_some_runs_at_a_time(inbox, look_at, instance):
    most = BATCHES_PER_RUN * RUNS_AT_ONCE
    wanted = [drop(inbox, f"f{number:04d}.csv", f"{TEXT}{number}") for number in range(2 * most + 1)]
    result, taken = look_at(1000), []
    while keys := keys_asked_for(result := look_at(1000 + SETTLE_SECONDS, result.cursor)):
        assert len(keys) <= most
        assert len(result.run_requests) == (1 if len(keys) <= FEW_BATCHES else RUNS_AT_ONCE)
        taken += keys
    assert sorted(taken) == sorted(wanted)


def test_runs_do_not_pile_up(inbox, look_at, instance):
    drop(inbox, "june.csv")
    cursor = look_at(1000).cursor
    for _ in range(RUNS_AT_ONCE):
        ops = {"read_reviews_batches": {"config": {"batches": {}}}}
        run = instance.create_run_for_job(defs.resolve_job_def("ingest_reviews_batches"), run_config={"ops": ops})
        assert run.status is dg.DagsterRunStatus.NOT_STARTED
    waiting = look_at(1000 + SETTLE_SECONDS, cursor)
    assert keys_asked_for(waiting) == []
    instance.report_run_failed(run)
    assert len(keys_asked_for(look_at(1020, waiting.cursor))) == 1


def test_no_inbox_is_an_empty_inbox(inbox, look_at):
    inbox.rmdir()
    assert keys_asked_for(look_at(1000)) == []


DUMP = "beer/name: ale\nreview/text: citrus pine\n"


@pytest.fixture
def settled(look_at, monkeypatch, warehouse, inbox):
    """Looks twice, so that dropped files have settled; gives the second look."""

    def look(sensor: str = "review_inbox", cursor: str | None = None, now: float = 1000) -> dg.SensorResult:
        result = look_at(now + SETTLE_SECONDS, look_at(now, cursor, sensor=sensor).cursor, sensor=sensor)
        monkeypatch.undo()
        monkeypatch.setenv("TAPROOM_WAREHOUSE", warehouse.root)
        monkeypatch.setenv("TAPROOM_INBOX", str(inbox.parent))
        return result

    return look


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [("june.csv", TEXT, 'collection = "beers"'), ("june.txt", DUMP, 'source = "beer_text"\ncollection = "beers"')],
)
def test_what_the_sensor_asks_for_can_be_run(inbox, settled, instance, warehouse, name, content, settings):
    key = drop(inbox, name, content)
    drop(inbox, "inbox.toml", settings)
    (run,) = read(settled(), instance)
    assert run.success
    assert warehouse.read("reviews").select(["batch", "collection", "text"]).to_pylist() == [
        {"batch": key, "collection": "beers", "text": "citrus pine"}
    ]
    (of_batch,) = instance.get_runs(dg.RunsFilter(job_name="ingest_reviews"))
    assert of_batch.tags["dagster/partition"] == key
    assert of_batch.tags["taproom/read_by"] == run.run_id


def test_a_bad_file_fails_alone_and_is_named(inbox, settled, instance, warehouse):
    good = [drop(inbox, f"{name}.csv", f"review_id,item_id,text\n{name},ale,citrus {name}\n") for name in "ac"]
    bad = drop(inbox, "b.csv", "item_id,score\nale,5\n")
    (run,) = read(settled(), instance, raise_on_error=False)
    assert not run.success
    (failure,) = run.get_step_failure_events()
    assert f"1 of 3 batches could not be read: {bad}" in failure.step_failure_data.error.message
    assert "b.csv has no column for text" in failure.step_failure_data.user_failure_data.metadata[bad].value
    assert warehouse.partitions("reviews") == warehouse.partitions("term_counts") == good
    statuses = {
        run.tags["dagster/partition"]: run.status.value for run in instance.get_runs() if "partition" in str(run.tags)
    }
    assert statuses == {good[0]: "SUCCESS", bad: "FAILURE", good[1]: "SUCCESS"}


def test_a_run_that_is_repeated_reads_only_what_is_not_there_yet(inbox, settled, instance, warehouse):
    drop(inbox, "a.csv")
    (run,) = read(result := settled(), instance)
    assert run.success
    heads = warehouse.heads()
    (again,) = read(result, instance)
    assert again.success
    assert warehouse.heads() == heads
    assert len(instance.get_runs(dg.RunsFilter(job_name="ingest_reviews"))) == 1


def test_a_batch_that_could_not_be_written_is_read_by_a_retry_of_the_run(
    inbox, settled, instance, warehouse, tmp_path, monkeypatch
):
    keys = [drop(inbox, f"{name}.csv", f"review_id,item_id,text\n{name},ale,citrus {name}\n") for name in "ab"]
    no_folder = tmp_path / "no folder"
    no_folder.write_text("")
    wanted = settled()
    monkeypatch.setattr("pipelines.retries.FIRST_WAIT_SECONDS", 0)
    monkeypatch.setenv("TAPROOM_WAREHOUSE", str(no_folder / "warehouse"))
    (run,) = read(wanted, instance, raise_on_error=False)
    assert instance.get_run_by_id(run.run_id).tags[ASKS_TAG] == "true"
    assert len(instance.get_runs(dg.RunsFilter(job_name="ingest_reviews"))) <= 1  # the other was not tried in vain
    monkeypatch.setenv("TAPROOM_WAREHOUSE", warehouse.root)
    (again,) = read(wanted, instance)
    assert again.success
    assert warehouse.partitions("reviews") == keys


def test_after_the_cursor_is_reset_only_what_the_warehouse_lacks_is_asked_for(
    inbox, settled, look_at, instance, warehouse
):
    there = drop(inbox, "a.csv")
    before = settled()
    read(before, instance)
    lacking = drop(inbox, "b.csv", "item_id,score\nale,5\n")
    failed = settled(cursor=before.cursor, now=1010)
    assert keys_asked_for(failed) == [lacking]
    read(failed, instance, raise_on_error=False)
    assert keys_asked_for(settled(cursor=failed.cursor, now=1020)) == []
    reset = settled(now=1030)
    assert keys_asked_for(reset) == [lacking]
    assert reset.run_requests[0].run_key != failed.run_requests[0].run_key
    drop(inbox, "inbox.toml", 'collection = "table"\n')
    assert keys_asked_for(settled(now=1040)) == sorted([there, lacking])


def test_a_batch_that_never_was_read_is_read_by_a_backfill_as_its_inbox_says(inbox, instance, warehouse):
    key = drop(inbox, "june.csv", "beer,body\nale,citrus pine\n")
    drop(inbox, "inbox.toml", 'collection = "beers"\n[columns]\nitem_id = "beer"\ntext = "body"\n')
    instance.add_dynamic_partitions(BATCHES.name, [key])
    job = defs.resolve_job_def("ingest_reviews")
    assert job.execute_in_process(instance=instance, partition_key=key).success
    (row,) = warehouse.read("reviews").to_pylist()
    assert (row["item_id"], row["collection"]) == ("ale", "beers")
    assert warehouse.history("reviews")[0]["settings"]["columns"] == {"item_id": "beer", "text": "body"}


def test_a_batch_is_read_again_as_it_was_read_before(write_csv, ingest, instance, warehouse):
    path = write_csv("june.csv", [{"review_id": "r1", "item_id": "ale", "text": "citrus pine"}])
    ingest(path, collection="beers")
    (key,) = warehouse.partitions("reviews")
    job = defs.resolve_job_def("ingest_reviews")
    assert job.execute_in_process(instance=instance, partition_key=key).success
    assert warehouse.head("reviews") == 0
    path.unlink()
    with pytest.raises(SourceError, match=str(path)):
        job.execute_in_process(instance=instance, partition_key=key)


def test_a_new_batch_is_counted_as_the_table_is(inbox, settled, write_csv, ingest, instance, warehouse):
    ingest(
        write_csv("a.csv", [{"review_id": "r1", "item_id": "ale", "text": "x9 pine"}]),
        words={"token_pattern": "[a-z]+"},
    )
    drop(inbox, "b.csv", "review_id,item_id,text\nr2,ale,y8 resin\n")
    (run,) = read(settled(), instance)
    assert run.success
    assert set(warehouse.read("term_counts")["token_pattern"].to_pylist()) == {"[a-z]+"}


def test_a_plate_in_the_assays_inbox_is_read_when_its_map_is_there_and_again_when_a_label_changes(
    inbox, look_at, instance, warehouse, monkeypatch
):  # fmt: skip
    folder = inbox.parent / "assays" / "plate 7"
    folder.mkdir(parents=True)
    (folder / "a1.fcs").write_bytes(fcs_bytes())
    waiting = look_at(1000 + SETTLE_SECONDS, look_at(1000, sensor="assay_inbox").cursor, sensor="assay_inbox")
    assert waiting.run_requests == []
    (folder / "plate_map.csv").write_text("file,plate,well,label\na1.fcs,P7,A1,CFP\n")
    taken = look_at(1020, waiting.cursor, sensor="assay_inbox")
    (key,) = keys_asked_for(taken)
    assert key.startswith("P7-A1-")
    (folder / "plate_map.csv").write_text("file,plate,well,label\na1.fcs,P7,A1,RFP\n")
    again = look_at(1030, taken.cursor, sensor="assay_inbox")
    (folder / "plate_map.csv").write_text("file,plate,well,label\na1.fcs,P7,A1,CFP\n")
    back = look_at(1040, again.cursor, sensor="assay_inbox")
    assert keys_asked_for(again) == keys_asked_for(back) == [key]
    assert len({look.run_requests[0].run_key for look in (taken, again, back)}) == 3
    monkeypatch.undo()
    monkeypatch.setenv("TAPROOM_WAREHOUSE", warehouse.root)
    for look in (taken, again):
        (run,) = read(look, instance, job="ingest_assays_batches")
        assert run.success
    assert warehouse.read("samples")["label"].to_pylist() == ["RFP"]


def test_a_well_that_is_corrected_replaces_what_it_was_taken_for(inbox, look_at, instance, warehouse, monkeypatch):
    folder = inbox.parent / "assays"
    folder.mkdir()
    (folder / "a1.fcs").write_bytes(fcs_bytes())
    looks, cursor = [], look_at(990, sensor="assay_inbox").cursor
    for now, well in ((1000, "A1"), (1010, "A2"), (1020, "A3")):
        (folder / "plate_map.csv").write_text(f"file,plate,well,label\na1.fcs,P7,{well},CFP\n")
        if well == "A2":  # the map is broken for a while
            (folder / "plate_map.csv").write_text("file\n")
        looks.append(look_at(now, cursor, sensor="assay_inbox"))
        cursor = looks[-1].cursor
    monkeypatch.undo()
    monkeypatch.setenv("TAPROOM_WAREHOUSE", warehouse.root)
    for look in looks:
        read(look, instance, job="ingest_assays_batches")
    assert [row["well"] for row in warehouse.read("samples").to_pylist()] == ["A3"]
    assert set(warehouse.read("events")["well"].to_pylist()) == {"A3"}


def test_the_cursor_stays_small_however_many_files_there_are(inbox, look_at):
    first = look_at(1000)
    for number in range(300):
        drop(inbox, f"f{number:03d}.csv", f"{TEXT}{number}")
    dropped = look_at(1000 + SETTLE_SECONDS, first.cursor)
    taken = look_at(1000 + 2 * SETTLE_SECONDS, dropped.cursor)
    idle = look_at(1000 + 3 * SETTLE_SECONDS, taken.cursor)
    assert len(keys_asked_for(taken)) == 300
    assert [json.loads(look.cursor) for look in (first, dropped, taken, idle)] == [
        {"since": 1000, "looks": looks} for looks in (0, 1, 2, 2)
    ]


def test_a_look_whose_result_was_lost_is_had_again_under_the_same_key(inbox, look_at):
    drop(inbox, "june.csv")
    before = look_at(1000)
    lost, again = (look_at(1000 + later * SETTLE_SECONDS, before.cursor) for later in (1, 2))
    assert keys_asked_for(lost) == keys_asked_for(again)
    assert lost.run_requests[0].run_key == again.run_requests[0].run_key
    assert keys_asked_for(look_at(1020, again.cursor)) == []
