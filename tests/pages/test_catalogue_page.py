"""The catalogue, used as a person does."""

import pytest

from tests.browser import Visit, until
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
    for said in (
        "an item on the map of a dimension", "120 rows", "dimension, item_id is unique",
        "item_id refers to item_id of items", "Only the order of distances is fitted", "20 of 120 rows",
    ):  # fmt: skip
        assert said in text
    assert tab.locator("table.rows tbody tr").count() == 20
    assert HOSTILE[0] in text
    assert tab.title() == "item_map - Taproom"
    tab.click("svg.wide >> text=map_methods")
    assert "Not made yet" in tab.inner_text("main")


def test_code_to_load_a_table_is_copied(visit, pages):
    tab = visit.open(pages, "tables/items.html")
    tab.locator("button.copy").first.click()
    until(tab, "document.querySelector('button.copy').textContent !== 'Copy'")
    assert 'taproom.load("items")' in tab.evaluate("getSelection().toString()")


def drawn(tab, graph: str) -> dict[str, dict[str, float]]:
    """Where the boxes of a graph are on the screen, by table."""
    return tab.evaluate(
        f"Object.fromEntries([...document.querySelectorAll('{graph} a')].map((box) => [box.dataset.table, "
        "box.querySelector('rect').getBoundingClientRect().toJSON()]))"
    )


def test_the_graph_of_a_table_has_its_inputs_on_the_left_and_its_users_on_the_right(visit, pages):
    tab = visit.open(pages, "tables/neighbors.html")
    boxes = drawn(tab, "svg.wide")
    this = boxes.pop("neighbors")
    left = {name for name, box in boxes.items() if box["right"] < this["left"]}
    right = {name for name, box in boxes.items() if box["left"] > this["right"]}
    assert left == {"tfidf", "vocabulary"}
    assert right == {"item_map", "map_methods", "trials"}
    assert left | right == set(boxes)
    assert tab.locator("svg.wide path").count() == len(boxes)
    assert tab.locator("svg.narrow").is_hidden()
    tab.click("svg.wide >> text=item_map")
    assert tab.inner_text("h1") == "item_map"


def test_on_a_narrow_screen_the_graph_is_stacked(chromium, pages):
    visit = Visit(chromium, viewport={"width": 360, "height": 700})
    boxes = drawn(visit.open(pages, "tables/neighbors.html"), "svg.narrow")
    tops = sorted(boxes, key=lambda name: boxes[name]["top"])
    assert tops.index("neighbors") == 2
    assert all(0 <= box["left"] < box["right"] <= 360 for box in boxes.values())
    visit.context.close()
    assert visit.problems == []


def test_the_graph_of_a_chain_traces_what_has_the_focus(visit, pages):
    tab = visit.open(pages, "catalogue.html")
    boxes = drawn(tab, "section[aria-labelledby=reviews] svg")
    assert boxes["reviews"]["left"] < boxes["tfidf"]["left"] < boxes["neighbors"]["left"] < boxes["item_map"]["left"]
    tab.locator("section[aria-labelledby=reviews] svg a[data-table=tfidf]").focus()
    traced = tab.evaluate("[...document.querySelectorAll('svg a.related')].map((box) => box.dataset.table)")
    assert {"tfidf", "reviews", "term_counts", "neighbors", "item_map", "map_errors"} <= set(traced)
    assert not {"rejected_reviews", "champions"} & set(traced)
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/tables/tfidf.html")


def test_every_table_of_a_chain_is_in_its_graph_once(visit, pages):
    tab = visit.open(pages, "catalogue.html")
    for chain in ("reviews", "text", "assays", "images", "tuning"):
        section = f"section[aria-labelledby={chain}]"
        listed = tab.evaluate(f"[...document.querySelectorAll('{section} td code')].map((each) => each.textContent)")
        own = f"[...document.querySelectorAll('{section} svg a.own')].map((each) => each.dataset.table)"
        assert sorted(tab.evaluate(own)) == sorted(listed)
