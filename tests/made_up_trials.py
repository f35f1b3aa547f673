"""Trials of a made-up search."""

from zlib import crc32

import numpy as np

from taproom.search.space import Choice, Integer, Real
from taproom.search.trials import Trial

SPACE = {
    "rate": Real(1e-3, 1e-1, log=True),
    "nodes": Integer(10, 1000, log=True),
    "pooling": Choice(("mean", "max", "$sum$")),
    "offset": Real(-0.5, 0.5),
}


BANDWIDTH = {"bandwidth": Real(0.01, 1, log=True)}


def settings_of(space, count):
    places = np.random.default_rng(0).random((count, len(space)))
    return [{name: space[name].at(place) for name, place in zip(space, row, strict=True)} for row in places]


def searched(space, count, value=lambda setting: crc32(str([*setting.values()]).encode()) % 7.0):
    return [
        Trial(number, setting, number, (10,), (value(setting),))
        for number, setting in enumerate(settings_of(space, count))
    ]


def failed(number, space=SPACE, budgets=(), values=()):
    return Trial(number, settings_of(space, number + 1)[-1], 0, budgets, values, "failed", "ValueError: no")


def with_rungs(count):
    states = ("stopped", "promoted", "complete")
    found = []
    for number, setting in enumerate(settings_of(SPACE, count)):
        rungs = 1 + number % 3
        budgets = (3, 9, 27)[:rungs]
        values = tuple(1 / budget + setting["offset"] ** 2 for budget in budgets)
        found.append(Trial(number, setting, number, budgets, values, states[rungs - 1]))
    return found
