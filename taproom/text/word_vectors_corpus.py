"""The texts that word vectors are trained on, as a file of numbers.

Here belongs how the texts and their words are stored for the training, which reads them many times. What a word is, is
in `taproom.words.counting`.

The stream of texts is read once. Its words are counted and written to a file as numbers of four bytes, so that only the
distinct words are in memory, however long the texts are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from taproom.errors import InputError, StorageError
from taproom.progress import progress
from taproom.words.counting import numbered_tokens, text_blocks

# The number after the last word of each text; words have the numbers from 1.
END = 0


@dataclass(frozen=True)
class Corpus:
    """Texts as numbers.

    Attributes:
        stream: (tokens + documents,) int32, mapped from the file: the number of each word of each text, in order, and
            `END` after each text.
        words: distinct words; that of the number n is `words[n - 1]`.
        counts: (words,) int64, number of occurrences of each.
        documents: number of texts.
        tokens: number of words in the texts.
    """

    stream: np.ndarray
    words: list[str]
    counts: np.ndarray
    documents: int
    tokens: int


@dataclass(frozen=True)
class Vocabulary:
    """The words that occur often enough, in descending order of frequency, then in alphabetic order.

    Attributes:
        words: (V,) object array of str.
        counts: (V,) int64, number of occurrences of each.
        numbers: (V,) int64, the number of each in the stream of the corpus.
    """

    words: np.ndarray
    counts: np.ndarray
    numbers: np.ndarray


def write_corpus(texts: Iterable[Sequence[str]], token_pattern: str, path: Path) -> Corpus:
    """Write a stream of texts, in batches of any length, to a new file, and count their words.

    Raises:
        InputError: as `taproom.words.counting.tokens` does, or there is no word.
        StorageError: the file cannot be written.
    """
    number_of: defaultdict[str, int] = defaultdict(count(END + 1).__next__)
    counts = np.zeros(1 << 16, np.int64)
    documents = 0
    with progress(doing="reading texts", unit="text") as bar:
        for block in (batch[some] for batch in texts for some in text_blocks(batch)):
            words, tokens, starts = numbered_tokens(block, token_pattern)
            numbers = np.fromiter(map(number_of.__getitem__, words.to_pylist()), np.int32, len(words))
            if len(number_of) > len(counts):
                counts = np.concatenate([counts, np.zeros(len(number_of), np.int64)])
            counts[numbers - 1] += np.bincount(tokens, minlength=len(words))
            append(path, np.insert(numbers[tokens], starts[1:], END))
            documents += len(block)
            bar.update(len(block))
    counts = counts[: len(number_of)]
    if not counts.sum():
        raise InputError(
            f"The {documents} texts have no word: nothing in them matches {token_pattern!r}. Give texts with words."
        )
    stream = np.asarray(np.memmap(path, np.int32, "r"))
    return Corpus(stream, list(number_of), counts, documents, int(counts.sum()))


def frequent_words(corpus: Corpus, min_count: int) -> Vocabulary:
    """The words that occur `min_count` times or more. Raises `InputError` where none does."""
    frequent = np.flatnonzero(corpus.counts >= min_count)
    if not len(frequent):
        most = int(corpus.counts.argmax())
        raise InputError(
            f"None of the {len(corpus.words)} distinct words occurs {min_count} times or more; the most frequent, "
            f"{corpus.words[most]!r}, occurs {corpus.counts[most]} times. Lower min_count, or give more text."
        )
    chosen = np.array(sorted(frequent, key=lambda place: (-corpus.counts[place], corpus.words[place])))
    words = np.array([corpus.words[place] for place in chosen], dtype=object)
    return Vocabulary(words, corpus.counts[chosen], chosen + 1)


def append(path: Path, values: np.ndarray) -> None:
    """Append the bytes of an array to a file. Raises `StorageError` where they cannot be written."""
    try:
        with path.open("ab") as file:
            file.write(np.ascontiguousarray(values).data)
    except OSError as error:
        raise StorageError(
            f"The words of the texts could not be written to {path}: {error.strerror}. They take four bytes each: free "
            "some space, or set the environment variable TMPDIR to another folder."
        ) from error
