"""A map from the ranks of neighbours: non-metric multidimensional scaling.

Here belongs the embedding of a neighbour graph in a few dimensions and the measure of how well it keeps the ranks.
Where neighbours come from is in `taproom.maps.neighbors`.

Source: slide "BeerMapper - Under the Hood" of the lecture deck (Jamieson, CSE546 2017): find x with
||x_k - x_i|| < ||x_k - x_j|| whenever d(k, i) < d(k, j), by hinge loss and stochastic gradient descent.

A triplet is an anchor k, a near item i from k's neighbours and a far item j that is strictly farther from k. What is
known of distances is only what the graph holds, so there are two kinds to train on:

- within: i and j both neighbours of k with different distances;
- random: i a neighbour of k, j any item that is not. Items beyond the neighbours are at least as far as the last of
  them, and as far if several tie for the last place. Neighbours in such a tie are no near items here (unless their
  distance is 0: what is identical to the anchor stays with it).

One triplet in sixteen, chosen by a hash of (k, i, j), is held out of the training, so that the error can be told on
triplets that were never trained on.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.progress import progress

if TYPE_CHECKING:
    from taproom.maps._ordinal_kernels import Graph

# A round of the descent: so many shards, each of so many draws an item, from the same state of the map. The numbers are
# part of the result. Below so many items a round is too short to be worth a thread.
SHARDS = 4
DRAWS_PER_SHARD = 0.5
ITEMS_WORTH_SHARDS = 4_000
DRAWS_WITHOUT_SHARDS = 1 << 20
POWER_STEPS = 30

# A map that is fitted anew begins where it was, at the radius (in margins) that maps of texts end up at, and with so
# much shorter steps. On the graph of `OrdinalParameters`, grown by a quarter, that gives 0.154 / 0.393 (from scratch
# 0.156 / 0.395), and the items that were there move by 0.15 in the median; with full steps from radius 1 by 0.2 to 0.3.
RESTART_RADIUS = 5.0
RESTART_STEP = 1 / 8
# With fewer of the items on the old map it is no start, though still what the new one is turned to.
LEAST_SHARE_TO_RESTART = 0.1
SPARE_VECTORS = 5


@dataclass(frozen=True)
class OrdinalParameters:
    """How a map is fitted.

    The defaults come from runs on 6,954 beers with 100 neighbours each, where the error is the share of violated
    triplets, neighbour against random item / within the neighbours.

    Attributes:
        dimension: of the map.
        updates_per_item: draws of a triplet for each item. 8,000 give 0.157 / 0.395 in two dimensions and 0.128 / 0.376
            in three; twice as many gain 0.002.
        margin: by how much a far item should be farther, where 1 is the radius of the start. On graphs of real texts
            the map takes on the scale of the margin, and only step / margin matters. Graphs that can be mapped without
            error stay at the scale of the start, and a smaller margin then leaves less distortion.
        step: length of the first step; it falls linearly to 0. Between a twelfth and a half of the margin the errors
            differ by 0.003: longer steps are better against random items, shorter ones within the neighbours.
        within_share: share of the draws that compare two neighbours. It trades one error for the other: in two
            dimensions 0.3 gives 0.150 / 0.409, 0.7 gives 0.180 / 0.382.
        seed: of all random numbers.
    """

    dimension: int = 2
    updates_per_item: int = 8_000
    margin: float = 0.1
    step: float = 0.02
    within_share: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class TripletError:
    """The share of violated triplets of one kind.

    Attributes:
        kind: "random", "near_miss" or "within".
        split: "training" or "held_out".
        triplets: how many were looked at.
        violated: how many of them the map has the wrong way round or at the same distance.
    """

    kind: str
    split: str
    triplets: int
    violated: int

    @property
    def error(self) -> float | None:
        """Share of violated triplets, None without any."""
        return self.violated / self.triplets if self.triplets else None


def embed(
    indices: np.ndarray,
    distances: np.ndarray,
    parameters: OrdinalParameters | None = None,
    start: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Place items so that near neighbours are nearer than far ones.

    Minimises the hinge loss max(0, margin + ||x_k - x_i|| - ||x_k - x_j||) over random triplets (see the module). Plain
    distances, not squared ones: on the graph of `OrdinalParameters` these end at 0.160 / 0.393, squared ones at
    0.173 / 0.409, since their slope grows with the distance and the worst triplets rule the map. The result depends on
    nothing but the arguments, not even on the threads: each round of the descent is cut into the same shards, which
    start from the same state and are added in the same order.

    Args:
        indices: (n, k) integers, the neighbours of each item.
        distances: (n, k) float64, ascending in each row.
        parameters: see `OrdinalParameters`, whose defaults are taken if there are none.
        start: (n, dimension) float64, the map that is to be continued, as `embed` gave it; rows of NaN are items that
            it does not have, which start amid their neighbours. By default, and where all rows are NaN, the map starts
            from the leading eigenvectors of the graph.
        n_jobs: threads, counted as joblib counts workers; at most one a shard.

    Returns:
        (n, dimension) float64 in the form of `canonical`; with a start, as `aligned` to it.

    Raises:
        InputError: shapes that differ, fewer than dimension + 2 items, distances or a start that are not finite, rows
            that do not ascend, indices that are no other item, or parameters out of range.
    """
    from threadpoolctl import threadpool_limits

    parameters = parameters or OrdinalParameters()
    _check_parameters(parameters)
    graph = checked_graph(indices, distances)
    check_enough_items(len(graph.indices), parameters.dimension)
    with threadpool_limits(limits=1, user_api="blas"):
        if start is not None:
            start = _checked_start(start, len(graph.indices), parameters.dimension)
        known = np.zeros(len(graph.indices), bool) if start is None else ~np.isnan(start[:, 0])
        if known.mean() >= LEAST_SHARE_TO_RESTART:
            coordinates = _standardized(_with_new_items(start, graph.indices)) * RESTART_RADIUS * parameters.margin
            parameters = replace(parameters, step=parameters.step * RESTART_STEP)
        else:
            coordinates = _standardized(_spectral_start(graph.indices, parameters.dimension))
        _descend(coordinates, graph, parameters, n_jobs)
        return aligned(coordinates, start) if known.any() else canonical(coordinates)


