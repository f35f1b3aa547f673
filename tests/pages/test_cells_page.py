"""The page of cells, used as a person does."""

import numpy as np
import pytest

from taproom.warehouse.warehouse import Warehouse
from tests.browser import written
from tests.shown_assays import (
    CHANNELS,
    CLASS_NAMES,
    EVENTS_OF_WELL,
    ITERATIONS,
    MODEL,
    PLATES,
    publish_assays,
    publish_calls,
    publish_events,
    publish_mixture,
)
from tests.shown_tables import HOSTILE

pytestmark = pytest.mark.slow

ALL = EVENTS_OF_WELL * len(PLATES)


@pytest.fixture
def tab(visit, pages):
    return visit.open(pages, "cells.html")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory) -> Warehouse:
    """The tables of the pages, to compare with."""
    warehouse = Warehouse(tmp_path_factory.mktemp("compared") / "warehouse")
    publish_assays(warehouse)
    return warehouse


def drawn_points(tab, chart: str = "#scatter") -> dict[str, np.ndarray]:
    """The dots of each colour in the units of the axes, (events, 2)."""
    found = tab.evaluate(
        "(id) => [...document.querySelectorAll(`${id} .points`)].map((path) =>"
        " [path.getAttribute('class'), path.getAttribute('d')])",
        chart,
    )
    return {
        name.removeprefix("points "): np.array([each[1:].split(" ") for each in path.split("h0")[:-1]], float)
        for name, path in found
        if path
    }


def pixels(tab, values: np.ndarray, chart: str = "scatter") -> np.ndarray:
    """Where the chart draws these points."""
    return np.array(
        tab.evaluate(
            f"(points) => points.map(([x, y]) => [Taproom.page.{chart}.chart.x(x), Taproom.page.{chart}.chart.y(y)])",
            values.tolist(),
        )
    )


def test_the_events_of_all_wells_are_drawn_where_their_values_are(tab, warehouse):
    tab.select_option("#event-colour", "none")
    (points,) = drawn_points(tab).values()
    values = np.stack(warehouse.read("events").to_pandas().transformed)[:, ::-1][:, [1, 2]]
    expected = pixels(tab, values[~np.isnan(values).any(axis=1)])
    assert len(points) == ALL - 1
    key = [1, 0]
    np.testing.assert_allclose(
        points[np.lexsort(points.T[key])].mean(axis=0), expected[np.lexsort(expected.T[key])].mean(axis=0), atol=0.05
    )
    assert np.sort(points[:, 0]) == pytest.approx(np.sort(expected[:, 0]), abs=0.06)
    about = tab.inner_text("#scatter-about")
    assert f"{ALL - 1:,} of {ALL:,} events (1 more lack a value)" in about


def test_events_are_coloured_by_their_calls(tab, warehouse):
    calls = warehouse.read("event_calls").to_pandas()
    tab.select_option("#event-colour", "call")
    drawn = {name: len(points) for name, points in drawn_points(tab).items()}
    counts = [int((calls.called == name).sum()) for name in CLASS_NAMES]
    assert sum(drawn.values()) == ALL - 1
    assert abs(drawn["colour-0"] - counts[0]) + abs(drawn["colour-1"] - counts[1]) == 1  # the one that lacks a value
    assert tab.locator("#event-key li").all_inner_texts() == CLASS_NAMES
    tab.select_option("#event-colour", "sure")
    assert abs(len(drawn_points(tab)["colour-other"]) - calls.ambiguous.sum()) <= 1
    tab.select_option("#event-colour", "population")
    assert tab.locator("#event-key li").all_inner_texts() == ["population 0", "population 1"]


def test_components_are_ellipses_around_their_means(tab):
    tab.check("#ellipses")
    labels = tab.locator("#scatter .component")
    assert labels.all_text_contents() == ["0", "1", "2"]
    centres = pixels(tab, MODEL.means[:, 1:])
    for place, (x, y) in enumerate(centres):
        assert float(labels.nth(place).get_attribute("x")) == pytest.approx(x, abs=0.01)
        assert float(labels.nth(place).get_attribute("y")) == pytest.approx(y + 4, abs=0.01)
    ellipses = ellipse_points(tab, "#scatter")
    assert len(ellipses) == 6
    for place, ellipse in enumerate(ellipses):
        component, deviations = place // 2, place % 2 + 1
        np.testing.assert_allclose(ellipse[:-1].mean(axis=0), centres[component], atol=0.1)
        # at one deviation, an ellipse is as wide as the standard deviation of its channel
        reach = pixels(tab, MODEL.means[component, None, 1:] + deviations * np.sqrt(MODEL.covariances[component][1, 1]))
        assert ellipse[:, 0].max() == pytest.approx(reach[0, 0], abs=0.3)


