"""The catalogue, used as a person does."""

import pytest

from tests.browser import until
from tests.shown_tables import HOSTILE

pytestmark = pytest.mark.slow


def test_a_column_is_found_with_a_typing_error(visit, pages):
    tab = visit.open(pages, "catalogue.html")
    tab.fill("#find", "neigbor_ids")
    tab.click("text=neighbors.neighbor_ids")
    assert tab.url.endswith("tables/neighbors.html#neighbor_ids")
    assert tab.inner_text("h1") == "neighbors"


def test_a_search_that_finds_nothing_says_so(visit, pages):
    tab = visit.open(pages, "catalogue.html")
    tab.fill("#find", "zzzzqqq")
    assert tab.inner_text("#found") == "0 found"
    tab.fill("#find", "")
    assert tab.locator("#all").is_visible()


def test_a_table_is_described(visit, pages):
    tab = visit.open(pages, "tables/item_map.html")
    text = tab.inner_text("main")
    for said in ("an item on the map of a dimension", "120 rows", "dimension, item_id is unique", "20 of 120 rows"):
        assert said in text
    assert tab.locator("table.rows tbody tr").count() == 20
    assert HOSTILE[0] in text
    assert tab.title() == "item_map - Taproom"
    tab.click("text=map_methods")
    assert "Not made yet" in tab.inner_text("main")


def test_code_to_load_a_table_is_copied(visit, pages):
    tab = visit.open(pages, "tables/items.html")
    tab.locator("button.copy").first.click()
    until(tab, "document.querySelector('button.copy').textContent !== 'Copy'")
    assert 'taproom.load("items")' in tab.evaluate("getSelection().toString()")
