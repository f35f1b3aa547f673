"""The data of the page of searches: the trials, champion and challenges of each study, and search methods compared."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from taproom.errors import UnknownTableError
from taproom.pages.sprites import sprite
from taproom.pages.studies import STUDIES, StudyIntroduction
from taproom.pages.tables import LONGEST_CELL
from taproom.warehouse.warehouse import Warehouse

TRIALS = 500
CHALLENGES = 100
DIGITS_OF_A_LABEL = 6
DIGIT_SIDE = 28
CHANNELS = 3

Row = Mapping[str, Any]


def searches_data(warehouse: Warehouse) -> dict[str, Any]:
    """What the page of searches shows; of tables that were not made, the part is None or empty.

    Raises:
        DamagedFileError: a table is damaged.
    """
    trials, challenges, champions = (_rows(warehouse, name) or [] for name in ("trials", "challenges", "champions"))
    names = sorted({row["study"] for rows in (trials, challenges, champions) for row in rows})
    return {
        "versions": {name: warehouse.head(name) for name in ("trials", "challenges", "champions", "search_comparison")},
        "studies": [_study(name, trials, challenges, champions) for name in names],
        "comparison": _rows(warehouse, "search_comparison"),
        "deck_settings": _rows(warehouse, "deck_settings"),
        "digits": _if_made(_digits, warehouse),
    }


def _if_made(part: Callable[[Warehouse], dict[str, Any]], warehouse: Warehouse) -> dict[str, Any] | None:
    try:
        return part(warehouse)
    except UnknownTableError:
        return None


def _rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]] | None:
    """The rows of the newest version of a table; None where it was not made."""
    try:
        return warehouse.read(table).to_pylist()
    except UnknownTableError:
        return None


def _study(name: str, trials: Sequence[Row], challenges: Sequence[Row], champions: Sequence[Row]) -> dict[str, Any]:
    """A study: its searches, oldest first, its challenges, newest first, and its champion."""
    of_study = [row for row in trials if row["study"] == name]
    decided = [row for row in challenges if row["study"] == name]
    champion = next((row for row in champions if row["study"] == name), None)
    searches: dict[tuple[str, str], list[Row]] = {}
    for row in of_study[-TRIALS:]:
        searches.setdefault((row["search"], row["made_from"]), []).append(row)
    return {
        "name": name[:LONGEST_CELL],
        **asdict(STUDIES.get(name, StudyIntroduction())),
        "trial_count": len(of_study),
        "searches": [
            {
                "name": search[:LONGEST_CELL],
                "method": rows[0]["method"],
                "trials": [_trial(row) for row in rows],
            }
            for (search, _), rows in searches.items()
        ],
        "champion": _decision(champion) if champion else None,
        "challenge_count": len(decided),
        "challenges": [_decision(row) for row in decided[: -CHALLENGES - 1 : -1]],
    }


def _trial(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("number", "budgets", "values", "value", "state")},
        "parameters": _parameters(row["parameters"]),
        "reason": _cut(row["reason"]),
    }


def _decision(row: Row) -> dict[str, Any]:
    """A row of `challenges` or `champions`, as far as a page shows it."""
    names = ("number", "challenge", "trial", "verdict", "value", "value_low", "value_high", "units", "difference",
             "difference_low", "difference_high")  # fmt: skip
    return {
        **{name: row[name] for name in names if name in row},
        "search": _cut(row["search"]),
        "why": _cut(row["why"]),
        "parameters": _parameters(row["parameters"]),
        "decided_at": f"{row['decided_at']:%Y-%m-%d %H:%M} UTC",
    }


def _parameters(text: str | None) -> dict[str, Any]:
    """A setting; values that are neither numbers, nor texts, nor null, as their JSON."""
    values = json.loads(text) if text else {}
    return {
        name[:LONGEST_CELL]: value if value is None or isinstance(value, int | float) else _cut(_as_text(value))
        for name, value in values.items()
    }


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:LONGEST_CELL]


def _digits(warehouse: Warehouse) -> dict[str, Any]:
    """The first digits of each label."""
    rows = warehouse.read("digits", columns=["label", "pixels"])
    labels = np.array(rows["label"].to_pylist(), object)
    names = sorted(set(labels))
    chosen = np.concatenate([np.flatnonzero(labels == name)[:DIGITS_OF_A_LABEL] for name in names])
    pixels = np.frombuffer(b"".join(rows["pixels"].take(pa.array(chosen)).to_pylist()), np.uint8)
    tiles = np.repeat(pixels.reshape(-1, DIGIT_SIDE, DIGIT_SIDE, 1), CHANNELS, axis=3)
    return {"count": len(rows), "labels": [_cut(label) for label in labels[chosen]], "sprite": sprite(tiles)}
