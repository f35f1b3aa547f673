import json
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.reviews.reviews import BATCHES
from pipelines.chains import CHAINS
from pipelines.definitions import defs
from pipelines.freshness import configs_on_record
from pipelines.jobs import RUNS_PER_LOOK, SETTLE_SECONDS, STUDIES
from taproom.errors import SourceError
from taproom.inbox import file_key, file_sha256
from tests.fcs_file import fcs_bytes

TEXT = "review_id,item_id,text\nr1,ale,citrus pine\n"
ROLLUP = {dg.AssetKey(name) for name in ("items", "review_batches", "duplicate_reviews")}


SENSORS = {sensor.name: sensor for sensor in defs.sensors}


@pytest.fixture
def look_at(instance, monkeypatch):
    """Evaluates the sensor as at `now` (seconds) after `cursor`."""

    def evaluate(now: float, cursor: str | None = None, sensor: str = "review_inbox") -> dg.SensorResult:
        monkeypatch.setattr(time, "time", lambda: now)
        with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs) as context:
            return SENSORS[sensor](context)

    return evaluate


def keys_asked_for(result: dg.SensorResult) -> list[str]:
    keys = [key for request in result.dynamic_partitions_requests for key in request.partition_keys]
    assert [request.partition_key for request in result.run_requests] == keys
    return keys


def drop(inbox: Path, name: str, text: str = TEXT) -> str:
    path = inbox / name
    path.write_text(text)
    return file_key(name, file_sha256(path))


def test_a_schedule_makes_the_tables_as_they_were_last_made(themes, make, instance, warehouse):
    make("topics", "document_topics", topics={"topics": 3})
    make("topics", "document_topics", topics={"topics": 4})
    job = defs.resolve_job_def("refresh_text")
    configs = configs_on_record(instance, job)
    assert configs == {
        "documents": {"source": "files", "path": str(themes)},
        "bag_of_words": {"min_document_frequency": 2, "max_document_share": 0.5},
        "topics": {"topics": 4},
    }
    heads = warehouse.heads()
    (themes / "sour" / "new.txt").write_text("lemon tart funk")
    ops = {op: {"config": config} for op, config in configs.items()}
    upstream = [dg.AssetKey(table) for table in ("documents", "terms", "bag_of_words", "topics", "document_topics")]
    assert job.execute_in_process({"ops": ops}, instance, asset_selection=upstream).success
    assert len(warehouse.read("documents")) == 81
    assert len(warehouse.read("topics")) == 2 * 4
    assert warehouse.heads().keys() == heads.keys()


def test_a_schedule_asks_for_its_job(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        context = dg.build_schedule_context(instance=instance, repository_def=defs.get_repository_def())
        for schedule in defs.schedules:
            if schedule.name.startswith("refresh_"):
                (request,) = schedule.evaluate_tick(context).run_requests
                assert request.run_config == {"ops": {}}


@pytest.mark.parametrize(
    ("name", "size", "search"), [("nightly", "small", "nightly 2026-03-03"), ("weekly", "large", "weekly 2026-03-03")]
)
def test_a_tuning_schedule_asks_for_a_search_of_every_study_by_a_name_of_its_own(name, size, search):
    (schedule,) = [schedule for schedule in defs.schedules if schedule.name == f"tune_{name}"]
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 3, 3, 1, tzinfo=UTC))
    (request,) = schedule.evaluate_tick(context).run_requests
    assert request.run_key == search
    assert request.run_config["ops"].keys() == {f"tune_{study}" for study in STUDIES}
    for op in request.run_config["ops"].values():
        assert (op["config"]["search"], op["config"]["size"]) == (search, size)
        assert op["config"]["seconds"] > 0
    dg.validate_run_config(defs.resolve_job_def("tune"), request.run_config)


def keys_of(job: str) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_job_def(job).asset_layer.selected_asset_keys}


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.name)
def test_a_refresh_tunes_nothing_and_making_tunes_what_the_chain_has(chain):
    tuned = {f"{table}/{study}" for table in ("trials", "challenges", "champions") for study in chain.studies}
    refreshed = keys_of(f"refresh_{chain.name}")
    assert not any("/" in key for key in refreshed)
    assert keys_of(f"make_{chain.name}") == refreshed | tuned
    assert tuned <= keys_of("tune")


def test_a_file_is_left_alone_until_it_has_settled(inbox, look_at):
    key = drop(inbox, "june.csv")
    first = look_at(1000)
    assert keys_asked_for(first) == []
    soon = look_at(1000 + SETTLE_SECONDS - 1, first.cursor)
    assert keys_asked_for(soon) == []
    settled = look_at(1000 + SETTLE_SECONDS, soon.cursor)
    assert keys_asked_for(settled) == [key]
    (request,) = settled.run_requests
    assert (request.job_name, request.partition_key) == ("ingest_reviews", key)
    assert request.run_key.startswith(key)
    assert request.run_config == {"ops": {"reviews": {"config": {"source": "table"}}}}
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
    monkeypatch.setattr("pipelines.jobs.file_sha256", lambda path: hashed.append(path.name) or file_sha256(path))
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
    (request,) = look_at(1000 + SETTLE_SECONDS, look_at(1000).cursor).run_requests
    config = {"source": "table", "collection": "beers", "columns": {"item_id": "beer", "text": "body"}}
    assert request.run_config == {"ops": {"reviews": {"config": config}}}


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


