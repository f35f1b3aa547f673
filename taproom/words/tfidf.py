"""TF*IDF weights, exactly as the lecture deck has them.

Here belongs the choice of words and the weight of a word in an item. Counting is in `taproom.words.counting`; distances
between weighted items are in `taproom.maps.neighbors`.

Source: slide "TF*IDF" of the lecture deck (Jamieson, CSE546 2017): TF_{d,t} is the share of word t among all words of
document d, DF_t is the share of documents that have t, and the weight of t in d is TF_{d,t} * log(1 / DF_t). There is
no smoothing and no normalisation, unlike scikit-learn's default.
"""

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.words.counting import Counts


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
    return select_frequent(document_frequency(counts), len(counts.item_ids), min_document_frequency, max_words)


def select_frequent(
    frequency: np.ndarray,
    documents: int,
    min_document_frequency: int = 1,
    max_words: int | None = None,
    max_document_share: float = 1.0,
) -> np.ndarray:
    """The same from the number of documents that have each word, (words,) int64, and the number of all documents.

    At most `max_document_share` of these, which is in (0, 1], may have a word; an `InputError` also where it is not.
    """
    if min_document_frequency < 1 or (max_words is not None and max_words < 1):
        raise InputError(
            f"The minimum document frequency is {min_document_frequency} and the number of words {max_words}; "
            "both must be at least 1 (no limit on the number of words is None)."
        )
    if not 0 < max_document_share <= 1:
        raise InputError(f"The share of documents that may have a word is {max_document_share}; wanted: in (0, 1].")
    frequent, rare = frequency >= min_document_frequency, frequency <= _most(documents, max_document_share)
    eligible = np.flatnonzero(frequent & rare)
    if not len(eligible):
        raise InputError(
            f"None of the {len(frequency)} words is kept: {frequent.sum()} occur in {min_document_frequency} or more "
            f"of the {documents} documents, and {rare.sum()} in at most {max_document_share:.0%} of them. Lower the "
            "minimum document frequency, raise the share, or bring more text."
        )
    by_frequency = np.argsort(-frequency[eligible], kind="stable")
    return np.sort(eligible[by_frequency[:max_words]])


def _most(documents: int, share: float) -> float:
    """That share of the documents, and a little more for what rounding may have taken."""
    return documents * share * (1 + 1e-12)


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
    frequency = document_frequency(counts)[columns]
    weights = shares(counts, columns)
    weights.data *= np.log(items / frequency)[weights.indices]
    weights.eliminate_zeros()
    weights.sort_indices()
    if not weights.nnz:
        raise InputError(
            f"Each of the {len(columns)} selected words occurs in every one of the {items} items, so no word tells "
            "items apart. Bring items whose reviews differ, or lower the minimum document frequency."
        )
    return weights, frequency


def shares(counts: Counts, columns: np.ndarray) -> sparse.csr_array:
    """The share of each selected word among all words of an item: (items, selected) CSR of float64.

    Words that are not selected count too, so a row sums to 1 only if all of its words are. Source: slide "Bag of Words"
    of the lecture deck, x_ij.
    """
    words_of_item = counts.counts.sum(axis=1)
    found = counts.counts[:, columns].astype(np.float64)
    found.data /= np.repeat(words_of_item, np.diff(found.indptr))
    return found


def document_frequency(counts: Counts) -> np.ndarray:
    """The number of items that have each word, (words,) int64."""
    return np.bincount(counts.counts.indices, minlength=len(counts.words)).astype(np.int64)
