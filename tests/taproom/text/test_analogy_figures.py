import numpy as np
import pytest

from taproom.drawing import PALETTE
from taproom.text import analogy_figures as figures
from tests.pictures import ODD_WORDS, has, picture

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(0)
COUNTRIES = ["france", "italy", "greece"]
CAPITALS = ["paris", "rome", "athens"]
STARTS = RANDOM.normal(size=(3, 8))
ENDS = STARTS + 3 + RANDOM.normal(size=(3, 8)) / 4


def section(name="family", known=20, accuracy=0.2, accuracy_of_5=0.5):
    right = {"accuracy": accuracy, "accuracy_of_5": accuracy_of_5}
    return {"section": name, "questions": 506, "known": known, "known_share": known / 506} | right


def nearest(word="car", neighbors=("cars", "bike"), similarities=(0.9, 0.5)):
    return {"word": word, "neighbors": list(neighbors), "similarities": list(similarities)}


@pytest.mark.parametrize(
    ("colours", "draw"),
    [
        (PALETTE[:1] + PALETTE[5:6], lambda: figures.analogies_by_section([section()])),
        (PALETTE[:2], lambda: figures.country_capital_arrows(COUNTRIES, CAPITALS, STARTS, ENDS)),
        (PALETTE[5:6], lambda: figures.nearest_words([nearest()])),
    ],
    ids=lambda _: "figure",
)
def test_a_figure_is_a_picture_with_something_drawn_in_the_palette(colours, draw):
    png = draw()
    assert all(has(colour, png) for colour in colours)


def test_nothing_to_draw_is_drawn():
    assert picture(figures.analogies_by_section([]))
    assert picture(figures.country_capital_arrows([], [], np.zeros((0, 8)), np.zeros((0, 8))))
    assert picture(figures.nearest_words([]))


def test_words_of_any_kind_are_drawn_without_a_warning():
    many = len(ODD_WORDS)
    vectors = RANDOM.normal(size=(2, many, 8))
    assert picture(figures.analogies_by_section([section(word) for word in ODD_WORDS]))
    assert picture(figures.country_capital_arrows(ODD_WORDS, ODD_WORDS, *vectors))
    assert picture(figures.nearest_words([nearest(word, ODD_WORDS, np.linspace(1, 0, 7)) for word in ODD_WORDS[:3]]))


def test_sections_without_known_questions_or_all_right_are_drawn():
    assert picture(figures.analogies_by_section([section("deck", 0, None, None)]))
    assert picture(figures.analogies_by_section([section(accuracy=1.0, accuracy_of_5=1.0)]))


def test_arrows_are_drawn_the_same_way_whatever_sign_their_components_have():
    drawn = figures.country_capital_arrows(COUNTRIES, CAPITALS, STARTS, ENDS)
    assert drawn == figures.country_capital_arrows(COUNTRIES, CAPITALS, -STARTS, -ENDS)


def test_one_pair_many_pairs_and_pairs_in_one_place_are_drawn():
    assert picture(figures.country_capital_arrows(COUNTRIES[:1], CAPITALS[:1], STARTS[:1], ENDS[:1]))
    assert picture(figures.country_capital_arrows(COUNTRIES, CAPITALS, np.ones((3, 8)), np.ones((3, 8))))
    names = [str(number) for number in range(31)]
    vectors = RANDOM.normal(size=(31, 8)).astype(np.float32)
    many = figures.country_capital_arrows(names, names, vectors, vectors + 1)
    changed = np.vstack([vectors[:30], 9 * vectors[30:]])
    assert picture(many)
    assert many == figures.country_capital_arrows(names, names, changed, changed + 1)


def test_the_first_words_and_neighbours_are_shown_and_there_may_be_fewer():
    alone = nearest("alone", [], [])
    rows = [nearest("car", ["near"] * 9, [0.5] * 9)] + [alone] * 20
    assert figures.nearest_words(rows) == figures.nearest_words(
        [nearest("car", ["near"] * 8, [0.5] * 8)] + [alone] * 19
    )
