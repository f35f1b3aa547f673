import math
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.search.space import Choice, Integer, Real
from taproom.search.trials import METHODS, Plan, Trial, best, search, seed_of

SPACE = {"x": Real(0.0, 1.0), "y": Real(1e-4, 1.0, log=True)}
FIRST = {"x": 0.5, "y": 0.1}


@dataclass(frozen=True)
class Bowl:
    """Lowest at x = 0.3, y = 0.01, lower with a larger budget; settings beyond `edge` cannot be fitted."""

    edge: float = 2.0
    nan_beyond: float = 2.0

    def score(self, parameters, budget, seed):
        if parameters["x"] > self.edge:
            raise ValueError("x is too far out")
        if parameters["x"] > self.nan_beyond:
            return math.nan
        return (parameters["x"] - 0.3) ** 2 + (math.log10(parameters["y"]) + 2) ** 2 / 10 + 1 / budget

    def fresh_scores(self, parameters, budget, seed):
        return np.full(5, self.score(parameters, budget, seed))


def plan_of(method: str, trials: int = 16, **more) -> Plan:
    return Plan(method, trials, budget=27, seed=3, **more)


def told(trials) -> list[tuple]:
    return [(t.number, dict(t.parameters), t.seed, t.budgets, t.values, t.state, t.reason) for t in trials]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_same_search_gives_the_same_trials_for_any_number_of_workers(method):
    alone = search(Bowl(), SPACE, plan_of(method), [FIRST], n_jobs=1)
    together = search(Bowl(), SPACE, plan_of(method), [FIRST], n_jobs=2)
    assert told(alone) == told(together)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_search_goes_on_from_any_of_its_batches_as_if_it_had_not_stopped(method):
    batches = [[]]
    whole = search(Bowl(), SPACE, plan_of(method), [FIRST], record=lambda trials: batches.append(list(trials)))
    assert len(batches) > 3
    for known in batches:
        assert told(search(Bowl(), SPACE, plan_of(method), [FIRST], known=known)) == told(whole)


@pytest.mark.parametrize("method", METHODS)
def test_the_first_trials_are_those_given(method):
    trials = search(Bowl(), SPACE, plan_of(method), [FIRST, {"x": 0.25, "y": 0.02}])
    assert [dict(trial.parameters) for trial in trials[:2]] == [FIRST, {"x": 0.25, "y": 0.02}]
    assert [trial.number for trial in trials] == list(range(len(trials)))


@pytest.mark.parametrize("method", METHODS)
def test_no_more_than_the_budget_is_spent(method):
    plan = plan_of(method)
    trials = search(Bowl(), SPACE, plan, [FIRST])
    assert sum(sum(trial.budgets) for trial in trials) <= plan.trials * plan.budget
    if method != "grid":  # which may have no grid of just so many points
        assert sum(sum(trial.budgets) for trial in trials) > (plan.trials - 4) * plan.budget


@pytest.mark.parametrize("method", [method for method in METHODS if method != "grid"])
def test_other_seeds_try_other_settings(method):
    settings = [[trial.parameters for trial in search(Bowl(), SPACE, Plan(method, 8, 9, seed=seed))] for seed in (0, 1)]
    assert settings[0] != settings[1]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tpe", "gaussian process"])
def test_models_find_a_better_setting_than_chance(method):
    found = {
        each: np.median([best(search(Bowl(), SPACE, Plan(each, 30, 27, seed=s)), False).value for s in range(5)])
        for each in ("random", method)
    }
    assert found[method] < found["random"]


@pytest.mark.slow
def test_higher_scores_win_where_they_are_better():
    @dataclass(frozen=True)
    class Hill(Bowl):
        def score(self, parameters, budget, seed):
            return -super().score(parameters, budget, seed)

    for method in ("tpe", "gaussian process", "hyperband"):
        low = search(Bowl(), SPACE, plan_of(method), [FIRST])
        high = search(Hill(), SPACE, plan_of(method, higher_is_better=True), [FIRST])
        assert [trial.parameters for trial in low] == [trial.parameters for trial in high]
        assert best(low, False).number == best(high, True).number