def test_thousands_of_files_are_taken_some_at_a_time(inbox, look_at):
    wanted = [drop(inbox, f"f{number:03d}.csv", f"{TEXT}{number}") for number in range(2 * RUNS_PER_LOOK + 1)]
    result, taken = look_at(1000), []
    while keys := keys_asked_for(result := look_at(1000 + SETTLE_SECONDS, result.cursor)):
        assert len(keys) <= RUNS_PER_LOOK
        taken += keys
    assert sorted(taken) == sorted(wanted)


def test_no_inbox_is_an_empty_inbox(inbox, look_at):
    inbox.rmdir()
    assert keys_asked_for(look_at(1000)) == []


DUMP = "beer/name: ale\nreview/text: citrus pine\n"


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [("june.csv", TEXT, 'collection = "beers"'), ("june.txt", DUMP, 'source = "beer_text"\ncollection = "beers"')],
)
def test_what_the_sensor_asks_for_can_be_run(
    inbox, look_at, instance, warehouse, monkeypatch, name, content, settings
):  # fmt: skip
    key = drop(inbox, name, content)
    drop(inbox, "inbox.toml", settings)
    result = look_at(1000 + SETTLE_SECONDS, look_at(1000).cursor)
    monkeypatch.undo()
    monkeypatch.setenv("TAPROOM_WAREHOUSE", warehouse.root)
    monkeypatch.setenv("TAPROOM_INBOX", str(inbox.parent))
    (request,) = result.run_requests
    instance.add_dynamic_partitions(BATCHES.name, keys_asked_for(result))
    run = defs.resolve_job_def(request.job_name).execute_in_process(
        run_config=request.run_config, instance=instance, partition_key=request.partition_key
    )
    assert run.success
    assert warehouse.read("reviews").select(["batch", "collection", "text"]).to_pylist() == [
        {"batch": key, "collection": "beers", "text": "citrus pine"}
    ]


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
    for request in (*taken.run_requests, *again.run_requests):
        instance.add_dynamic_partitions("assay_samples", [key])
        job = defs.resolve_job_def(request.job_name)
        assert job.execute_in_process(request.run_config, instance, partition_key=request.partition_key).success
    assert warehouse.read("samples")["label"].to_pylist() == ["RFP"]


def test_the_cursor_is_small_and_readable(inbox, look_at):
    drop(inbox, "june.csv")
    cursor = json.loads(look_at(1000).cursor)
    assert cursor["june.csv"]["key"] is None
    assert cursor["june.csv"]["look"]["since"] == 1000


def test_nothing_runs_by_itself():
    repository = defs.get_repository_def()
    assert repository.schedule_defs
    assert all(schedule.default_status is dg.DefaultScheduleStatus.STOPPED for schedule in repository.schedule_defs)
    assert repository.sensor_defs
    assert all(sensor.default_status is dg.DefaultSensorStatus.STOPPED for sensor in repository.sensor_defs)


@pytest.mark.parametrize(
    ("name", "tables"), [("reviews", ("reviews", "rejected_reviews", "term_counts")), ("assays", ("events", "samples"))]
)
def test_jobs_hold_what_they_are_named_for(name, tables):
    batched = {dg.AssetKey(table) for table in tables}
    assert defs.resolve_job_def(f"ingest_{name}").asset_layer.selected_asset_keys == batched
    refresh = defs.resolve_job_def(f"refresh_{name}")
    graph = defs.resolve_asset_graph()
    chain = {key for key in graph.materializable_asset_keys if graph.get(key).group_name == name}
    assert refresh.asset_layer.selected_asset_keys == chain - batched
    assert refresh.partitions_def is None


def requested(instance, cursor=None):
    result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
    keys = {key for key in defs.resolve_asset_graph().materializable_asset_keys if result.get_num_requested(key)}
    return keys, result.cursor


def test_a_new_batch_makes_the_rollup_and_then_what_follows_wanted(
    write_csv, ingest, make, instance, themed_reviews
):  # fmt: skip
    _, cursor = requested(instance)
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    wanted, cursor = requested(instance, cursor)
    assert wanted >= ROLLUP
    make("items", "review_batches", "duplicate_reviews")
    nothing, cursor = requested(instance, cursor)
    assert not nothing & ROLLUP

    ingest(write_csv("b.csv", [{"review_id": "new", "item_id": "item 000", "text": "pine"}]))
    wanted, cursor = requested(instance, cursor)
    assert wanted >= ROLLUP


def test_a_batch_that_failed_does_not_keep_the_others_from_the_rollup(write_csv, ingest, instance, themed_reviews):
    _, cursor = requested(instance)
    with pytest.raises(SourceError):
        ingest(write_csv("broken.csv", []))
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    wanted, _ = requested(instance, cursor)
    assert wanted >= ROLLUP
