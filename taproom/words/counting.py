"""Tokenizing texts and counting the words of each item.

Here belongs what turns text into counts, and what adds counts up. Counts are exact integers, keyed by words and item
ids instead of indices, so that a new batch of reviews can be added, and an old one subtracted, without counting any
other batch again. Weights computed from counts are in `taproom.words.tfidf`.

Source: slide "Bag of Words" of the lecture deck (Jamieson, CSE546 2017). Tokens are the matches of a regular expression
in the normal form of a text (`taproom.words.normal_form`), by default that of scikit-learn's CountVectorizer, with
Unicode's word characters: a combining mark belongs to its word. For the default pattern, runs of Chinese, Japanese,
Thai and other scripts that are written without blanks are cut into overlapping pairs of characters first.

Texts are cut into blocks. A block becomes a sparse matrix with a row for each text and a 1 for each token, and a sparse
product adds up the rows of each item. Tokens of the default pattern are found for all texts of a block at once, by
array operations that release the GIL, so that threads run in parallel.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, pairwise, starmap

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
from scipy import sparse

from taproom.errors import InputError
from taproom.progress import progress
from taproom.words.normal_form import normal_form, with_pairs

DEFAULT_TOKEN_PATTERN = r"(?u)\b\w\w+\b"
# Large enough that a block's fixed cost is negligible, and small enough that its word numbers fit in a core's cache.
BLOCK_CHARACTERS = 1 << 20
BLOCKS_AT_ONCE = 32
# Longer than nearly every word of any language; compounds and web addresses are the exceptions.
LONG_WORD = 30
# Merging less than these 32 MB at a time would look up the same words again and again.
ENTRIES_BEFORE_MERGE = 4_000_000
_IS_WORD = np.array([byte > 0x7F or regex.match(r"\w", chr(byte)) is not None for byte in range(256)])
# Non-ASCII characters that are not word characters, or that are a run of one word character.
_NOT_IN_A_WORD = regex.compile(r"[^\x00-\x7f](?:(?<=\W)|(?<=\b\w)\b)")

# A function that returns what `numbered_tokens` does.
_FindTokens = Callable[[Sequence[str]], tuple[pa.LargeStringArray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Counts:
    """How often each word occurs in the texts of each item.

    The form is canonical: every item has a word, every word occurs, and no zero is stored. Equal counts therefore have
    equal arrays, however they were computed.

    Attributes:
        item_ids: (items,) object array of str, ascending, unique.
        words: (words,) object array of str, ascending, unique.
        counts: (items, words) CSR of int64, all positive, columns ascending in each row.
    """

    item_ids: np.ndarray
    words: np.ndarray
    counts: sparse.csr_array


def count_words(
    item_ids: Sequence[str],
    texts: Sequence[str],
    token_pattern: str = DEFAULT_TOKEN_PATTERN,
    *,
    n_jobs: int | None = None,
) -> Counts:
    """Count the words of each item over all of its texts; the order of texts does not matter.

    Args:
        item_ids: (texts,) item id of each text.
        texts: (texts,) the texts.
        token_pattern: see `tokens`.
        n_jobs: see `count_stream`.

    Raises:
        InputError: as `count_stream` does.

    >>> counts = count_words(["stout", "ale", "stout"], ["Roasted malt", "hops", "malt, malt"])
    >>> counts.item_ids.tolist(), counts.words.tolist()
    (['ale', 'stout'], ['hops', 'malt', 'roasted'])
    >>> counts.counts.toarray()
    array([[1, 0, 0],
           [0, 3, 1]])
    """
    return _count([(item_ids, texts)], token_pattern, n_jobs, total=len(texts))


def count_stream(
    stream: Iterable[tuple[Sequence[str], Sequence[str]]],
    token_pattern: str = DEFAULT_TOKEN_PATTERN,
    *,
    n_jobs: int | None = None,
) -> Counts:
    """Count the words of each item in a stream of texts; only a few blocks of texts are in memory at a time.

    Args:
        stream: pairs of item ids and texts, each as `count_words` takes them and of any length.
        token_pattern: see `tokens`.
        n_jobs: number of workers, as for joblib; the result does not depend on it. Workers are threads, unless a
            `joblib.parallel_config` around the call chooses processes. Those are faster for a pattern other than the
            default, since a regular expression holds the GIL.

    Returns:
        The counts, without items that have no word.

    Raises:
        InputError: the numbers of ids and texts differ, one of them is not a string, or as `tokens` does.
    """
    return _count(stream, token_pattern, n_jobs)


def tokens(text: str, token_pattern: str = DEFAULT_TOKEN_PATTERN) -> list[str]:
    """The words of one text, in order.

    Args:
        text: the text.
        token_pattern: regular expression of a word in normal form, in the syntax of the package `regex`; with one
            group, the group is the word. Empty matches are no words.

    Raises:
        InputError: the pattern is not a regular expression, or has more than one group.

    >>> tokens("A hoppy ALE: it's an IPA!")
    ['hoppy', 'ale', 'it', 'an', 'ipa']
    """
    return _matches(_compile(token_pattern), text)


def count_text(text: str, token_pattern: str = DEFAULT_TOKEN_PATTERN) -> tuple[np.ndarray, np.ndarray]:
    """The distinct words of one text, (words,) object array of str, ascending, and how often each occurs, (words,) int.

    Raises:
        InputError: the text is not a string or has no word, or as `tokens` does.

    >>> words, counts = count_text("Malt, hops, more malt")
    >>> words.tolist(), counts.tolist()
    (['hops', 'malt', 'more'], [1, 2, 1])
    """
    if not isinstance(text, str):
        raise InputError(f"A text must be one string; {type(text).__name__} was given.")
    counts = Counter(tokens(text, token_pattern))
    if not counts:
        raise InputError(
            f"The text {text[:40]!r} has no word: nothing in it matches {token_pattern!r}. Give a text with words."
        )
    words = sorted(counts)
    return np.array(words, dtype=object), np.array([counts[word] for word in words])


def numbered_tokens(
    texts: Sequence[str], token_pattern: str = DEFAULT_TOKEN_PATTERN
) -> tuple[pa.LargeStringArray, np.ndarray, np.ndarray]:
    """The words of many texts, in order, as numbers; much faster than calling `tokens` for each text.

    Args:
        texts: (texts,) the texts.
        token_pattern: see `tokens`.

    Returns:
        words: the distinct words, in order of their first occurrence.
        numbers: (tokens,) int32, index of each token's word in `words`.
        starts: (texts + 1,) int32; the tokens of text i are `numbers[starts[i]:starts[i + 1]]`.

    Raises:
        InputError: as `tokens` does.

    >>> words, numbers, starts = numbered_tokens(["malt and hops", "hops"])
    >>> words.to_pylist(), numbers.tolist(), starts.tolist()
    (['malt', 'and', 'hops'], [0, 1, 2, 2], [0, 3, 4])
    """
    return _finder(token_pattern)(texts)


def long_token_share(words: Sequence[str] | np.ndarray, occurrences: np.ndarray) -> float:
    """The share of the tokens that are longer than `LONG_WORD` characters; 0 without tokens.

    Many long tokens are whole sentences of a script that the token pattern does not cut into words.

    >>> long_token_share(["beer", "x" * 31], np.array([3, 1]))
    0.25
    """
    is_long = np.fromiter((len(word) > LONG_WORD for word in words), bool, len(words))
    return float(occurrences[is_long].sum() / max(occurrences.sum(), 1))


def text_blocks(texts: Sequence[str]) -> Iterator[slice]:
    """Cut texts into consecutive blocks of about `BLOCK_CHARACTERS` characters each."""
    block_of_text = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts))) // BLOCK_CHARACTERS
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(block_of_text)) + 1), len(texts)]):
        yield slice(first, last)


def add_counts(parts: Iterable[Counts], subtract: Iterable[Counts] = ()) -> Counts:
    """The sum of `parts` minus the sum of `subtract`; each part has its own words and items.

    Raises:
        InputError: a count in the result would be negative.

    >>> old, new = count_words(["ale"], ["malt hops"]), count_words(["ale"], ["malt"])
    >>> add_counts([old, new], subtract=[old]).words.tolist()
    ['malt']
    """
    total = _Sum()
    for part in parts:
        total.add(_Part(_arrow("item id", part.item_ids), _arrow("word", part.words), part.counts))
    for part in subtract:
        total.add(_Part(_arrow("item id", part.item_ids), _arrow("word", part.words), -part.counts))
    return total.result()


@dataclass(frozen=True)
class _Part:
    """Counts that are not in canonical form: items may have several rows, and words are in any order."""

    item_ids: pa.LargeStringArray
    words: pa.LargeStringArray
    counts: sparse.csr_array


class _Sum:
    """The sum of parts, which wait until they have more entries than the sum so far, and are then merged into it.

    So memory stays within a small multiple of the result, and before the last merge an entry is moved at most twice on
    average, as in an array that doubles when it is full (Cormen, Leiserson, Rivest and Stein, Introduction to
    Algorithms, 2009, section 17.4).
    """

    def __init__(self) -> None:
        nothing = pa.array([], pa.large_string())
        # The sum so far, and the parts that wait.
        self._parts = [_Part(nothing, nothing, sparse.csr_array((0, 0), dtype=np.int32))]
        self._entries_waiting = 0
        self._tokens = 0

    def add(self, part: _Part) -> None:
        self._parts.append(part)
        self._entries_waiting += part.counts.nnz
        self._tokens += abs(int(part.counts.data.sum(dtype=np.int64)))
        if self._entries_waiting > max(ENTRIES_BEFORE_MERGE, self._parts[0].counts.nnz):
            self._merge()

    def result(self) -> Counts:
        self._merge()
        (total,) = self._parts
        counts = total.counts
        if counts.data.min(initial=0) < 0:
            raise InputError(_shortage(total))
        counts.eliminate_zeros()
        counts.sort_indices()
        rows, columns = np.diff(counts.indptr) > 0, np.zeros(counts.shape[1], bool)
        columns[counts.indices] = True
        if not (rows.all() and columns.all()):
            counts = counts[rows][:, columns]
        return Counts(
            total.item_ids.filter(pa.array(rows)).to_numpy(zero_copy_only=False),
            total.words.filter(pa.array(columns)).to_numpy(zero_copy_only=False),
            # `astype` of a sparse array would copy its indices, too.
            sparse.csr_array((counts.data.astype(np.int64, copy=False), counts.indices, counts.indptr), counts.shape),
        )

    def _merge(self) -> None:
        """Merge all parts into one, with items and words ascending."""
        parts = self._parts
        item_ids, rows = _ranked(pa.concat_arrays([part.item_ids for part in parts]))
        words, columns = _ranked(pa.concat_arrays([part.words for part in parts]))
        # No sum is greater than the number of tokens, so int32 is enough for all but the largest corpora.
        stacked = _stacked(parts, columns, len(words), np.int32 if self._tokens < 2**31 else np.int64)
        self._entries_waiting = 0
        total = _in_order(stacked, rows, len(item_ids))
        self._parts = [_Part(item_ids, words, total)]


def _stacked(parts: list[_Part], columns: np.ndarray, words: int, dtype: type) -> sparse.csr_array:
    """The counts of the parts, one below the other, with these columns for the words of all; empties the list.

    What SciPy's `vstack` would make of them, without a copy of all of them on the way.
    """
    entries = sum(part.counts.nnz for part in parts)
    data, indices = np.empty(entries, dtype), np.empty(entries, sparse.get_index_dtype(maxval=entries))
    lengths, first, start = [], 0, 0
    while parts:
        part = parts.pop(0)  # free its memory as soon as possible
        last, end = first + len(part.words), start + part.counts.nnz
        data[start:end] = part.counts.data
        indices[start:end] = columns[first:last][part.counts.indices]
        lengths.append(np.diff(part.counts.indptr))
        first, start = last, end
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(indices.dtype)
    return sparse.csr_array((data, indices, indptr), (len(indptr) - 1, words))


def _count(
    stream: Iterable[tuple[Sequence[str], Sequence[str]]],
    token_pattern: str,
    n_jobs: int | None,
    total: int | None = None,
) -> Counts:
    from joblib import Parallel, delayed

    find = _finder(token_pattern)
    blocks = chain.from_iterable(starmap(_blocks, stream))
    counts = _Sum()
    with progress(doing="counting words", total=total, unit="text") as bar:
        # A limited number of blocks at a time, so that workers do not run ahead of the sum and fill the memory.
        while at_once := list(islice(blocks, BLOCKS_AT_ONCE)):
            workers = Parallel(n_jobs=n_jobs if len(at_once) > 1 else 1, prefer="threads", return_as="generator")
            for part in workers(delayed(_count_block)(find, *block) for block in at_once):
                counts.add(part)
            bar.update(sum(len(texts) for _, texts in at_once))
    return counts.result()


def _finder(token_pattern: str) -> _FindTokens:
    pattern = _compile(token_pattern)
    return _find_words if token_pattern == DEFAULT_TOKEN_PATTERN else partial(_find_matches, pattern)


def _blocks(item_ids: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Check the ids and texts, and cut both into blocks."""
    _check_strings(item_ids, texts)
    for block in text_blocks(texts):
        yield item_ids[block], texts[block]


