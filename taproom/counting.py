"""Words and how often each item's texts say them: the integers that everything about text is computed from.

Here belongs what turns text into counts and what adds counts up. Counts stay exact integers, keyed by words and item
ids instead of positions, so that a new batch of reviews costs only itself and an old one can be taken out again. What
the counts are worth (TF*IDF) is in `taproom.tfidf`.

Source: slide "Bag of Words" of the lecture deck (Jamieson, CSE546 2017). Tokens are lower-cased matches of a regular
expression, by default the one of scikit-learn's CountVectorizer.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy import sparse

from taproom.errors import InputError
from taproom.progress import progress

DEFAULT_TOKEN_PATTERN = r"(?u)\b\w\w+\b"
TEXTS_PER_BLOCK = 10_000
ENTRIES_BEFORE_MERGE = 2_000_000


@dataclass(frozen=True)
class Counts:
    """How often each item says each word.

    The form is canonical: every item has a word, every word occurs, nothing stored is zero. Equal counts are therefore
    stored equally, however they were put together.

    Attributes:
        item_ids: (items,) object array of str, ascending, unique.
        words: (words,) object array of str, ascending, unique.
        counts: (items, words) CSR of int64, all positive, columns ascending in each row.
    """

    item_ids: np.ndarray
    words: np.ndarray
    counts: sparse.csr_array


class WordCounter:
    """Counts the words of texts that come in blocks; what was counted so far stays compact between the blocks.

    Args:
        token_pattern: regular expression of a word, applied to the lower-cased text; with one group, the group is the
            word.

    Raises:
        InputError: the pattern is no regular expression, or has more than one group.
    """

    def __init__(self, token_pattern: str = DEFAULT_TOKEN_PATTERN):
        self._find_tokens = _compile(token_pattern).findall
        self._tally = _Tally()

    def add(self, item_ids: Sequence[str], texts: Sequence[str]) -> None:
        """Count the words of `texts[i]` for the item `item_ids[i]`.

        Raises:
            InputError: the two are not of one length, or a text or an id is not a string.
        """
        _check_strings(item_ids, texts)
        tokens = [list(filter(None, self._find_tokens(text.lower()))) for text in texts]
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        rows = np.repeat(self._tally.item_numbers(item_ids), lengths)
        columns = self._tally.word_numbers(chain.from_iterable(tokens), lengths.sum())
        self._tally.add(rows, columns, np.ones(len(rows), np.int64))

    def result(self) -> Counts:
        """Everything that was added so far. Items whose texts hold no word are not in it."""
        return self._tally.result()


def count_words(item_ids: Sequence[str], texts: Sequence[str], token_pattern: str = DEFAULT_TOKEN_PATTERN) -> Counts:
    """Count the words of each item; the texts of an item are counted together, in whatever order they come.

    Args:
        item_ids: (texts,) the item that each text is about.
        texts: (texts,) the texts.
        token_pattern: see `WordCounter`.

    Raises:
        InputError: as `WordCounter` does.
    """
    _check_lengths(item_ids, texts)
    counter = WordCounter(token_pattern)
    with progress(doing="counting words", total=len(texts), unit="text") as bar:
        for first in range(0, len(texts), TEXTS_PER_BLOCK):
            block = slice(first, first + TEXTS_PER_BLOCK)
            counter.add(item_ids[block], texts[block])
            bar.update(len(texts[block]))
    return counter.result()


def add_counts(parts: Iterable[Counts], subtract: Iterable[Counts] = ()) -> Counts:
    """Sum of `parts` minus the sum of `subtract`, each with words and items of its own, in any order.

    Raises:
        InputError: more is taken away than there is.
    """
    tally = _Tally()
    for sign, group in ((1, parts), (-1, subtract)):
        for part in group:
            entries = part.counts.tocoo()
            rows = tally.item_numbers(part.item_ids)[entries.row]
            columns = tally.word_numbers(part.words, len(part.words))[entries.col]
            tally.add(rows, columns, sign * entries.data.astype(np.int64))
    return tally.result()


class _Tally:
    """Sums of (item, word, count) entries; items and words are numbered as they come and put in order at the end."""

    def __init__(self):
        self._items: dict[str, int] = _numbering()
        self._words: dict[str, int] = _numbering()
        self._keys = np.empty(0, np.int64)
        self._sums = np.empty(0, np.int64)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._entries_waiting = 0

    def item_numbers(self, item_ids: Sequence[str]) -> np.ndarray:
        return np.fromiter(map(self._items.__getitem__, item_ids), np.int64, len(item_ids))

    def word_numbers(self, words: Iterable[str], how_many: int) -> np.ndarray:
        return np.fromiter(map(self._words.__getitem__, words), np.int64, how_many)

    def add(self, rows: np.ndarray, columns: np.ndarray, counts: np.ndarray) -> None:
        keys, sums = _sum_by_key(rows << 32 | columns, counts)
        self._waiting.append((keys, sums))
        self._entries_waiting += len(keys)
        # Merging only once as much waits as is merged already keeps the memory within a small multiple of the result
        # and the number of times that an entry is sorted logarithmic.
        if self._entries_waiting > max(len(self._keys), ENTRIES_BEFORE_MERGE):
            self._merge()

    def result(self) -> Counts:
        self._merge()
        if len(self._sums) and self._sums.min() < 0:
            raise InputError(self._shortage())
        present = self._sums > 0
        keys, sums = self._keys[present], self._sums[present]
        item_ids, rows = _in_order(self._items, keys >> 32)
        words, columns = _in_order(self._words, keys & 0xFFFFFFFF)
        counts = sparse.coo_array((sums, (rows, columns)), shape=(len(item_ids), len(words))).tocsr()
        counts.sort_indices()
        return Counts(item_ids, words, counts)

    def _merge(self) -> None:
        keys, sums = zip((self._keys, self._sums), *self._waiting, strict=True)
        self._keys, self._sums = _sum_by_key(np.concatenate(keys), np.concatenate(sums))
        self._waiting, self._entries_waiting = [], 0

    def _shortage(self) -> str:
        lowest = self._sums.argmin()
        item, word = self._keys[lowest] >> 32, self._keys[lowest] & 0xFFFFFFFF
        return (
            f"The counts to subtract hold the word {list(self._words)[word]!r} of the item {list(self._items)[item]!r} "
            f"{-self._sums[lowest]} times more often than the counts that they are taken from. "
            "Subtract only what was added before, and count everything anew if that is not known."
        )


def _numbering() -> dict[str, int]:
    """A dict that gives each new key the next number."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def _sum_by_key(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending unique keys and the sum of each one's values."""
    if not len(keys):
        return keys, values
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[starts], np.add.reduceat(values, starts)


