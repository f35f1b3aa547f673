"""Searches: settings are tried in batches of a fixed size, and the trials so far determine the next batch.

Here belongs the search itself: which settings come next (grid, random, TPE, a Gaussian process, Hyperband), trying them
in parallel, and their results. Objectives define what is searched and how a setting is scored;
`taproom.search.challenge` decides whether the best setting is used.

The next batch is a function of the trials so far, the plan and its seed only. A search can therefore be killed and
continue from its recorded trials, and its trials do not depend on the number of workers.
Hyperband runs as synchronous rungs: the trials of a bracket all reach a rung's budget before the best of them go on.
Its rungs do not depend on how long a trial takes, as those of asynchronous halving do.

Source: the deck's slides "Hyperparameter Optimization"; Bergstra, Bardenet, Bengio and Kegl, Algorithms for
hyper-parameter optimization, 2011 (TPE, by Optuna); Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, Hyperband, 2017,
algorithm 1. The Gaussian process is in `taproom.search.bayesian_search`.
"""

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Protocol

import numpy as np

from taproom.blas import one_thread
from taproom.compute import Made, workers
from taproom.errors import InputError
from taproom.progress import progress, silent
from taproom.search.space import Parameters, Space, holds

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

METHODS = ("grid", "random", "tpe", "gaussian process", "hyperband")
STATES = ("complete", "stopped", "promoted", "failed")
# Of Hyperband: of the trials of a rung one in so many goes on, with so many times the budget.
REDUCTION = 3
# Before so many trials are known, a model of them is not reliable, and trials are random.
LEAST_TO_MODEL = 8


class Scorer(Protocol):
    """The score that a search optimizes. It is sent to the workers, and calls do not change it."""

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """How good parameters are on validation data, after a fit with the given budget."""


