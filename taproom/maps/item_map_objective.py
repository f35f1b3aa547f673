"""The objective of the search for a map: triplets that no map is trained on.

A map has all items, so items cannot be held out. Triplets are: the sixteenth that `taproom.maps.ordinal` never trains
on. They are divided by their anchors. A triplet has one anchor, so none is both in the validation and in the fresh
part.

An item's error is the mean over the kinds random and within, and over maps in two and in three dimensions, since the
product has both maps and a parameter that trades one error for the other should not win by that alone. Each item
counts the same.

Source: the measure is that of `taproom.maps.triplets.triplet_errors`, item by item.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from taproom.errors import InputError
from taproom.maps.item_map import ranks
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.triplets import checked_graph, scattered_seed
from taproom.search.space import Parameters

DIMENSIONS = (2, 3)
# Of each part at most; each is judged by about so many held-out triplets of each kind.
MOST_ANCHORS = 2_000
TRIPLETS_PER_ANCHOR = 100


@dataclass(frozen=True, eq=False)
class MapObjective:
    """The share of held-out triplets that are violated; lower is better. The budget is updates per item.

    Attributes:
        indices, distances: (n, k) int32 and float64, the neighbours of each item.
        validation, fresh: (anchors,) int64 each, the items whose triplets are judged.
        seed: of the triplets.
    """

    indices: np.ndarray
    distances: np.ndarray
    validation: np.ndarray
    fresh: np.ndarray
    seed: int

    @classmethod
    def of(cls, neighbors: pa.Table, seed: int) -> "MapObjective":
        """From the table `neighbors`.

        Raises `InputError` where fewer than two items have held-out triplets of both kinds, or as `embed` does.
        """
        indices, distances = ranks(neighbors)
        everyone = np.arange(len(indices))
        nowhere = np.zeros((len(indices), 1))
        known = ~np.isnan(_errors(nowhere, indices, distances, everyone, seed)).any(axis=1)
        drawn = np.random.default_rng(seed).permutation(everyone[known])[: 2 * MOST_ANCHORS]
        if len(drawn) < 2:
            raise InputError(
                f"{len(drawn)} of {len(indices)} items have triplets of both kinds that are held out; wanted: at least "
                "2, to judge on one and keep one fresh. Bring more items, or more neighbors of each."
            )
        half = len(drawn) // 2
        return cls(indices, distances, np.sort(drawn[:half]), np.sort(drawn[half:]), seed)

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The mean error of the validation anchors. Raises `InputError` as `embed`."""
        return float(self._item_errors(self.validation, parameters, budget, seed).mean())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The error of each fresh anchor: (anchors,) float64. Raises as `score`."""
        return self._item_errors(self.fresh, parameters, budget, seed)

    def _item_errors(self, anchors: np.ndarray, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        settled = OrdinalParameters(**{"updates_per_item": budget, "seed": seed, **parameters})
        maps = (embed(self.indices, self.distances, replace(settled, dimension=d), n_jobs=1) for d in DIMENSIONS)
        errors = [_errors(positions, self.indices, self.distances, anchors, self.seed) for positions in maps]
        return np.mean(errors, axis=(0, 2))


def _errors(
    positions: np.ndarray, indices: np.ndarray, distances: np.ndarray, anchors: np.ndarray, seed: int
) -> np.ndarray:
    """The share of each anchor's held-out triplets that are violated: (anchors, kinds) float64, NaN without any.

    An anchor's triplets depend on the anchor, the graph and the seed alone.
    """
    from taproom.maps import _ordinal_kernels as kernels

    graph = checked_graph(indices, distances)
    draws = TRIPLETS_PER_ANCHOR * int(kernels.HELD_OUT_ONE_IN)
    nothing_wide = np.empty((0, graph.indices.shape[1]), np.int32)
    counts = np.array(
        [
            kernels.count_violations(
                positions, graph, anchors[place : place + 1], nothing_wide, anchor_seed, draws, kind, True
            )
            for place, anchor_seed in enumerate(_anchor_seeds(anchors, seed))
            for kind in (kernels.RANDOM, kernels.WITHIN)
        ],
        np.float64,
    ).reshape(len(anchors), 2, 2)
    triplets, violated = counts[..., 0], counts[..., 1]
    return np.divide(violated, triplets, out=np.full_like(violated, np.nan), where=triplets > 0)


def _anchor_seeds(anchors: np.ndarray, seed: int) -> list[np.uint64]:
    """Seeds that are far apart, for any anchors and any seed."""
    return [scattered_seed(int(scattered_seed(seed)) + int(anchor)) for anchor in anchors]