def _count_block(find: _FindTokens, item_ids: Sequence[str], texts: Sequence[str]) -> _Part:
    words, columns, starts = find(texts)
    occurrences = sparse.csr_array((np.ones(len(columns), np.int32), columns, starts), shape=(len(texts), len(words)))
    items, rows = _numbered(_arrow("item id", item_ids))
    return _Part(items, words, _sum_rows(occurrences, rows, len(items)))


def _in_order(matrix: sparse.csr_array, numbers: np.ndarray, rows: int) -> sparse.csr_array:
    """`_sum_rows` where each of the rows has at least one number."""
    # An item with one row, such as a document, has no other to be added to; putting rows in order is much faster.
    if rows != len(numbers):
        return _sum_rows(matrix, numbers, rows)
    return matrix if (np.diff(numbers) > 0).all() else matrix[np.argsort(numbers)]


def _sum_rows(matrix: sparse.csr_array, numbers: np.ndarray, rows: int) -> sparse.csr_array:
    """The matrix whose row i is the sum of the rows with number i."""
    ones = np.ones(len(numbers), matrix.dtype)
    summation = sparse.csc_array(
        (ones, numbers, np.arange(len(numbers) + 1, dtype=np.int32)), shape=(rows, len(numbers))
    )
    return summation.tocsr() @ matrix