def _in_order(numbers: dict[str, int], used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The names whose numbers are used, ascending, and for each use the place of its name among them."""
    is_used = np.zeros(len(numbers), bool)
    is_used[used] = True
    names = np.array(list(numbers), dtype=object)
    kept = np.flatnonzero(is_used)
    kept = kept[np.argsort(names[kept])]
    places = np.empty(len(numbers), np.int64)
    places[kept] = np.arange(len(kept))
    return names[kept], places[used]


def _compile(token_pattern: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(token_pattern)
    except re.error as error:
        raise InputError(
            f"The token pattern {token_pattern!r} is not a regular expression: {error}. "
            f"Give one that matches a word, such as the default {DEFAULT_TOKEN_PATTERN!r}."
        ) from error
    if pattern.groups > 1:
        raise InputError(
            f"The token pattern {token_pattern!r} has {pattern.groups} groups; a word is one group or the whole match. "
            "Write (?:...) for groups that only hold the pattern together."
        )
    return pattern


def _check_lengths(item_ids: Sequence[str], texts: Sequence[str]) -> None:
    if len(item_ids) != len(texts):
        raise InputError(f"There are {len(item_ids)} item ids for {len(texts)} texts. Give one item id for each text.")


def _check_strings(item_ids: Sequence[str], texts: Sequence[str]) -> None:
    _check_lengths(item_ids, texts)
    for what, values in (("item id", item_ids), ("text", texts)):
        for position, value in enumerate(values):
            if not isinstance(value, str):
                raise InputError(
                    f"The {what} at position {position} is {value!r}, not a string. "
                    "Leave out reviews without a text or an item before counting."
                )