class Objective(Scorer, Protocol):
    """A scorer with fresh data as well, on which a challenge to the champion is decided."""

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The scores on data that `score` never sees, unit by unit: (units,) float64."""


@dataclass(frozen=True)
class Trial:
    """A setting that was tried.

    Attributes:
        number: from 0, in the order of the search.
        parameters: the setting.
        seed: of its fits.
        budgets, values: of each rung that it reached, the score there; one where the method has no rungs.
        state: complete, with the full budget; stopped, at an earlier rung; promoted, with its next rung to come; or
            failed.
        reason: why it failed.
        seconds: that its fits took.
    """

    number: int
    parameters: Parameters
    seed: int
    budgets: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    state: str = "complete"
    reason: str | None = None
    seconds: float = 0.0

    @property
    def value(self) -> float | None:
        """The score at the last rung that it reached."""
        return self.values[-1] if self.values else None


@dataclass(frozen=True)
class Plan:
    """How a search goes.

    Attributes:
        method: one of `METHODS`.
        trials: the search may spend so many times the full budget.
        budget: the full budget of a trial, in the unit of the study.
        least_budget: of Hyperband's first rung, at least.
        continues: whether a promoted trial goes on from where it was, and so spends only what is added.
        batch: trials that are tried side by side, and chosen without knowing of each other. A part of the result, as
            the number of workers is not.
        seed: of all choices.
        higher_is_better: whether scores are to be large.

    Raises:
        InputError: another method, a budget of nothing, or one that is too small for a bracket of Hyperband.
    """

    method: str
    trials: int
    budget: int = 1
    least_budget: int = 1
    continues: bool = False
    batch: int = 4
    seed: int = 0
    higher_is_better: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be searched by."""
        if self.method not in METHODS:
            raise InputError(f"the method {self.method!r} was given; wanted: one of {', '.join(METHODS)}")
        if min(self.trials, self.budget, self.batch) < 1 or not 1 <= self.least_budget <= self.budget:
            raise InputError(
                f"{self.trials} trials, in batches of {self.batch}, of a budget of {self.least_budget} to "
                f"{self.budget} were given; wanted: at least 1 of each, and the smallest budget first"
            )
        if self.method == "hyperband" and not self.brackets:
            raise InputError(
                f"{self.trials} trials' worth of the budget {self.budget} do not pay for a bracket of Hyperband from "
                f"the budget {self.least_budget}; wanted: more trials, or a larger smallest budget"
            )

    def better(self, value: float) -> float:
        """A score as something that is the better the smaller it is."""
        return -value if self.higher_is_better else value

    @property
    def brackets(self) -> list[list[tuple[int, int]]]:
        """The brackets of Hyperband that the budget pays for, in order, each as rungs (trials, budget of each)."""
        most = int(math.log(self.budget / self.least_budget, REDUCTION) + 1e-9)
        found: list[list[tuple[int, int]]] = []
        left = self.trials * self.budget
        while True:
            halvings = most - len(found) % (most + 1)
            members = math.ceil((most + 1) / (halvings + 1) * REDUCTION**halvings)
            rungs = [
                (members // REDUCTION**rung, round(self.budget / REDUCTION ** (halvings - rung)))
                for rung in range(halvings + 1)
            ]
            before = [0, *(budget for _, budget in rungs)] if self.continues else [0] * len(rungs)
            left -= sum(count * (budget - had) for (count, budget), had in zip(rungs, before, strict=False))
            if left < 0:
                return found
            found.append(rungs)


@dataclass(frozen=True)
class _Task:
    """A trial, and the budget that it is to be given next."""

    trial: Trial
    budget: int


def search(
    objective: Scorer | Made[Scorer],
    space: Space,
    plan: Plan,
    first: Sequence[Parameters] = (),
    known: Sequence[Trial] = (),
    record: Callable[[list[Trial]], None] | None = None,
    n_jobs: int | None = None,
    seconds: float | None = None,
) -> list[Trial]:
    """Try settings until the plan's budget is spent; give all trials in their order.

    A trial that raises, or whose score is no finite number, has failed and says why; the search goes on.

    Args:
        objective: what a setting's score is; a `Made` one is searched on a cluster where there is one.
        space: what may be chosen.
        plan: how, and how much of it.
        first: settings that are tried before any other, of the space or not.
        known: the trials of this very search so far, from which it goes on.
        record: called with all trials after each batch (each rung of Hyperband).
        n_jobs: workers (processes), as joblib counts them; they do not change the result.
        seconds: after which no batch is begun.

    Raises:
        InputError: an empty space.
        ComputeError: as `taproom.compute.workers` does.
    """
    if not space:
        raise InputError("a search without any parameter to choose was asked for; wanted: at least one")
    trials = list(known)
    ends = math.inf if seconds is None else time.monotonic() + seconds
    with (
        workers(objective, n_jobs, prefer="processes") as run,
        progress(doing=f"search by {plan.method}", unit="trial") as bar,
    ):
        while time.monotonic() < ends and (tasks := _next_batch(space, plan, first, trials)):
            for task, tried in zip(tasks, run(_try, [(task,) for task in tasks]), strict=True):
                trials[task.trial.number : task.trial.number + 1] = [tried]
            trials = _promoted(plan, trials) if plan.method == "hyperband" else trials
            bar.update(len(tasks))
            if record:
                record(trials)
    return trials


def best(trials: Sequence[Trial], higher_is_better: bool) -> Trial | None:
    """The trial with the best score of those with the largest budget, the first of equals; None if all failed."""
    judged = [trial for trial in trials if trial.state != "failed"]
    largest = max((trial.budgets[-1] for trial in judged), default=0)
    sign = -1 if higher_is_better else 1
    finalists = [trial for trial in judged if trial.budgets[-1] == largest]
    return min(finalists, key=lambda trial: (sign * trial.values[-1], trial.number), default=None)


def seed_of(*what: object) -> int:
    """A seed, from 0 to 2^31 - 1, for what is named: other names, other seeds."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:4]) >> 1


def _try(objective: Scorer, task: _Task) -> Trial:
    """The trial with one more rung, or failed."""
    trial, started = task.trial, time.perf_counter()
    value, reason = math.nan, None
    try:
        with one_thread(), silent():
            value = float(objective.score(trial.parameters, task.budget, trial.seed))
    except Exception as error:  # of any kind: the search goes on, and the reason is kept
        reason = f"{type(error).__name__}: {error}"
    seconds = trial.seconds + time.perf_counter() - started
    if not math.isfinite(value):
        return replace(trial, state="failed", reason=reason or f"its score is {value}", seconds=seconds)
    budgets, values = (*trial.budgets, task.budget), (*trial.values, value)
    return replace(trial, budgets=budgets, values=values, state="complete", seconds=seconds)


def _next_batch(space: Space, plan: Plan, first: Sequence[Parameters], trials: Sequence[Trial]) -> list[_Task]:
    """The next tasks; none once the budget is spent."""
    if plan.method == "hyperband":
        return _next_rung(space, plan, first, trials)
    settings = _settings(space, plan, first, trials, min(plan.batch, plan.trials - len(trials)))
    return [_Task(trial, plan.budget) for trial in _new(plan, len(trials), settings)]


def _new(plan: Plan, start: int, settings: Sequence[Parameters]) -> list[Trial]:
    return [Trial(start + k, setting, seed_of(plan.seed, start + k)) for k, setting in enumerate(settings)]


def _settings(
    space: Space, plan: Plan, first: Sequence[Parameters], trials: Sequence[Trial], count: int
) -> list[Parameters]:
    """The settings of the next `count` trials: those to be tried first, then the method's own."""
    given = list(first[len(trials) : len(trials) + count])
    own = len(trials) + len(given) - len(first)
    wanted = count - len(given)
    if not wanted:
        return given
    if plan.method == "grid":
        return given + _grid(space, plan.trials - len(first), plan.seed)[own : own + wanted]
    observed = _observed(space, plan, trials)
    model = plan.method if plan.method in MODELS and len(observed) >= LEAST_TO_MODEL else "random"
    return given + MODELS[model](space, observed, wanted, seed_of(plan.seed, plan.method, len(trials)))


def _observed(space: Space, plan: Plan, trials: Sequence[Trial]) -> list[tuple[Parameters, float]]:
    """Settings of the space and their scores, lower ones better; one that failed is as bad as the worst."""
    inside = [trial for trial in trials if holds(space, trial.parameters)]
    scores = {trial.number: plan.better(trial.values[-1]) for trial in inside if trial.state == "complete"}
    worst = max(scores.values(), default=0.0)
    return [(trial.parameters, scores.get(trial.number, worst)) for trial in inside] if scores else []


def _grid(space: Space, most: int, seed: int) -> list[Parameters]:
    """The points of a grid of `most` points at most, about as many in each direction, in a random order."""
    counts = dict.fromkeys(space, 1)
    largest = {name: dimension.count or most for name, dimension in space.items()}
    while growing := [
        name
        for name in counts
        if counts[name] < largest[name] and math.prod(counts.values()) // counts[name] * (counts[name] + 1) <= most
    ]:
        counts[min(growing, key=counts.__getitem__)] += 1
    axes = [
        dict.fromkeys(space[name].at(place) for place in (np.linspace(0, 1, count) if count > 1 else (0.5,)))
        for name, count in counts.items()
    ]
    points = [dict(zip(space, point, strict=True)) for point in product(*axes)]
    return [points[place] for place in np.random.default_rng(seed).permutation(len(points))]


def _by_gaussian_process(
    space: Space, observed: Sequence[tuple[Parameters, float]], count: int, seed: int
) -> list[Parameters]:
    from taproom.search.bayesian_search import suggest

    places = np.array([[space[name].place(parameters[name]) for name in space] for parameters, _ in observed])
    suggested = suggest(places, np.array([score for _, score in observed]), count, seed)
    return [{name: space[name].at(place) for name, place in zip(space, row, strict=True)} for row in suggested]


def _by_tpe(space: Space, observed: Sequence[tuple[Parameters, float]], count: int, seed: int) -> list[Parameters]:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=LEAST_TO_MODEL, multivariate=True, constant_liar=True, seed=seed
        )
    return _asked(sampler, space, observed, count)


