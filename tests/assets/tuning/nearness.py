"""A made-up objective, by itself: worker processes import its module, and need not import Dagster for it."""

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Nearness:
    """How near x is to a target; settings above `most` cannot be fitted."""

    target: float
    most: float = 2.0
    seconds: float = 0.0

    def score(self, parameters, budget, seed):
        time.sleep(self.seconds)
        if parameters["x"] > self.most:
            raise ValueError("x is too large")
        return -abs(parameters["x"] - self.target)

    def fresh_scores(self, parameters, budget, seed):
        return self.score(parameters, budget, seed) + np.random.default_rng(0).normal(0, 0.01, 50)
