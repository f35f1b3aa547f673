"""Word vectors by skip-gram with negative sampling: words that stand amid the same words get similar vectors.

Here belongs what takes texts to vectors. What is asked of vectors is in `taproom.words.vectors`, questions of the form
"a is to b as c is to ?" in `taproom.text.analogies`; a picture of many words is in `taproom.maps.word_map`.

Source: slides "Word embeddings, word2vec" of the lecture deck (Jamieson, CSE546 2017): train a network to predict the
words around a word and take its first layer. Mikolov, Sutskever, Chen, Corrado and Dean, Distributed Representations of
Words and Phrases and their Compositionality, 2013. The training is gensim's Word2Vec.

How: the texts stream by once, are counted, and go to a file that gensim's workers read without Python. What gensim 4.4
makes of such a file has two traps. A worker reads lines until it has more than 10,000 words and passes over all that
are beyond the first 10,000 which it trains on; and each worker begins at an equal share of the bytes but stops after an
equal share of the words. So that no word is lost, the words are cut into batches of 10,000, each with one more that no
one knows, to take a reader beyond its limit; and a word is its number, spelled with five characters, so that shares of
words are shares of bytes. That also lets a word be whatever a token pattern matches, a blank in it or not.
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

# So many words gensim trains on at a time.
BATCH_TOKENS = 10_000
_ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-", np.uint8)
_SHIFTS = np.arange(24, -1, -6)
_NO_WORD = np.frombuffer(b"..... ", np.uint8)


@dataclass(frozen=True)
class WordVectorParameters:
    """How vectors are trained.

    The defaults are what one worker can do with 20 Newsgroups (4.7 million words) within half a minute. Of the 10,663
    analogies whose words it knows, 3.5 % are then right, and the median rank is 1,082. A hundred dimensions, five
    negative words and three epochs take twice as long and give 4.4 % and 892; gensim's own defaults, for one epoch,
    take as long as these and give 2.1 % and 2,991.

    Attributes:
        dimensions: of a vector.
        window: how many words on either side a word may predict; for each it is drawn from 1 to this.
        negative: words drawn at random for each pair, which the network learns to tell from the true one.
        min_count: how often a word must occur to get a vector; other words are passed over.
        epochs: how often the texts are gone through.
        sample: words with a larger share of the texts than this are passed over now and then, the more the more
            frequent they are; 0 keeps all.
        step: length of the first step; it falls linearly to nearly 0.
        seed: of the first vectors and of all draws.
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
    """Vectors as they come from training, with what they were trained on.

    Attributes:
        documents: how many texts there were.
        tokens: how many words there were in them, with a vector or not.
        trained_tokens: how many of these were trained on in all epochs together: all but those without a vector and
            those that were passed over for their frequency.
        seconds: what training took, without reading the texts.
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
        texts: a stream of texts in batches of any length; nothing of it is kept in memory but its distinct words. What
            takes room is a temporary file of six bytes a word.
        parameters: see `WordVectorParameters`, whose defaults are taken if there are none.
        token_pattern: see `taproom.words.counting.tokens`.
        workers: threads. One gives the same bits each time; several are faster, and write to the same vectors without
            waiting for each other (Niu, Recht, Re and Wright, Hogwild, 2011), so that no two runs agree.

    Raises:
        InputError: no text, no word, no word often enough, or parameters out of range.
        StorageError: the temporary folder has no room for the words.
    """
    parameters = parameters or WordVectorParameters()
    _check(parameters, workers)
    with TemporaryDirectory(prefix="taproom-") as folder:
        path = Path(folder) / "corpus"
        corpus = _write_corpus(texts, token_pattern, path, workers)
        words, counts, keys = _vocabulary(corpus, parameters.min_count, token_pattern)
        started = time.perf_counter()
        vectors, trained = _train(path, keys, counts, corpus.room, parameters, workers)
        seconds = time.perf_counter() - started
    return TrainedVectors(words, counts, vectors, corpus.documents, corpus.tokens, trained, seconds)


