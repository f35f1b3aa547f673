"""Challenges: whether a setting that a search has found replaces the champion.

Here belong the comparison of two settings on fresh data, unit by unit, and the verdicts on it. The score of the best of
many trials is too good on the data that it was chosen by, so settings are compared on data that had no part in the
choice. Only a significant difference counts, since every new champion means that a product is made again. The noise is
that of the data: either setting is fitted once, with the same seed.

Source: Student's paired t-test; Dietterich, Approximate statistical tests for comparing supervised classification
learning algorithms, 1998 (why the data are to be fresh).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taproom.blas import one_thread
from taproom.compute import Made, workers
from taproom.errors import InputError
from taproom.intervals import Interval, student_interval
from taproom.progress import silent
from taproom.search.space import Parameters, Space
from taproom.search.trials import Objective, Plan, seed_of

Row = Mapping[str, Any]


# How the reason begins where judging a challenger has failed.
NOT_JUDGED = "could not be judged"


@dataclass(frozen=True)
class Comparison:
    """A challenger's mean score on fresh data, and by how much it differs from the champion's; `units` were judged."""

    challenger: Interval
    difference: Interval
    units: int
    wins: bool


def compare(challenger: np.ndarray, champion: np.ndarray, higher_is_better: bool) -> Comparison:
    """Compare the fresh scores (units,) float64 of two settings, unit by unit.

    The challenger wins if the whole interval of the mean difference is on the better side of zero.

    >>> compare(np.array([0.8, 0.9, 0.7]), np.array([0.5, 0.5, 0.4]), higher_is_better=True).wins
    True

    Raises:
        InputError: as `student_interval`, or for scores of different units.
    """
    challenger, champion = np.asarray(challenger, np.float64), np.asarray(champion, np.float64)
    if challenger.shape != champion.shape:
        raise InputError(
            f"the challenger has {len(challenger)} fresh scores and the champion {len(champion)}; wanted: the same "
            "units of both"
        )
    difference = student_interval(challenger - champion)
    wins = difference.low > 0 if higher_is_better else difference.high < 0
    return Comparison(student_interval(challenger), difference, len(challenger), wins)


def judge(
    objective: Objective | Made[Objective],
    challenger: Parameters,
    champion: Parameters,
    budget: int,
    plan: Plan,
    n_jobs: int | None = None,
) -> Comparison:
    """Compare two settings with a larger budget than a trial's, the product's own or one near it, and the same seed.

    What is best for a tenth of the data may be worse than the champion for all.

    Raises:
        InputError: a setting that cannot be fitted, or as `compare` does.
        ComputeError: as `taproom.compute.workers` does.
    """
    seed = seed_of(plan.seed, "fresh")
    settings = (challenger, champion)
    with workers(objective, n_jobs, prefer="processes") as run:
        ours, theirs = run(_fresh_scores, [(setting, budget, seed) for setting in settings])
    return compare(ours, theirs, plan.higher_is_better)


def _fresh_scores(objective: Objective, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
    with one_thread(), silent():
        return objective.fresh_scores(parameters, budget, seed)


@dataclass(frozen=True)
class Challenger:
    """The best setting of a search, which had `trials`; `trial` and `parameters` are None where none has a score.

    `made_from` distinguishes searches of one name; `reason` is why the first trial failed, or there was none.
    """

    search: str
    made_from: str
    trials: int
    trial: int | None
    parameters: Parameters | None
    reason: str | None = None


def reigning(rows: Sequence[Row]) -> Row | None:
    """The row of `challenges` that made the champion; None before there is any."""
    return next((row for row in reversed(rows) if row["verdict"] != "refused"), None)


def came_to_nothing(row: Row) -> bool:
    """Whether a row of `challenges` is of a search without a best setting, or with one that could not be judged."""
    return row["parameters"] is None or row["why"].startswith(NOT_JUDGED)


def decide(
    rows: Sequence[Row],
    challenger: Challenger,
    first: Parameters,
    space: Space,
    judge: Callable[[Parameters, Parameters], Comparison],
    pin: Parameters | None = None,
    release: bool = False,
) -> list[dict[str, Any]]:
    """The rows to add to `challenges`; none if everything was decided before.

    Args:
        rows: the challenges so far.
        challenger: the best setting of a search.
        first: the setting that is champion before any other, and again if the champion's is not of the space any more.
        space: what may be chosen; a value of the first setting may be, too.
        judge: compares a challenger's and a champion's setting on fresh data.
        pin: a setting that a person wants to be champion.
        release: whether a pinned champion may be challenged again.

    Raises:
        InputError: a pinned setting that is not of the space, or one that is pinned and released at once.
    """

    def fits(setting: Parameters) -> bool:
        return setting.keys() == first.keys() and all(
            value == first[name] or space[name].holds(value) for name, value in setting.items()
        )

    if pin is not None and release:
        raise InputError("a setting was to be pinned, and the champion released; wanted: one of both")
    if pin is not None and not fits(pin):
        raise InputError(f"{dict(pin)} was to be pinned; wanted: a value of each of {dict(space)}")
    added: list[dict[str, Any]] = []

    def champion() -> tuple[str, Parameters]:
        """Verdict and setting of the champion, with what was added so far."""
        row = reigning([*rows, *added])
        assert row is not None  # where there was none, the first setting has been added
        return row["verdict"], json.loads(row["parameters"])

    if reigning(rows) is None:
        added.append(_row(first, "first", "before any search"))
    else:
        verdict, setting = champion()
        if not fits(setting):
            added.append(_row(first, "first", "the champion is not of what is searched any more"))
        elif verdict == "first" and setting != first:
            added.append(_row(first, "first", "the values set by hand have changed"))
    verdict, setting = champion()
    if release and verdict == "pinned":
        added.append(_row(setting, "released", "released by a person"))
    if pin is not None and (verdict, setting) != ("pinned", pin):
        added.append(_row(pin, "pinned", "pinned by a person"))
    if not _is_decided([*rows, *added], challenger):
        added.append(_challenge(*champion(), challenger, judge))
    return added


def _is_decided(rows: Sequence[Row], challenger: Challenger) -> bool:
    """Whether the challenger was judged, or found wanting, since the champion is champion."""
    since = max(place for place, row in enumerate(rows) if row["verdict"] != "refused")
    what = (challenger.search, challenger.made_from, challenger.trial)
    return any(
        (row["search"], row["made_from"], row["trial"]) == what
        and (challenger.parameters is not None or row["why"] == _without_setting(challenger))
        for row in rows[since:]
    )


def _without_setting(challenger: Challenger) -> str:
    """Why a search has no best setting."""
    if not challenger.trials:
        return f"nothing could be tried: {challenger.reason or 'the time was up'}"
    return f"all {challenger.trials} trials failed; the first: {challenger.reason}"


def _challenge(
    verdict: str,
    champion: Parameters,
    challenger: Challenger,
    judge: Callable[[Parameters, Parameters], Comparison],
) -> dict[str, Any]:
    """The row of a challenge to the champion, which is so by a verdict."""
    which = {"search": challenger.search, "made_from": challenger.made_from, "trial": challenger.trial}
    if challenger.parameters is None:
        return _row(None, "refused", _without_setting(challenger), **which)
    if verdict == "pinned":
        return _row(challenger.parameters, "refused", "the champion is pinned", **which)
    if champion == challenger.parameters:
        return _row(challenger.parameters, "refused", "the best setting found is the champion's own", **which)
    try:
        judged = judge(challenger.parameters, champion)
    except Exception as error:  # of any kind: a challenge must not stop a product
        return _row(challenger.parameters, "refused", f"{NOT_JUDGED}: {type(error).__name__}: {error}", **which)
    difference = judged.difference
    text = f"{difference.mean:+.4g} ({difference.low:+.4g} to {difference.high:+.4g}) on {judged.units:,} fresh units"
    verdict, why = ("crowned", f"better: {text}") if judged.wins else ("refused", f"not better beyond noise: {text}")
    return _row(
        challenger.parameters, verdict, why, **which, units=judged.units,
        value=judged.challenger.mean, value_low=judged.challenger.low, value_high=judged.challenger.high,
        difference=difference.mean, difference_low=difference.low, difference_high=difference.high,
    )  # fmt: skip


def _row(parameters: Parameters | None, verdict: str, why: str, **more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("search", "trial", "value", "value_low", "value_high", "difference", "difference_low", "difference_high",
         "units")
    )  # fmt: skip
    setting = None if parameters is None else json.dumps(dict(parameters))
    return {**nothing, "made_from": "", **more, "parameters": setting, "verdict": verdict, "why": why}
