"""Training word vectors by skip-gram with negative sampling: words with similar contexts get similar vectors.

Here belongs training, and the pairs of words to train on. Nearest words are in `taproom.words.vectors`, analogies in
`taproom.text.analogies`, and the map of words is in `taproom.maps.word_map`.

Source: slides "Word embeddings, word2vec" of the lecture deck (Jamieson, CSE546 2017): train a network to predict the
words around a word and take its first layer. Mikolov, Sutskever, Chen, Corrado and Dean, Distributed Representations of
Words and Phrases and their Compositionality, 2013. The training is gensim's Word2Vec.

The stream of texts is read once; its words are counted and written to a file that gensim's workers read without the
GIL. gensim 4.4 has two pitfalls with such a file. A worker reads lines until it has more than 10,000 words, trains on
the first 10,000 and drops the others. And each worker starts at an equal share of the bytes, but stops after an equal
share of the words. To lose no word, words are written in batches of 10,000, each with one additional unknown word that
takes the reader over its limit; and each word is written as a number of five characters, so that equal shares of bytes
are equal shares of words. Words that contain blanks, which a token pattern may match, are possible for the same reason.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from taproom.errors import InputError, StorageError
from taproom.progress import progress
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, numbered_tokens, text_blocks
from taproom.words.vectors import WordVectors

if TYPE_CHECKING:
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec
    from tqdm import tqdm

# Number of words that gensim trains on at a time.
BATCH_TOKENS = 10_000
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-", np.uint8)
_SHIFTS = np.arange(24, -1, -6)
_NO_WORD = np.frombuffer(b"..... ", np.uint8)


@dataclass(frozen=True)
class WordVectorParameters:
    """Parameters of the training.

    With the defaults, one worker trains on 20 Newsgroups (4.7 million words) in half a minute. Of the 10,663 analogies
    whose words are known, 3.5 % are then answered right, and the median rank is 1,082. With 100 dimensions, five
    negative samples and three epochs, training takes twice as long, and the results are 4.4 % and 892. With gensim's
    defaults and one epoch, it takes as long as with these, and the results are 2.1 % and 2,991.

    Attributes:
        dimensions: number of dimensions of a vector, D.
        window: maximum number of context words on either side of a word; the number is drawn from 1 to this.
        negative: number of random words (negative samples) for each pair.
        min_count: minimum number of occurrences of a word with a vector; other words are ignored.
        epochs: number of passes over the texts.
        sample: threshold for downsampling: occurrences of words with a larger share than this are dropped at random,
            more of them the more frequent the word is; 0 keeps all.
        step: initial learning rate; it decreases linearly to nearly 0.
        seed: seed of the initial vectors and of all random draws.
    """

    dimensions: int = 64
    window: int = 5
    negative: int = 4
    min_count: int = 5
    epochs: int = 2
    sample: float = 1e-4
    step: float = 0.04
    seed: int = 0


@dataclass(frozen=True)
class TrainedVectors(WordVectors):
    """Trained vectors, with statistics of the training.

    Attributes:
        documents: number of texts.
        tokens: number of words in the texts, with or without a vector.
        trained_tokens: number of words trained on, over all epochs: without words that have no vector and those dropped
            by downsampling.
        seconds: duration of the training, without reading the texts.
    """

    documents: int
    tokens: int
    trained_tokens: int
    seconds: float


def train(
    texts: Iterable[Sequence[str]],
    parameters: WordVectorParameters | None = None,
    token_pattern: str = DEFAULT_TOKEN_PATTERN,
    workers: int = 1,
) -> TrainedVectors:
    """Train a vector for each word that occurs often enough.

    Args:
        texts: a stream of texts in batches of any length. Only its distinct words are kept in memory; the texts go to a
            temporary file of six bytes per word.
        parameters: parameters of the training; None for the defaults.
        token_pattern: see `taproom.words.counting.tokens`.
        workers: number of threads. With one, the result is reproducible bit for bit. Several are faster, but update the
            same vectors without locks (Niu, Recht, Re and Wright, Hogwild, 2011), so that every run differs.

    Raises:
        InputError: there is no word, none occurs often enough, or a parameter is out of range.
        StorageError: the temporary file cannot be written.
    """
    parameters = parameters or WordVectorParameters()
    _check(parameters, workers)
    with TemporaryDirectory(prefix="taproom-") as folder:
        path = Path(folder) / "corpus"
        corpus = _write_corpus(texts, token_pattern, path, workers)
        words, counts, keys = _vocabulary(corpus, parameters.min_count, token_pattern)
        started = time.perf_counter()
        vectors, trained = _train(path, keys, counts, corpus.padded_tokens, parameters, workers)
        seconds = time.perf_counter() - started
    return TrainedVectors(words, counts, vectors, corpus.documents, corpus.tokens, trained, seconds)


def training_pairs(words: Sequence[str], window: int) -> list[tuple[int, int]]:
    """The pairs (centre, context) of a sentence that skip-gram trains on, as indices, in the order of the deck.

    All pairs within the window are returned, whereas training draws a window from 1 to `window` for each centre.

    Raises:
        InputError: the window is below 1.

    >>> words = "the quick brown fox".split()
    >>> [(words[centre], words[context]) for centre, context in training_pairs(words, window=2)][:4]
    [('the', 'quick'), ('the', 'brown'), ('quick', 'the'), ('quick', 'brown')]
    """
    if window < 1:
        raise InputError(f"The window is {window}; wanted: 1 or more words on either side.")
    return [
        (centre, context)
        for centre in range(len(words))
        for context in range(max(0, centre - window), min(len(words), centre + window + 1))
        if context != centre
    ]


@dataclass(frozen=True)
class _Corpus:
    """The contents of a corpus file.

    Attributes:
        words: (words,) distinct words, in the order of their numbers.
        counts: (words,) int64, number of occurrences of each.
        documents: number of texts.
        tokens: number of words in the texts.
        padded_tokens: number of tokens in the file, a multiple of `BATCH_TOKENS`; the last ones are unknown words.
    """

    words: list[str]
    counts: np.ndarray
    documents: int
    tokens: int
    padded_tokens: int


def _write_corpus(texts: Iterable[Sequence[str]], token_pattern: str, path: Path, workers: int) -> _Corpus:
    """Count the words and write them to a file, padded to the same number of batches for each worker."""
    number_of: defaultdict[str, int] = defaultdict(count().__next__)
    counts = np.zeros(1 << 16, np.int64)
    documents = written = 0
    with progress(doing="reading texts", unit="text") as bar:
        for block in (batch[some] for batch in texts for some in text_blocks(batch)):
            words, tokens, starts = numbered_tokens(block, token_pattern)
            numbers = np.fromiter(map(number_of.__getitem__, words.to_pylist()), np.int64, len(words))
            if len(number_of) > len(counts):
                counts = np.concatenate([counts, np.zeros(len(number_of), np.int64)])
            counts[numbers] += np.bincount(tokens, minlength=len(words))
            _append(path, _batches(_lines(_spelled(numbers)[tokens], starts), written))
            written += len(tokens)
            documents += len(block)
            bar.update(len(block))
    padding = -written % (workers * BATCH_TOKENS)
    _append(path, _batches(_lines(np.tile(_NO_WORD, (padding, 1)), np.array([0, padding])), written))
    return _Corpus(list(number_of), counts[: len(number_of)], documents, written, written + padding)


def _spelled(numbers: np.ndarray) -> np.ndarray:
    """Each number in base 64, as five characters and a blank: (n, 6) uint8."""
    spelled = np.full((len(numbers), len(_SHIFTS) + 1), ord(" "), np.uint8)
    spelled[:, :-1] = _ALPHABET[(numbers[:, None] >> _SHIFTS) & 63]
    return spelled


def _lines(spelled: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The tokens with a line break at the end of each text."""
    ends = starts[1:][np.diff(starts) > 0]
    spelled[ends - 1, -1] = ord("\n")
    return spelled


