from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from assets.table import part_key, table_and_part, table_assets
from pipelines.chains import CHAINS
from pipelines.definitions import defs
from pipelines.reconcile import reconcile
from pipelines.records import newest_materialization
from taproom.errors import SourceError

ROLLUP = {dg.AssetKey(name) for name in ("items", "review_batches", "duplicate_reviews")}


def test_a_schedule_makes_the_tables_as_they_were_last_made(themes, make, instance, warehouse):
    make("topics", "document_topics", topics={"topics": 3})
    make("topics", "document_topics", topics={"topics": 4})
    (schedule,) = [schedule for schedule in defs.schedules if schedule.name == "refresh_text"]
    with dg.build_schedule_context(instance=instance) as context:
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.run_config == {}
    heads = warehouse.heads()
    (themes / "sour" / "new.txt").write_text("lemon tart funk")
    upstream = [dg.AssetKey(table) for table in ("documents", "terms", "bag_of_words", "topics", "document_topics")]
    job = defs.resolve_job_def("refresh_text")
    assert job.execute_in_process(request.run_config, instance, asset_selection=upstream).success
    assert len(warehouse.read("documents")) == 81
    assert len(warehouse.read("topics")) == 2 * 4
    assert warehouse.heads().keys() == heads.keys()


@pytest.mark.parametrize(
    ("name", "size", "search"), [("nightly", "small", "nightly 2026-03-03"), ("weekly", "large", "weekly 2026-03-03")]
)
def test_a_tuning_schedule_asks_for_a_search_of_every_study_that_has_its_input(name, size, search, themes, instance):
    (schedule,) = [schedule for schedule in defs.schedules if schedule.name == f"tune_{name}"]
    with dg.build_schedule_context(
        instance, scheduled_execution_time=datetime(2026, 3, 3, 1, tzinfo=UTC), repository_def=defs.get_repository_def()
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.run_key == search
    assert request.run_config["ops"].keys() == {"tune_topics", "tune_word_vectors"}
    assert {table_and_part(key)[1] for key in request.asset_selection} == {"topics", "word_vectors"}
    for op in request.run_config["ops"].values():
        assert (op["config"]["search"], op["config"]["size"]) == (search, size)
        assert op["config"]["seconds"] > 0
    dg.validate_run_config(defs.resolve_job_def("tune"), request.run_config)


def test_a_tuning_schedule_asks_for_nothing_where_no_study_has_its_input(warehouse, instance):
    (schedule,) = [schedule for schedule in defs.schedules if schedule.name == "tune_nightly"]
    with dg.build_schedule_context(instance, repository_def=defs.get_repository_def()) as context:
        asked = schedule.evaluate_tick(context)
    assert asked.run_requests == []
    assert "input tables of no study" in asked.skip_message


def keys_of(job: str) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_job_def(job).asset_layer.selected_asset_keys}


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.name)
def test_a_refresh_tunes_nothing_and_making_tunes_what_the_chain_has(chain):
    tuned = {f"{table}/{study}_{table}" for table in ("trials", "challenges", "champions") for study in chain.studies}
    refreshed = keys_of(f"refresh_{chain.name}")
    assert not any("/" in key for key in refreshed)
    assert keys_of(f"make_{chain.name}") == refreshed | tuned
    assert tuned <= keys_of("tune")


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


class Automation:
    """Evaluates all automation conditions again and again."""

    def __init__(self, instance: dg.DagsterInstance):
        self._instance, self._cursor = instance, None

    def requested(self, seconds: int = 61) -> set[dg.AssetKey]:
        """The tables that are asked for so many seconds from now."""
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        result = dg.evaluate_automation_conditions(defs, self._instance, cursor=self._cursor, evaluation_time=later)
        self._cursor = result.cursor
        return {key for key in table_assets(defs) if result.get_num_requested(key)}


@pytest.fixture
def automation(instance):
    automation = Automation(instance)
    automation.requested()
    return automation


def keys(*names: str) -> set[dg.AssetKey]:
    return {dg.AssetKey(name) for name in names}


