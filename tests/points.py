"""Points in space and the exact graph of their neighbours."""

import numpy as np


def neighbors_of(points, k):
    """Each point's k nearest by Euclidean distance, ties to the smaller row."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order.astype(np.int32), np.take_along_axis(distances, order, axis=1)


def plane(items, dimension=2, seed=0):
    return np.random.default_rng(seed).random((items, dimension))
