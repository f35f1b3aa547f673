"""The page of the map, used as a person does."""

import csv
import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from taproom.maps.out_of_sample import ItemMap
from taproom.warehouse.warehouse import Warehouse
from tests.browser import CHROMIUM, FLAGS, Visit, until
from tests.shown_reviews import BREWERS
from tests.shown_tables import HOSTILE

pytestmark = pytest.mark.slow


@pytest.fixture
def tab(visit, pages):
    return visit.open(pages, "map.html")


@pytest.fixture(scope="module")
def shared_tab(shared_visit, pages):
    """For tests of functions without effects, and of choices that each of them makes."""
    return shared_visit.open(pages, "map.html")


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


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("beer number 10", "Beer number 10"),
        ("NUMBER 5", "Beer number 50"),  # of all that begin so, the one with the most reviews
        ("59 beer", "Beer number 59"),
        ("berr nmber 33", "Beer number 33"),
        ("qqqqq 44", "Beer number 44"),  # no name has both
        ("eer numb", "Beer number 9"),  # a part of words
        ("qqqqq", None),
    ],
)
def test_names_are_found_in_a_sensible_order(shared_tab, typed, first):
    shared_tab.evaluate("Taproom.page.search.indexed")
    names = "(typed) => Taproom.page.search.find(typed).map((id) => Taproom.data.map.names[id])"
    found = shared_tab.evaluate(names, typed)
    assert (found or [None])[0] == first


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


@pytest.mark.parametrize("colour", ["category", "mean score", "number of reviews", "brewer", "strength", "taste"])
def test_colours_follow_what_is_chosen(shared_tab, colour):
    shared_tab.select_option("#colour", label=colour)
    shades = shared_tab.evaluate(
        "[...document.querySelectorAll('.swatch')].map((each) => getComputedStyle(each).backgroundColor)"
    )
    assert 2 <= len(shades) <= 9
    assert len(set(shades)) == len(shades)
    drawn = {tuple(pixel) for pixel in picture(shared_tab).reshape(-1, 3)[::3]}
    assert len(drawn) > 20


def test_attributes_that_tell_items_apart_are_no_colours(tab):
    choices = tab.locator("#colour option").all_inner_texts()
    assert choices[3:] == ["brewer", "strength", "taste"]  # and not label
    tab.select_option("#colour", label="brewer")
    assert sorted(tab.locator("#legend li").all_inner_texts()) == sorted(BREWERS)
    tab.select_option("#colour", label="strength")
    assert tab.locator("#legend li").all_inner_texts()[0].startswith("4 to ")
    assert tab.locator("#legend li").all_inner_texts()[-1].endswith(" to 8.5")


def test_an_item_has_a_line_to_where_it_was(tab):
    search(tab, "Beer number 42")
    assert "Has moved by 0.5 since the map before" in tab.inner_text("#card")
    orange = np.array([0xD5, 0x5E, 0x00])
    tab.select_option("#colour", label="taste")  # has no such colour
    tab.click("[aria-label='Show the whole map']")
    tab.wait_for_timeout(300)
    assert (np.abs(picture(tab) - orange).sum(axis=2) < 40).sum() > 100
    search(tab, "Beer number 59")
    assert "New: it was not on the map before." in tab.inner_text("#card")


def test_an_entry_of_the_legend_makes_its_items_stand_out(tab):
    before = coloured(picture(tab))
    tab.locator(".legend button").first.click()
    assert tab.locator(".legend button").first.get_attribute("aria-pressed") == "true"
    assert coloured(picture(tab)) < before


def surround(tab, left: float, top: float, right: float, bottom: float, drawn) -> None:
    """Draw a line around a part of the map, in shares of its width and height, by an action between down and up."""
    box = tab.locator("#map canvas").bounding_box()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for x, y in places[1:]:
        tab.mouse.move(x, y, steps=4)
    drawn()
    tab.mouse.up()


def seen(tab) -> dict[int, tuple[float, float]]:
    """The place of each item on the map, in shares of its width and height."""
    places = tab.evaluate(
        "(() => { const { map } = Taproom.page; const [view] = map.deck.getViewports(); return"
        " Array.from(map.radii, (_, index) => Taproom.Labels.project(view, map.positions[2], index))"
        ".map(([x, y]) => [x / view.width, y / view.height]); })()"
    )
    return {index: (x, y) for index, (x, y) in enumerate(places)}


def test_items_inside_a_line_are_chosen_with_words_that_set_them_apart(tab, pages):
    wanted = [index for index, (x, y) in seen(tab).items() if 0.1 < x < 0.5 and 0.1 < y < 0.6]
    before = coloured(picture(tab))
    tab.click("#lasso")
    surround(tab, 0.1, 0.1, 0.5, 0.6, lambda: None)
    tab.wait_for_selector("#chosen h2")
    assert tab.inner_text("#chosen h2") == f"{len(wanted)} items"
    assert coloured(picture(tab)) < before
    names = tab.evaluate("Taproom.data.map.names")
    assert [text.strip() for text in tab.locator("#chosen ul button").all_inner_texts()] == [
        tab.evaluate(f"Taproom.data.map.names[{index}].trim() || Taproom.data.map.item_ids[{index}]")
        for index in wanted
    ]
    first = tab.locator(".apart tbody tr").first.locator("th, td").all_inner_texts()
    words = tab.evaluate("Taproom.data.map.vocabulary")
    shown = tab.evaluate("Array.from(Taproom.indices(Taproom.data.map.words))")
    has = np.array([first[0] in [words[word] for word in shown[12 * index : 12 * index + 12] if word >= 0]
                    for index in range(len(names))])  # fmt: skip
    inside, outside = has[wanted].mean(), np.delete(has, wanted).mean()
    assert first[1:] == [f"{100 * inside:.1f} %", f"{100 * outside:.1f} %"]
    assert inside > outside
    tab.click("text=Show all items again")
    assert coloured(picture(tab)) == pytest.approx(before, rel=0.05)


