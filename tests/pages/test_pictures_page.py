"""The page of pictures, used as a person does."""

import numpy as np
import pytest

from taproom.pages.tables import LONGEST_CELL
from taproom.warehouse.warehouse import Warehouse
from tests.browser import written
from tests.planted_images import planted_images
from tests.shown_images import NAMES, TEST_IMAGES, publish_comparisons, publish_filters
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

# The classes in their order, as pages show them.
SHOWN = [name[:LONGEST_CELL].strip() for name in sorted(NAMES.values())]


@pytest.fixture
def tab(visit, pages):
    return visit.open(pages, "pictures.html")


@pytest.fixture(scope="session")
def predictions(pages):
    return Warehouse(pages.parent).read("predictions").to_pandas()


COPIED = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
}"""


def levels(tab, selector: str) -> np.ndarray:
    """The pixels (height, width, 4) of the first canvas that is found, once something is drawn on it."""
    canvas = tab.locator(selector).first
    width, height = canvas.evaluate("(each) => [each.width, each.height]")
    values = wait_for(lambda: any(drawn := canvas.evaluate(COPIED)) and drawn, f"{selector} is drawn", every=0.05)
    return np.array(values).reshape(height, width, 4)


def test_a_filter_is_chosen_by_its_number_or_a_click(tab):
    before = levels(tab, "#filter-card canvas")
    assert before[..., :3].std() > 10
    tab.fill("#filter-number", "3")
    assert tab.inner_text("#filter-card h3") == "Filter 3"
    assert (levels(tab, "#filter-card canvas") != before).any()
    tab.locator("#filter-gallery").click(position={"x": 8, "y": 8})
    assert tab.inner_text("#filter-card h3") == "Filter 0"
    assert tab.input_value("#filter-number") == "0"
    assert (levels(tab, "#filter-card canvas") == before).all()


def test_patches_are_shown_instead_of_filters(tab):
    tab.select_option("#filter-view", "patches")
    assert "256 of 300 patches are shown" in tab.inner_text("#filter-note")
    assert tab.locator("#filter-number").is_disabled()
    assert tab.locator("#filter-card").is_hidden()
    assert levels(tab, "#filter-gallery")[..., :3].std() > 10


def test_hand_made_filters_have_their_weights_and_responses(tab):
    rows = tab.locator("#hand-made-table tbody tr")
    assert rows.count() == 6
    for row, name, weights in (
        (rows.first, "edge detection 1", "1 0 \u22121 0 0 0 \u22121 0 1"),
        (rows.last, "Gaussian blur", "1/16 1 2 1 2 4 2 1 2 1"),
    ):
        assert row.locator("th").inner_text().split() == [*name.split(), *weights.split()]
    first, second = (levels(tab, f"#hand-made-table tbody tr:nth-child({row}) canvas") for row in (1, 6))
    assert (first != second).any()
    assert first.shape == (10, 10, 4)


def test_the_steps_are_those_of_the_chosen_image(tab, predictions):
    titles = ["Image", "Filters", "Convolve", "ReLU of both signs", "Pool", "Flatten", "Classify"]
    assert tab.locator("#pipeline h3").all_inner_texts() == titles
    assert tab.locator("#examples button").count() == 12
    maps = "#pipeline > li:nth-child(3) canvas"
    first = levels(tab, maps)
    assert first.shape == (9, 9, 4)
    for number in (1, 2):
        tab.locator("#examples button").nth(number).click()
        assert tab.locator("#examples [aria-pressed=true]").count() == 1
        row = predictions.iloc[int(tab.inner_text("#pipeline > li:first-child p bdi:first-child"))]
        shown = tab.locator("#pipeline tbody tr").all_inner_texts()
        names = SHOWN
        order = np.argsort(-row.scores)
        assert [names[place] in text for place, text in zip(order, shown, strict=True)] == [True] * 3
        wanted = [f"{row.scores[place]:.2f}".replace("-", "\u2212") for place in order]
        assert [text.split()[-1] for text in shown] == wanted
        assert "predicted" in shown[0]
    assert (levels(tab, maps) != first).any()
    assert levels(tab, "#pipeline > li:first-child canvas")[..., :3].std() > 10


def test_a_cell_of_the_matrix_opens_its_images(tab, predictions):
    names = sorted(NAMES.values())
    shown = tab.locator("#matrix button").all_inner_texts()
    pairs = [(label, predicted) for label in names for predicted in names]
    images = [int(((predictions.label == label) & (predictions.predicted == name)).sum()) for label, name in pairs]
    assert shown == [str(round(100 * count / (TEST_IMAGES / 3))) for count in images]
    for cell, ((label, predicted), count) in enumerate(zip(pairs, images, strict=True)):
        tab.locator("#matrix button").nth(cell).click()
        label, predicted = (SHOWN[names.index(name)] for name in (label, predicted))
        assert tab.inner_text("#cell h3") == f"{label} predicted as {predicted}"
        assert f"{count} of 20 images ({100 * count / 20:.1f} %)" in tab.inner_text("#cell p")
        assert tab.locator("#cell canvas").count() == min(count, 5)
        assert ("5 with the largest margin are shown" in tab.inner_text("#cell p")) == (count > 5)


def test_arrows_move_between_cells(tab):
    tab.locator("#matrix button").first.click()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "End"):
        tab.keyboard.press(key)
    tab.keyboard.press("Enter")
    assert tab.locator("#matrix button").nth(8).get_attribute("aria-pressed") == "true"
    assert tab.locator("#matrix button[tabindex='0']").count() == 1
    names = SHOWN
    assert tab.inner_text("#cell h3") == f"{names[2]} predicted as {names[2]}"


def test_the_surest_errors_come_first(tab, predictions):
    scores = np.sort(np.stack(predictions.scores), axis=1)
    margins = (scores[:, -1] - scores[:, -2])[predictions.label != predictions.predicted]
    wanted = [f"margin {margin:.2f}" for margin in sorted(margins, reverse=True)[:24]]
    shown = tab.locator("#error-list li").all_inner_texts()
    assert [text.splitlines()[-1].split(",")[0] for text in shown] == wanted
    assert levels(tab, "#error-list canvas")[..., :3].std() > 10


def test_methods_have_their_values_and_differences(tab):
    tables = tab.locator("#street-fight-tables table")
    assert tables.locator("caption").all_inner_texts() == [
        "encoding: accuracy, 800 training images",
        "class imbalance: 10:1, 440 training images",
    ]
    cells = [row.split() for row in tables.first.locator("tbody tr").all_inner_texts()]
    assert cells == [["relu", "50.6", "%", "+1.6", "±", "2.6"], ["two", "signs", "49.0", "%", "base"]]
    assert tables.nth(1).locator(".bold").all_inner_texts() == ["\u22127.8 ± 1.2"]
    dots = tables.first.locator("tbody .dot").evaluate_all("(dots) => dots.map((dot) => dot.style.left)")
    assert [float(left.rstrip("%")) for left in dots] == pytest.approx([53.0, 45.0])
    whisker = tables.first.locator("tbody .whisker").first
    assert whisker.evaluate("(line) => [line.style.left, line.style.width]") == ["0%", "100%"]


def test_hand_made_features_are_ordered_by_accuracy(tab):
    rows = tab.locator("#baseline-table tbody tr").all_inner_texts()
    assert ["HoG" in rows[0], "62.5 %" in rows[0], "55.0 % to 69.0 %" in rows[0]] == [True] * 3
    assert "plain pixels" in rows[1]


def test_a_part_that_was_not_made_says_so_and_others_are_shown(visit, tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse")
    publish_filters(warehouse, planted_images(3)[0])
    publish_comparisons(warehouse)
    tab = visit.open(written(warehouse), "pictures.html")
    assert tab.locator(".notice").count() == 4
    assert "the confusion matrix" in tab.inner_text("section[aria-labelledby=confusion] .notice")
    assert tab.inner_text("#filter-card h3") == "Filter 0"
    assert tab.locator(".intervals").count() == 3
