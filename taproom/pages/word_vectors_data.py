"""The vectors with which the page of words answers analogies as `taproom.analogy` does.

A vector's length does not matter, so its numbers are rounded to 8 bits relative to the largest of them.
"""

from typing import Any

import numpy as np

from taproom.pages.scripts import packed
from taproom.pages.tables import inputs_of
from taproom.warehouse.warehouse import Warehouse
from taproom.words.vectors import vectors_from_table

NUMBERS = 6_500_000  # 9 MB


def word_vectors_data(warehouse: Warehouse, limit: int = NUMBERS) -> dict[str, Any]:
    """The words and vectors that the newest word map was made from; the most frequent words, up to `limit` numbers.

    Raises:
        UnknownTableError: there is no map of words, or the vectors are gone.
        DamagedFileError: a table is damaged.
        InputError: the vectors have different lengths.
    """
    version = inputs_of(warehouse, "word_map").get("word_vectors")
    found = vectors_from_table(warehouse.read("word_vectors", version))
    words, dimensions = found.vectors.shape
    shown = found.vectors[: limit // dimensions]
    largest = np.abs(shown).max(axis=1, keepdims=True)
    rounded = np.rint(127 * shown / np.maximum(largest, np.finfo(np.float32).tiny)).astype(np.int8)
    return {
        "count": words,
        "words": found.words[: len(shown)].tolist(),
        "dimensions": dimensions,
        "vectors": packed(rounded),
    }
