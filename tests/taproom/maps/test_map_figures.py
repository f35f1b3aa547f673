import numpy as np
import pytest

from taproom import drawing
from taproom.maps import map_figures as figures
from tests.taproom.test_drawing import NAMES, colours, rgb

NUMBERS = np.random.default_rng(0)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: drawing.bars("Rows", {"kept": 10, "rejected": 3, "none": 0}, "rows"),
        lambda: drawing.histogram("Items", np.array([1, 2, 2, 900]), "items"),
        lambda: drawing.zipf("Words", np.array([50, 20, 10, 1])),
        lambda: figures.weighted_words("Ale", ["hop", "malt"], np.array([2.0, 1.0])),
        lambda: figures.map_errors([{"dimension": 2, "kind": "random", "split": "held_out", "error": 0.2}]),
        lambda: figures.map_moves(
            NUMBERS.normal(size=(40, 2)), NUMBERS.normal(size=(40, 2)), [f"item ${n}" for n in range(40)]
        ),
        lambda: figures.map_methods(
            [{"method": "ours", "dimension": 2, "items": 9, "error_random": 0.2, "error_within": 0.4}]
        ),
        lambda: figures.map_methods(
            [{"method": "ours", "dimension": 2, "items": 9, "trustworthiness": 0.9, "continuity": 0.8}]
        ),
    ],
)
def test_a_figure_is_a_picture_with_something_drawn_in_the_palette(draw):
    assert rgb(drawing.PALETTE[0]) in colours(draw())


def test_distances_by_rank_take_a_single_neighbour():
    assert colours(figures.distances_by_rank(np.array([[0.1], [0.5]])))


def test_the_map_has_a_colour_for_each_of_the_common_categories_and_grey_for_the_rest():
    categories = [f"style {number % 10}" for number in range(200)] + [None] * 50
    png = figures.item_map(
        NUMBERS.normal(size=(250, 2)), [f"item {n}" for n in range(250)], categories, np.arange(1, 251), "Map"
    )
    assert len(colours(png)) > 50


def test_the_map_takes_items_in_one_place_names_of_any_length_and_no_categories():
    names = ["a name that is much longer than any label can be on a map of items", "", r"$\frac{ $5 $"]
    png = figures.item_map(np.zeros((3, 2)), names, ["$\\bad{$", None, "_"], np.ones(3), "$ and $")
    assert colours(png)


def test_map_methods_take_maps_without_triplets_and_more_methods_than_colours():
    row = {"dimension": 2, "items": 5, "error_random": 0.2, "error_within": None}
    assert colours(figures.map_methods([{"method": f"method {number}", **row} for number in range(12)]))
    assert colours(figures.map_methods([]))


@pytest.mark.filterwarnings("error")  # matplotlib warns of a character that no font has
@pytest.mark.parametrize(
    "draw",
    [
        lambda names: drawing.bars("精酿", dict.fromkeys(names, 5), "杯"),
        lambda names: figures.weighted_words(names[0], names, np.arange(len(names), 0.0, -1)),
        lambda names: figures.item_map(
            np.arange(2.0 * len(names)).reshape(-1, 2), names, names, np.arange(len(names)), "지도"
        ),
    ],
    ids=["bars", "weighted words", "item map"],
)
def test_names_in_any_script_are_drawn(draw):
    assert colours(draw(list(NAMES.values())))
