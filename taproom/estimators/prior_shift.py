"""Class shares of an unlabelled sample by EM over the priors, around any probabilistic classifier.

The shares are `taproom.assays.class_shares`, which describes the algorithm. Source: Saerens, Latinne and Decaestecker,
Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural Computation 14, 2002.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, column_or_1d, get_tags
from sklearn.utils.validation import check_is_fitted

from taproom.assays.class_shares import shares
from taproom.estimators.validation import value_errors

SMALLEST = np.finfo(np.float64).tiny


class PriorShiftClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A classifier for samples in which the classes have other shares than in the training data (prior shift).

    Counting predictions gives biased shares where classes overlap. Here the shares of an unlabelled sample are those of
    maximum likelihood, by EM over the priors, given the classifier's posteriors. They are right if the posteriors are
    calibrated and the rows of a class are distributed as in the training data.

    Args:
        estimator: a classifier with `predict_proba`, of which a clone is fitted. A fitted one can be used inside
            `sklearn.frozen.FrozenEstimator`.

    Attributes:
        estimator_: the fitted classifier.
        classes_: (n_classes,) the classes.
        priors_: (n_classes,) float64, their shares of the training data.
        shares_: (n_classes,) float64, the shares that predictions assume: `priors_` until `adapt` is called.
        n_features_in_: number of columns, if the classifier has it.
        feature_names_in_: names of the columns, if the classifier has them.

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> random = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 1000)
    >>> X = random.normal(size=(2000, 1)) + 2 * y[:, None]
    >>> classifier = PriorShiftClassifier(LogisticRegression()).fit(X, y)
    >>> sample = random.normal(size=(1000, 1)) + 2 * np.repeat([0, 1], [900, 100])[:, None]
    >>> classifier.estimate_shares(sample).round(1)
    array([0.9, 0.1])
    >>> bool((classifier.adapt(sample).predict(sample) == np.repeat([0, 1], [900, 100])).mean() > 0.9)
    True
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the classifier and count the classes.

        Args:
            X: (n_samples, n_features), of what kind the classifier accepts.
            y: (n_samples,) the classes.

        Raises:
            AttributeError: the classifier has no `predict_proba`.
            ValueError: as the classifier does.
        """
        self.estimator_ = clone(self.estimator).fit(X, y)
        if not hasattr(self.estimator_, "predict_proba"):
            raise AttributeError(f"{self.estimator!r} has no predict_proba; wanted: a classifier that has")
        self.classes_ = self.estimator_.classes_
        counts = np.array([np.count_nonzero(column_or_1d(y) == name) for name in self.classes_])
        if not counts.all():
            raise ValueError(
                f"The class {self.classes_[counts.argmin()]} of the classifier has no row in y, so its prior is not "
                "known. Give rows of all classes."
            )
        self.priors_ = counts / counts.sum()
        self.shares_ = self.priors_
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def estimate_shares(self, X: Any) -> np.ndarray:
        """The maximum likelihood shares of the classes in an unlabelled sample: (n_classes,) float64, with the sum 1.

        Args:
            X: (n_samples, n_features), the sample.

        Raises:
            ValueError: as the classifier does, or posteriors that are not finite.
        """
        check_is_fitted(self)
        with value_errors():
            return shares(self._log_ratios(X))

    def adapt(self, X: Any) -> Self:
        """Make predictions assume the shares of an unlabelled sample; raises as `estimate_shares` does."""
        self.shares_ = self.estimate_shares(X)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The posteriors under `shares_`, (2.4) in Saerens et al.: (n_samples, n_classes) float64, rows sum to 1."""
        check_is_fitted(self)
        weighted = self._posteriors(X) * (self.shares_ / self.priors_)
        return weighted / weighted.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The class with the largest posterior of each row: (n_samples,)."""
        places = self.predict_proba(X).argmax(axis=1)
        return self.classes_[places]

    def _log_ratios(self, X: Any) -> np.ndarray:
        """The log densities of the classes up to a constant for each row, by Bayes' rule: posterior / prior."""
        return np.log(self._posteriors(X)) - np.log(self.priors_)

    def _posteriors(self, X: Any) -> np.ndarray:
        """The classifier's, but none is exactly 0, as those of trees: its logarithm and 0/0 would not be finite."""
        return np.maximum(self.estimator_.predict_proba(X), SMALLEST)

    def __sklearn_tags__(self) -> Tags:
        """What the classifier accepts."""
        tags = super().__sklearn_tags__()
        accepted = get_tags(self.estimator)
        tags.input_tags.sparse = accepted.input_tags.sparse
        tags.input_tags.allow_nan = accepted.input_tags.allow_nan
        if accepted.classifier_tags is not None:
            tags.classifier_tags.multi_class = accepted.classifier_tags.multi_class
        return tags
