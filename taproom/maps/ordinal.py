"""A map from the ranks of neighbours: non-metric multidimensional scaling (ordinal embedding).

Here belongs the embedding of a neighbour graph in a few dimensions. What the triplets are that it is fitted to, and how
well it keeps them, is in `taproom.maps.triplets`; the form of the result is in `taproom.maps.alignment`.

Source: slide "BeerMapper - Under the Hood" of the lecture deck (Jamieson, CSE546 2017): find x with
||x_k - x_i|| < ||x_k - x_j|| whenever d(k, i) < d(k, j), by hinge loss and stochastic gradient descent. The ramp loss
that the descent ends with is that of Collobert, Sinz, Weston and Bottou, Trading Convexity for Scalability (ICML 2006).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.maps.alignment import aligned, canonical, standardized
from taproom.maps.triplets import checked_coordinates, checked_graph, has_triplets, scattered_seed
from taproom.progress import progress

if TYPE_CHECKING:
    from taproom.maps._ordinal_kernels import Graph

# A round of the descent has an update for each item: so many shards, each of items in a row, from the same state of the
# map. The number is part of the result. Below so many items a round is too short to be worth a thread.
SHARDS = 4
ITEMS_WORTH_SHARDS = 4_000
UPDATES_WITHOUT_SHARDS = 1 << 18
POWER_STEPS = 30
# So much of a descent has the hinge loss, which moves an item however far it is from where it belongs. The ramp loss
# that follows is nearer to the share of violated triplets: on the graph of `OrdinalParameters` it lowers both errors
# together by 0.007 in two dimensions. A map that is continued has only the ramp loss.
HINGE_SHARE = 0.3
# Of the ramp loss: a triplet that is violated by so many margins has no slope. With 1.0 both errors together are 0.001
# higher, in two dimensions 0.002; with 1.6 as much.
GIVEN_UP_AT = 1.3
# A map that is continued starts at its old coordinates, at the radius (in margins) that maps of texts end up at, and
# with so much shorter steps. On the graph of `OrdinalParameters`, grown by a quarter, that gives 0.146 / 0.388 (from
# scratch 0.147 / 0.389), and the items that were there move by 0.08 in the median.
RESTART_RADIUS = 7.5
RESTART_STEP = 1 / 4
# With fewer of the items on the old map, it is not used as a start; the new map is still aligned to it.
LEAST_SHARE_TO_RESTART = 0.1
SPARE_VECTORS = 5
# After that of the landmarks, the descent of all items has so much of the updates and of the length of the steps.
# `docs/scaling.md` has its errors beside those of a full descent.
LANDMARKS_UPDATES = 1 / 4
LANDMARKS_STEP = 1 / 4


@dataclass(frozen=True)
class OrdinalParameters:
    """How a map is fitted.

    The defaults come from runs on 6,954 beers with 100 neighbours each, where the error is the share of violated
    triplets, neighbour against random item / within the neighbours.

    Attributes:
        dimension: of the map.
        updates_per_item: how often an item is compared with 4 of its neighbours and 4 items at random, which are at
            most 22 triplets. 2,000 give 0.147 / 0.389 in two dimensions and 0.121 / 0.371 in three; 1,600 give
            0.122 / 0.372 in three.
        margin: by how much a far item should be farther, where 1 is the radius of the start. On graphs of real texts
            the map takes on the scale of the margin, and only step / margin matters. Graphs that can be mapped without
            error stay at the scale of the start, and a smaller margin then leaves less distortion.
        step: how far an update moves a neighbour at first, on average, if all of its triplets are violated; it falls to
            0 linearly.
        within_share: weight of the triplets that compare two neighbours, of all in an update. It trades one error for
            the other.
        seed: of all random numbers.
    """

    dimension: int = 2
    updates_per_item: int = 2_000
    margin: float = 0.1
    step: float = 0.03
    within_share: float = 0.39
    seed: int = 0


def embed(
    indices: np.ndarray,
    distances: np.ndarray,
    parameters: OrdinalParameters | None = None,
    start: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Place items so that near neighbours are nearer than far ones.

    Minimises the hinge loss max(0, v) of v = margin + ||x_k - x_i|| - ||x_k - x_j|| over random triplets (see the
    module), then the ramp loss min(2.3 margin, max(0, v)), which has no slope where a triplet is violated by more than
    1.3 margins: the map then gives up the triplets that it cannot keep for those that it can. Plain distances, not
    squared ones, whose slope grows with the distance, so that the worst triplets rule the map: with the hinge loss
    these give 0.160 / 0.393 on the graph of `OrdinalParameters`, squared ones 0.173 / 0.409. The result depends on
    nothing but the arguments, not even on the threads: each round of the descent is cut into the same shards, which
    start from the same state and are added in the same order.

    >>> ring = np.column_stack([np.roll(np.arange(8), 1), np.roll(np.arange(8), -1)])
    >>> embed(ring, np.zeros((8, 2)), OrdinalParameters(updates_per_item=40)).shape
    (8, 2)

    Args:
        indices: (n, k) integers, the neighbours of each item.
        distances: (n, k) float64, ascending in each row.
        parameters: see `OrdinalParameters`, whose defaults are taken if there are none.
        start: (n, dimension) float64, the map that is to be continued, as `embed` gave it; rows of NaN are items that
            it does not have, which start at the mean of their neighbours. By default, and where all rows are NaN, the
            map starts from the leading eigenvectors of the graph.
        n_jobs: threads, counted as joblib counts workers; at most one a shard.

    Returns:
        (n, dimension) float64 in the form of `canonical`; with a start, as `aligned` to it.

    Raises:
        InputError: shapes that differ, fewer than dimension + 2 items, distances or a start that are not finite, rows
            that do not ascend, indices that are no other item, no triplet, or parameters out of range.
    """
    parameters = parameters or OrdinalParameters()
    graph = _checked(indices, distances, parameters)
    with blas_threads():
        if start is not None:
            start = _checked_start(start, len(graph.indices), parameters.dimension)
        if start is not None and can_be_continued(start):
            coordinates = standardized(_with_new_items(start, graph.indices)) * RESTART_RADIUS * parameters.margin
            _descend(coordinates, graph, replace(parameters, step=parameters.step * RESTART_STEP), n_jobs, 0.0)
        else:
            coordinates = _from_scratch(graph, parameters, n_jobs)
        return _turned(coordinates, start)


