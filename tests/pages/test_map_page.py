"""The page of the map, used as a person does."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.browser import CHROMIUM, FLAGS, Visit, until
from tests.shown_tables import HOSTILE

pytestmark = pytest.mark.slow


@pytest.fixture
def tab(visit, pages):
    return visit.open(pages, "map.html")


def picture(tab) -> np.ndarray:
    """The pixels of the map as they are drawn, without its labels."""
    tab.evaluate("document.querySelector('.labels').style.visibility = 'hidden'")
    tab.wait_for_timeout(150)
    shot = Image.open(io.BytesIO(tab.locator("#map canvas").screenshot()))
    tab.evaluate("document.querySelector('.labels').style.visibility = ''")
    return np.asarray(shot.convert("RGB")).astype(int)


def coloured(pixels: np.ndarray) -> int:
    """How many pixels are of a colour rather than grey."""
    return int((np.ptp(pixels, axis=2) > 40).sum())


def labels(tab) -> list[str]:
    return tab.locator(".labels span").all_inner_texts()


def search(tab, typed: str) -> None:
    tab.fill("#search-input", typed)
    tab.wait_for_selector("[role=option]")
    tab.press("#search-input", "Enter")


def test_points_are_drawn_in_their_colours(tab):
    assert coloured(picture(tab)) > 500


def test_labels_do_not_overlap_and_more_appear_with_zoom(tab):
    def shown() -> int:
        boxes = [label.bounding_box() for label in tab.locator(".labels span").all()]
        for place, box in enumerate(boxes):
            for other in boxes[:place]:
                apart_x = box["x"] >= other["x"] + other["width"] or other["x"] >= box["x"] + box["width"]
                apart_y = box["y"] >= other["y"] + other["height"] or other["y"] >= box["y"] + box["height"]
                assert apart_x or apart_y
        return len(boxes)

    def points_in_view() -> int:
        return tab.evaluate(
            "(() => { const { map } = Taproom.page; const [view] = map.deck.getViewports(); let count = 0;"
            " for (let index = 0; index < map.radii.length; index++) {"
            " const [x, y] = Taproom.Labels.project(view, map.positions[2], index);"
            " count += x > 0 && x < view.width && y > 0 && y < view.height; } return count; })()"
        )

    before, all_points = shown(), points_in_view()
    tab.click("[aria-label='Zoom in']")
    tab.wait_for_timeout(300)
    assert points_in_view() < all_points
    assert shown() / points_in_view() > before / all_points


def test_a_name_with_a_typing_error_is_found_and_flown_to(tab):
    before = tab.evaluate("Taproom.page.map.camera.zoom")
    search(tab, "beer numbr 42")
    assert tab.inner_text("#card h2") == "Beer number 42"
    until(tab, "location.hash.includes('item=beer_00042')")
    assert tab.evaluate("Taproom.page.map.camera.zoom") > before
    x, y, _ = tab.evaluate("Array.from(Taproom.page.map.point(Taproom.page.map.selected))")
    assert tab.evaluate("Taproom.page.map.camera.target.slice(0, 2)") == pytest.approx([x, y], abs=1e-4)
    assert "Beer number 42" in labels(tab)


def test_a_card_has_words_scores_and_the_nearest_items_with_lines(tab):
    without = picture(tab)
    search(tab, "Beer number 41")
    card = tab.inner_text("#card")
    assert "19 reviews" in card
    assert "mean score 1.5" in card
    words = tab.locator(".bag li")
    sizes = [float(word.evaluate("(word) => parseFloat(getComputedStyle(word).fontSize)")) for word in words.all()]
    assert len(sizes) == 12
    assert sizes == sorted(sizes, reverse=True)
    distances = [float(text) for text in tab.locator(".nearest .value").all_inner_texts()]
    assert len(distances) == 10
    assert distances == sorted(distances)
    tab.click("[aria-label='Show the whole map']")
    tab.wait_for_timeout(300)
    assert (np.abs(picture(tab) - without).sum(axis=2) > 60).sum() > 200  # lines and rings


def test_a_nearest_item_is_clicked(tab):
    search(tab, "Beer number 30")
    name = tab.locator(".nearest button").first.inner_text()
    tab.locator(".nearest button").first.click()
    assert tab.inner_text("#card h2") == name.strip()


def test_a_point_is_pointed_at_and_clicked(tab):
    search(tab, "Beer number 42")  # which is in the middle then, and nothing else as near
    tab.evaluate("Taproom.page.map.fly({ zoom: Taproom.page.map.camera.zoom + 3 })")
    tab.evaluate("Taproom.page.link.select(0, false)")
    until(tab, "location.hash.includes('item=beer_00000')")
    box = tab.locator("#map canvas").bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    until(tab, "[...document.querySelectorAll('.labels .first')].some((each) => each.innerText === 'Beer number 42')")
    tab.mouse.down()
    tab.mouse.up()
    until(tab, "document.querySelector('#card h2').innerText === 'Beer number 42'")


def test_three_dimensions_turn(tab):
    tab.select_option("#dimension", "3")
    tab.wait_for_timeout(300)
    before = picture(tab)
    assert coloured(before) > 500
    box = tab.locator("#map canvas").bounding_box()
    tab.mouse.move(box["x"] + 300, box["y"] + 300)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 420, box["y"] + 330, steps=4)
    tab.mouse.up()
    tab.wait_for_timeout(400)
    assert (np.abs(picture(tab) - before).sum(axis=2) > 60).sum() > 500
    assert "dimension=3" in tab.evaluate("location.hash")
    assert "turn=" in tab.evaluate("location.hash")


@pytest.mark.parametrize("colour", ["category", "score", "reviews"])
def test_colours_follow_what_is_chosen(tab, colour):
    tab.select_option("#colour", colour)
    shades = tab.evaluate(
        "[...document.querySelectorAll('.swatch')].map((each) => getComputedStyle(each).backgroundColor)"
    )
    assert 2 <= len(shades) <= 9
    assert len(set(shades)) == len(shades)
    drawn = {tuple(pixel) for pixel in picture(tab).reshape(-1, 3)[::3]}
    assert len(drawn) > 20


def test_an_entry_of_the_legend_makes_its_items_stand_out(tab):
    before = coloured(picture(tab))
    tab.locator(".legend button").first.click()
    assert tab.locator(".legend button").first.get_attribute("aria-pressed") == "true"
    assert coloured(picture(tab)) < before


def test_a_link_shows_the_same(visit, pages):
    tab = visit.open(pages, "map.html#item=beer_00042&colour=score&dimension=3&x=0.1&y=0.2&z=0&zoom=9&tilt=10&turn=70")
    assert tab.inner_text("#card h2") == "Beer number 42"
    assert tab.input_value("#colour") == "score"
    assert tab.input_value("#dimension") == "3"
    camera = tab.evaluate("Taproom.page.map.camera")
    assert (camera["zoom"], camera["rotationOrbit"]) == (9, 70)


def test_the_keyboard_moves_and_zooms(tab):
    tab.focus("#map canvas")
    before = tab.evaluate("Taproom.page.map.camera.target[0]")
    tab.keyboard.press("ArrowRight")
    until(tab, f"Taproom.page.map.camera.target[0] !== {before}")
    zoom = tab.evaluate("Taproom.page.map.camera.zoom")
    tab.keyboard.press("+")
    until(tab, f"Taproom.page.map.camera.zoom > {zoom}")


def test_hostile_names_are_texts(tab):
    for name in HOSTILE[:5]:
        tab.evaluate(f"Taproom.page.link.select({HOSTILE.index(name)}, true)")
        assert tab.inner_text("#card h2") == name.strip()
    assert tab.title() == "Map - Taproom"
    assert tab.locator("#card script, #card img, #card b, .labels img, .labels script").count() == 0


def test_a_blank_name_is_shown_as_its_id(tab):
    tab.evaluate(f"Taproom.page.link.select({HOSTILE.index(' ')}, true)")
    assert tab.inner_text("#card h2") == f"beer_{HOSTILE.index(' '):05d}"


def test_the_policy_forbids_scripts_that_are_not_ours(visit, pages):
    tab = visit.open(pages, "map.html")
    tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"document.title = 1\">')")
    tab.wait_for_timeout(200)
    assert tab.title() == "Map - Taproom"
    assert any("Content Security Policy" in problem for problem in visit.problems)
    visit.problems.clear()


def test_without_webgl_the_page_shows_a_picture(chromium, pages):
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS[1:], "--disable-3d-apis"])
    visit = Visit(browser)
    tab = visit.open(pages, "map.html")
    assert "no WebGL" in tab.inner_text("#map")
    search(tab, "Beer number 42")
    assert tab.inner_text("#card h2") == "Beer number 42"
    browser.close()
