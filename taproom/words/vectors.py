"""Vectors of words, whatever made them: a word's row, the words nearest to it, the table's rows as vectors.

Here belongs what is asked of vectors. How they are trained is in `taproom.text.word_vectors`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from taproom.errors import InputError

# Scores of so many pairs (64 MB) are held at a time.
PAIRS_AT_ONCE = 1 << 24
# Of so many, the vectors (34 MB with 64 dimensions, in double precision).
EXACT_AT_ONCE = 1 << 16
SPELLINGS_OFFERED = 3


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors, the most frequent word first, words as frequent as each other in alphabetical order.

    Attributes:
        words: (V,) object array of str, unique.
        counts: (V,) int64, how often each occurs.
        vectors: (V, D) float32.
    """

    words: np.ndarray
    counts: np.ndarray
    vectors: np.ndarray

    def __contains__(self, word: str) -> bool:
        return _as_token(word) in self._places

    def row_of(self, word: str) -> int:
        """The row of a word, which is looked up in lower case.

        Raises:
            InputError: it is no string, or has no vector; the message offers the nearest spellings.
        """
        if not isinstance(word, str):
            raise InputError(f"A word must be one string; {word!r} was given.")
        found = self._places.get(_as_token(word))
        if found is None:
            raise InputError(self._unknown(word))
        return found

    def most_similar(self, queries: np.ndarray, k: int, excluded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The k words with the largest cosine with each query; ties go to the smaller row.

        The cosine is x'y / (|x| |y|) in float64; it depends neither on the other queries nor on threads.

        Args:
            queries: (m, D) float64.
            k: at least 1, and at most as many words as are not excluded.
            excluded: (m, e) rows that are no answers to each query.

        Returns:
            places: (m, k) int32, the most similar first.
            similarities: (m, k) float64.

        Raises:
            InputError: a k that is out of range.
        """
        queries, excluded = np.asarray(queries, np.float64), np.asarray(excluded)
        _check_k(k, len(self.words) - excluded.shape[1])
        places, similarities = np.empty((len(queries), k), np.int32), np.empty((len(queries), k))
        for block, scores in self._scores(queries):
            np.put_along_axis(scores, excluded[block], -np.inf, axis=1)
            rows, candidates = _entries(scores >= _at_most_kth_largest(scores, k) - self._doubt)
            pairs = (slice(first, first + EXACT_AT_ONCE) for first in range(0, len(rows), EXACT_AT_ONCE))
            cosines = np.concatenate([self.cosines(queries[block][rows[some]], candidates[some]) for some in pairs])
            order = np.lexsort([candidates, -cosines, rows])
            chosen = order[np.searchsorted(rows, np.arange(len(scores)))[:, None] + np.arange(k)]
            places[block], similarities[block] = candidates[chosen], cosines[chosen]
        return places, similarities

    def ranks(self, queries: np.ndarray, wanted: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """The place of a wanted word among the answers to each query, as `most_similar` orders them: (m,) int64.

        Args:
            queries: (m, D) float64.
            wanted: (m,) rows.
            excluded: (m, e) rows that are no answers to each query.
        """
        ranks = np.empty(len(queries), np.int64)
        own_cosines = self.cosines(queries, wanted)
        for block, scores in self._scores(queries):
            own = np.take_along_axis(scores, wanted[block, None], axis=1)
            np.put_along_axis(scores, excluded[block], -np.inf, axis=1)
            clearly_better = scores > own + self._doubt
            rows, rivals = _entries((scores >= own - self._doubt) != clearly_better)
            cosines, least = self.cosines(queries[block][rows], rivals), own_cosines[block][rows]
            better = (cosines > least) | ((cosines == least) & (rivals < wanted[block][rows]))
            ranks[block] = (
                1 + np.count_nonzero(clearly_better, axis=1) + np.bincount(rows[better], minlength=len(scores))
            )
        return ranks

    def cosines(self, queries: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The cosine of each query (n, D) float64 with the word in the same place of `places` (n,): (n,) float64."""
        vectors = self.vectors[places].astype(np.float64)
        return (queries * vectors).sum(axis=1) / (_lengths(queries) * _lengths(vectors))

    def normalized(self, places: np.ndarray) -> np.ndarray:
        """The vectors of some rows, each of length 1: (n, D) float64."""
        vectors = self.vectors[places].astype(np.float64)
        return vectors / _lengths(vectors)[:, None]

    def _scores(self, queries: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """The cosines of queries (m, D) with all words in single precision, block by block: (rows, V) float32.

        The order of two scores is that of `cosines` if they differ by more than `_doubt`.
        """
        block_rows = max(1, PAIRS_AT_ONCE // len(self.words))
        for first in range(0, len(queries), block_rows):
            block = slice(first, first + block_rows)
            yield block, _unit(queries[block]) @ self._unit_vectors.T

    @property
    def _doubt(self) -> float:
        """By how much scores of equal cosines can differ.

        A score is off by at most D + 4 roundoffs: D for the sum, the others for what was rounded before (Higham,
        Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
        """
        return 2.02 * (self.vectors.shape[1] + 4) * float(np.finfo(np.float32).epsneg)

    @cached_property
    def _unit_vectors(self) -> np.ndarray:
        return _unit(self.vectors)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def _unknown(self, word: str) -> str:
        from difflib import get_close_matches

        close = get_close_matches(_as_token(word), self.words, SPELLINGS_OFFERED)
        offered = f"Spelled most like it: {', '.join(map(repr, close))}." if close else "None is spelled like it."
        return (
            f"The word {word!r} is not among the {len(self.words)} words that have a vector. {offered} "
            "Ask for one of these, or train vectors on texts that have the word more often."
        )


def nearest(word_vectors: WordVectors, places: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k words nearest by cosine to each of some words, without the word itself; ties go to the smaller row.

    Args:
        word_vectors: of all words.
        places: (m,) rows, as from `WordVectors.row_of`.
        k: at least 1 and fewer than there are words.

    Returns:
        places: (m, k) int32, nearest first.
        similarities: (m, k) float64.

    Raises:
        InputError: a k that is out of range.
    """
    places = np.asarray(places)
    return word_vectors.most_similar(word_vectors.vectors[places], k, places[:, None])


def vectors_from_table(table: pa.Table) -> WordVectors:
    """The vectors that the columns word, count and vector of the table `word_vectors` hold.

    Raises:
        InputError: no rows, nulls, or vectors that differ in length.
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
    """A bound of each row's kth largest score, (m, 1): the kth largest of the maxima of groups, as there are fewer."""
    columns = scores.shape[1]
    group_size = max(1, columns // (8 * k))
    groups = columns // group_size
    maxima = scores[:, : group_size * groups].reshape(len(scores), group_size, groups).max(axis=1)
    # Cosines are above it, and what is excluded below.
    return np.maximum(np.partition(maxima, -k, axis=1)[:, -k, None], -2.0)


def _entries(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is true, row by row; NumPy's `nonzero` is much slower in two dimensions than in one."""
    return np.divmod(np.flatnonzero(chosen), chosen.shape[1])


def _as_token(word: str) -> str:
    return word.strip().lower()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / _lengths(vectors)[:, None]).astype(np.float32)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    """Euclidean lengths in float64; 1 for a vector of zeros, whose cosine with anything is then 0."""
    lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1))
    return np.where(lengths > 0, lengths, 1.0)


def _check_k(k: int, most: int) -> None:
    if not 1 <= k <= most:
        raise InputError(
            f"{k} similar words were asked for, but there are {max(most, 0)} others with a vector. "
            "Ask for a number from 1 to that, or train vectors of more words."
        )


def _ragged(rows: int) -> InputError:
    return InputError(
        f"The {rows} rows of word_vectors do not hold a vector of the same length each. Make the table anew."
    )
