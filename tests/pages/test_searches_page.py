"""The page of searches, used as a person does."""

import re

import numpy as np
import pytest

from taproom.warehouse.warehouse import Warehouse
from tests.browser import resize, until, written
from tests.shown_searches import SEARCH, SETTINGS, publish_comparison, publish_trials
from tests.shown_tables import HOSTILE

pytestmark = pytest.mark.slow


@pytest.fixture
def tab(visit, pages):
    tab = visit.open(pages, "searches.html#study=classifier")
    tab.wait_for_selector("#search-view svg")
    return tab


def section(tab, title: str):
    return tab.locator(".study section").filter(has=tab.locator("h3", has_text=re.compile(f"^{title}$")))


def corners(path: str) -> np.ndarray:
    """The corners (n, 2) of a path of SVG."""
    return np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path), float)


def paths(part, selector: str) -> list[np.ndarray]:
    found = part.locator(selector).evaluate_all("(all) => all.map((path) => path.getAttribute('d'))")
    return [corners(path) for path in found]


def test_the_champion_and_why_it_was_crowned(tab):
    text = section(tab, "Champion").inner_text()
    why = f"Why: better on fresh data {HOSTILE[0]}"
    for said in ("100", f"trial 2 of the search {SEARCH}", "0.64 (0.62 to 0.66)", why):
        assert said in text
    challenges = section(tab, "Challenges")
    rows = challenges.locator("tbody tr").all_inner_texts()
    assert ["1: crowned" in rows[0], rows[0].endswith("0.02"), "0: first" in rows[1]] == [True] * 3
    assert "above 0 is better" in challenges.locator("caption").inner_text()
    whisker = challenges.locator("tbody .whisker")
    assert whisker.count() == 1  # nothing was judged in the first
    left, width = whisker.evaluate("(line) => [line.style.left, line.style.width].map(parseFloat)")
    assert [left, width] == pytest.approx([100 / 3, 200 / 3], abs=0.01)


def test_trials_are_points_and_the_best_so_far_is_a_line(tab):
    part = section(tab, "Trials")
    assert "The best is trial 2, with 0.63 at the full budget. 1 failed." in part.inner_text()
    points = part.locator("circle").evaluate_all("(all) => all.map((x) => [x.cx.baseVal.value, x.cy.baseVal.value])")
    assert part.locator("circle.stopped").count() == 1
    assert part.locator("circle.best").count() == 1
    (x0, y0), (x1, y1), (x2, y2) = points  # scores 0.61, 0.55 and 0.63
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert (y1 - y0) / (y0 - y2) == pytest.approx(0.06 / 0.02)
    (line,) = paths(part, "path.best")
    np.testing.assert_allclose(line[:3], [[x0, y0], [x2, y0], [x2, y2]], atol=0.01)


def test_learning_curves_join_the_budgets_of_a_trial(tab):
    part = section(tab, "Learning curves")
    assert part.locator("path.line").count() == 1  # the other trials have one rung
    assert part.locator("circle").count() == 4
    (curve,) = paths(part, "path.line")
    assert curve[1, 0] - curve[0, 0] > 100
    assert curve[1, 1] < curve[0, 1]
    assert part.locator("svg .axis").first.text_content() == "filters"


def test_parallel_coordinates_have_log_axes_and_the_champion(tab):
    part = section(tab, "Parameters")
    titles = part.locator("svg .axis").all_text_contents()
    assert titles == ["contrast", "offset", "score"]
    lines = paths(part, "path")
    assert len(lines) == 4  # three trials with a score, and the champion over its trial
    (champion,) = paths(part, "path.champion")
    np.testing.assert_array_equal(champion, paths(part, "path.best")[0])
    contrast = sorted(line[0, 1] for line in lines[:3])  # 1, 10 and 100 are evenly spaced
    assert contrast[1] - contrast[0] == pytest.approx(contrast[2] - contrast[1])
    strengths = part.locator("path").evaluate_all("(all) => all.map((x) => x.style.getPropertyValue('--strength'))")
    assert strengths == ["0%", "75%", "100%", ""]
    assert part.locator("path.stopped").count() == 1


