"""A map of words by their vectors, made as the map of items is made.

Here belongs what takes word vectors to a neighbour graph; the map of a graph is `taproom.maps.item_map`'s.

Source: slide "BeerMapper - Under the Hood" of the lecture deck (Jamieson, CSE546 2017), with words in place of beers
and word vectors in place of weights: cosine distance, the nearest neighbours, non-metric multidimensional scaling.
"""

import numpy as np

from taproom.maps.item_map import FittedMap, NeighborGraph, map_items
from taproom.maps.neighbors import choose_k
from taproom.maps.ordinal import OrdinalParameters, check_enough_items
from taproom.words.vectors import WordVectors, nearest

# Words of which ten times as many neighbours are found, for the errors on near misses.
ANCHORS = 200


def map_words(
    word_vectors: WordVectors,
    words: int = 2_000,
    parameters: OrdinalParameters | None = None,
    n_jobs: int | None = None,
) -> FittedMap:
    """Place the most frequent words in two dimensions so that words with near vectors lie together.

    Args:
        word_vectors: of all words.
        words: how many of them, the first, are mapped; all, if there are no more. Neighbours are sought among these:
            min(100, words // 10) of each.
        parameters: see `OrdinalParameters`, whose defaults are taken if there are none; the dimension is 2.
        n_jobs: threads, as joblib counts workers; they never change a bit.

    Returns:
        The map: positions (words, 2) float64, the errors as rows (kind, split, triplets, violated, error), seconds.

    Raises:
        InputError: fewer than 4 words, or parameters out of range.
    """
    check_enough_items(min(words, len(word_vectors.words)), 2)
    first = slice(words)
    mapped = WordVectors(word_vectors.words[first], word_vectors.counts[first], word_vectors.vectors[first])
    return map_items(_graph(mapped), parameters or OrdinalParameters(), 2, n_jobs=n_jobs)


def _graph(word_vectors: WordVectors) -> NeighborGraph:
    words = len(word_vectors.words)
    k = choose_k(words)
    indices, similarities = nearest(word_vectors, np.arange(words), k)
    anchors = np.unique(np.linspace(0, words - 1, min(ANCHORS, words)).astype(np.int64))
    wide, _ = nearest(word_vectors, anchors, min(10 * k, words - 1))
    return NeighborGraph(indices, np.maximum(1 - similarities, 0.0), anchors, wide)
