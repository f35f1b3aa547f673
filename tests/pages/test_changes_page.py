"""The page of changes, and what changed on the page of a table, used as a person does."""

import pytest

from tests.shown_changes import ADDED, CHANGED, GONE, SAME
from tests.shown_tables import HOSTILE

pytestmark = pytest.mark.slow

ROW = "table.changes tr:has(a[href='tables/training_pairs.html#changes'])"


def widths(bar) -> dict[str, float]:
    """The width of each part of a bar on the screen, by kind."""
    return bar.locator("rect").evaluate_all(
        "(parts) => Object.fromEntries(parts.map((part) => "
        "[part.getAttribute('class'), part.getBoundingClientRect().width]))"
    )


def test_a_table_is_listed_with_its_numbers_and_a_bar(visit, pages):
    tab = visit.open(pages, "changes.html")
    row = tab.locator(ROW)
    assert "version 1 after 0" in row.inner_text()
    assert [row.locator(f"[data-label={kind}]").inner_text() for kind in ("added", "gone", "changed")] == [
        str(ADDED), str(GONE), str(CHANGED)
    ]  # fmt: skip
    assert "centre" in row.inner_text()
    shown = widths(row.locator(".change-bar"))
    rows = {"same": SAME, "changed": CHANGED, "added": ADDED, "gone": GONE}
    shares = {kind: width / sum(shown.values()) for kind, width in shown.items()}
    assert shares == pytest.approx({kind: count / sum(rows.values()) for kind, count in rows.items()}, abs=0.01)


def test_first_versions_are_listed_apart(visit, pages):
    tab = visit.open(pages, "changes.html")
    tab.click(".first-versions >> text=item_map")
    assert "There is no version before this one" in tab.inner_text("main")


def test_a_table_leads_to_its_rows_as_text(visit, pages):
    tab = visit.open(pages, "changes.html")
    tab.locator(ROW).locator("a").click()
    assert tab.url.endswith("tables/training_pairs.html#changes")
    text = tab.inner_text("main")
    assert f"{ADDED} were added, {GONE} are gone, {CHANGED} changed" in text
    assert f"before 0 {HOSTILE[0]}" in text
    assert f"now 0 {HOSTILE[0]}" in text
    assert "added 2" in text
    assert tab.title() == "training_pairs - Taproom"


def test_the_page_of_a_table_leads_to_what_changed(visit, pages):
    tab = visit.open(pages, "tables/training_pairs.html")
    tab.click("text=What changed >> nth=0")
    assert tab.url.endswith("#changes")
    assert tab.locator("#changes").is_visible()