def test_a_new_batch_makes_the_rollup_and_all_that_follows_wanted(
    write_csv, ingest, make, automation, themed_reviews
):  # fmt: skip
    ingest(write_csv("a.csv", themed_reviews(items=12)))
    assert automation.requested() == ROLLUP | keys(
        "vocabulary", "tfidf", "neighbors", "item_map", "map_errors", "map_moves", "map_methods"
    )
    make("items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf", "neighbors")
    make("item_map", "map_errors", "map_moves", "map_methods")
    assert not automation.requested()

    ingest(write_csv("b.csv", [{"review_id": "new", "item_id": "item 000", "text": "pine"}]))
    assert automation.requested() >= ROLLUP | keys("vocabulary", "tfidf", "neighbors", "item_map")


def test_a_batch_that_failed_does_not_keep_the_others_from_the_map(write_csv, ingest, automation, themed_reviews):
    with pytest.raises(SourceError):
        ingest(write_csv("broken.csv", []))
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    assert automation.requested() >= ROLLUP | keys("vocabulary", "tfidf", "neighbors", "item_map")


def test_an_input_that_was_made_again_with_the_same_rows_makes_nothing_wanted(
    write_csv, ingest, make, automation, themed_reviews, crown, instance, warehouse
):
    path = write_csv("a.csv", themed_reviews(items=12))
    ingest(path)
    automation.requested()
    make("items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf", "neighbors")
    make("item_map", "map_errors", "map_moves", "map_methods")
    assert automation.requested() == set()
    crown("item_map", margin=0.2)
    list(reconcile(instance, warehouse, defs))
    assert automation.requested() == keys("item_map", "map_errors", "map_moves", "map_methods")
    make("item_map", "map_errors", "map_moves", "map_methods")
    automation.requested()

    ingest(path)
    make("items", "review_batches", "duplicate_reviews", "neighbors")
    record = newest_materialization(instance, part_key("champions", "item_map")).asset_materialization
    instance.report_runless_asset_event(record)
    assert automation.requested() == set()


def test_rollups_come_once_a_minute_at_most(write_csv, ingest, make, automation, themed_reviews):
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    assert automation.requested() >= ROLLUP
    make("items", "review_batches", "duplicate_reviews")
    ingest(write_csv("b.csv", [{"review_id": "new", "item_id": "item 000", "text": "pine"}]))
    assert not automation.requested(seconds=30) & ROLLUP
    assert automation.requested(seconds=61) >= ROLLUP
    # what was asked for once and was not made is asked for again when there is something new
    assert not automation.requested() & ROLLUP
    ingest(write_csv("c.csv", [{"review_id": "newer", "item_id": "item 000", "text": "pine"}]))
    assert automation.requested() >= ROLLUP


def test_rollups_come_more_seldom_while_batches_are_being_read(
    write_csv, ingest, make, automation, themed_reviews, instance
):
    ingest(write_csv("a.csv", themed_reviews(items=4)))
    automation.requested()
    make("items", "review_batches", "duplicate_reviews")
    ingest(write_csv("b.csv", [{"review_id": "new", "item_id": "item 000", "text": "pine"}]))
    job = defs.resolve_job_def("ingest_reviews_batches")
    ops = {"read_reviews_batches": {"config": {"batches": {}}}}
    reading = instance.create_run_for_job(
        job, run_config={"ops": ops}, tags=job.run_tags, status=dg.DagsterRunStatus.STARTED
    )
    assert not automation.requested(seconds=170) & ROLLUP
    instance.report_run_failed(reading)
    assert automation.requested(seconds=61) >= ROLLUP


def test_what_follows_changes_is_one_sensor_of_all_assets():
    (sensor,) = [sensor for sensor in defs.sensors if isinstance(sensor, dg.AutomationConditionSensorDefinition)]
    assert sensor.name == "follow_changes"
    graph = defs.resolve_asset_graph()
    assert sensor.asset_selection.resolve(graph) >= graph.materializable_asset_keys
