"""The pages, made by the real daemon after tables have changed; `make soak` runs this, `make test` does not."""

from pathlib import Path

import dagster as dg
import pytest

from tests.pipelines.test_daemon import reviews, wait_for_map
from tests.waiting import wait_for

pytestmark = pytest.mark.soak


def test_pages_are_made_once_the_tables_are_and_show_what_failed(installation):
    nowhere = installation.home / "nowhere"
    failed = installation.launch("ingest_text", documents={"source": "files", "path": str(nowhere)})
    assert installation.end(failed) == "FAILURE"
    for sensor in ("review_inbox", "follow_changes"):
        installation.switch_on(sensor)
    installation.drop("good.csv", reviews(range(24)))
    wait_for_map(installation, 24)
    key, page = dg.AssetKey("pages"), Path(installation.warehouse.root, "_pages", "map.html")
    # Pages that were made between reading and the map are made again five minutes later.
    wait_for(lambda: page.exists() and "24 items" in page.read_text(), "the pages show the map")
    with installation.instance as instance:
        made = wait_for(lambda: instance.get_latest_materialization_event(key), "the pages are made")
        run = instance.get_run_by_id(made.run_id)
    assert run.asset_selection == {key}
    assert run.tags["dagster/sensor_name"] == "follow_changes"
    folder = Path(made.asset_materialization.metadata["address"].value).parent
    assert folder == page.parent
    for other in ("index.html", "tables/documents.html"):
        shown = (folder / other).read_text()
        assert failed[:8] in shown
        assert "nowhere" in shown
        assert str(installation.home) not in shown
