"""Exact nearest neighbours by cosine distance, with the interface of scikit-learn's `KNeighborsTransformer`.

The search is `taproom.maps.neighbors`, which describes the algorithm and its source.
"""

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from taproom.estimators.validation import value_errors
from taproom.maps.neighbors import nearest, nearest_of_new

MODES = ("distance", "connectivity")


class CosineNeighborsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Transform rows into a graph of their exact nearest neighbours by cosine distance.

    Distances are sums in float64 in a fixed order: equal rows have exactly 0, and the bits do not depend on `n_jobs`.
    Equal distances are ordered by the number of the row. A row of zeros has no direction: it has the distance 0 to
    other rows of zeros and 1 to all others.

    Args:
        mode: "distance" or "connectivity". In the mode "distance", `transform` gives one neighbour more, because each
            fitted row is its own neighbour, as scikit-learn's transformer does.
        n_neighbors: number of neighbours, fewer than there are fitted rows.
        n_jobs: threads, as joblib counts them.

    Attributes:
        n_samples_fit_: number of fitted rows.
        n_features_in_: number of columns.
        feature_names_in_: names of the columns, if `X` was a data frame with names.

    >>> import numpy as np
    >>> transformer = CosineNeighborsTransformer(n_neighbors=1)
    >>> transformer.fit_transform(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])).toarray().round(3)
    array([[0.   , 0.293, 0.   ],
           [0.293, 0.   , 0.   ],
           [0.   , 0.293, 0.   ]])
    """

    def __init__(self, *, mode: str = "distance", n_neighbors: int = 5, n_jobs: int | None = None) -> None:
        self.mode = mode
        self.n_neighbors = n_neighbors
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep the rows among which neighbours are searched.

        Args:
            X: (n_samples, n_features), dense or sparse, finite.
            y: ignored.

        Raises:
            ValueError: values that are not finite, or an unknown mode.
        """
        _check_mode(self.mode)
        self._rows = rows_with_direction(validate_data(self, X, accept_sparse="csr", dtype=np.float64))
        self.n_samples_fit_ = self._rows.shape[0]
        return self

    def transform(self, X: Any) -> sparse.csr_matrix:
        """The graph from rows to their nearest fitted rows, (n_queries, n_samples_fit_) CSR float64, nearest first.

        In the mode "distance" each row has n_neighbors + 1 explicit values, else n_neighbors ones. Raises as
        `kneighbors` does.
        """
        check_is_fitted(self)
        return self.kneighbors_graph(X, self.n_neighbors + (self.mode == "distance"), self.mode)

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Find the nearest fitted rows of each row.

        Args:
            X: (n_queries, n_features); None for the fitted rows, each without itself.
            n_neighbors: how many, by default those of the constructor.
            return_distance: whether to return the distances too.

        Returns:
            distances: (n_queries, n_neighbors) float64, ascending; only if `return_distance`.
            indices: (n_queries, n_neighbors) int64, numbers of fitted rows.

        Raises:
            ValueError: other columns than in `fit`, values that are not finite, or too many neighbours.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        with value_errors():
            if X is None:
                indices, distances = nearest(self._rows, k, n_jobs=self.n_jobs)
            else:
                given = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
                indices, distances = nearest_of_new(self._rows, rows_with_direction(given), k, n_jobs=self.n_jobs)
        indices = indices.astype(np.int64)
        return (distances, indices) if return_distance else indices

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> sparse.csr_matrix:
        """The same as a graph, (n_queries, n_samples_fit_) CSR float64, with ones or the distances by `mode`."""
        _check_mode(mode)
        distances, indices = self.kneighbors(X, n_neighbors)
        queries, k = indices.shape
        values = distances.ravel() if mode == "distance" else np.ones(indices.size)
        ends = np.arange(0, indices.size + 1, k)
        return sparse.csr_matrix((values, indices.ravel(), ends), shape=(queries, self.n_samples_fit_))

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def __sklearn_tags__(self) -> Tags:
        """Sparse input is accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def rows_with_direction(X: np.ndarray | sparse.spmatrix | sparse.sparray) -> sparse.csr_array:
    """The rows (n, columns + 1) with a last column that is 1 in rows of zeros, so that each row has a direction."""
    rows = sparse.csr_array(X)
    zero = rows.count_nonzero(axis=1) == 0
    return sparse.csr_array(sparse.hstack([rows, sparse.csr_array(zero[:, None].astype(np.float64))], format="csr"))


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; wanted one of {', '.join(MODES)}")