def ellipse_points(tab, chart: str) -> list[np.ndarray]:
    paths = tab.locator(f"{chart} .ellipse").evaluate_all("(paths) => paths.map((path) => path.getAttribute('d'))")
    return [np.array([each.split(" ") for each in path[1:].split("L")], float) for path in paths]


def test_contours_of_the_mixture_are_those_of_the_table_density(tab, warehouse):
    density = warehouse.read("density").to_pandas()
    level = density.density[density.enclosed <= 0.5].min()
    levels = tab.evaluate(
        "() => { const components = Taproom.page.scatter.mixture.marginal(1, 2);"
        " const { x, y } = Taproom.page.scatter.chart.ends;"
        " return Taproom.Grid.enclosed(components, [x, y]).contour(0.5).map(([[x, y]]) =>"
        " components.reduce((sum, each) => sum + Math.exp(each.logDensity(x, y)), 0)); }"
    )
    assert np.array(levels) == pytest.approx(level, rel=0.15)
    assert tab.locator("#scatter .contour").count() == 3
    assert "50, 80, 95 %" in tab.inner_text("#scatter-about")


def test_the_kernel_density_is_shown_for_its_own_channels_only(tab):
    tab.select_option("#density", "kernel")
    assert tab.locator("#scatter .contour").count() == 3
    tab.select_option("#x-channel", "0")
    assert tab.locator("#scatter .contour").count() == 0
    assert "There is a kernel density of" in tab.inner_text("#scatter-about")
    tab.select_option("#density", "classes")
    assert tab.locator("#scatter .contour").count() == 4


def test_a_well_is_chosen_on_its_plate(tab, warehouse):
    assert [tab.locator(".plate table").nth(place).locator("tbody td").count() for place in range(2)] == [96, 384]
    assert tab.locator(".plate button").count() == len(PLATES)
    tab.get_by_role("button", name="B2").click()
    assert tab.locator(".plate [aria-pressed=true]").count() == 1
    assert tab.locator("#well").input_value() == "1"
    assert sum(map(len, drawn_points(tab).values())) == EVENTS_OF_WELL
    assert f"{EVENTS_OF_WELL} of {EVENTS_OF_WELL} events" in tab.inner_text("#scatter-about")
    shares = warehouse.read("well_shares").to_pandas()
    share = shares[(shares.well == "B2") & (shares["class"] == CLASS_NAMES[0])].share.item()
    assert f"{100 * share:.1f} %" in tab.inner_text("#well-about")
    tab.select_option("#plate-colour", label="ambiguous events")
    calls = warehouse.read("event_calls").to_pandas()
    ambiguous = calls[calls["sample"] == "sample-4"].ambiguous.mean()
    assert f"{100 * ambiguous:.1f} %" in tab.inner_text("#well-about")
    tab.get_by_role("button", name="B2").press("Enter")
    assert tab.locator("#well").input_value() == "-1"


def test_wells_are_coloured_by_the_chosen_share(tab):
    steps = [tab.locator(".plate button").nth(place).get_attribute("class") for place in range(4)]
    assert steps == ["well step-5", "well step-3", "well step-2", "well step-0"]  # shares 0.9 to 0.1
    assert tab.locator(".plate button").nth(4).get_attribute("class") == "well"


def test_a_well_whose_name_is_no_position_is_listed(tab):
    assert tab.locator(".other-wells button").all_inner_texts() == [HOSTILE[1]]
    assert "not positions on a plate" in tab.inner_text("#plates")


def test_calls_say_how_many_are_ambiguous(tab, warehouse):
    calls = warehouse.read("event_calls").to_pandas()
    about = tab.inner_text("#calls-about")
    assert f"Of {ALL:,} calls {100 * calls.ambiguous.mean():.1f} % are ambiguous" in about
    assert f"{100 * calls.anomalous.mean():.1f} % of the events are anomalous" in about
    heights = tab.locator("#calls .bar").evaluate_all("(bars) => bars.map((bar) => Number(bar.getAttribute('height')))")
    counts, _ = np.histogram(calls.posteriors.map(max), 20, (0, 1))
    np.testing.assert_allclose(np.array(heights) / max(heights), counts / counts.max(), atol=1e-6)
    assert tab.locator("#calls-title ~ .scroll tbody tr").nth(1).inner_text().split()[-1] == "none"


def test_shares_are_those_of_the_table(tab, warehouse):
    rows = warehouse.read("well_shares").to_pandas()
    dots = tab.locator("#shares .share-dot")
    shown = dots.evaluate_all("(dots) => dots.map((dot) => Number(dot.dataset.share))")
    assert shown == rows.share.tolist()
    places = dots.evaluate_all("(dots) => dots.map((dot) => Number(dot.getAttribute('cx')))")
    slope, _ = np.polyfit(shown, places, 1)
    assert np.corrcoef(shown, places)[0, 1] == pytest.approx(1)
    assert slope > 100
    assert tab.locator("#shares .interval").count() == len(rows)
    tab.locator("summary").click()
    assert "90.0 % 85.0 to 95.0" in " ".join(tab.inner_text("details table").split())
    tab.select_option("#share-kind", "populations")
    first = tab.locator("#shares .share-dot").first
    population = warehouse.read("assignments").to_pandas()
    expected = (population[population["sample"] == "sample-5"].population == 0).mean()
    assert float(first.get_attribute("data-share")) == pytest.approx(expected)