def test_only_the_best_stand_out(tab):
    tab.check("#search-view input[type=checkbox]")
    part = section(tab, "Parameters")
    assert part.locator("path.faint").count() == 2
    assert part.locator("path.best.faint").count() == 0
    assert tab.evaluate("document.activeElement.type") == "checkbox"


def test_a_trial_is_chosen_in_the_table(tab):
    rows = section(tab, "All trials").locator("tbody tr")
    first = rows.first.inner_text().split("\t")
    assert first[1:5] == ["1", "0", "12 \u2192 36", "0.61"]
    assert HOSTILE[2] in rows.nth(3).inner_text()
    rows.nth(1).locator("button").press("Enter")
    until(tab, "document.querySelector('circle.chosen')")
    assert section(tab, "Trials").locator("circle.chosen").count() == 1
    assert section(tab, "Parameters").locator("path.chosen.stopped").count() == 1
    assert "trial 1" in section(tab, "Parameters").locator(".legend").inner_text()
    assert tab.evaluate("document.activeElement.textContent") == "Trial 1"


def test_another_study_has_texts_and_nothing_as_values(tab):
    tab.select_option("#study", "1")
    assert tab.url.endswith("#study=unlisted")
    assert "There is none yet." in section(tab, "Champion").inner_text()
    assert "lower is better" in tab.inner_text("#study-view")
    assert "The best is trial 1, with 2 at the full budget." in section(tab, "Trials").inner_text()
    assert section(tab, "Learning curves").count() == 0
    marks = section(tab, "Parameters").locator("svg .tick").all_text_contents()
    assert {"plain", "not set", "0.3"} <= set(marks)
    assert tab.title() == "Searches - Taproom"


def test_methods_are_compared_by_epochs(tab):
    assert tab.locator("#method-legend li").all_inner_texts() == ["random search", "Hyperband"]
    lines = paths(tab.locator("#comparison"), "path.line")
    assert [len(line) for line in lines] == [3, 3]  # a step: two values have three corners
    rows = tab.locator("#comparison-table tbody tr").all_inner_texts()
    assert [row.split("\t")[-2:] for row in rows] == [
        ["0.5000", "0.4900 to 0.5300"],
        ["0.5800", "0.5400 to 0.6100"],
    ]
    assert "20 epochs" in rows[0]


def test_the_lectures_settings_are_in_the_order_of_their_published_rank(tab):
    rows = tab.locator("section[aria-labelledby=settings] tbody tr").all_inner_texts()
    assert [row.split()[4] for row in rows] == [str(rank) for rank in range(1, 11)]
    assert rows[0].count("diverges") == 2
    assert rows[-1].split() == ["0.02512", "0.003981", "50", "0.0577", "10", "0.5", "1", "25.0", "%"]


def test_digits_are_shown(tab):
    canvas = tab.locator("#digits canvas")
    assert canvas.count() == 60
    assert canvas.first.get_attribute("aria-label") == "A digit 0"


def test_charts_fit_a_narrow_screen(tab):
    resize(tab, 360, 800)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    lines = paths(section(tab, "Parameters"), "path.champion")
    assert np.diff(lines[0][:, 1]).min() > 50  # the axes lie below each other


def test_a_part_that_was_not_made_says_so_and_others_are_shown(visit, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    publish_trials(warehouse, "topics", SETTINGS["unlisted"])
    tab = visit.open(written(warehouse), "searches.html")
    tab.wait_for_selector("#search-view svg")
    assert tab.locator(".notice").count() == 2
    assert "higher is better" in tab.inner_text("#study-view")
    warehouse = Warehouse(tmp_path / "other")
    publish_comparison(warehouse)
    tab = visit.open(written(warehouse), "searches.html")
    assert "the trials of searches" in tab.inner_text("section[aria-labelledby=studies] .notice")
    assert tab.locator("#comparison-table tbody tr").count() == 2
