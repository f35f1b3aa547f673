"""Mixtures of Gaussians of rows with missing values, with the interface of scikit-learn's `GaussianMixture`.

The densities are `taproom.assays.mixtures`, the fit is `taproom.assays.expectation_maximization`; these describe the
algorithm and its sources.
"""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from taproom.assays.expectation_maximization import EmParameters, fit
from taproom.assays.mixture_starts import start_at
from taproom.assays.mixtures import Mixture
from taproom.estimators.validation import seed_of, value_errors


class GaussianMixtureWithMissingValues(DensityMixin, BaseEstimator):
    """A mixture of Gaussians with full covariances, fitted by EM to rows of which any value may be missing (NaN).

    Nothing is imputed: EM takes the expectation over missing values, and the density of a row is that of its observed
    values. The fit is maximum likelihood where values are missing at random: whether a value is missing may depend on
    observed values, but not on itself. Without missing values it is the fit of `GaussianMixture`, whose defaults of
    `tol` and `max_iter` end sooner.

    Args:
        n_components: number of components.
        tol: EM ends when the mean log-likelihood of a row changes by less, in nats.
        reg_covar: added to all variances.
        max_iter: iterations of EM, at most.
        n_init: number of starts; the fit with the highest likelihood is kept.
        weights_init: (n_components,) weights to start with.
        means_init: (n_components, n_features) means to start with.
        precisions_init: (n_components, n_features, n_features) inverses of the covariances to start with. What is not
            given is from k-means++ centres.
        random_state: an int is the seed of the first start (the next integers are those of the others); a `RandomState`
            or None (NumPy's global one) draws it in each fit.
        n_jobs: threads, as joblib counts them; no bit of the result depends on them.

    Attributes:
        weights_: (n_components,) float64, with the sum 1.
        means_: (n_components, n_features) float64.
        covariances_: (n_components, n_features, n_features) float64.
        converged_: whether EM ended by `tol`.
        n_iter_: iterations of the best fit.
        lower_bound_: mean log-likelihood of a row of the best fit, in nats.
        n_features_in_: number of columns.
        feature_names_in_: names of the columns, if `X` was a data frame with names.

    >>> import numpy as np
    >>> X = np.array([[0.0, 0.1], [0.2, np.nan], [0.1, 0.0], [5.0, 5.2], [np.nan, 5.0], [5.1, 5.1]])
    >>> mixture = GaussianMixtureWithMissingValues(2, reg_covar=0.01, random_state=0).fit(X)
    >>> mixture.weights_.round(2)
    array([0.5, 0.5])
    >>> mixture.predict([[np.nan, 5.0]]) == mixture.predict([[5.0, 5.0]])
    array([ True])
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        tol: float = 1e-5,
        reg_covar: float = 1e-6,
        max_iter: int = 200,
        n_init: int = 1,
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the mixture.

        Args:
            X: (n_samples, n_features), NaN where missing.
            y: ignored.

        Raises:
            ValueError: infinite values, a column that is constant or missing everywhere, fewer rows than components, a
                component that collapses, or parameters out of range.
        """
        values = self._values(X, reset=True)
        if self.n_init < 1:
            raise ValueError(f"n_init is {self.n_init}; wanted: at least 1")
        seed = seed_of(self.random_state)
        parameters = EmParameters(self.max_iter, self.tol, self.reg_covar)
        with value_errors():
            starts = (self._start(values, seed + place) for place in range(self.n_init))
            fits = [fit(values, start, parameters, n_jobs=self.n_jobs) for start in starts]
        best = max(fits, key=lambda found: found.log_likelihoods[-1])
        self.weights_, self.means_ = best.mixture.weights, best.mixture.means
        self.covariances_ = best.mixture.covariances
        self.converged_ = best.converged
        self.n_iter_ = len(best.log_likelihoods) - 1
        self.lower_bound_ = float(best.log_likelihoods[-1] / len(values))
        if not self.converged_:
            warnings.warn(
                f"EM has not converged in {self.max_iter} iterations. Raise max_iter or tol, or ask for fewer "
                "components.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit the mixture and return the most likely component of each row. Raises as `fit` does."""
        return self.fit(X).predict(X)

    def predict(self, X: Any) -> np.ndarray:
        """The most likely component of each row given its observed values: (n_samples,) int64."""
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each component given the row's observed values: (n_samples, n_components) float64.

        Raises `ValueError` for other columns than in `fit`, infinite values, or a row whose density is 0.
        """
        check_is_fitted(self)
        values = self._values(X, reset=False)
        with value_errors():
            return self._mixture.responsibilities(values)

    def score_samples(self, X: Any) -> np.ndarray:
        """The log density of each row's observed values, in nats: (n_samples,) float64; 0 where none is observed."""
        check_is_fitted(self)
        values = self._values(X, reset=False)
        with value_errors():
            return self._mixture.log_density(values)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log density of the rows, in nats."""
        return float(self.score_samples(X).mean())

    def bic(self, X: Any) -> float:
        """The Bayesian information criterion on the rows; smaller is better (Schwarz, Annals of Statistics 6, 1978)."""
        log_density = self.score_samples(X)
        return float(self._mixture.bic(log_density.sum(), len(log_density)))

    def aic(self, X: Any) -> float:
        """The Akaike information criterion on the rows; smaller is better (Akaike, IEEE TAC 19, 1974)."""
        return float(-2 * self.score_samples(X).sum() + 2 * self._mixture.free_parameters)

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows from the mixture, none of their values missing.

        Args:
            n_samples: number of rows, at least 1.

        Returns:
            X: (n_samples, n_features) float64, ordered by component.
            y: (n_samples,) int64, the component of each.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples is {n_samples}; wanted: at least 1")
        random = check_random_state(self.random_state)
        counts = random.multinomial(n_samples, self.weights_)
        drawn = [
            random.multivariate_normal(mean, covariance, int(count))
            for mean, covariance, count in zip(self.means_, self.covariances_, counts, strict=True)
        ]
        return np.concatenate(drawn), np.repeat(np.arange(len(counts)), counts)

    @property
    def _mixture(self) -> Mixture:
        return Mixture(self.weights_, self.means_, self.covariances_)

    def _values(self, X: Any, reset: bool) -> np.ndarray:
        return validate_data(
            self,
            X,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            ensure_min_samples=2 if reset else 1,
            reset=reset,
        )

    def _start(self, values: np.ndarray, seed: int) -> Mixture:
        """The mixture to start from: what is given, the rest from k-means++ centres."""
        start = start_at(values, self.n_components, seed, self.reg_covar)
        precisions = self.precisions_init
        given = Mixture(
            start.weights if self.weights_init is None else np.asarray(self.weights_init),
            start.means if self.means_init is None else np.asarray(self.means_init),
            start.covariances if precisions is None else np.linalg.inv(np.asarray(precisions)),
        )
        if given.means.shape != start.means.shape:
            raise ValueError(
                f"means_init has the shape {given.means.shape}; wanted (n_components, n_features), {start.means.shape}"
            )
        return given

    def __sklearn_tags__(self) -> Tags:
        """NaN is a missing value."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
