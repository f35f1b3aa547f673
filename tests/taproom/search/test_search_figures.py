import io

import numpy as np
import pytest
from PIL import Image

from taproom.drawing import PALETTE
from taproom.search import search_figures as figures
from taproom.search.importances import importances
from taproom.search.space import Choice, Integer, Real
from taproom.search.trials import Trial
from tests.made_up_trials import BANDWIDTH, SPACE, failed, searched, settings_of, with_rungs

pytestmark = pytest.mark.filterwarnings("error")

HOW = {"title": "A search of $5", "unit": "epochs", "higher_is_better": False}


def drawn(trials, space, **how) -> bytes:
    return figures.trials(trials, space, importances(trials, space), **how)


def row(number, verdict, difference=None, half=0.02, why="in so many words"):
    low, high = (None, None) if difference is None else (difference - half, difference + half)
    return {
        "number": number,
        "verdict": verdict,
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "why": why,
    }


def picture(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(png) < 1_000_000
    drawn = Image.open(io.BytesIO(png)).convert("RGB")
    assert 80 < min(drawn.size) <= max(drawn.size) < 2_500
    return drawn


def has(colour, png):
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8).astype(int)
    found = np.array([found for _, found in picture(png).getcolors(maxcolors=2**24)])
    return np.abs(found - wanted).max(axis=1).min() < 25


def offset_only(setting):
    return setting["offset"] ** 2


@pytest.mark.parametrize(
    "tried",
    [[], searched(SPACE, 5), searched(SPACE, 20, lambda setting: 0.5), [failed(n) for n in range(8)]],
    ids=["none", "few", "all equal", "all failed"],
)
def test_where_nothing_can_be_said_there_are_no_importances_and_the_figure_is_drawn(tried):
    assert importances(tried, SPACE) == {}
    picture(drawn(tried, SPACE, **HOW))


@pytest.mark.parametrize(("count", "higher_is_better"), [(1, False), (2, True), (40, True), (300, False)])
def test_any_number_of_trials_is_drawn(count, higher_is_better):
    png = drawn(searched(SPACE, count), SPACE, **{**HOW, "higher_is_better": higher_is_better})
    assert has(PALETTE[0], png)
    assert has(figures.BEST, png)


def test_the_best_depends_on_what_is_better():
    tried = searched(SPACE, 10)
    low, high = (drawn(tried, SPACE, **{**HOW, "higher_is_better": better}) for better in (False, True))
    assert low != high


@pytest.mark.parametrize("space", [BANDWIDTH, {"filters": Choice((64, 128))}, {"k": Integer(2, 3)}])
def test_a_single_parameter_is_drawn(space):
    assert has(figures.BEST, drawn(searched(space, 8), space, **HOW))


def test_many_parameters_with_long_names_are_drawn():
    space = {f"a_parameter_with_a_long_name_{number}": Real(0, 1) for number in range(14)}
    picture(drawn(searched(space, 10), space, **HOW))


def test_failed_trials_are_marked():
    tried = searched(SPACE, 6)
    assert not has(PALETTE[3], drawn(tried, SPACE, **HOW))
    assert has(PALETTE[3], drawn([*tried, failed(6), failed(7)], SPACE, **HOW))


def test_a_trial_that_failed_after_a_rung_is_drawn():
    tried = with_rungs(9)
    picture(drawn([*tried, failed(9, budgets=(3,), values=(0.4,))], SPACE, **HOW))


def test_settings_that_leave_something_to_the_product_have_a_value_and_no_line():
    first = Trial(0, {**settings_of(SPACE, 1)[0], "rate": None, "pooling": None}, 0, (10,), (3.0,))
    picture(drawn([first], SPACE, **HOW))
    rest = searched(SPACE, 8)[1:]
    picture(drawn([first, *rest], SPACE, **HOW))


@pytest.mark.parametrize("count", [1, 3, 90])
def test_learning_curves_are_drawn_where_there_are_rungs(count):
    assert has(figures.BEST, drawn(with_rungs(count), SPACE, **HOW))


def test_what_was_stopped_where_is_seen():
    tried = with_rungs(9)
    later = [
        Trial(trial.number, trial.parameters, trial.seed, (9,), trial.values, "stopped")
        if trial.state == "stopped"
        else trial
        for trial in tried
    ]
    assert drawn(tried, SPACE, **HOW) != drawn(later, SPACE, **HOW)


def test_one_value_far_away_does_not_flatten_the_others():
    tried = searched(SPACE, 20, offset_only)
    far, farther = ([*tried, Trial(20, tried[0].parameters, 0, (10,), (value,))] for value in (1e9, 1e12))
    low, high = figures._limits([trial.value for trial in far], False, 0.0)
    assert low == min(trial.value for trial in tried)
    assert high < 1
    assert figures._limits([-trial.value for trial in far], True, 0.0) == (-high, -low)
    assert drawn(far, SPACE, **HOW) == drawn(farther, SPACE, **HOW)


def test_the_same_trials_are_the_same_bytes():
    tried = with_rungs(12)
    assert drawn(tried, SPACE, **HOW) == drawn(tried, SPACE, **HOW)


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_challenges_are_drawn_and_the_crowned_stand_out(higher_is_better):
    how = {"title": "topics: $ challenges", "higher_is_better": higher_is_better}
    quiet = [row(0, "first"), row(1, "refused", 0.01), row(2, "pinned"), row(3, "refused"), row(4, "released")]
    assert not has(PALETTE[2], figures.challenges(quiet, **how))
    assert has(PALETTE[2], figures.challenges([*quiet, row(5, "crowned", -0.05, why="$" + "long " * 60)], **how))


@pytest.mark.parametrize(
    "rows",
    [[], [row(0, "first")], [row(0, "first"), row(1, "crowned", 0.0, half=0.0)]],
    ids=["none", "first", "no noise"],
)
def test_few_challenges_are_drawn(rows):
    picture(figures.challenges(rows, title="few", higher_is_better=True))


def test_the_newest_of_many_challenges_are_drawn():
    rows = [row(number, "refused", 0.01 * number) for number in range(400)]
    many = figures.challenges(rows, title="many", higher_is_better=True)
    assert picture(many).height < 1_600
    rows[0] = row(0, "crowned", -9.0)
    assert figures.challenges(rows, title="many", higher_is_better=True) == many


def test_the_champion_is_drawn_beside_what_was_first_set_by_hand():
    first, own = settings_of(SPACE, 2)
    moved = figures.champion(first, own, SPACE, title="filters: $ champion")
    assert has(PALETTE[0], moved)
    assert has(PALETTE[1], moved)
    assert moved != figures.champion(first, first, SPACE, title="filters: $ champion")


def test_a_champion_with_values_outside_of_the_space_or_none_is_drawn():
    first, own = settings_of(SPACE, 2)
    odd = {**own, "rate": None, "nodes": 10**6, "pooling": "$median"}
    picture(figures.champion({**first, "rate": None}, odd, SPACE, title="odd"))
    picture(figures.champion(odd, first, SPACE, title="odd"))
    picture(figures.champion({"bandwidth": None}, {"bandwidth": None}, BANDWIDTH, title="by itself"))
