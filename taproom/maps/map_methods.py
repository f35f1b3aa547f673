"""Other methods that map a neighbour graph: kernel PCA, locally linear embedding, unfolding, non-metric MDS.

Here belong the methods that the lecture deck names beside the ordinal embedding of `taproom.maps.ordinal`. They are
compared in `taproom.maps.map_comparison`.

Source: slide "BeerMapper - Under the Hood" of the lecture deck (Jamieson, CSE546 2017): "Could have also used
local-linear-embedding, max-volume-unfolding, kernel-PCA, etc."; and scikit-learn's non-metric MDS, the textbook form of
what the deck does with triplets.

scikit-learn is used where it takes the graph or the same distances. Its locally linear embedding finds neighbours of
its own in dense vectors, so that method is solved here, from the graph and the sparse rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.maps.ordinal import OrdinalParameters, check_enough_items, embed

# As in scikit-learn: more neighbours than directions would make the weights of a reconstruction ambiguous.
REGULARIZATION = 1e-3
# Far below the eigenvalues that matter and far above their rounding errors.
SHIFT = 1e-9
UNFOLDING_ROUNDS, UNFOLDING_STEPS, UNFOLDING_TOLERANCE = 100, 100, 1e-3
# scikit-learn's non-metric MDS takes a distance of 0 for a missing one.
SMALLEST_DISTANCE = 1e-12


@dataclass(frozen=True)
class MethodParameters:
    """Parameters of the methods.

    Attributes:
        sample: items for the methods that cost the square of the items per step; all items, if there are no more.
        dense_items: up to how many items locally linear embedding, which factorises a dense matrix of items x items
            (8,000 take 0.5 GB), maps them all, and the ordinal embedding is fitted again for its seconds.
        reconstruction_neighbors: from how many of its neighbours locally linear embedding reconstructs an item, at most
            all. On 6,947 beers, 10 leave it without a unique solution, and 100 give larger errors than 20.
        unfolding_neighbors: to how many of its neighbours maximum variance unfolding keeps an item's distance.
        seed: of the ordinal embedding, of the triplets, and of the start vectors of iterations.
    """

    sample: int = 150
    dense_items: int = 8_000
    reconstruction_neighbors: int = 20
    unfolding_neighbors: int = 5
    seed: int = 0


@dataclass(frozen=True)
class ItemGraph:
    """Items by row number: `weights` (n, terms), their neighbours' `indices` (n, k) int32 and `distances` (n, k).

    `categories` (n,) are strings, None where an item has none; no method sees them.
    """

    weights: sparse.csr_array
    indices: np.ndarray
    distances: np.ndarray
    categories: np.ndarray | None = None

    def unit_rows(self) -> sparse.csr_array:
        """The weights, each row of length 1."""
        lengths = np.sqrt(self.weights.multiply(self.weights).sum(axis=1))
        return (sparse.diags_array(1.0 / lengths) @ self.weights).tocsr()


def kernel_pca(graph: ItemGraph, dimension: int, parameters: MethodParameters) -> np.ndarray:
    """Kernel PCA with the cosine kernel: (n, dimension) float64.

    That kernel is the linear one of the unit rows, so its centred eigenvectors are the scores of a PCA of these, which
    needs no matrix of items x items.

    Raises:
        InputError: no more items or words than dimensions.

    Source: Schölkopf, Smola and Müller, Nonlinear Component Analysis as a Kernel Eigenvalue Problem, 1998.
    """
    from sklearn.decomposition import PCA

    rows = graph.unit_rows()
    if min(rows.shape) <= dimension:
        raise InputError(
            f"{rows.shape[0]} items with {rows.shape[1]} words have no {dimension} principal components to compute; "
            "there must be more of either."
        )
    return PCA(dimension, svd_solver="arpack", random_state=parameters.seed).fit_transform(rows)


def locally_linear(graph: ItemGraph, dimension: int, parameters: MethodParameters) -> np.ndarray:
    """Locally linear embedding: (n, dimension) float64, each column of length 1.

    Each item is reconstructed from its neighbours with weights W that sum to 1; the map has the eigenvectors of
    (I - W)'(I - W) with the smallest eigenvalues but the constant one.

    Raises:
        InputError: a graph in several pieces, or too few items.

    Source: Roweis and Saul, Nonlinear Dimensionality Reduction by Locally Linear Embedding, Science 290, 2000.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse.linalg import LinearOperator, eigsh

    graph = _nearest_only(graph, parameters.reconstruction_neighbors)
    items = len(graph.indices)
    _check_mappable(graph.indices, dimension)
    residual = (sparse.eye_array(items) - _reconstruction(graph)).tocsr()
    cost = (residual.T @ residual + SHIFT * sparse.eye_array(items)).toarray()
    factor = cho_factor(cost, overwrite_a=True, check_finite=False)
    inverse = LinearOperator(
        (items, items), matvec=lambda vector: cho_solve(factor, vector, check_finite=False), dtype=np.float64
    )
    start = np.random.default_rng(parameters.seed).uniform(-1, 1, items)
    values, vectors = eigsh(inverse, k=dimension + 1, v0=start, tol=1e-6, maxiter=100)
    return vectors[:, np.argsort(-values)[1:]]


