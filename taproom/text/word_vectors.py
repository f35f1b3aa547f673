"""Training word vectors by skip-gram with negative sampling: words with similar contexts get similar vectors.

Here belongs what both methods of training share, and the pairs of words to train on. Our own training is in
`taproom.text.skip_gram`, gensim's in `taproom.text.word_vectors_gensim`, and the texts that they read in
`taproom.text.word_vectors_corpus`. Nearest words are in `taproom.words.vectors`, analogies in `taproom.text.analogies`,
and the map of words is in `taproom.maps.word_map`.

Source: slides "Word embeddings, word2vec" of the lecture deck (Jamieson, CSE546 2017): train a network to predict the
words around a word and take its first layer. Mikolov, Sutskever, Chen, Corrado and Dean, Distributed Representations of
Words and Phrases and their Compositionality, 2013.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from taproom.errors import InputError
from taproom.text.skip_gram import train_by_skip_gram
from taproom.text.word_vectors_corpus import frequent_words, write_corpus
from taproom.text.word_vectors_gensim import train_by_gensim
from taproom.words.counting import DEFAULT_TOKEN_PATTERN
from taproom.words.vectors import WordVectors

# The first is the default.
METHODS = {"skip_gram": train_by_skip_gram, "gensim": train_by_gensim}


@dataclass(frozen=True)
class WordVectorParameters:
    """Parameters of the training.

    With the defaults, one worker trains on 20 Newsgroups and the reference texts (7.5 million words) in 50 s. Of the
    16,026 analogies whose words are known, 15.8 % are then answered right. gensim, with its own defaults, takes 171 s
    for 15.0 %.

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
        method: skip_gram, our own training, or gensim, its reference.
    """

    dimensions: int = 100
    window: int = 5
    negative: int = 4
    min_count: int = 5
    epochs: int = 8
    sample: float = 3e-4
    step: float = 0.045
    seed: int = 0
    method: str = "skip_gram"


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
            temporary file of four bytes per word.
        parameters: parameters of the training; None for the defaults.
        token_pattern: see `taproom.words.counting.tokens`.
        workers: number of threads, counted as joblib counts workers. The result does not depend on it, unless the
            method is gensim.

    Raises:
        InputError: there is no word, none occurs often enough, or a parameter is out of range.
        StorageError: the temporary file cannot be written.
    """
    from joblib import effective_n_jobs

    parameters = parameters or WordVectorParameters()
    _check(parameters, workers)
    with TemporaryDirectory(prefix="taproom-") as folder:
        corpus = write_corpus(texts, token_pattern, Path(folder) / "corpus")
        vocabulary = frequent_words(corpus, parameters.min_count)
        started = time.perf_counter()
        train_by = METHODS[parameters.method]
        vectors, trained = train_by(corpus, vocabulary, parameters, effective_n_jobs(workers))
        seconds = time.perf_counter() - started
    return TrainedVectors(
        vocabulary.words, vocabulary.counts, vectors, corpus.documents, corpus.tokens, trained, seconds
    )


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


def _check(parameters: WordVectorParameters, workers: int) -> None:
    at_least_one = {
        name: getattr(parameters, name) for name in ("dimensions", "window", "negative", "min_count", "epochs")
    }
    for name, value in at_least_one.items():
        if value < 1:
            raise InputError(f"{name} is {value}; wanted: 1 or more.")
    if not workers:
        raise InputError("workers is 0; wanted: a number of threads, or -1 for one per core.")
    if not 0 <= parameters.sample <= 1:
        raise InputError(f"sample is {parameters.sample}; wanted: a share from 0 (keep all words) to 1.")
    if not 0 < parameters.step <= 1:
        raise InputError(f"step is {parameters.step}; wanted: above 0 and at most 1, such as 0.04.")
    if not 0 <= parameters.seed < 2**32:
        raise InputError(f"seed is {parameters.seed}; wanted: a number from 0 to {2**32 - 1}.")
    if parameters.method not in METHODS:
        raise InputError(f"method is {parameters.method!r}; wanted: one of {', '.join(METHODS)}.")