def _descend(coordinates: np.ndarray, graph: "Graph", parameters: OrdinalParameters, n_jobs: int | None) -> None:
    """Move the items, in place, round by round; what the shards of a round do is added in their order."""
    from concurrent.futures import ThreadPoolExecutor

    from joblib import effective_n_jobs

    from taproom.maps import _ordinal_kernels as kernels

    p, items = parameters, len(coordinates)
    draws = items * p.updates_per_item
    descent = kernels.Descent(draws, scattered_seed(p.seed), p.margin, p.step, p.within_share)
    shards, size = (SHARDS, int(DRAWS_PER_SHARD * items)) if items >= ITEMS_WORTH_SHARDS else (1, DRAWS_WITHOUT_SHARDS)
    # Not joblib: a shard takes milliseconds, about as long as joblib needs to hand it over.
    with (
        ThreadPoolExecutor(min(shards, effective_n_jobs(n_jobs))) as pool,
        progress(doing=f"fitting the map, d = {p.dimension}", total=draws, unit="update") as bar,
    ):
        for first in range(0, draws, shards * size):
            starts = range(first, min(first + shards * size, draws), size)
            ends = [min(start + size, draws) for start in starts]
            moves = partial(kernels.displacement, coordinates, graph, descent)
            for moved in list((pool.map if shards > 1 else map)(moves, starts, ends)):
                coordinates += moved
            bar.update(ends[-1] - first)


def canonical(coordinates: np.ndarray) -> np.ndarray:
    """The same map in the one form that all its shifts, rotations, reflections and scalings share.

    Centred; axes are the principal ones, largest variance first; on each axis the first entry of at least half the
    largest size is positive; the root mean square distance from the centre is 1 (unless all items are in one place).

    Args:
        coordinates: (n, dimension) float64.
    """
    standard = _standardized(coordinates)
    _, axes = np.linalg.eigh(standard.T @ standard)
    rotated = standard @ axes[:, ::-1]
    sizes = np.abs(rotated)
    first_large = np.argmax(sizes >= sizes.max(axis=0) / 2, axis=0)
    signs = np.where(rotated[first_large, np.arange(rotated.shape[1])] < 0, -1.0, 1.0)
    return rotated * signs


