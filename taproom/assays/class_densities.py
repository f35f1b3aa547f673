"""The log density of events under the mixture of a class, also where the density underflows or values are missing.

Here belong the two densities that anomaly thresholds are compared with. The mixtures are fitted in
`taproom.assays.class_mixtures`, events are called in `taproom.assays.class_model`.
"""

import numpy as np
from scipy.special import logsumexp

from taproom.assays.mixtures import Mixture

LOWEST_LOG_DENSITY = -1e300


def finite_log_density(mixture: Mixture, values: np.ndarray) -> np.ndarray:
    """The log density of `values` (n, d), NaN where missing: (n,) float64, finite even where the density underflows.

    At the lowest value that is given then, no class is more likely than another.
    """
    return np.maximum(mixture.log_density(values), LOWEST_LOG_DENSITY)


def highest_log_density(mixture: Mixture, values: np.ndarray, own: np.ndarray) -> np.ndarray:
    """An upper bound on the log density that an event could have, whatever its missing values are: (n,) float64.

    It is the sum over the components of the highest density of each. Without missing values it is the density itself.

    Args:
        mixture: of a class.
        values: (n, d) float64, NaN where missing.
        own: (n,) float64, `finite_log_density` of the values.
    """
    missing = np.isnan(values)
    incomplete = np.flatnonzero(missing.any(axis=1))
    highest = own.copy()
    patterns, pattern_of = np.unique(missing[incomplete], axis=0, return_inverse=True)
    peaks = np.array([_conditional_peaks(mixture.covariances, pattern) for pattern in patterns])
    if incomplete.size:
        highest[incomplete] = logsumexp(mixture.log_joint(values[incomplete]) + peaks[pattern_of], axis=1)
    return np.maximum(highest, LOWEST_LOG_DENSITY)


def _conditional_peaks(covariances: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The highest conditional log density of the missing channels under each Gaussian: (K,) float64."""
    observed = covariances[:, ~missing][:, :, ~missing]
    conditional = np.linalg.slogdet(covariances)[1] - np.linalg.slogdet(observed)[1]
    return -0.5 * (missing.sum() * np.log(2 * np.pi) + conditional)
