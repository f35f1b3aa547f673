"""Scores as probabilities: one temperature for all classes, and how far the probabilities are off.

Here belongs what is done with scores of validation images. The scores come from `taproom.images.landmark_regression`.

    p(class | image) = softmax(scores / temperature)

Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, 2017, sections 2 and 4.2.
"""

import numpy as np

BINS = 15
# Temperatures that are looked at. Scores are about 1 and -1, so the smallest makes each probability 0 or 1.
LEAST, MOST = 1e-2, 1e2


def probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(scores / temperature) of scores (n, C): (n, C) float32, whose rows sum to 1.

    >>> probabilities(np.array([[0.0, 1.0]]), temperature=1.0).round(3)
    array([[0.269, 0.731]], dtype=float32)
    """
    from scipy.special import softmax

    return softmax(np.asarray(scores, np.float64) / temperature, axis=1).astype(np.float32)


def best_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature from 0.01 to 100 at which labels (n,) int64 are likeliest, given scores (n, C)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    wide = np.asarray(scores, np.float64)

    def loss(logarithm: float) -> float:
        return -float(log_softmax(wide / np.exp(logarithm), axis=1)[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The expected calibration error of probabilities (n, C), given labels (n,) int64; 0 where there are none.

    Images are put into 15 bins of equal width by their largest probability. The error is the difference of the mean
    largest probability and the accuracy of a bin, on average over images.

    >>> calibration_error(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0, 0])).__round__(3)
    0.4
    """
    if not len(labels):
        return 0.0
    surest = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((surest * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, surest - right, BINS)).sum() / len(labels))
