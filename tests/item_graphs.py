"""Items described by a few words, and the graph of their neighbours."""

import numpy as np
from scipy import sparse

from taproom.maps.map_methods import (
    ItemGraph,
)
from taproom.maps.neighbors import nearest
from taproom.maps.ordinal import OrdinalParameters, embed


def graph(dense, k) -> ItemGraph:
    weights = sparse.csr_array(np.asarray(dense, float))
    return ItemGraph(weights, *nearest(weights, k))


def bags(items, terms=40, seed=0):
    """Bags of words of items that lie on a plane: each word is said the more, the nearer an item is to its place."""
    random = np.random.default_rng(seed)
    places, words = random.random((items, 2)), random.random((terms, 2))
    return np.exp(-8 * ((places[:, None] - words[None]) ** 2).sum(axis=2))


def arc(items):
    angles = np.linspace(0, np.pi / 2, items)
    return np.column_stack([np.cos(angles), np.sin(angles), np.full(items, 0.5)])


def maps_for(of: ItemGraph, quick=40):
    return {
        dimension: embed(of.indices, of.distances, OrdinalParameters(dimension=dimension, updates_per_item=quick))
        for dimension in (2, 3)
    }
