"""Using word vectors: look up words, find the most similar ones, read vectors from their table.

Training belongs in `taproom.text.word_vectors`, analogies in `taproom.text.analogies`. This is here because the map of
words needs nearest words, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from taproom.errors import InputError
from taproom.words.normal_form import normal_form

# Scores of this many pairs (64 MB) are in memory at a time.
PAIRS_AT_ONCE = 1 << 24
# Exact cosines are computed for this many pairs at a time (52 MB of vectors with 100 dimensions in double precision).
EXACT_AT_ONCE = 1 << 16
SUGGESTIONS = 3


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors, in descending order of frequency; equally frequent words are in alphabetical order.

    Attributes:
        words: (V,) object array of str, unique.
        counts: (V,) int64, number of occurrences of each word.
        vectors: (V, D) float32.

    >>> words = np.array(["ale", "beer", "car"], dtype=object)
    >>> vectors = WordVectors(words, np.array([9, 5, 2]), np.array([[1, 0], [0.8, 0.6], [-1, 0]], np.float32))
    >>> vectors.row_of("Beer"), "wine" in vectors
    (1, False)
    """

    words: np.ndarray
    counts: np.ndarray
    vectors: np.ndarray

    def __contains__(self, word: str) -> bool:
        return _as_token(word) in self._rows

    def row_of(self, word: str) -> int:
        """The row of a word, which is brought to its normal form.

        Raises:
            InputError: the word is not a string, or has no vector; the message suggests words of similar spelling.
        """
        if not isinstance(word, str):
            raise InputError(f"A word must be one string; {word!r} was given.")
        found = self._rows.get(_as_token(word))
        if found is None:
            raise InputError(self._unknown(word))
        return found

    def most_similar(self, queries: np.ndarray, k: int, excluded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The k words with the largest cosine with each query; ties go to the smaller row.

        The cosine is x'y / (|x| |y|) in float64. It does not depend on the other queries or on the number of threads.

        Args:
            queries: (m, D) float64.
            k: number of words, from 1 to the number of words that are not excluded.
            excluded: (m, e) rows of words to exclude for each query.

        Returns:
            rows: (m, k) int32, the most similar first.
            similarities: (m, k) float64.

        Raises:
            InputError: k is out of range.
        """
        queries, excluded = np.asarray(queries, np.float64), np.asarray(excluded)
        _check_k(k, len(self.words) - excluded.shape[1])
        found, similarities = np.empty((len(queries), k), np.int32), np.empty((len(queries), k))
        for block, scores in self._scores(queries):
            np.put_along_axis(scores, excluded[block], -np.inf, axis=1)
            rows, candidates = _entries(scores >= _at_most_kth_largest(scores, k) - self._tolerance)
            pairs = (slice(first, first + EXACT_AT_ONCE) for first in range(0, len(rows), EXACT_AT_ONCE))
            cosines = np.concatenate([self.cosines(queries[block][rows[some]], candidates[some]) for some in pairs])
            order = np.lexsort([candidates, -cosines, rows])
            chosen = order[np.searchsorted(rows, np.arange(len(scores)))[:, None] + np.arange(k)]
            found[block], similarities[block] = candidates[chosen], cosines[chosen]
        return found, similarities

    def ranks(self, queries: np.ndarray, wanted: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """The rank of a wanted word among all words, as `most_similar` orders them for each query: (m,) int64, from 1.

        Args:
            queries: (m, D) float64.
            wanted: (m,) rows.
            excluded: (m, e) rows of words to exclude for each query.
        """
        ranks = np.empty(len(queries), np.int64)
        own_cosines = self.cosines(queries, wanted)
        for block, scores in self._scores(queries):
            own = np.take_along_axis(scores, wanted[block, None], axis=1)
            np.put_along_axis(scores, excluded[block], -np.inf, axis=1)
            clearly_better = scores > own + self._tolerance
            rows, rivals = _entries((scores >= own - self._tolerance) != clearly_better)
            cosines, least = self.cosines(queries[block][rows], rivals), own_cosines[block][rows]
            better = (cosines > least) | ((cosines == least) & (rivals < wanted[block][rows]))
            ranks[block] = (
                1 + np.count_nonzero(clearly_better, axis=1) + np.bincount(rows[better], minlength=len(scores))
            )
        return ranks

    def cosines(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The cosine of each query, (n, D) float64, with the vector in the row given for it, (n,): (n,) float64."""
        vectors = self.vectors[rows].astype(np.float64)
        return (queries * vectors).sum(axis=1) / (_lengths(queries) * _lengths(vectors))

    def normalized(self, rows: np.ndarray) -> np.ndarray:
        """The vectors in the given rows (n,), scaled to length 1: (n, D) float64."""
        vectors = self.vectors[rows].astype(np.float64)
        return vectors / _lengths(vectors)[:, None]

    def _scores(self, queries: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The cosines of queries (m, D) with all words in single precision, block by block: (block, V) float32.

        Two scores that differ by more than `_tolerance` have the order of their `cosines`.
        """
        block_rows = max(1, PAIRS_AT_ONCE // len(self.words))
        for first in range(0, len(queries), block_rows):
            block = slice(first, first + block_rows)
            yield block, _unit(queries[block]) @ self._unit_vectors.T

    @property
    def _tolerance(self) -> float:
        """How much the scores of equal cosines can differ.

        The error of a score is at most D + 4 unit roundoffs: D for the sum, the others for rounding its inputs (Higham,
        Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
        """
        return 2.02 * (self.vectors.shape[1] + 4) * float(np.finfo(np.float32).epsneg)

    @cached_property
    def _unit_vectors(self) -> np.ndarray:
        return _unit(self.vectors)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    def _unknown(self, word: str) -> str:
        from difflib import get_close_matches

        close = get_close_matches(_as_token(word), self.words, SUGGESTIONS)
        similar = (
            f"Words of similar spelling: {', '.join(map(repr, close))}." if close else "No word is spelled like it."
        )
        return (
            f"The word {word!r} is not among the {len(self.words)} words that have a vector. {similar} "
            "Use a word that has one, or train vectors on texts in which the word is more frequent."
        )


def nearest(word_vectors: WordVectors, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest words, by cosine, of each given word, without the word itself; ties go to the smaller row.

    Args:
        word_vectors: the vectors of all words.
        rows: (m,) rows of the given words, as from `WordVectors.row_of`.
        k: number of neighbours, at least 1 and less than the number of words.

    Returns:
        rows: (m, k) int32, nearest first.
        similarities: (m, k) float64.

    Raises:
        InputError: k is out of range.

    >>> words = np.array(["ale", "beer", "car"], dtype=object)
    >>> vectors = WordVectors(words, np.array([9, 5, 2]), np.array([[1, 0], [0.8, 0.6], [-1, 0]], np.float32))
    >>> neighbors, similarities = nearest(vectors, [vectors.row_of("ale")], k=2)
    >>> words[neighbors].tolist(), similarities.round(2).tolist()
    ([['beer', 'car']], [[0.8, -1.0]])
    """
    rows = np.asarray(rows)
    return word_vectors.most_similar(word_vectors.vectors[rows], k, rows[:, None])


def vectors_from_table(table: pa.Table) -> WordVectors:
    """The vectors in the columns word, count and vector of the table `word_vectors`.

    Raises:
        InputError: no rows, nulls, or vectors of different lengths.
    """
    vectors = table["vector"].combine_chunks()
    values = vectors.flatten()
    if not len(table) or vectors.null_count or values.null_count or len(values) % len(table):
        raise _ragged(len(table))
    dimensions = len(values) // len(table)
    if not dimensions or (np.diff(vectors.offsets.to_numpy()) != dimensions).any():
        raise _ragged(len(table))
    return WordVectors(
        table["word"].to_numpy(),
        table["count"].to_numpy(),
        values.to_numpy().astype(np.float32, copy=False).reshape(-1, dimensions),
    )


def _at_most_kth_largest(scores: np.ndarray, k: int) -> np.ndarray:
    """A lower bound of each row's kth largest score, (m, 1): the kth largest of the maxima of groups of columns."""
    columns = scores.shape[1]
    group_size = max(1, columns // (8 * k))
    groups = columns // group_size
    maxima = scores[:, : group_size * groups].reshape(len(scores), group_size, groups).max(axis=1)
    # Every cosine is above -2, and what is excluded is below.
    return np.maximum(np.partition(maxima, -k, axis=1)[:, -k, None], -2.0)


def _entries(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the true entries, row by row; NumPy's `nonzero` is much slower in 2-D than in 1-D."""
    return np.divmod(np.flatnonzero(chosen), chosen.shape[1])


def _as_token(word: str) -> str:
    return normal_form(word.strip())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / _lengths(vectors)[:, None]).astype(np.float32)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Euclidean lengths in float64; 1 for a vector of zeros, so that its cosine with any vector is 0."""
    lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1))
    return np.where(lengths > 0, lengths, 1.0)


def _check_k(k: int, most: int) -> None:
    if not 1 <= k <= most:
        raise InputError(
            f"{k} similar words were requested, but {max(most, 0)} other words have a vector. "
            "Request a number from 1 to that, or train vectors for more words."
        )


def _ragged(rows: int) -> InputError:
    return InputError(
        f"The {rows} rows of word_vectors do not have vectors of one length. Materialize the table again."
    )