def maximum_variance_unfolding(graph: ItemGraph, dimension: int, parameters: MethodParameters) -> np.ndarray:
    """Maximum variance unfolding: (n, dimension) float64.

    Maximises the variance sum_i |y_i - mean|^2 while items keep their Euclidean distance to their nearest neighbours;
    the map has the leading principal components of the y. Instead of the semidefinite program in y_i'y_j, the y
    themselves are found, in as many dimensions as a solution of m constraints can need, sqrt(2 m), by an augmented
    Lagrangian and SciPy's L-BFGS. A solver of the program itself would be a dependency for nothing: for 300 films with
    5 neighbours each, SCS 3.3 ends at the variance 918.25 after 5 s, and this after 1 s; Clarabel 0.11 takes 28 s for
    100 films.

    Raises:
        InputError: a graph in several pieces, too few items, or distances that could not be kept.

    Source: Weinberger and Saul, Unsupervised Learning of Image Manifolds by Semidefinite Programming, 2004; Kulis,
    Surendran and Platt, Fast Low-Rank Semidefinite Programming for Embedding and Clustering, 2007.
    """
    graph = _nearest_only(graph, parameters.unfolding_neighbors)
    _check_mappable(graph.indices, dimension)
    differences, squared_lengths = _edges(graph)
    edges, items = differences.shape
    rank = max(dimension, min(items - 1, int(np.ceil(np.sqrt(2 * edges)))))
    start = np.random.default_rng(parameters.seed).normal(size=(items, rank)) / np.sqrt(rank)
    unfolded = _unfold(start, differences, squared_lengths)
    left, sizes, _ = np.linalg.svd(unfolded - unfolded.mean(axis=0), full_matrices=False)
    return left[:, :dimension] * sizes[:dimension]


def nonmetric_mds(graph: ItemGraph, dimension: int, parameters: MethodParameters) -> np.ndarray:
    """scikit-learn's non-metric multidimensional scaling of all cosine distances: (n, dimension) float64.

    It starts from classical scaling, which is not random; other parameters are the defaults.

    Source: Kruskal, Nonmetric Multidimensional Scaling: A Numerical Method, Psychometrika 29, 1964.
    """
    from sklearn.manifold import MDS

    check_enough_items(len(graph.indices), dimension)
    rows = graph.unit_rows()
    distances = np.maximum(1.0 - (rows @ rows.T).toarray(), SMALLEST_DISTANCE)
    np.fill_diagonal(distances, 0.0)
    return MDS(dimension, metric_mds=False, metric="precomputed", init="classical_mds", n_init=1).fit_transform(
        distances
    )


def _ordinal(graph: ItemGraph, dimension: int, parameters: MethodParameters) -> np.ndarray:
    return embed(graph.indices, graph.distances, OrdinalParameters(dimension=dimension, seed=parameters.seed))


METHODS: dict[str, Callable[[ItemGraph, int, MethodParameters], np.ndarray]] = {
    "ordinal": _ordinal,
    "kernel_pca": kernel_pca,
    "locally_linear": locally_linear,
    "maximum_variance_unfolding": maximum_variance_unfolding,
    "nonmetric_mds": nonmetric_mds,
}

# Methods whose map in fewer dimensions has the first axes of the map in more: one fit serves all.
NESTED = {"kernel_pca", "locally_linear", "maximum_variance_unfolding"}


