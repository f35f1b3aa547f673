"""Claims: a search costs at most 5 % on top of its trials, and two workers are at least 1.8 times as fast as one.

The peer is the trials themselves: the time of the busiest worker if choosing, sending and collecting trials took no
time. A trial keeps a processor busy for one second, or for the number of seconds that is given. The start of the
workers, which happens once a search, is measured separately. The last trials of a bracket of Hyperband are one or two,
so a worker may have to wait, however trials are chosen.
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
    """The distance of a setting from the middle of the space, after `seconds` of work for each unit of budget."""

    seconds: float

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The score; lower is better."""
        ends = time.perf_counter() + self.seconds * budget
        while time.perf_counter() < ends:
            pass
        return sum((SPACE[name].place(value) - 0.5) ** 2 for name, value in parameters.items())


def main() -> None:
    """Time the start of the workers, and then each method with one worker and with two."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    for what in ("two workers are started", "two workers are running"):
        started = time.perf_counter()
        search(Busy(0.0), SPACE, Plan("random", trials=4), n_jobs=2)
        print(f"a batch of 4 trials without any work, {what}: {time.perf_counter() - started:.3f} s")
    for plan in PLANS:
        search(Busy(0.0), SPACE, plan, n_jobs=1)  # imports what the method needs
        one, two = (timed(plan, seconds, workers) for workers in (1, 2))
        print(f"{plan.method}: two workers are {one / two:.2f} times as fast as one")


def timed(plan: Plan, seconds: float, workers: int) -> float:
    """The seconds of a search; print them and those of its trials."""
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
        f"its trials {trials:.2f} s, overhead {wall / trials - 1:.1%}"
    )
    return wall


def busiest(batch: list[int], workers: int) -> int:
    """The largest total budget of a worker, if each takes the next trial as soon as it is free."""
    loads = [0] * workers
    for budget in batch:
        loads[loads.index(min(loads))] += budget
    return max(loads)


if __name__ == "__main__":
    main()
