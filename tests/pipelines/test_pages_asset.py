"""The asset `pages`: what it records, and when it is made."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.automation import SECONDS_BETWEEN_PAGES
from assets.reviews.item_map import ITEM_MAP
from assets.table import table_assets
from pipelines.definitions import defs
from taproom.errors import SourceError
from tests.shown_tables import publish_map

PAGES = dg.AssetKey("pages")


def test_it_is_the_only_asset_that_is_no_table_and_depends_on_all_of_them():
    graph = defs.resolve_asset_graph()
    assert graph.materializable_asset_keys - table_assets(defs) == {PAGES}
    assert graph.get(PAGES).parent_keys == table_assets(defs)


def test_it_writes_the_pages_and_records_where_they_are(instance, warehouse):
    publish_map(warehouse)
    result = dg.materialize(
        [defs.resolve_assets_def(PAGES)], instance=instance, resources={"io_manager": defs.resources["io_manager"]}
    )
    (made,) = result.get_asset_materialization_events()
    metadata = {name: entry.value for name, entry in made.materialization.metadata.items()}
    folder = Path(warehouse.root, "_pages")
    assert metadata["address"] == str(folder / "index.html")
    assert metadata["pages"] == len(list(folder.rglob("*.html")))
    assert metadata["size_bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert metadata["seconds"] > 0
    assert "pages" not in warehouse.tables()


class Automation:
    """Evaluates the condition of the pages again and again, each time some seconds later."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance, self._cursor, self._now = instance, None, datetime.now(UTC)

    def requests_pages(self, seconds: float = SECONDS_BETWEEN_PAGES + 1) -> bool:
        self._now += timedelta(seconds=seconds)
        result = dg.evaluate_automation_conditions(defs, self._instance, cursor=self._cursor, evaluation_time=self._now)
        self._cursor = result.cursor
        return result.get_num_requested(PAGES) > 0


@pytest.fixture
def automation(instance):
    return Automation(instance)


def change_map(warehouse) -> None:
    """Publish the map with a row less."""
    rows = warehouse.read("item_map")
    warehouse.publish(ITEM_MAP, rows.slice(1), since=warehouse.head("item_map"))


def test_it_is_requested_when_a_table_has_changed_and_not_without_tables(automation, warehouse):
    assert not automation.requests_pages()
    publish_map(warehouse)
    assert automation.requests_pages()
    assert not automation.requests_pages()
    change_map(warehouse)
    assert automation.requests_pages()


def test_it_is_requested_every_few_minutes_at_most(automation, warehouse):
    publish_map(warehouse)
    assert automation.requests_pages()
    change_map(warehouse)
    assert not automation.requests_pages(seconds=SECONDS_BETWEEN_PAGES - 60)
    assert automation.requests_pages(seconds=61)


def test_it_waits_for_tables_that_are_being_made_or_are_requested(automation, themes, make, instance):
    assert not automation.requests_pages(seconds=0)  # the topics are requested
    job = defs.resolve_job_def("refresh_text")
    topics = frozenset({dg.AssetKey("topics"), dg.AssetKey("document_topics")})
    run = instance.create_run_for_job(job, asset_selection=topics, status=dg.DagsterRunStatus.STARTED)
    assert not automation.requests_pages()
    instance.report_run_canceled(run)
    assert automation.requests_pages()


def test_it_is_requested_when_a_run_has_failed_and_not_when_its_own_has(automation, themes, make, instance):
    automation.requests_pages()
    automation.requests_pages()
    assert not automation.requests_pages()
    with pytest.raises(SourceError):
        make("documents", documents={"source": "files", "path": str(themes / "nowhere")})
    assert automation.requests_pages()
    run = instance.create_run_for_job(defs.resolve_job_def("make_pages"), asset_selection=frozenset({PAGES}))
    instance.report_run_failed(run)
    assert not automation.requests_pages()