def _nearest_only(graph: ItemGraph, k: int) -> ItemGraph:
    """The graph of each item's k nearest neighbours, or of all where it has fewer."""
    return ItemGraph(graph.weights, graph.indices[:, :k], graph.distances[:, :k])


def _adjacency(indices: np.ndarray, values: np.ndarray) -> sparse.csr_array:
    """The matrix with `values[i, j]` in row i and column `indices[i, j]`."""
    items, k = indices.shape
    return sparse.csr_array((values.ravel(), indices.ravel(), np.arange(0, items * k + 1, k)), shape=(items, items))


def _reconstruction(graph: ItemGraph) -> sparse.csr_array:
    """The weights, by item and neighbour, with which neighbours best reconstruct an item."""
    rows = graph.unit_rows()
    weights = np.empty(graph.distances.shape)
    for item, (neighbors, distances) in enumerate(zip(graph.indices, graph.distances, strict=True)):
        near = rows[neighbors]
        to_item = 1.0 - distances
        gram = (near @ near.T).toarray() - to_item[:, None] - to_item + 1.0
        spread = np.trace(gram)
        gram.flat[:: len(gram) + 1] += REGULARIZATION * (spread if spread > 0 else 1.0)
        weights[item] = np.linalg.solve(gram, np.ones(len(gram)))
    return _adjacency(graph.indices, weights / weights.sum(axis=1, keepdims=True))


def _edges(graph: ItemGraph) -> tuple[sparse.csr_array, np.ndarray]:
    """Each pair of neighbours once: a matrix (edges, items) that subtracts one from the other; squared lengths."""
    items, k = graph.indices.shape
    pairs = np.sort(np.column_stack([np.repeat(np.arange(items), k), graph.indices.ravel()]), axis=1)
    pairs, place = np.unique(pairs, axis=0, return_index=True)
    signs = np.tile([1.0, -1.0], len(pairs))
    differences = sparse.csr_array((signs, pairs.ravel(), np.arange(0, signs.size + 1, 2)), shape=(len(pairs), items))
    return differences, 2.0 * graph.distances.ravel()[place]


def _unfold(positions: np.ndarray, differences: sparse.csr_array, squared_lengths: np.ndarray) -> np.ndarray:
    """Maximise the variance of the positions while the edges keep their lengths, by an augmented Lagrangian."""
    from scipy.optimize import minimize

    back = differences.T.tocsr()

    def excess(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        along = differences @ positions
        return along, np.einsum("ij,ij->i", along, along) - squared_lengths

    def lagrangian(flat: np.ndarray) -> tuple[float, np.ndarray]:
        centred = flat.reshape(positions.shape)
        centred = centred - centred.mean(axis=0)
        along, broken = excess(centred)
        value = -np.vdot(centred, centred) + multipliers @ broken + penalty / 2 * broken @ broken
        slope = back @ ((multipliers + penalty * broken)[:, None] * along) - centred
        return value, 2.0 * slope.ravel()

    multipliers, penalty, largest_before = np.zeros(len(squared_lengths)), 1.0, np.inf
    for _ in range(UNFOLDING_ROUNDS):
        options = {"maxiter": UNFOLDING_STEPS, "ftol": 1e-12}
        positions = minimize(lagrangian, positions.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(
            positions.shape
        )
        _, broken = excess(positions)
        largest = np.abs(broken).max()
        if largest < UNFOLDING_TOLERANCE:
            return positions
        multipliers = multipliers + penalty * broken
        if largest > largest_before / 4:
            penalty *= 2.0
        largest_before = largest
    raise InputError(
        f"After {UNFOLDING_ROUNDS} rounds of unfolding, a squared distance between neighbours is off by {largest:.3g}. "
        "Keep the distances to fewer neighbours."
    )


def _check_mappable(indices: np.ndarray, dimension: int) -> None:
    from scipy.sparse.csgraph import connected_components

    check_enough_items(len(indices), dimension)
    pieces, _ = connected_components(_adjacency(indices, np.ones(indices.shape)), directed=False)
    if pieces > 1:
        raise InputError(
            f"With {indices.shape[1]} neighbours of each item the graph is in {pieces} pieces, whose relative "
            "places are unknown. This method needs one piece: take more neighbours."
        )
