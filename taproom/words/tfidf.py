"""TF*IDF weights as the lecture deck defines them.

Here belongs the selection of words, and the weight of a word in an item. Counting is in `taproom.words.counting`;
distances between weighted items are in `taproom.maps.neighbors`.

Source: slide "TF*IDF" of the lecture deck (Jamieson, CSE546 2017): TF_{d,t} is the share of word t among all words of
document d, DF_t is the share of documents that have t, and the weight of t in d is TF_{d,t} * log(1 / DF_t). There is
no smoothing and no normalisation, unlike scikit-learn's default.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.words.counting import Counts

ROWS_AT_ONCE = 1_000


def select_words(counts: Counts, min_document_frequency: int = 1, max_words: int | None = None) -> np.ndarray:
    """Columns of the words to keep, in alphabetical order.

    Args:
        counts: the counts of all words.
        min_document_frequency: minimum number of items that have a word.
        max_words: maximum number of words; those that most items have are kept, ties: alphabetically first.

    Returns:
        (selected,) int64, ascending.

    Raises:
        InputError: no word is left, or a limit is below 1.

    >>> from taproom.words.counting import count_words
    >>> counts = count_words(["ale", "stout"], ["malt hops", "malt roast"])
    >>> counts.words[select_words(counts, min_document_frequency=2)].tolist()
    ['malt']
    """
    return select_frequent(document_frequency(counts), len(counts.item_ids), min_document_frequency, max_words)


def select_frequent(
    frequency: np.ndarray,
    documents: int,
    min_document_frequency: int = 1,
    max_words: int | None = None,
    max_document_share: float = 1.0,
) -> np.ndarray:
    """Like `select_words`, from document frequencies, and with a limit for words that most documents have.

    Args:
        frequency: (words,) int64, the number of documents that have each word.
        documents: number of all documents.
        min_document_frequency: minimum number of documents that have a word.
        max_words: maximum number of words; those that most documents have are kept, ties: first column.
        max_document_share: maximum share of the documents that have a word, in (0, 1].

    Returns:
        (selected,) int64, ascending.

    Raises:
        InputError: no word is left, or a limit is out of range.
    """
    if min_document_frequency < 1 or (max_words is not None and max_words < 1):
        raise InputError(
            f"The minimum document frequency is {min_document_frequency} and the number of words {max_words}; "
            "both must be at least 1 (no limit on the number of words is None)."
        )
    if not 0 < max_document_share <= 1:
        raise InputError(f"The maximum share of documents with a word is {max_document_share}; it must be in (0, 1].")
    frequent, rare = frequency >= min_document_frequency, frequency <= _most(documents, max_document_share)
    eligible = np.flatnonzero(frequent & rare)
    if not len(eligible):
        raise InputError(
            f"None of the {len(frequency)} words is kept: {frequent.sum()} occur in {min_document_frequency} or more "
            f"of the {documents} documents, and {rare.sum()} in at most {max_document_share:.0%} of them. Lower the "
            "minimum document frequency, raise the maximum share, or add texts."
        )
    by_frequency = np.argsort(-frequency[eligible], kind="stable")
    return np.sort(eligible[by_frequency[:max_words]])


def _most(documents: int, share: float) -> float:
    """That share of the documents, with a tolerance for rounding."""
    return documents * share * (1 + 1e-12)


def weigh(counts: Counts, columns: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """Weight every selected word in every item by TF * log(1/DF), natural logarithm.

    TF is the share of a word among all counted words of the item, selected or not. A word that every item has gets the
    weight 0, which is not stored. An item without any weight has an empty row.

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
        raise InputError("No words were selected. Lower the minimum document frequency, or add reviews.")
    frequency = document_frequency(counts)[columns]
    weights = shares(counts, columns)
    idf = np.log(items / frequency)
    for _, entries in _rows(weights):
        weights.data[entries] *= idf[weights.indices[entries]]
    weights.eliminate_zeros()
    weights.sort_indices()
    if not weights.nnz:
        raise InputError(
            f"Each of the {len(columns)} selected words occurs in all {items} items, so all weights are 0. "
            "Add items whose reviews differ, or lower the minimum document frequency."
        )
    return weights, frequency


def shares(counts: Counts, columns: np.ndarray) -> sparse.csr_array:
    """The share of each selected word among all words of an item: (items, selected) CSR of float64.

    A row sums to 1 only if all of the item's words are selected.

    Source: slide "Bag of Words" of the lecture deck, x_ij.

    >>> from taproom.words.counting import count_words
    >>> shares(count_words(["ale"], ["malt malt hops pine"]), np.array([0, 1])).toarray()
    array([[0.25, 0.5 ]])
    """
    words_of_item = counts.counts.sum(axis=1)
    found = counts.counts[:, columns]
    # Shares replace the counts in their memory: beside the counts of all words, there is one matrix, and not three.
    data = found.data.view(np.float64)
    entries_of_item = np.diff(found.indptr)
    for rows, entries in _rows(found):
        data[entries] = found.data[entries] / np.repeat(words_of_item[rows], entries_of_item[rows])
    return sparse.csr_array((data, found.indices, found.indptr), found.shape)


def _rows(matrix: sparse.csr_array) -> Iterator[tuple[slice, slice]]:
    """Some rows at a time, and the places of their entries."""
    for first in range(0, matrix.shape[0], ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, matrix.shape[0])
        yield slice(first, last), slice(matrix.indptr[first], matrix.indptr[last])


def document_frequency(counts: Counts) -> np.ndarray:
    """The number of items that have each word, (words,) int64."""
    return np.bincount(counts.counts.indices, minlength=len(counts.words)).astype(np.int64)