class TestHyperband:
    def test_brackets_are_those_of_the_paper(self):
        brackets = Plan("hyperband", trials=4 * 5 * 81, budget=81).brackets  # table 1, R = 81, eta = 3
        assert brackets[0] == [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)]
        assert [rungs[0] for rungs in brackets[:5]] == [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]

    def test_the_best_third_of_a_rung_goes_on(self):
        trials = search(Bowl(), SPACE, plan_of("hyperband", trials=4))
        (rungs,) = plan_of("hyperband", trials=4).brackets
        for rung, (count, budget) in enumerate(rungs):
            reached = [trial for trial in trials if len(trial.budgets) > rung]
            assert len(reached) == count
            assert {trial.budgets[rung] for trial in reached} == {budget}
            on = [trial for trial in reached if len(trial.budgets) > rung + 1]
            stopped = [trial for trial in reached if len(trial.budgets) == rung + 1]
            if on:
                assert max(t.values[rung] for t in on) <= min(t.values[rung] for t in stopped)
        assert {trial.state for trial in trials} == {"complete", "stopped"}

    def test_one_that_fails_takes_nobodys_place(self):
        trials = search(Bowl(edge=0.6), SPACE, plan_of("hyperband", trials=4))
        failed = [trial for trial in trials if trial.state == "failed"]
        assert failed
        assert all(trial.values == () for trial in failed)
        assert any(trial.state == "complete" for trial in trials)

    def test_one_that_continues_pays_only_for_what_is_added(self):
        assert len(Plan("hyperband", 20, 27, continues=True).brackets) > len(Plan("hyperband", 20, 27).brackets)

    def test_too_small_a_budget_for_a_bracket_is_refused(self):
        with pytest.raises(InputError, match="do not pay for a bracket"):
            Plan("hyperband", trials=2, budget=27)


class TestGrid:
    def test_it_is_one_and_is_tried_once(self):
        trials = search(Bowl(), SPACE, Plan("grid", 12, seed=0))
        points = [(trial.parameters["x"], trial.parameters["y"]) for trial in trials]
        assert len(points) == len(set(points)) == 12
        assert sorted([len({x for x, _ in points}), len({y for _, y in points})]) == [3, 4]

    def test_no_point_is_there_twice(self):
        @dataclass(frozen=True)
        class Sum:
            def score(self, parameters, budget, seed):
                return sum(parameters.values())

        space = {"few": Integer(2, 5), "log": Integer(2, 12, log=True)}
        points = [tuple(trial.parameters.values()) for trial in search(Sum(), space, Plan("grid", 44))]
        assert len(points) == len(set(points))
        assert {few for few, _ in points} == {2, 3, 4, 5}

    def test_choices_have_no_more_points_than_values(self):
        @dataclass(frozen=True)
        class Named:
            def score(self, parameters, budget, seed):
                return parameters["k"] + len(parameters["name"])

        space = {"name": Choice(("a", "bb")), "k": Integer(1, 50)}
        trials = search(Named(), space, Plan("grid", 20))
        assert {trial.parameters["name"] for trial in trials} == {"a", "bb"}
        assert len(trials) == 20


def test_a_trial_that_raises_fails_and_says_why_and_the_search_goes_on():
    trials = search(Bowl(edge=0.6), SPACE, plan_of("random"))
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert {trial.reason for trial in failed} == {"ValueError: x is too far out"}
    assert len(trials) == 16
    assert best(trials, False).parameters["x"] <= 0.6


def test_a_score_that_is_no_number_fails_the_trial():
    trials = search(Bowl(nan_beyond=0.6), SPACE, plan_of("tpe"))
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert {trial.reason for trial in failed} == {"its score is nan"}


