"""The objective of the search for a bandwidth: the log density of events that have no kernel.

Events are divided at random into those with a kernel, those that settings are judged on, and fresh ones. Wells are
divided too: the density describes these wells, so the held-out events come from them as well.

A bandwidth belongs to a number of events, since the best one falls with the sixth root of it (Scott, Multivariate
Density Estimation, 1992, section 6.3): one that was found with a tenth of the product's events is half as wide again as
it should be.

Source: the held-out likelihood of `taproom.assays.densities.choose_bandwidth`, which is also what the default sets.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from taproom.assays.densities import KernelDensityParameters, choose_bandwidth, complete, held_out_log_densities
from taproom.errors import InputError
from taproom.search.space import Parameters
from taproom.sources.events import event_matrix

# Of the events, for the validation, and as many that are fresh.
HELD_OUT_SHARE = 0.1
LEAST_EVENTS = 10
# 8 MB, which each worker is sent.
MOST_EVENTS = 500_000


@dataclass(frozen=True, eq=False)
class KernelDensityObjective:
    """The mean log density of held-out events, in nats; higher is better. The budget is the number of kernels.

    Attributes:
        fitted, validation, fresh: (events, 2) float64 each, complete, in an order that the seed decides.
    """

    fitted: np.ndarray
    validation: np.ndarray
    fresh: np.ndarray

    @classmethod
    def of(cls, events: pa.Table, wells: pa.Table, density: pa.Table, seed: int) -> "KernelDensityObjective":
        """From the tables of these names; the channels are the two of `density`.

        Raises `InputError` where fewer than 10 events have both channels.
        """
        matrix = event_matrix(events, wells)
        channels = [density[f"{axis}_channel"][0].as_py() for axis in "xy"]
        return cls.parted(matrix.values[:, matrix.places(channels)], seed)

    @classmethod
    def parted(cls, values: np.ndarray, seed: int) -> "KernelDensityObjective":
        """From values (events, 2) float64, NaN where missing. Raises as `of`."""
        values = complete(values)
        if len(values) < LEAST_EVENTS:
            raise InputError(
                f"{len(values)} events have a value in both channels; wanted: at least {LEAST_EVENTS}, to fit to some "
                "and judge on others."
            )
        drawn = np.random.default_rng(seed).permutation(values)[:MOST_EVENTS]
        held_out = int(HELD_OUT_SHARE * len(drawn))
        validation, fresh, fitted = np.split(drawn, [held_out, 2 * held_out])
        return cls(fitted, validation, fresh)

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The mean log density of the validation events. Raises `InputError` for a bandwidth that cannot be judged."""
        return float(self._log_densities(self.validation, parameters, budget, seed).mean())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The log density of each fresh event: (events,) float64. Raises as `score`."""
        return self._log_densities(self.fresh, parameters, budget, seed)

    def _log_densities(self, held_out: np.ndarray, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        fitted = self.fitted[:budget]
        chosen = KernelDensityParameters(**{"seed": seed, **parameters})
        bandwidth = chosen.bandwidth
        if bandwidth is None:
            bandwidth, _ = choose_bandwidth(fitted, chosen.seed)
        found = held_out_log_densities(fitted, held_out, bandwidth)
        if np.isnan(found).any():
            raise InputError(
                f"The bandwidth {bandwidth:.3g} would take too large a grid over {len(fitted)} events, so it cannot be "
                "judged; wanted: a larger one."
            )
        return found