def _find_words(texts: Sequence[str]) -> tuple[pa.LargeStringArray, np.ndarray, np.ndarray]:
    r"""Tokens of the default pattern, which are the runs of two or more `\w` characters."""
    spaced = (with_pairs(normal_form(text)) for text in texts)
    encoded = [(text if text.isascii() else _NOT_IN_A_WORD.sub(" ", text)).encode() for text in spaced]
    # From here on every non-ASCII byte is part of a word, so a word is a run of two or more word bytes.
    characters = np.frombuffer(b"\n".join([b"", *encoded, b""]), np.uint8)
    in_word = _IS_WORD[characters]
    in_word[1:-1] &= in_word[:-2] | in_word[2:]
    edges = np.flatnonzero(in_word[1:] != in_word[:-1])
    before, last = edges[::2], edges[1::2]
    offsets = np.concatenate([[0], np.cumsum(last - before)])
    runs = pa.LargeStringArray.from_buffers(len(before), pa.py_buffer(offsets), pa.py_buffer(characters[in_word]))
    ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1)
    return *_numbered(runs), np.concatenate([[0], np.searchsorted(before, ends)]).astype(np.int32)


def _find_matches(
    pattern: regex.Pattern[str], texts: Sequence[str]
) -> tuple[pa.LargeStringArray, np.ndarray, np.ndarray]:
    """Tokens of any pattern."""
    found = [_matches(pattern, text) for text in texts]
    words = _arrow("word", list(chain.from_iterable(found)))
    return *_numbered(words), np.cumsum([0, *map(len, found)], dtype=np.int32)