def training_pairs(words: Sequence[str], window: int) -> list[tuple[int, int]]:
    """The pairs (centre, context) of places in a sentence that skip-gram trains on, as the deck lists them.

    The deck's example is "The quick brown fox jumps over the lazy dog" with a window of 2: (the, quick), (the, brown),
    (quick, the), (quick, brown), (quick, fox) ... Training draws a window from 1 to this one for each centre.

    Raises:
        InputError: a window below 1.
    """
    if window < 1:
        raise InputError(f"The window is {window}; wanted: 1 or more words on either side.")
    return [
        (centre, place)
        for centre in range(len(words))
        for place in range(max(0, centre - window), min(len(words), centre + window + 1))
        if place != centre
    ]


@dataclass(frozen=True)
class _Corpus:
    """What was written to a corpus file: `counts` (words,) of each word, in the order of their numbers.

    It has room for `room` tokens, whole batches, of which the first `tokens` are taken.
    """

    words: list[str]
    counts: np.ndarray
    documents: int
    tokens: int
    room: int


def _write_corpus(texts: Iterable[Sequence[str]], token_pattern: str, path: Path, workers: int) -> _Corpus:
    """Count the words and write them, in as many batches for each worker as for each other."""
    number_of = defaultdict(count().__next__)
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
    left = -written % (workers * BATCH_TOKENS)
    _append(path, _batches(_lines(np.tile(_NO_WORD, (left, 1)), np.array([0, left])), written))
    return _Corpus(list(number_of), counts[: len(number_of)], documents, written, written + left)


def _spelled(numbers: np.ndarray) -> np.ndarray:
    """Each number as five characters and a blank: (n, 6) uint8."""
    spelled = np.full((len(numbers), len(_SHIFTS) + 1), ord(" "), np.uint8)
    spelled[:, :-1] = _ALPHABET[(numbers[:, None] >> _SHIFTS) & 63]
    return spelled


def _lines(spelled: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The tokens with a line for each text that has any."""
    ends = starts[1:][np.diff(starts) > 0]
    spelled[ends - 1, -1] = ord("\n")
    return spelled


def _batches(lines: np.ndarray, written: int) -> np.ndarray:
    """The tokens with no word before each that begins a batch, when so many were written before them."""
    begins = np.arange(-written % BATCH_TOKENS, len(lines), BATCH_TOKENS)
    lines[begins[begins > 0] - 1, -1] = ord("\n")
    return np.insert(lines, begins, _NO_WORD, axis=0)


def _append(path: Path, lines: np.ndarray) -> None:
    try:
        with path.open("ab") as file:
            file.write(lines)
    except OSError as error:
        raise StorageError(
            f"The words of the texts could not be written to {path}: {error.strerror}. They take six bytes each: make "
            "room, or name another folder in the environment variable TMPDIR."
        ) from error


def _vocabulary(corpus: _Corpus, min_count: int, token_pattern: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The words that occur often enough, in the order of `WordVectors`, their counts, and how the file spells them."""
    if not corpus.tokens:
        raise InputError(
            f"There is no word in {corpus.documents} texts: nothing in them matches {token_pattern!r}. "
            "Give texts with words."
        )
    frequent = np.flatnonzero(corpus.counts >= min_count)
    if not len(frequent):
        most = int(corpus.counts.argmax())
        raise InputError(
            f"None of the {len(corpus.words)} words occurs {min_count} times or more among {corpus.tokens}; the most "
            f"frequent, {corpus.words[most]!r}, occurs {corpus.counts[most]} times. Lower min_count, or give more text."
        )
    words = np.array([corpus.words[number] for number in frequent], dtype=object)
    order = sorted(range(len(words)), key=lambda place: (-corpus.counts[frequent[place]], words[place]))
    numbers = frequent[order]
    spelled = _spelled(numbers)[:, :-1].tobytes().decode("ascii")
    keys = [spelled[first : first + len(_SHIFTS)] for first in range(0, len(spelled), len(_SHIFTS))]
    return words[order], corpus.counts[numbers], keys


def _train(
    path: Path, keys: list[str], counts: np.ndarray, room: int, parameters: WordVectorParameters, workers: int
) -> tuple[np.ndarray, int]:
    """The vectors in the order of `keys`, and how many tokens were trained on."""
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
    words_to_read = room // BATCH_TOKENS * (BATCH_TOKENS + 1)
    with progress(doing="training word vectors", total=parameters.epochs, unit="epoch") as bar:
        trained, _ = model.train(
            corpus_file=str(path),
            total_words=words_to_read - workers,  # a worker stops when it has more than its share of them
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
