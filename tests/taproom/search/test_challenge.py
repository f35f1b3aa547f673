import json
from dataclasses import dataclass

import numpy as np
import pytest

from taproom.errors import InputError
from taproom.intervals import Interval
from taproom.search.challenge import (
    Challenger,
    Comparison,
    came_to_nothing,
    compare,
    decide,
    judge,
    reigning,
)
from taproom.search.space import Integer, Real
from taproom.search.trials import Plan

FIRST = {"x": 0.5}
SPACE = {"x": Real(0.0, 1.0)}
FOUND = Challenger("nightly", "abc", trials=8, trial=5, parameters={"x": 0.3})


def judged(wins: bool):
    difference = Interval(0.1, 0.02, 0.18) if wins else Interval(0.1, -0.02, 0.22)
    return lambda challenger, champion: Comparison(Interval(0.9, 0.8, 1.0), difference, 40, wins)


def never(challenger, champion):
    raise AssertionError("there is nothing to judge")


def verdicts(rows) -> list[str]:
    return [row["verdict"] for row in rows]


class TestCompare:
    def test_a_difference_beyond_noise_wins_in_the_direction_that_is_better(self):
        champion = np.random.default_rng(0).normal(size=200)
        better = champion + np.random.default_rng(1).normal(0.5, 0.5, size=200)
        assert compare(better, champion, higher_is_better=True).wins
        assert not compare(better, champion, higher_is_better=False).wins
        assert compare(champion, better, higher_is_better=False).wins

    def test_noise_does_not_win(self):
        random = np.random.default_rng(0)
        won = [compare(*random.normal(size=(2, 50)), higher_is_better=True).wins for _ in range(400)]
        assert np.mean(won) < 0.06

    def test_units_are_compared_one_by_one(self):
        champion = np.random.default_rng(0).normal(0, 10, size=50)
        assert compare(champion + 0.1, champion, higher_is_better=True).wins  # far less than they vary

    def test_equal_scores_do_not_win(self):
        assert not compare(np.ones(5), np.ones(5), higher_is_better=True).wins

    @pytest.mark.parametrize(
        ("challenger", "champion", "told"),
        [
            (np.ones(3), np.ones(4), "the same units"),
            (np.ones(1), np.ones(1), "at least two"),
            (np.array([1.0, np.nan]), np.ones(2), "all finite"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, challenger, champion, told):
        with pytest.raises(InputError, match=told):
            compare(challenger, champion, higher_is_better=True)


@pytest.mark.slow
def test_both_settings_are_judged_with_the_larger_budget_and_one_seed_whatever_the_workers():
    @dataclass(frozen=True)
    class Lucky:
        def fresh_scores(self, parameters, budget, seed):
            return np.random.default_rng(seed).normal(parameters["x"] * budget, 1, 100)

    plan = Plan("random", 4, higher_is_better=True)
    found = judge(Lucky(), {"x": 3.0}, {"x": 1.0}, 2, plan, n_jobs=1)
    assert found.difference.mean == pytest.approx(4.0)
    assert found.challenger.mean == pytest.approx(6.0, abs=0.3)
    assert found == judge(Lucky(), {"x": 3.0}, {"x": 1.0}, 2, plan, n_jobs=2)


class TestDecide:
    def test_the_first_champion_is_the_one_set_by_hand(self):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=False))
        assert verdicts(rows) == ["first", "refused"]
        assert json.loads(reigning(rows)["parameters"]) == FIRST
        assert "not better beyond noise: +0.1 (-0.02 to +0.22) on 40 fresh units" in rows[1]["why"]

    def test_one_that_wins_is_crowned(self):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=True))
        assert verdicts(rows) == ["first", "crowned"]
        crowned = reigning(rows)
        assert (json.loads(crowned["parameters"]), crowned["search"], crowned["trial"]) == ({"x": 0.3}, "nightly", 5)
        assert (crowned["value"], crowned["value_low"], crowned["difference_low"]) == (0.9, 0.8, 0.02)

    @pytest.mark.parametrize("wins", [True, False])
    def test_what_was_decided_is_not_decided_again(self, wins):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=wins))
        assert decide(rows, FOUND, FIRST, SPACE, never) == []

    def test_one_refused_may_challenge_another_champion(self):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=False))
        other = Challenger("weekly", "def", trials=8, trial=1, parameters={"x": 0.2})
        rows += decide(rows, other, FIRST, SPACE, judged(wins=True))
        assert verdicts(decide(rows, FOUND, FIRST, SPACE, judged(wins=False))) == ["refused"]

    def test_the_champions_own_setting_is_no_challenge(self):
        rows = decide([], Challenger("nightly", "abc", 8, 0, FIRST), FIRST, SPACE, never)
        assert rows[-1]["why"] == "the best setting found is the champion's own"

    def test_where_all_trials_failed_the_champion_stays_and_the_reason_is_kept(self):
        nobody = Challenger("nightly", "abc", 8, None, None, reason="ValueError: no")
        rows = decide([], nobody, FIRST, SPACE, never)
        assert verdicts(rows) == ["first", "refused"]
        assert rows[-1]["why"] == "all 8 trials failed; the first: ValueError: no"
        assert decide(rows, nobody, FIRST, SPACE, never) == []

    def test_where_nothing_could_be_tried_the_reason_is_kept(self):
        rows = decide([], Challenger("nightly", "abc", 0, None, None, "too few documents"), FIRST, SPACE, never)
        assert rows[-1]["why"] == "nothing could be tried: too few documents"

    def test_one_that_cannot_be_judged_is_refused(self):
        def too_few(challenger, champion):
            raise InputError("too few events")

        def singular(challenger, champion):
            raise np.linalg.LinAlgError("singular")

        told = "could not be judged: LinAlgError: singular"
        assert decide([], FOUND, FIRST, SPACE, singular)[-1]["why"] == told
        assert came_to_nothing(decide([], FOUND, FIRST, SPACE, singular)[-1])
        assert not came_to_nothing(decide([], FOUND, FIRST, SPACE, judged(wins=False))[-1])
        assert decide([], FOUND, FIRST, SPACE, too_few)[-1]["why"] == "could not be judged: InputError: too few events"

    def test_a_person_can_pin_a_champion_and_release_it(self):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=True), pin={"x": 0.9})
        assert verdicts(rows) == ["first", "pinned", "refused"]
        assert rows[-1]["why"] == "the champion is pinned"
        assert decide(rows, FOUND, FIRST, SPACE, never, pin={"x": 0.9}) == []
        later = Challenger("later", "ghi", 8, 2, {"x": 0.1})
        rows += decide(rows, later, FIRST, SPACE, never)
        assert json.loads(reigning(rows)["parameters"]) == {"x": 0.9}
        rows += decide(rows, later, FIRST, SPACE, judged(wins=True), release=True)
        assert verdicts(rows)[-2:] == ["released", "crowned"]

    @pytest.mark.parametrize("wrong", [{"x": 1.5}, {"x": "abc"}, {"x": None}, {}, {"x": 0.5, "z": 1}])
    def test_what_is_not_of_the_space_cannot_be_pinned(self, wrong):
        with pytest.raises(InputError, match="was to be pinned"):
            decide([], FOUND, FIRST, SPACE, never, pin=wrong)

    def test_a_first_value_that_is_not_of_the_space_can_be_pinned(self):
        by_itself = {"x": None}
        assert verdicts(decide([], FOUND, by_itself, SPACE, never, pin=by_itself)) == ["first", "pinned", "refused"]

    def test_to_pin_and_to_release_at_once_is_refused(self):
        with pytest.raises(InputError, match="wanted: one of both"):
            decide([], FOUND, FIRST, SPACE, never, pin=FIRST, release=True)

    def test_a_champion_that_is_not_of_the_space_any_more_gives_way_to_the_first(self):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=True))
        narrow = {"x": Real(0.4, 1.0)}
        rows += decide(rows, Challenger("later", "new", 8, 1, {"x": 0.6}), FIRST, narrow, judged(wins=True))
        assert verdicts(rows) == ["first", "crowned", "first", "crowned"]

    def test_a_search_that_had_no_time_is_decided_anew_when_it_has_failed(self):
        rows = decide([], Challenger("nightly", "abc", 0, None, None), FIRST, SPACE, never)
        assert rows[-1]["why"] == "nothing could be tried: the time was up"
        failed = Challenger("nightly", "abc", 8, None, None, "ValueError: no")
        assert decide(rows, failed, FIRST, SPACE, never)[-1]["why"] == "all 8 trials failed; the first: ValueError: no"

    def test_other_parameters_than_are_searched_cannot_be_pinned(self):
        with pytest.raises(InputError, match=r"\{'z': 1\} was to be pinned; wanted: a value of each of \{'x': Real"):
            decide([], FOUND, FIRST, SPACE, never, pin={"z": 1})

    def test_other_values_set_by_hand_take_the_place_of_the_first_but_of_no_other_champion(self):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=False))
        rows += decide(rows, FOUND, {"x": 0.6}, SPACE, judged(wins=False))
        assert json.loads(reigning(rows)["parameters"]) == {"x": 0.6}
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=True))
        assert decide(rows, FOUND, {"x": 0.6}, SPACE, never) == []

    def test_a_champion_of_other_parameters_than_are_searched_gives_way_to_the_first(self):
        rows = decide([], FOUND, FIRST, SPACE, judged(wins=True))
        now = Challenger("nightly", "new", 8, 1, {"x": 0.2, "z": 1})
        rows += decide(rows, now, {"x": 0.5, "z": 2}, {**SPACE, "z": Integer(1, 3)}, judged(wins=False))
        assert json.loads(reigning(rows)["parameters"]) == {"x": 0.5, "z": 2}
