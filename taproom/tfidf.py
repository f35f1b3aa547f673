"""TF*IDF weights, exactly as the lecture deck has them.

Here belongs the choice of words and the weight of a word in an item. Counting is in `taproom.counting`; distances
between weighted items are in `taproom.neighbors`.

Source: slide "TF*IDF" of the lecture deck (Jamieson, CSE546 2017): TF_{d,t} is the share of word t among all words of
document d, DF_t is the share of documents that have t, and the weight of t in d is TF_{d,t} * log(1 / DF_t). There is
no smoothing and no normalisation, unlike scikit-learn's default.
"""

import numpy as np
from scipy import sparse

from taproom.counting import Counts
from taproom.errors import InputError


def select_words(counts: Counts, min_document_frequency: int = 1, max_words: int | None = None) -> np.ndarray:
    """Columns of the words worth keeping, in alphabetical order.

    Args:
        counts: the counts of all words.
        min_document_frequency: the number of items that must have a word.
        max_words: how many words to keep, those that most items have; ties go to the alphabetically first.

    Returns:
        (selected,) int64, ascending.

    Raises:
        InputError: no word is left, or a limit is below 1.
    """
    if min_document_frequency < 1 or (max_words is not None and max_words < 1):
        raise InputError(
            f"The minimum document frequency is {min_document_frequency} and the number of words {max_words}; "
            "both must be at least 1 (no limit on the number of words is None)."
        )
    frequency = _document_frequency(counts)
    frequent_enough = np.flatnonzero(frequency >= min_document_frequency)
    if not len(frequent_enough):
        raise InputError(
            f"None of the {len(counts.words)} words occurs in {min_document_frequency} or more of the "
            f"{len(counts.item_ids)} items. Lower the minimum document frequency or bring more reviews."
        )
    by_frequency = np.argsort(-frequency[frequent_enough], kind="stable")
    return np.sort(frequent_enough[by_frequency[:max_words]])


def weigh(counts: Counts, columns: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """Weight every selected word in every item by TF * log(1/DF), natural logarithm.

    A word's share is taken of all words that were counted, selected or not. A word that every item has weighs nothing
    and is not stored; an item that is left without any weight stays as an empty row.

    Args:
        counts: the counts of all words.
        columns: (selected,) ascending columns of `counts`, as from `select_words`.

    Returns:
        weights: (items, selected) CSR of float64, all positive, columns ascending in each row.
        document_frequency: (selected,) int64, the number of items that have the word.

    Raises:
        InputError: fewer than two items, no words, or no weight at all.
    """
    items = len(counts.item_ids)
    if items < 2:
        raise InputError(f"Only {items} items have words; weights compare items, so at least 2 are needed.")
    if not len(columns):
        raise InputError("No words were selected. Lower the minimum document frequency or bring more reviews.")
    document_frequency = _document_frequency(counts)[columns]
    words_of_item = counts.counts.sum(axis=1)
    weights = counts.counts[:, columns].astype(np.float64)
    weights.data /= np.repeat(words_of_item, np.diff(weights.indptr))
    weights.data *= np.log(items / document_frequency)[weights.indices]
    weights.eliminate_zeros()
    weights.sort_indices()
    if not weights.nnz:
        raise InputError(
            f"Each of the {len(columns)} selected words occurs in every one of the {items} items, so no word tells "
            "items apart. Bring items whose reviews differ, or lower the minimum document frequency."
        )
    return weights, document_frequency


def _document_frequency(counts: Counts) -> np.ndarray:
    return np.bincount(counts.counts.indices, minlength=len(counts.words)).astype(np.int64)