def _batches(lines: np.ndarray, written: int) -> np.ndarray:
    """The tokens with an unknown word inserted at the start of each batch, after `written` earlier tokens."""
    begins = np.arange(-written % BATCH_TOKENS, len(lines), BATCH_TOKENS)
    lines[begins[begins > 0] - 1, -1] = ord("\n")
    return np.insert(lines, begins, _NO_WORD, axis=0)


def _append(path: Path, lines: np.ndarray) -> None:
    try:
        with path.open("ab") as file:
            file.write(lines.data)
    except OSError as error:
        raise StorageError(
            f"The words of the texts could not be written to {path}: {error.strerror}. They take six bytes each: free "
            "some space, or set the environment variable TMPDIR to another folder."
        ) from error


def _vocabulary(corpus: _Corpus, min_count: int, token_pattern: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Words that occur often enough, in the order of `WordVectors`; their counts, and their spelling in the file."""
    if not corpus.tokens:
        raise InputError(
            f"The {corpus.documents} texts have no word: nothing in them matches {token_pattern!r}. "
            "Give texts with words."
        )
    frequent = np.flatnonzero(corpus.counts >= min_count)
    if not len(frequent):
        most = int(corpus.counts.argmax())
        raise InputError(
            f"None of the {len(corpus.words)} distinct words occurs {min_count} times or more; the most frequent, "
            f"{corpus.words[most]!r}, occurs {corpus.counts[most]} times. Lower min_count, or give more text."
        )
    words = np.array([corpus.words[number] for number in frequent], dtype=object)
    order = sorted(range(len(words)), key=lambda place: (-corpus.counts[frequent[place]], words[place]))
    numbers = frequent[order]
    spelled = _spelled(numbers)[:, :-1].tobytes().decode("ascii")
    keys = [spelled[first : first + len(_SHIFTS)] for first in range(0, len(spelled), len(_SHIFTS))]
    return words[order], corpus.counts[numbers], keys


def _train(
    path: Path, keys: list[str], counts: np.ndarray, padded_tokens: int, parameters: WordVectorParameters, workers: int
) -> tuple[np.ndarray, int]:
    """The vectors in the order of `keys`, and the number of tokens trained on."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        sg=1,
        hs=0,
        vector_size=parameters.dimensions,
        window=parameters.window,
        negative=parameters.negative,
        min_count=1,
        sample=parameters.sample,
        alpha=parameters.step,
        seed=parameters.seed,
        workers=workers,
        sorted_vocab=0,
    )
    model.build_vocab_from_freq(dict(zip(keys, counts.tolist(), strict=True)))
    words_to_read = padded_tokens // BATCH_TOKENS * (BATCH_TOKENS + 1)
    with progress(doing="training word vectors", total=parameters.epochs, unit="epoch") as bar:
        trained, _ = model.train(
            corpus_file=str(path),
            total_words=words_to_read - workers,  # a worker stops when it has read more than its share
            epochs=parameters.epochs,
            callbacks=[_epochs_shown(bar)],
        )
    return model.wv.vectors, trained


def _epochs_shown(bar: "tqdm") -> "CallbackAny2Vec":
    from gensim.models.callbacks import CallbackAny2Vec

    class EpochsShown(CallbackAny2Vec):
        def on_epoch_end(self, model: "Word2Vec") -> None:
            bar.update()

    return EpochsShown()


def _check(parameters: WordVectorParameters, workers: int) -> None:
    at_least_one = {
        name: getattr(parameters, name) for name in ("dimensions", "window", "negative", "min_count", "epochs")
    }
    for name, value in {**at_least_one, "workers": workers}.items():
        if value < 1:
            raise InputError(f"{name} is {value}; wanted: 1 or more.")
    if not 0 <= parameters.sample <= 1:
        raise InputError(f"sample is {parameters.sample}; wanted: a share from 0 (keep all words) to 1.")
    if not 0 < parameters.step <= 1:
        raise InputError(f"step is {parameters.step}; wanted: above 0 and at most 1, such as 0.04.")
    if not 0 <= parameters.seed < 2**32:
        raise InputError(f"seed is {parameters.seed}; wanted: a number from 0 to {2**32 - 1}.")