def _by_chance(space: Space, observed: Sequence[tuple[Parameters, float]], count: int, seed: int) -> list[Parameters]:
    import optuna

    return _asked(optuna.samplers.RandomSampler(seed), space, observed, count)


def _asked(
    sampler: "BaseSampler", space: Space, observed: Sequence[tuple[Parameters, float]], count: int
) -> list[Parameters]:
    """The suggestions of an Optuna sampler, given the observations; each call uses a new study in memory."""
    import optuna

    distributions = {name: dimension.distribution() for name, dimension in space.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=sampler)
    for parameters, score in observed:
        trial = optuna.trial.create_trial(params=dict(parameters), distributions=distributions, value=score)
        study.add_trial(trial)
    return [study.ask(distributions).params for _ in range(count)]


# What suggests settings of a space, of which some have been observed: `count` of them.
MODELS: dict[str, Callable[[Space, Sequence[tuple[Parameters, float]], int, int], list[Parameters]]] = {
    "random": _by_chance,
    "tpe": _by_tpe,
    "gaussian process": _by_gaussian_process,
}


def _next_rung(space: Space, plan: Plan, first: Sequence[Parameters], trials: Sequence[Trial]) -> list[_Task]:
    """The trials of a bracket that are to reach their next rung; beside a last one, those of the next bracket's first.

    A last rung is of one trial or a few, which would leave workers idle if it were a batch by itself.
    """
    start = 0
    due: list[_Task] = []
    for rungs in plan.brackets:
        members, budget = rungs[0]
        if start == len(trials):
            settings = _settings(space, plan, first, trials, members)
            return due + [_Task(trial, budget) for trial in _new(plan, start, settings)]
        waiting = [trial for trial in trials[start : start + members] if trial.state == "promoted"]
        due += [_Task(trial, rungs[len(trial.budgets)][1]) for trial in waiting]
        if any(len(trial.budgets) < len(rungs) - 1 for trial in waiting):
            return due
        start += members
    return due


def _promoted(plan: Plan, trials: Sequence[Trial]) -> list[Trial]:
    """The trials after a rung: the best of those that have just reached it are promoted, the others stopped."""
    judged, start = list(trials), 0
    for rungs in plan.brackets:
        members = trials[start : start + rungs[0][0]]
        reached = max((len(trial.budgets) for trial in members if trial.state != "failed"), default=0)
        there = [trial for trial in members if trial.state == "complete" and len(trial.budgets) == reached]
        if 0 < reached < len(rungs):
            ranked = sorted(there, key=lambda trial: (plan.better(trial.values[-1]), trial.number))
            for rank, trial in enumerate(ranked):
                state = "promoted" if rank < rungs[reached][0] else "stopped"
                judged[trial.number] = replace(trial, state=state)
        start += len(members)
    return judged
