"""Tables of searches that the page of searches shows: two studies, the methods compared, and digits."""

import json
from datetime import UTC, datetime

import numpy as np

from assets.tuning.champions import CHAMPIONS
from assets.tuning.digits import CONTRACT as DIGITS
from assets.tuning.search_comparison import COMPARISON, DECK
from assets.tuning.study import CHALLENGES, TRIALS
from taproom.search.search_comparison import DECK_SETTINGS
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import HOSTILE, publish

TIME = datetime(2026, 11, 28, 18, 14, tzinfo=UTC)
# A search by Hyperband with a failure, where higher is better; and one of a study that is in no list, with texts and
# nothing as values, where lower is better.
SETTINGS = {
    "classifier": [
        ({"contrast": 1.0, "offset": 0.0}, [12, 36], [0.5, 0.61], "complete"),
        ({"contrast": 10.0, "offset": 0.5}, [12], [0.55], "stopped"),
        ({"contrast": 100.0, "offset": 1.0}, [36], [0.63], "complete"),
        ({"contrast": 0.00001, "offset": 0.25}, [], [], "failed"),
    ],
    "unlisted": [
        ({"kernel": HOSTILE[0], "width": None}, [10], [3.0], "complete"),
        ({"kernel": "plain", "width": 0.5}, [10], [2.0], "complete"),
        ({"kernel": HOSTILE[3], "width": 0.25}, [10], [2.5], "complete"),
    ],
}
SEARCH = HOSTILE[1]


def publish_searches(warehouse: Warehouse) -> None:
    """Publish all tables that the page of searches shows."""
    for study, settings in SETTINGS.items():
        publish_trials(warehouse, study, settings)
    publish_decisions(warehouse)
    publish_comparison(warehouse)
    random = np.random.default_rng(0)
    labels = [str(label) for label in range(10)] * 8
    publish(
        warehouse,
        DIGITS,
        {
            "digit_id": [f"{place:06}" for place in range(len(labels))],
            "label": labels,
            "pixels": [random.integers(0, 256, 28 * 28, np.uint8).tobytes() for _ in labels],
        },
    )


def publish_trials(warehouse: Warehouse, study: str, settings: list[tuple], search: str = SEARCH) -> None:
    """Publish the trials of a search, which become the partition of the study."""
    count = len(settings)
    parameters, budgets, values, states = map(list, zip(*settings, strict=True))
    publish(
        warehouse,
        TRIALS,
        {
            "study": [study] * count,
            "search": [search] * count,
            "number": np.arange(count, dtype=np.int32),
            "parameters": [json.dumps(each) for each in parameters],
            "method": ["hyperband"] * count,
            "seed": np.arange(count),
            "budgets": budgets,
            "values": values,
            "value": [each[-1] if each else None for each in values],
            "budget_used": [sum(each) for each in budgets],
            "state": states,
            "reason": [HOSTILE[2] if state == "failed" else None for state in states],
            "seconds": [1.0] * count,
            "data": ["{}"] * count,
            "made_from": ["0123456789abcdef"] * count,
        },
    )


def publish_decisions(warehouse: Warehouse) -> None:
    """Publish two challenges of the study `classifier`, and the champion that the second one made."""
    first, second = (SETTINGS["classifier"][place][0] for place in (0, 2))
    publish(
        warehouse,
        CHALLENGES,
        {
            "study": ["classifier"] * 2,
            "number": np.array([0, 1], np.int32),
            "search": [None, SEARCH],
            "trial": [None, 2],
            "parameters": [json.dumps(first), json.dumps(second)],
            "verdict": ["first", "crowned"],
            "why": ["before any search", f"better on fresh data {HOSTILE[0]}"],
            "value": [None, 0.64],
            "value_low": [None, 0.62],
            "value_high": [None, 0.66],
            "difference": [None, 0.02],
            "difference_low": [None, 0.01],
            "difference_high": [None, 0.03],
            "units": [None, 200],
            "data": ["{}"] * 2,
            "made_from": ["", "0123456789abcdef"],
            "decided_at": [TIME] * 2,
        },
    )
    publish(
        warehouse,
        CHAMPIONS,
        {
            "study": ["classifier"],
            "parameters": [json.dumps(second)],
            "verdict": ["crowned"],
            "search": [SEARCH],
            "trial": np.array([2], np.int32),
            "value": [0.64],
            "value_low": [0.62],
            "value_high": [0.66],
            "why": [f"better on fresh data {HOSTILE[0]}"],
            "data": ["{}"],
            "challenge": np.array([1], np.int32),
            "decided_at": [TIME],
        },
    )


def publish_comparison(warehouse: Warehouse) -> None:
    """Publish two methods after some epochs, the first of which has nothing at first, and the lecture's settings."""
    publish(
        warehouse,
        COMPARISON,
        {
            "method": ["random", "random", "random", "hyperband", "hyperband"],
            "epochs": [9, 18, 27, 1, 20],
            "median": [None, 0.6, 0.58, 2.25, 0.5],
            "low": [None, 0.55, 0.54, 2.0, 0.49],
            "high": [None, 0.7, 0.61, 2.5, 0.53],
            "losses": [[None], [0.6], [0.58], [2.25], [0.5]],
        },
    )
    settings = [setting.parameters for setting in DECK_SETTINGS]
    count = len(settings)
    ranks = np.arange(1.0, count + 1)
    losses = [*np.linspace(0.5, 1, count - 1), None]
    publish(
        warehouse,
        DECK,
        {
            "setting": np.arange(1, count + 1, dtype=np.int32),
            "learning_rate": [setting.learning_rate for setting in settings],
            "l2_penalty": [setting.l2_penalty for setting in settings],
            "hidden_nodes": np.array([setting.hidden_nodes for setting in settings], np.int32),
            "published_loss": [setting.loss for setting in DECK_SETTINGS],
            "published_rank": ranks[::-1].copy(),
            "loss": losses,
            "rank": ranks,
            "error": [None if loss is None else 0.25 for loss in losses],
            "losses": [[loss] for loss in losses],
        },
    )