def test_the_slider_moves_the_ellipses_and_marks_the_log_likelihood(tab):
    assert tab.inner_text("#iteration-about") == "start"
    tab.focus("#iteration")
    before = ellipse_points(tab, "#em")
    for _ in range(7):
        tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#iteration-about") == "iteration 20"
    assert tab.get_attribute("#iteration", "aria-valuetext") == "iteration 20"
    mark = tab.locator("#likelihood .marked")
    assert (mark.get_attribute("data-iteration"), mark.get_attribute("data-value")) == ("20", "-980")
    tab.keyboard.press("End")
    assert tab.inner_text("#iteration-about") == f"iteration {ITERATIONS}"
    after = ellipse_points(tab, "#em")
    centres = pixels(tab, MODEL.means[:, 1:], "em")
    starts = pixels(tab, MODEL.means[:, 1:] + 2, "em")
    for component in range(3):
        np.testing.assert_allclose(before[2 * component][:-1].mean(axis=0), starts[component], atol=0.1)
        np.testing.assert_allclose(after[2 * component][:-1].mean(axis=0), centres[component], atol=0.1)
    assert "-975" in tab.inner_text("#em-about")


def test_events_have_the_colour_of_the_most_likely_component(tab, warehouse):
    tab.press("#iteration", "End")
    values = np.stack(warehouse.read("events").to_pandas().transformed)[:, ::-1]
    likely = MODEL.marginal([1, 2]).responsibilities(values[~np.isnan(values).any(axis=1)][:, 1:]).argmax(axis=1)
    drawn = {name: len(points) for name, points in drawn_points(tab, "#em").items()}
    assert drawn == {"colour-0": (likely == 0).sum(), "colour-1": (likely > 0).sum()}


def test_two_components_in_a_channel_are_shown_too(tab):
    tab.select_option("#em-fit", "two")
    assert tab.get_attribute("#iteration", "max") == "4"
    tab.press("#iteration", "End")
    labels = tab.locator("#em .component")
    assert labels.all_text_contents() == ["0", "1"]
    expected = pixels(tab, np.array([[-1.0, 0.0], [4.0, 0.0]]), "em")[:, 0]
    assert [float(labels.nth(place).get_attribute("x")) for place in range(2)] == pytest.approx(expected)
    assert tab.locator("#em .bar").count() == 60
    assert "-496" in tab.inner_text("#em-about")


def test_iterations_are_played_to_the_last(tab):
    tab.select_option("#em-fit", "two")
    tab.clock.install()
    tab.click("#play")
    tab.clock.run_for(2_100)
    assert tab.inner_text("#iteration-about") == "iteration 2"
    tab.clock.run_for(5_000)
    assert tab.inner_text("#iteration-about") == "iteration 4"
    assert tab.inner_text("#play") == "Play"


def test_names_are_shown_as_text(tab):
    assert tab.title() == "Cells - Taproom"
    assert HOSTILE[0] in tab.inner_text("#x-channel")
    assert HOSTILE[0] in tab.inner_text("#scatter")
    assert tab.locator("main img, main script, main b").count() == 0


def test_parts_without_tables_say_so(visit, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    values = publish_events(warehouse)
    tab = visit.open(written(warehouse), "cells.html")
    assert sum(map(len, drawn_points(tab).values())) == ALL
    for table in ("mixture", "event_calls", "well_shares", "mixture_trace", "two_component_trace"):
        assert f"come from the table {table}, which was not made" in tab.inner_text("main"), table
    publish_calls(warehouse, values)
    tab = visit.open(written(warehouse), "cells.html")
    assert "calls" in tab.inner_text("#calls-about")
    assert tab.locator("#shares .share-dot").count() == 2 * (len(PLATES) - 1)
    assert "come from the table mixture, which was not made" in tab.inner_text("main")


def test_events_without_wells_are_one_well(visit, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    plates = [("beers.csv", "beers.csv")]
    publish_mixture(warehouse, publish_events(warehouse, plates), plates)
    tab = visit.open(written(warehouse), "cells.html")
    assert tab.locator(".plate table").count() == 0
    assert "not positions on a plate" in tab.inner_text("#plates")
    tab.locator(".other-wells button").click()
    assert f"of {EVENTS_OF_WELL} events" in tab.inner_text("#scatter-about")
    assert CHANNELS[1] in tab.inner_text("#scatter")