def test_shift_and_drag_chooses_and_does_not_move_the_map(tab):
    camera = tab.evaluate("Taproom.page.map.camera.target")
    tab.keyboard.down("Shift")
    surround(tab, 0.2, 0.2, 0.8, 0.8, lambda: tab.wait_for_selector(".lasso polygon[points*=' ']", state="attached"))
    tab.keyboard.up("Shift")
    inside = [index for index, (x, y) in seen(tab).items() if 0.2 < x < 0.8 and 0.2 < y < 0.8]
    assert tab.inner_text("#chosen h2") == f"{len(inside)} items"
    assert tab.evaluate("Taproom.page.map.camera.target") == camera


def test_what_is_in_view_is_chosen_by_keyboard_and_saved(tab):
    tab.evaluate("Taproom.page.map.look({ zoom: Taproom.page.map.camera.zoom + 1 })")
    tab.wait_for_timeout(200)
    inside = [index for index, (x, y) in seen(tab).items() if 0 <= x <= 1 and 0 <= y <= 1]
    assert 0 < len(inside) < 60
    tab.focus("#in-view")
    tab.keyboard.press("Enter")
    assert tab.inner_text("#chosen h2") == f"{len(inside)} items"
    with tab.expect_download() as download:
        tab.click("text=Download as CSV")
    with pathlib.Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    data = tab.evaluate("({ ids: Taproom.data.map.item_ids, names: Taproom.data.map.names })")
    assert [row["item_id"] for row in rows] == [data["ids"][index] for index in inside]
    assert list(rows[0]) == ["item_id", "name", "category", "reviews", "score", "x", "y"]
    assert all(
        row["name"] in (data["names"][index], data["ids"][index]) for row, index in zip(rows, inside, strict=True)
    )
    assert all(int(row["reviews"]) == 60 - int(row["item_id"][5:]) for row in rows)


@pytest.mark.parametrize(
    ("text", "field"),
    [("ale", "ale"), ("a, b", '"a, b"'), ('say "x"\n', '"say ""x""\n"'), ("=1+1", "'=1+1"), ("@a,b", '"\'@a,b"'),
     ("-ale", "'-ale"), (None, "")],
)  # fmt: skip
def test_fields_of_csv_are_quoted_and_no_formulas(shared_tab, text, field):
    assert shared_tab.evaluate("(text) => Taproom.csvText(text)", text) == field


def place_text(tab, text: str) -> None:
    if not tab.evaluate("document.getElementById('place').open"):
        tab.click("#place summary")
    tab.fill("#placed-text", text)
    tab.click("#place button")


def test_a_text_is_placed_where_the_product_places_it(tab, pages):
    item_map = ItemMap(Warehouse(pages.parent))
    random = np.random.default_rng(0)
    words = [f"word{number}" for number in range(40)]
    for text in (" ".join(random.choice(words, size)) for size in (1, 3, 10, 30, 100)):
        wanted = item_map.place(f"{text} zzz Unknown, 漢字")
        place_text(tab, f"{text} zzz Unknown, 漢字")
        until(tab, "Taproom.page.map.selected === Taproom.page.map.own")
        distances = [float(each) for each in tab.locator("#place .nearest .value").all_inner_texts()]
        np.testing.assert_allclose(distances, [each.distance for each in wanted.neighbors[:10]], atol=6e-4)
        names = [each.strip() for each in tab.locator("#place .nearest button").all_inner_texts()]
        assert names == [each.item_name[:200].strip() or each.item_id for each in wanted.neighbors[:10]]
        assert tab.inner_text("#place .unknown") == "unknown, zzz, 漢字"
        own = tab.evaluate("[2, 3].map((each) => Array.from(Taproom.page.map.positions[each].slice(-3)))")
        np.testing.assert_allclose(own[0][:2], wanted.positions[2], atol=0.02)
        np.testing.assert_allclose(own[1], wanted.positions[3], atol=0.02)


def test_a_placed_text_is_drawn_and_labelled_with_lines(tab):
    without = picture(tab)
    place_text(tab, "word1 word2 word1")
    until(tab, "[...document.querySelectorAll('.labels .first')].some((each) => each.innerText === 'Your text')")
    tab.click("[aria-label='Show the whole map']")
    tab.wait_for_timeout(300)
    assert (np.abs(picture(tab) - without).sum(axis=2) > 60).sum() > 200
    assert "word1" not in tab.evaluate("location.hash")  # what somebody types stays out of the address
    tab.locator("#place .nearest button").first.click()
    assert tab.inner_text("#card h2") == tab.locator("#place .nearest button").first.inner_text().strip()


@pytest.mark.parametrize(("text", "said"), [("zzz qqq", "None of the 2 words"), ("!", "there is no word")])
def test_a_text_that_has_no_place_is_answered_with_the_reason(tab, text, said):
    place_text(tab, text)
    tab.wait_for_selector("#place .answer .notice")
    until(tab, f"document.querySelector('#place .answer').innerText.includes('{said}')")


def test_what_placing_takes_is_loaded_when_it_is_wanted(tab):
    assert tab.evaluate("Taproom.data.map_bags === undefined")
    tab.click("#place summary")
    until(tab, "Taproom.data.map_bags !== undefined")


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