def aligned(coordinates: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The same map shifted, turned and reflected so that it lies on another one as well as it can (Procrustes).

    Its root mean square distance from its centre is 1, whatever the scale of the other: fitting the scale as well would
    shrink a map that is aligned again and again.

    Args:
        coordinates: (n, dimension) float64.
        reference: (n, dimension) float64; rows of NaN are items without a place on it. One row must have one.
    """
    shared = ~np.isnan(reference[:, 0])
    standard = _standardized(coordinates)
    centre, wanted_centre = standard[shared].mean(axis=0), reference[shared].mean(axis=0)
    left, _, right = np.linalg.svd((standard[shared] - centre).T @ (reference[shared] - wanted_centre))
    return (standard - centre) @ (left @ right) + wanted_centre


def triplet_errors(
    coordinates: np.ndarray,
    indices: np.ndarray,
    distances: np.ndarray,
    *,
    seed: int = 0,
    samples: int = 1_000_000,
    wide: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[TripletError]:
    """How often the map has it the wrong way round, on random triplets of each kind, trained on and held out.

    Args:
        coordinates: (n, dimension) float64, the map.
        indices: (n, k) integers, the neighbours that the map was fitted to.
        distances: (n, k) float64, ascending in each row.
        seed: of the triplets.
        samples: about how many triplets for each kind and split; draws that give no triplet are not made up for.
        wide: for the kind "near_miss", a neighbour against an item that ranks behind the k: (m,) anchors, and their
            (m, more than k) neighbours, of which the first k are those in `indices`. Without it that kind is left out.

    Returns:
        A row for each kind and split.

    Raises:
        InputError: shapes that differ, values that are not finite, or wide neighbours of another graph.
    """
    from taproom.maps import _ordinal_kernels as kernels

    graph = checked_graph(indices, distances)
    items, k = graph.indices.shape
    coordinates = _checked_coordinates(coordinates, items, np.shape(coordinates)[-1])
    everyone, nothing_wide = np.arange(items), np.empty((0, k), np.int32)
    kinds = {"random": (kernels.RANDOM, everyone, nothing_wide), "within": (kernels.WITHIN, everyone, nothing_wide)}
    if wide is not None:
        kinds["near_miss"] = (kernels.NEAR_MISS, *_checked_wide(*wide, graph.indices))
    splits = {"training": (samples, False), "held_out": (samples * int(kernels.HELD_OUT_ONE_IN), True)}
    rows = []
    for kind, (code, anchors, wide_indices) in kinds.items():
        for split, (draws, held_out) in splits.items():
            found = kernels.count_violations(
                coordinates, graph, anchors, wide_indices, scattered_seed(seed), draws, code, held_out
            )
            rows.append(TripletError(kind, split, *found))
    return rows


def _reach(distances: np.ndarray) -> np.ndarray:
    """How many neighbours of each item are known to be nearer than all items that are not its neighbours."""
    last = distances[:, -1:]
    tied_for_last = (distances == last).sum(axis=1)
    k = distances.shape[1]
    return np.where((tied_for_last == 1) | (last[:, 0] == 0), k, k - tied_for_last)


def _with_new_items(start: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The start with each item that it lacks amid its neighbours, as far as these have or get a place.

    An item that no chain of neighbours joins to the others is put anywhere.
    """
    from taproom.maps import _ordinal_kernels as kernels

    placed = start.copy()
    while (new := np.flatnonzero(np.isnan(placed[:, 0]))).size:
        around = placed[indices[new]]
        reached = ~np.isnan(around[:, :, 0]).all(axis=1)
        if not reached.any():
            anywhere = np.empty((len(new), start.shape[1]))
            kernels.fill_uniform(anywhere, scattered_seed(0))
            placed[new] = np.nanmean(placed, axis=0) + anywhere * np.nanstd(placed, axis=0)
            break
        placed[new[reached]] = np.nanmean(around[reached], axis=1)
    return placed


def _spectral_start(indices: np.ndarray, dimension: int) -> np.ndarray:
    """The leading eigenvectors of the graph's random walk, beside the constant one, by orthogonal iteration.

    Random starts reach the same errors on the graph of `OrdinalParameters`, but each ends in another map; from this one
    the large scale stays. Where a map without error exists, they often miss it. A fixed number of steps always ends,
    whatever the graph, and the spare vectors make it precise enough.
    """
    from taproom.maps import _ordinal_kernels as kernels

    items, k = indices.shape
    edges = np.ones(indices.size), indices.ravel(), np.arange(0, indices.size + 1, k)
    graph = sparse.csr_array(edges, shape=(items, items))
    graph = (graph + graph.T).tocsr()
    root_degree = np.sqrt(graph.sum(axis=1))
    scale = sparse.diags_array(1.0 / root_degree)
    walk = (scale @ graph @ scale).tocsr()
    constant = root_degree / np.linalg.norm(root_degree)
    vectors = np.empty((items, min(dimension + SPARE_VECTORS, items - 1)))
    kernels.fill_uniform(vectors, scattered_seed(0))
    for _ in range(POWER_STEPS):
        # Half of the identity keeps negative eigenvalues, which say nothing about nearness, from leading.
        vectors = vectors + walk @ vectors
        vectors -= np.outer(constant, constant @ vectors)
        vectors, _ = np.linalg.qr(vectors)
    _, mixing = np.linalg.eigh(vectors.T @ (walk @ vectors))
    leading = vectors @ mixing[:, ::-1][:, :dimension]
    return leading / root_degree[:, None]


def _standardized(coordinates: np.ndarray) -> np.ndarray:
    """Centred, with a root mean square distance of 1 from the centre."""
    centred = coordinates - coordinates.mean(axis=0)
    radius = np.sqrt((centred**2).sum(axis=1).mean())
    return centred / radius if radius > 0 else centred


def scattered_seed(seed: int) -> np.uint64:
    """A seed for the kernels; near seeds become far apart."""
    from taproom.maps import _ordinal_kernels as kernels

    return np.uint64(kernels.scattered(np.uint64(seed % 2**64)))


def _check_parameters(parameters: OrdinalParameters) -> None:
    p = parameters
    if p.dimension < 1 or p.updates_per_item < 1 or not p.margin > 0 or not p.step > 0 or not 0 <= p.within_share <= 1:
        raise InputError(
            f"{parameters} cannot be fitted. The dimension and the updates must be at least 1, margin and step "
            "above 0, and the share of triplets within the neighbours from 0 to 1."
        )


def check_enough_items(items: int, dimension: int) -> None:
    """Raise `InputError` where so few items say nothing about a map of so many dimensions."""
    if items < dimension + 2:
        raise InputError(
            f"A map in {dimension} dimensions needs at least {dimension + 2} items, and there are {items}. "
            "Bring more items or ask for fewer dimensions."
        )


def checked_graph(indices: np.ndarray, distances: np.ndarray) -> "Graph":
    """The graph in the types that the kernels take, once it is known that they cannot read beyond it."""
    from taproom.maps._ordinal_kernels import Graph

    indices, distances = np.asarray(indices), np.asarray(distances, dtype=np.float64)
    if indices.ndim != 2 or indices.shape != distances.shape or not indices.size:
        raise InputError(
            f"The neighbours have the shape {indices.shape} and their distances {distances.shape}; both must be "
            "(items, neighbours), with at least one of each."
        )
    items = len(indices)
    if indices.min() < 0 or indices.max() >= items or (indices == np.arange(items)[:, None]).any():
        raise InputError(f"Neighbours must be numbers of other items, from 0 to {items - 1}.")
    if not np.isfinite(distances).all():
        raise InputError("Some distances are not finite numbers. Look for NaN or infinity in what they were made from.")
    if (np.diff(distances, axis=1) < 0).any():
        raise InputError("The distances of an item must ascend. Sort its neighbours, the nearest first.")
    return Graph(np.array(indices, dtype=np.int32, order="C"), np.array(distances, order="C"), _reach(distances))


def _checked_coordinates(coordinates: np.ndarray, items: int, dimension: int) -> np.ndarray:
    coordinates = np.array(coordinates, dtype=np.float64, order="C")
    if coordinates.shape != (items, dimension):
        raise InputError(
            f"The coordinates have the shape {coordinates.shape}; wanted are {items} items in {dimension} dimensions. "
            "Give one row for each item, or no start."
        )
    if not np.isfinite(coordinates).all():
        raise InputError("Some coordinates are not finite numbers. Leave the start out to begin anew.")
    return coordinates


def _checked_start(start: np.ndarray, items: int, dimension: int) -> np.ndarray:
    start = np.array(start, dtype=np.float64, order="C")
    lacking = np.isnan(start).all(axis=1) if start.ndim == 2 else np.zeros(items, bool)
    start[lacking] = 0.0
    start = _checked_coordinates(start, items, dimension)
    if (~lacking).sum() > 1 and not np.ptp(start[~lacking], axis=0).any():
        raise InputError("The start has all items in one place, and no step leads out of it. Leave the start out.")
    start[lacking] = np.nan
    return start


def _checked_wide(anchors: np.ndarray, wide_indices: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    anchors, wide_indices = np.array(anchors, dtype=np.int64), np.array(wide_indices, dtype=np.int32, order="C")
    k = indices.shape[1]
    if anchors.ndim != 1 or wide_indices.ndim != 2 or len(anchors) != len(wide_indices) or not len(anchors):
        raise InputError(
            f"The wide neighbours have the shape {wide_indices.shape} for anchors of the shape {anchors.shape}; "
            "wanted is one row for each anchor, and at least one anchor."
        )
    in_range = anchors.min() >= 0 and anchors.max() < len(indices)
    if not in_range or wide_indices.min() < 0 or wide_indices.max() >= len(indices):
        raise InputError(f"Anchors and their wide neighbours must be numbers of items, from 0 to {len(indices) - 1}.")
    if not np.array_equal(wide_indices[:, :k], indices[anchors]):
        raise InputError(
            f"The first {k} of the wide neighbours are not the neighbours that the map was fitted to. "
            "Find both with the same weights."
        )
    return anchors, wide_indices