def _matches(pattern: regex.Pattern[str], text: str) -> list[str]:
    normal = normal_form(text)
    spaced = with_pairs(normal) if pattern.pattern == DEFAULT_TOKEN_PATTERN else normal
    return list(filter(None, pattern.findall(spaced)))


def _numbered(names: pa.LargeStringArray) -> tuple[pa.LargeStringArray, np.ndarray]:
    """The distinct names in order of their first occurrence, and the index of each name among them."""
    encoded = names.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()


def _ranked(names: pa.LargeStringArray) -> tuple[pa.LargeStringArray, np.ndarray]:
    """The distinct names, ascending (by UTF-8 bytes, hence by code points), and the index of each name among them."""
    names, numbers = _numbered(names)
    order = pc.sort_indices(names)
    rank = np.empty(len(names), np.int32)
    rank[order.to_numpy()] = np.arange(len(names))
    return names.take(order), rank[numbers]


def _arrow(what: str, names: Sequence[str] | np.ndarray) -> pa.LargeStringArray:
    try:
        return pa.array(names, pa.large_string())
    except UnicodeEncodeError as error:
        raise InputError(
            f"The {what} {error.object!r} contains {error.object[error.start]!r}, a lone surrogate. "
            "Decode the input with errors='replace', or leave this text out."
        ) from None


def _shortage(part: _Part) -> str:
    counts = part.counts
    lowest = counts.data.argmin()
    item = np.searchsorted(counts.indptr, lowest, side="right") - 1
    return (
        f"The counts to subtract have the word {part.words[counts.indices[lowest]].as_py()!r} of the item "
        f"{part.item_ids[item].as_py()!r} {-counts.data[lowest]} times more often than the counts that they are "
        "subtracted from. Subtract only what was added before; if that is not known, count everything again."
    )


def _compile(token_pattern: str) -> regex.Pattern[str]:
    try:
        pattern = regex.compile(token_pattern)
    except regex.error as error:
        raise InputError(
            f"The token pattern {token_pattern!r} is not a regular expression: {error}. "
            f"Give one that matches a word, such as the default {DEFAULT_TOKEN_PATTERN!r}."
        ) from error
    if pattern.groups > 1:
        raise InputError(
            f"The token pattern {token_pattern!r} has {pattern.groups} groups; a word is one group or the whole match. "
            "Write (?:...) for groups that do not capture."
        )
    return pattern


def _check_strings(item_ids: Sequence[str], texts: Sequence[str]) -> None:
    if len(item_ids) != len(texts):
        raise InputError(f"There are {len(item_ids)} item ids for {len(texts)} texts. Give one item id for each text.")
    for what, values in (("item id", item_ids), ("text", texts)):
        for position, value in enumerate(values):
            if not isinstance(value, str):
                raise InputError(
                    f"The {what} at position {position} is {value!r}, not a string. "
                    "Leave out reviews without a text or an item before counting."
                )
