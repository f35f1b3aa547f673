import dagster as dg
import pytest

from pipelines.notices.links import asset_link, pages_address, run_link, runbook_link, table_link


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch):
    for name in ("TAPROOM_UI_URL", "TAPROOM_UI_PORT", "TAPROOM_PAGES_URL", "TAPROOM_RUNBOOK_URL"):
        monkeypatch.delenv(name, raising=False)


def test_without_settings_links_lead_to_the_ui_on_this_machine(monkeypatch):
    assert run_link("abc") == "http://127.0.0.1:3000/runs/abc"
    monkeypatch.setenv("TAPROOM_UI_PORT", "3001")
    assert asset_link(dg.AssetKey(["champions", "topics_champions"])) == (
        "http://127.0.0.1:3001/assets/champions/topics_champions"
    )
    assert table_link("items") == "http://127.0.0.1:3001/assets/items"
    assert runbook_link("overdue") == "docs/runbook.md#overdue"
    assert pages_address() is None


def test_addresses_that_are_set_are_used_with_or_without_a_slash_at_the_end(monkeypatch):
    monkeypatch.setenv("TAPROOM_UI_URL", "https://dagster.example/")
    monkeypatch.setenv("TAPROOM_PAGES_URL", "https://taproom.example/pages")
    monkeypatch.setenv("TAPROOM_RUNBOOK_URL", "https://docs.example/runbook.md")
    assert run_link("abc") == "https://dagster.example/runs/abc"
    assert table_link("items") == "https://taproom.example/pages/tables/items.html"
    assert runbook_link("overdue") == "https://docs.example/runbook.md#overdue"
