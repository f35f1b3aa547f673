import json
import re
import shutil
import threading
from pathlib import Path

import dagster as dg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from assets.reviews.items import REVIEW_BATCHES
from pipelines import metrics
from pipelines.definitions import defs
from pipelines.metrics import StateCollector, registry
from taproom.warehouse.warehouse import Warehouse
from tests.pipelines.installation import free_port
from tests.pipelines.test_maintenance import batches_of

BOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana.json"


def collected(instance, warehouse) -> dict[tuple, float]:
    """The value of each metric, by its name and labels."""
    text = metrics.generate_latest(registry(instance, warehouse, defs)).decode()
    families = text_string_to_metric_families(text)
    return {(sample.name, *sample.labels.values()): sample.value for each in families for sample in each.samples}


def test_a_table_has_its_age_size_and_cost(themes, warehouse, instance):
    values = collected(instance, warehouse)
    record = instance.get_latest_materialization_event(dg.AssetKey("documents"))
    assert values["taproom_table_made_timestamp_seconds", "documents"] == pytest.approx(record.timestamp, abs=1e-3)
    assert values["taproom_table_fresh_for_seconds", "documents"] == 48 * 3600
    assert values["taproom_table_rows", "documents"] == len(warehouse.read("documents"))
    assert values["taproom_table_bytes", "documents"] == sum(file.size_bytes for file in warehouse.files("documents"))
    assert 0 < values["taproom_table_seconds", "documents"] < 60
    assert values["taproom_table_peak_memory_bytes", "documents"] > 50 * 2**20
    assert values["taproom_check_passed", "terms", "terms_are_words", "warn"] == 1
    assert ("taproom_table_rows", "neighbors") not in values


def test_runs_are_counted_by_what_they_do(warehouse, instance):
    job = defs.resolve_job_def("refresh_reviews")
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTED):
        instance.create_run_for_job(job, status=status)
    failed = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(failed)
    values = collected(instance, warehouse)
    assert values["taproom_runs", "waiting"] == 1
    assert values["taproom_runs", "running"] == 2
    assert values["taproom_runs_failed_last_day",] == 1


def test_the_sizes_of_the_stores_are_those_of_their_files(warehouse, instance):
    warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None)
    values = collected(instance, warehouse)
    files = [path for path in Path(warehouse.root).rglob("*") if path.is_file()]
    assert values["taproom_store_bytes", "warehouse"] == sum(path.stat().st_size for path in files)
    assert values["taproom_store_free_bytes", "warehouse"] > 0


def test_folders_may_be_deleted_while_they_are_measured(warehouse, instance):
    home, is_measured = Path(instance.root_directory), threading.Event()

    def make_and_delete() -> None:
        while not is_measured.is_set():
            folders = [home / "logs" / str(number) for number in range(500)]
            for folder in folders:
                folder.mkdir(parents=True)
                (folder / "run.log").touch()
            for folder in folders:
                shutil.rmtree(folder)

    writer = threading.Thread(target=make_and_delete)
    writer.start()
    try:
        for _ in range(10):
            assert ("taproom_store_bytes", "records") in collected(instance, warehouse)
    finally:
        is_measured.set()
        writer.join()


def test_without_an_answer_of_the_store_only_the_sizes_are_missing(instance, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    values = collected(instance, Warehouse("s3://bucket/warehouse"))
    assert values["taproom_runs", "waiting"] == 0
    assert not [name for name, *_ in values if name.startswith("taproom_store")]


def test_the_sizes_are_measured_once_in_a_while(warehouse, instance):
    collector = StateCollector(instance, warehouse, defs)
    sizes = [next(each for each in collector.collect() if each.name == "taproom_store_bytes")]
    warehouse.publish(REVIEW_BATCHES, batches_of("b1"), since=None)
    sizes += [next(each for each in collector.collect() if each.name == "taproom_store_bytes")]
    assert sizes[0] is sizes[1]


@pytest.mark.slow
def test_the_command_prints_the_metrics_or_writes_a_file(warehouse, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("")
    assert metrics.main([]) == 0
    printed = capsys.readouterr().out
    assert 'taproom_runs{state="waiting"} 0.0\n' in printed
    assert metrics.main([str(tmp_path / "taproom.prom")]) == 0
    assert 'taproom_runs{state="waiting"} 0.0\n' in (tmp_path / "taproom.prom").read_text()
    assert metrics.main([str(tmp_path / "no" / "taproom.prom")]) == 1
    assert capsys.readouterr().err.startswith("Failed: ")


def test_the_board_shows_metrics_that_exist(warehouse, instance):
    expressions = [
        target["expr"] for panel in json.loads(BOARD.read_text())["panels"] for target in panel.get("targets", ())
    ]
    shown = {name for expression in expressions for name in re.findall(r"taproom_\w+", expression)}
    collector = StateCollector(instance, warehouse, defs)
    assert shown == {family.name for family in collector.collect()}
