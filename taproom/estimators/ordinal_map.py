"""The ordinal map (non-metric multidimensional scaling by triplets) with scikit-learn's interface of a transformer.

The fit is `taproom.maps.ordinal`, the placing of new rows `taproom.maps.out_of_sample`, the measure
`taproom.maps.triplets`; these describe the algorithms and their sources.
"""

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from taproom.estimators.cosine_neighbors import rows_with_direction
from taproom.estimators.validation import seed_of, value_errors
from taproom.maps.item_map import distinct_items, spread_identical
from taproom.maps.neighbors import are_orthogonal, are_parallel, choose_k, nearest, nearest_of_new
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.out_of_sample import far_candidates, place_on_maps
from taproom.maps.triplets import triplet_errors

METRICS = ("cosine", "precomputed")
# Triplets to train on that `score` draws of each kind; of those held out it draws sixteen times as many, as one draw in
# sixteen is held out.
TRIPLETS = 20_000


class OrdinalMap(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Map rows so that near neighbours by cosine distance are nearer on the map than far ones.

    Only the ranks of the neighbours count. With the same int as `random_state`, the map has the same bits as that of
    the function `taproom.maps.ordinal.embed`. Identical rows (positive multiples of each other) count once, and lie on
    a small circle on the map; in a given graph they are rows like others.

    Args:
        n_components: dimension of the map.
        n_neighbors: neighbours of each row; by default a tenth of the rows, at most 100.
        metric: "cosine", or "precomputed": `X` is then a sparse graph of neighbours by cosine distance as
            `CosineNeighborsTransformer` gives it, with the same number of neighbours in each row.
        updates_per_sample: how often a row is compared with 4 of its neighbours and 4 rows at random.
        margin: by how much a far row should be farther, where 1 is the radius of the start.
        step: how far an update moves a neighbour at first, on average, if all of its triplets are violated; it falls
            to 0.
        within_share: weight of the triplets that compare two neighbours; the others compare a neighbour with any row.
        random_state: an int is the seed; a `RandomState` or None (NumPy's global one) draws a seed in each fit.
        n_jobs: threads, as joblib counts them; no bit of the map depends on them.

    Attributes:
        embedding_: (n_samples, n_components) float64, the map of the fitted rows.
        n_neighbors_: neighbours of each row.
        n_features_in_: number of columns.
        feature_names_in_: names of the columns, if `X` was a data frame with names.

    >>> import numpy as np
    >>> angles = np.linspace(0, np.pi / 2, 30)
    >>> X = np.column_stack([np.cos(angles), np.sin(angles)])
    >>> ordinal_map = OrdinalMap(n_components=1, n_neighbors=5, updates_per_sample=80, random_state=0).fit(X)
    >>> bool((np.abs(np.diff(np.argsort(ordinal_map.embedding_.ravel()))) == 1).mean() > 0.9)
    True
    >>> ordinal_map.score(X) > 0.9
    True
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int | None = None,
        metric: str = "cosine",
        updates_per_sample: int = 2_000,
        margin: float = 0.1,
        step: float = 0.03,
        within_share: float = 0.39,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.updates_per_sample = updates_per_sample
        self.margin = margin
        self.step = step
        self.within_share = within_share
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the map.

        Args:
            X: (n_samples, n_features), dense or sparse, finite; or (n_samples, n_samples) sparse if `metric` is
                "precomputed".
            y: ignored.

        Raises:
            ValueError: values that are not finite, too few rows for the neighbours or the dimension, rows whose
                neighbours are all equally far, parameters out of range, or a graph with different numbers of
                neighbours.
        """
        rows = self._validated(X, reset=True)
        self._seed = seed_of(self.random_state)
        parameters = OrdinalParameters(
            dimension=self.n_components,
            updates_per_item=self.updates_per_sample,
            margin=self.margin,
            step=self.step,
            within_share=self.within_share,
            seed=self._seed,
        )
        with value_errors():
            indices, distances, _, groups = self._graph(rows, self.n_neighbors)
            embedding = embed(indices, distances, parameters, n_jobs=self.n_jobs)
        self.n_neighbors_ = indices.shape[1]
        self.embedding_ = embedding if groups is None else spread_identical(embedding, groups)
        self._rows = rows
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit the map and return it: (n_samples, n_components) float64. Raises as `fit` does."""
        return self.fit(X).embedding_

    def transform(self, X: Any) -> np.ndarray:
        """Place rows on the map, which stays as it is.

        A row that is identical to a fitted one has that row's position, the first one's if there are several.

        Args:
            X: (n_queries, n_features), or (n_queries, n_samples) if `metric` is "precomputed". A precomputed graph
                should have one neighbour more than n_neighbors_, as `CosineNeighborsTransformer.transform` gives: it
                shows which neighbours tie with rows that are no neighbours.

        Returns:
            (n_queries, n_components) float64.

        Raises:
            ValueError: other columns than in `fit`, values that are not finite, or a row that has nothing in common
                with any fitted row.
        """
        check_is_fitted(self)
        return self._placed(self._validated(X, reset=False))

    def score(self, X: Any, y: Any = None) -> float:
        """The share of triplets of rows that their map keeps: 1 is best, 0.5 is that of a map by chance.

        Triplets are from the graph of the neighbours of `X` alone, and held out: no fit uses them. It is the mean of
        the shares of two kinds, a neighbour against any row and against a farther neighbour.

        Args:
            X: rows as for `transform`, at least 2 that differ; if `metric` is "precomputed" only the graph that the map
                was fitted to.
            y: ignored.

        Raises:
            ValueError: as `fit` and `transform` do, or no triplet.
        """
        check_is_fitted(self)
        rows = self._validated(X, reset=False)
        with value_errors():
            indices, distances, distinct, _ = self._graph(rows, min(self.n_neighbors_, rows.shape[0] - 1))
            positions = self.embedding_ if self.metric == "precomputed" else self._placed(distinct)
            errors = triplet_errors(positions, indices, distances, seed=self._seed, samples=TRIPLETS)
        held_out = [row.error for row in errors if row.split == "held_out" and row.error is not None]
        if not held_out:
            raise ValueError("There is no triplet: the neighbours of each row are equally far. Give more rows.")
        return 1 - float(np.mean(held_out))

    def _validated(self, X: Any, reset: bool) -> sparse.csr_array:
        """The rows with a direction each, or the given graph."""
        if self.metric not in METRICS:
            raise ValueError(f"metric is {self.metric!r}; wanted one of {', '.join(METRICS)}")
        least = 2 if reset else 1
        given = validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=np.float64,
            ensure_min_samples=least,
            ensure_min_features=least,
            reset=reset,
        )
        if self.metric == "cosine":
            return rows_with_direction(given)
        if not sparse.issparse(given) or (reset and given.shape[0] != given.shape[1]):
            raise ValueError(
                f"X is an array of shape {given.shape}; wanted with metric='precomputed': a sparse graph of "
                "neighbours, square in fit, as CosineNeighborsTransformer gives it"
            )
        return sparse.csr_array(given)

    def _graph(
        self, rows: sparse.csr_array, k: int | None
    ) -> tuple[np.ndarray, np.ndarray, sparse.csr_array, np.ndarray | None]:
        """The neighbours of the rows, as `distinct_items` gives them; a given graph is taken as it is."""
        if self.metric == "precomputed":
            own = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)) == rows.indices
            return *_neighbors_in(rows, ~own), rows, None
        k = choose_k(rows.shape[0], k)
        return distinct_items(*nearest(rows, k, n_jobs=self.n_jobs), rows)

    def _placed(self, rows: sparse.csr_array) -> np.ndarray:
        k = self.n_neighbors_
        if self.metric == "precomputed":
            indices, distances = _neighbors_in(rows)
        else:
            with value_errors():
                most = min(k + 1, self._rows.shape[0])
                indices, distances = nearest_of_new(self._rows, rows, most, n_jobs=self.n_jobs)
        unrelated = are_orthogonal(distances).all(axis=1)
        if unrelated.any():
            raise ValueError(
                f"Row {np.argmax(unrelated)} has nothing in common with any fitted row: its cosine distance to all "
                "is 1 or more, so it has no place on the map. Leave out such rows."
            )
        candidates = far_candidates(len(self.embedding_), k)
        dimension = self.embedding_.shape[1]
        maps = {dimension: self.embedding_}
        positions = [
            self.embedding_[near[0]]
            if are_parallel(apart[0])
            else place_on_maps(near, apart, k, maps, candidates)[dimension]
            for near, apart in zip(indices, distances, strict=True)
        ]
        return np.array(positions)

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def __sklearn_tags__(self) -> Tags:
        """Sparse input is accepted; a graph is sliced in rows and columns."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags


def _neighbors_in(graph: sparse.csr_array, kept: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours in the kept entries of a graph: indices and distances (n, k), nearest first, ties by index."""
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))[kept]
    indices, distances = graph.indices[kept], graph.data[kept]
    counts = np.bincount(rows, minlength=graph.shape[0])
    if not counts.all() or np.ptp(counts):
        raise ValueError(
            f"The rows of the graph have {counts.min()} to {counts.max()} neighbours; wanted: at least one, and the "
            "same number in each row."
        )
    order = np.lexsort((indices, distances, rows))
    return indices[order].reshape(-1, counts[0]).astype(np.int32), distances[order].reshape(-1, counts[0])