@pytest.mark.parametrize("method", METHODS)
def test_where_all_trials_fail_there_is_no_best(method):
    trials = search(Bowl(edge=-1.0), SPACE, plan_of(method))
    assert trials
    assert {trial.state for trial in trials} == {"failed"}
    assert best(trials, False) is None


def test_a_first_setting_that_is_not_of_the_space_is_tried_all_the_same():
    trials = search(Bowl(), SPACE, plan_of("gaussian process"), [{"x": -1.0, "y": 5.0}])
    assert dict(trials[0].parameters) == {"x": -1.0, "y": 5.0}
    assert all(0 <= trial.parameters["x"] <= 1 for trial in trials[1:])


def test_no_batch_is_begun_after_the_time_is_up():
    ended = search(Bowl(), SPACE, plan_of("random"), seconds=0.0)
    assert ended == []
    assert len(search(Bowl(), SPACE, plan_of("random"), known=ended, seconds=60.0)) == 16


def test_the_best_is_of_those_with_the_largest_budget_and_the_first_of_equals():
    trials = [
        Trial(0, FIRST, 0, (9,), (0.1,), "stopped"),
        Trial(1, FIRST, 0, (9, 27), (0.3, 0.2)),
        Trial(2, FIRST, 0, (9, 27), (0.3, 0.2)),
        Trial(3, FIRST, 0, (), (), "failed", "no"),
    ]
    assert best(trials, higher_is_better=False).number == 1
    assert best([], higher_is_better=True) is None


@pytest.mark.parametrize(
    "wrong", [{"trials": 0}, {"budget": 0}, {"batch": 0}, {"least_budget": 0}, {"least_budget": 99}]
)
def test_a_budget_of_nothing_is_refused(wrong):
    with pytest.raises(InputError, match="wanted: at least 1 of each"):
        Plan(**{"method": "random", "trials": 5, "budget": 9} | wrong)


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match=r"'annealing' was given; wanted: one of grid, random"):
        Plan("annealing", 5)


def test_an_empty_space_is_refused():
    with pytest.raises(InputError, match="without any parameter"):
        search(Bowl(), {}, plan_of("random"))


def test_seeds_differ_by_what_they_are_for():
    assert len({seed_of(0, "a"), seed_of(0, "b"), seed_of(1, "a")}) == 3
    assert all(0 <= seed_of(number) < 2**31 for number in range(100))


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_trials(on_cluster):
    here = search(Bowl(), SPACE, plan_of("tpe", trials=8), [FIRST], n_jobs=1)
    there = search(Made(Bowl, ()), SPACE, plan_of("tpe", trials=8), [FIRST])
    assert taken_usages()[-1].blocks == 8
    assert told(here) == told(there)


@pytest.mark.slow
def test_a_search_that_is_killed_loses_only_the_batch_in_progress(tmp_path):
    script = textwrap.dedent("""
        import json, sys, time
        from tests.taproom.search.test_trials import Bowl, FIRST, SPACE, plan_of, told
        from taproom.search.trials import search

        class Slow(Bowl):
            def score(self, parameters, budget, seed):
                time.sleep(0.05)
                return super().score(parameters, budget, seed)

        def record(trials):
            with open(sys.argv[1], "a") as file:
                file.write(json.dumps(len(trials)) + "\\n")

        search(Slow(), SPACE, plan_of("random", trials=400), [FIRST], record=record, n_jobs=1)
    """)
    log = tmp_path / "recorded"
    repo = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(log)], cwd=repo, env={**os.environ, "PYTHONPATH": "."}
    )
    try:
        while not log.exists() or len(log.read_text().splitlines()) < 3:
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    recorded = int(log.read_text().splitlines()[-1])
    assert recorded % plan_of("random").batch == 0  # whole batches only
    whole = search(Bowl(), SPACE, plan_of("random", trials=400), [FIRST])
    resumed = search(Bowl(), SPACE, plan_of("random", trials=400), [FIRST], known=whole[:recorded])
    assert told(resumed) == told(whole)
