"""Trials as rows of the table `trials`, and back.

Here belongs what a search remembers of itself: which rows are its own, and which setting the search before it found.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from taproom.search.space import Parameters, Space, holds
from taproom.search.trials import Plan, Trial, best

Row = Mapping[str, Any]


def made_from(data: str, plan: Plan, space: Space, code_version: str) -> str:
    """16 hex digits for everything that determines the trials of a search, except earlier searches."""
    whole = repr((data, plan, dict(space), code_version))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def rows_of_trials(trials: Sequence[Trial], **same: Any) -> list[dict[str, Any]]:
    """A row for each trial, with columns that are the `same` in all."""
    return [
        {
            **same,
            "number": trial.number,
            "parameters": json.dumps(dict(trial.parameters)),
            "seed": trial.seed,
            "budgets": list(trial.budgets),
            "values": list(trial.values),
            "value": trial.value,
            "budget_used": sum(trial.budgets),
            "state": trial.state,
            "reason": trial.reason,
            "seconds": trial.seconds,
        }
        for trial in trials
    ]


def trials_of_rows(rows: Sequence[Row]) -> list[Trial]:
    """The inverse of `rows_of_trials`."""
    return [
        Trial(
            row["number"], json.loads(row["parameters"]), row["seed"], tuple(row["budgets"]), tuple(row["values"]),
            row["state"], row["reason"], row["seconds"],
        )
        for row in rows
    ]  # fmt: skip


def parted(rows: Sequence[Row], search: str, made_from: str) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of the searches before a search, its own, and those of the searches after it.

    Rows of its name that were made from something else are those of another search, which was before.
    """
    own = [place for place, row in enumerate(rows) if (row["search"], row["made_from"]) == (search, made_from)]
    if not own:
        return list(rows), [], []
    return list(rows[: own[0]]), [rows[place] for place in own], list(rows[own[-1] + 1 :])


def best_of_last(rows: Sequence[Row], space: Space, higher_is_better: bool) -> Parameters | None:
    """The best setting of the last search among rows, if there is one and it is of the space."""
    last = [row for row in rows if (row["search"], row["made_from"]) == (rows[-1]["search"], rows[-1]["made_from"])]
    found = best(trials_of_rows(last), higher_is_better)
    return found.parameters if found and holds(space, found.parameters) else None
