"""Claims: a search costs at most 5 % on top of its trials, and two workers are at least 1.8 times as fast as one.

The peer is the trials themselves: how long the busiest worker would be at work if choosing trials, sending them out and
waiting for them took no time. A trial keeps its processor busy for a second (another number, if one is given). Starting
the workers, for which a search pays once, is told apart. A bracket of Hyperband ends with a trial or two, which a
worker waits for at times, whatever chooses the trials.
"""

import sys
import time
from dataclasses import dataclass

from taproom.search.space import Choice, Integer, Parameters, Real
from taproom.search.trials import Plan, Trial, search

SPACE = {
    "rate": Real(1e-3, 1e-1, log=True),
    "penalty": Real(1e-6, 1e-1, log=True),
    "nodes": Integer(10, 1000, log=True),
    "pooling": Choice(("mean", "max")),
    "offset": Real(-0.5, 0.5),
}
PLANS = [Plan(method, trials=24) for method in ("random", "tpe", "gaussian process")]
# Three brackets, from nine trials of the smallest budget to three of nine times as much.
PLANS.append(Plan("hyperband", trials=9, budget=9))


@dataclass(frozen=True)
class Busy:
    """How far a setting is from the middle of the space, told after so many seconds of work for a unit of budget."""

    seconds: float

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The lower the better."""
        ends = time.perf_counter() + self.seconds * budget
        while time.perf_counter() < ends:
            pass
        return sum((SPACE[name].place(value) - 0.5) ** 2 for name, value in parameters.items())


def main() -> None:
    """Time the start of the workers, and then each method with one worker and with two."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    for what in ("two workers are started", "they are there"):
        started = time.perf_counter()
        search(Busy(0.0), SPACE, Plan("random", trials=4), n_jobs=2)
        print(f"a batch of 4 trials without any work, {what}: {time.perf_counter() - started:.3f} s")
    for plan in PLANS:
        search(Busy(0.0), SPACE, plan, n_jobs=1)  # imports what the method needs
        one, two = (timed(plan, seconds, workers) for workers in (1, 2))
        print(f"{plan.method}: two workers are {one / two:.2f} times as fast as one")


def timed(plan: Plan, seconds: float, workers: int) -> float:
    """The seconds of a search; print them beside those that its trials take."""
    batches: list[list[int]] = []
    fitted: dict[int, int] = {}

    def note(trials: list[Trial]) -> None:
        batches.append([budget for trial in trials for budget in trial.budgets[fitted.get(trial.number, 0) :]])
        fitted.update({trial.number: len(trial.budgets) for trial in trials})

    started = time.perf_counter()
    search(Busy(seconds), SPACE, plan, record=note, n_jobs=workers)
    wall = time.perf_counter() - started
    trials = sum(busiest(batch, workers) for batch in batches) * seconds
    print(
        f"{plan.method}, {sum(fitted.values())} fits in {len(batches)} batches, workers: {workers}: {wall:.2f} s, "
        f"the trials themselves {trials:.2f} s, on top of them {wall / trials - 1:.1%}"
    )
    return wall


def busiest(batch: list[int], workers: int) -> int:
    """The budgets of the worker that has most, if each takes the next one as soon as it is free."""
    loads = [0] * workers
    for budget in batch:
        loads[loads.index(min(loads))] += budget
    return max(loads)


if __name__ == "__main__":
    main()