def embed_from_landmarks(
    indices: np.ndarray,
    distances: np.ndarray,
    landmarks: np.ndarray,
    landmark_indices: np.ndarray,
    landmark_distances: np.ndarray,
    parameters: OrdinalParameters | None = None,
    older: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Place some items as `embed` does, the others at the mean of their neighbours, and then move all of them a little.

    The descent of the landmarks finds the large scale of the map, which takes most of the updates. The one of all items
    has a quarter of the updates for each item, and steps of a quarter of the length. Triplets that are held out of one
    are held out of both.

    Source: landmarks as in de Silva and Tenenbaum, Sparse multidimensional scaling using landmark points (Stanford
    University, 2004); the descent over all items after them as in multilevel graph drawing (Walshaw, Graph Drawing
    2000).

    Args:
        indices: (n, k) integers, the neighbours of each item.
        distances: (n, k) float64, ascending in each row.
        landmarks: (m,) integers, different rows of items, at least dimension + 2.
        landmark_indices: (m, j) integers, the neighbours of each landmark among the landmarks, as numbers from 0 to
            m - 1.
        landmark_distances: (m, j) float64, ascending in each row.
        parameters: as in `embed`.
        older: (n, dimension) float64, a map with too few of the items to be continued, NaN where it has none.
        n_jobs: as in `embed`.

    Returns:
        (n, dimension) float64 in the form of `canonical`; with an older map, as `aligned` to it.

    Raises:
        InputError: as `embed` does, for both graphs, and for landmarks that are no items or not as many as their graph.
    """
    parameters = parameters or OrdinalParameters()
    graph = _checked(indices, distances, parameters)
    among_landmarks = _checked(landmark_indices, landmark_distances, parameters)
    landmarks = _checked_landmarks(landmarks, len(among_landmarks.indices), len(graph.indices))
    if older is not None:
        older = _checked_start(older, len(graph.indices), parameters.dimension)
    start = np.full((len(graph.indices), parameters.dimension), np.nan)
    few = updates_after_landmarks(parameters.updates_per_item)
    refining = replace(parameters, updates_per_item=few, step=parameters.step * LANDMARKS_STEP)
    with blas_threads():
        start[landmarks] = _from_scratch(among_landmarks._replace(numbers=landmarks), parameters, n_jobs)
        coordinates = _with_new_items(start, graph.indices)
        _descend(coordinates, graph, refining, n_jobs, HINGE_SHARE)
        return _turned(coordinates, older)


def updates_after_landmarks(updates_per_item: int) -> int:
    """How many updates of each item are enough where the landmarks, or the items of an older map, have their places."""
    return max(1, round(updates_per_item * LANDMARKS_UPDATES))


def can_be_continued(start: np.ndarray) -> bool:
    """Whether a map (items, dimension), NaN where it lacks an item, has enough of the items to be continued."""
    return bool((~np.isnan(start[:, 0])).mean() >= LEAST_SHARE_TO_RESTART)


def _from_scratch(graph: "Graph", parameters: OrdinalParameters, n_jobs: int | None) -> np.ndarray:
    coordinates = standardized(_spectral_start(graph.indices, parameters.dimension))
    _descend(coordinates, graph, parameters, n_jobs, HINGE_SHARE)
    return coordinates


def _turned(coordinates: np.ndarray, older: np.ndarray | None) -> np.ndarray:
    """The form of a map that is fitted: that of an older map, if there is one with any of the items."""
    return canonical(coordinates) if older is None or np.isnan(older).all() else aligned(coordinates, older)


def _checked(indices: np.ndarray, distances: np.ndarray, parameters: OrdinalParameters) -> "Graph":
    _check_parameters(parameters)
    graph = checked_graph(indices, distances)
    check_enough_items(len(graph.indices), parameters.dimension)
    if not has_triplets(graph):
        raise InputError(
            f"There is no triplet to fit the map to: the {graph.indices.shape[1]} neighbours of each item are equally "
            "far from it. Use another number of neighbours, or items that differ more in how near they are."
        )
    return graph


def _descend(
    coordinates: np.ndarray,
    graph: "Graph",
    parameters: OrdinalParameters,
    n_jobs: int | None,
    hinge_share: float,
) -> None:
    """Move the items, in place, round by round; what the shards of a round do is added in their order.

    The first `hinge_share` of the updates have the hinge loss, the others the ramp loss.
    """
    from concurrent.futures import ThreadPoolExecutor

    from joblib import effective_n_jobs

    from taproom.maps import _ordinal_kernels as kernels

    p, items = parameters, len(coordinates)
    updates = items * p.updates_per_item
    descent = kernels.Descent(
        updates,
        int(hinge_share * updates),
        scattered_seed(p.seed),
        p.margin,
        GIVEN_UP_AT * p.margin,
        p.step,
        p.within_share,
    )
    shards = SHARDS if items >= ITEMS_WORTH_SHARDS else 1
    in_round = items if shards > 1 else UPDATES_WITHOUT_SHARDS
    # Not joblib: a shard takes milliseconds, about as long as joblib needs to hand it over.
    with (
        ThreadPoolExecutor(min(shards, effective_n_jobs(n_jobs))) as pool,
        progress(doing=f"fitting the map, d = {p.dimension}", total=updates, unit="update") as bar,
    ):
        for first in range(0, updates, in_round):
            count = min(in_round, updates - first)
            bounds = [first + count * shard // shards for shard in range(shards + 1)]
            moves = partial(kernels.displacement, coordinates, graph, descent)
            for moved in list((pool.map if shards > 1 else map)(moves, bounds[:-1], bounds[1:])):
                coordinates += moved
            bar.update(count)


def check_enough_items(items: int, dimension: int) -> None:
    """Raise `InputError` where there are too few items for a map of so many dimensions."""
    if items < dimension + 2:
        raise InputError(
            f"A map in {dimension} dimensions needs at least {dimension + 2} items, and there are {items}. "
            "Bring more items that differ, or ask for fewer dimensions."
        )


def _with_new_items(start: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The start with each item that it lacks at the mean of its neighbours, as far as these have or get a place.

    An item that no chain of neighbours connects to the others gets a random place.
    """
    from taproom.maps import _ordinal_kernels as kernels

    placed = start.copy()
    while (new := np.flatnonzero(np.isnan(placed[:, 0]))).size:
        means = kernels.mean_positions(placed, indices, new)
        reached = ~np.isnan(means[:, 0])
        if not reached.any():
            anywhere = np.empty((len(new), start.shape[1]))
            kernels.fill_uniform(anywhere, scattered_seed(0))
            placed[new] = np.nanmean(placed, axis=0) + anywhere * np.nanstd(placed, axis=0)
            break
        placed[new[reached]] = means[reached]
    return placed


def _spectral_start(indices: np.ndarray, dimension: int) -> np.ndarray:
    """The leading eigenvectors of the graph's random walk, without the constant one, by orthogonal iteration.

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
        # Half of the identity keeps negative eigenvalues, which do not mean nearness, from leading.
        vectors = vectors + walk @ vectors
        vectors -= np.outer(constant, constant @ vectors)
        vectors, _ = np.linalg.qr(vectors)
    _, mixing = np.linalg.eigh(vectors.T @ (walk @ vectors))
    leading = vectors @ mixing[:, ::-1][:, :dimension]
    return leading / root_degree[:, None]


def _check_parameters(parameters: OrdinalParameters) -> None:
    p = parameters
    if p.dimension < 1 or p.updates_per_item < 1 or not p.margin > 0 or not p.step > 0 or not 0 <= p.within_share <= 1:
        raise InputError(
            f"{parameters} cannot be fitted. The dimension and the updates must be at least 1, margin and step "
            "above 0, and the share of triplets within the neighbours from 0 to 1."
        )


def _checked_landmarks(landmarks: np.ndarray, wanted: int, items: int) -> np.ndarray:
    landmarks = np.array(landmarks, dtype=np.int64)
    if landmarks.shape != (wanted,) or landmarks.min() < 0 or landmarks.max() >= items:
        raise InputError(
            f"The landmarks have the shape {landmarks.shape}; wanted are {wanted} numbers of items from 0 to "
            f"{items - 1}, one for each row of the landmarks' graph."
        )
    if len(np.unique(landmarks)) < wanted:
        raise InputError("Some items are among the landmarks twice. Give each once.")
    return landmarks


def _checked_start(start: np.ndarray, items: int, dimension: int) -> np.ndarray:
    start = np.array(start, dtype=np.float64, order="C")
    lacking = np.isnan(start).all(axis=1) if start.ndim == 2 else np.zeros(items, bool)
    start[lacking] = 0.0
    start = checked_coordinates(start, items, dimension)
    if (~lacking).sum() > 1 and not np.ptp(start[~lacking], axis=0).any():
        raise InputError("The start has all items in one place, and no step leads out of it. Leave the start out.")
    start[lacking] = np.nan
    return start
