"""Training word vectors by our own skip-gram with negative sampling.

Here belongs the training that `taproom.text.word_vectors` does by default. Its compiled loops are in
`taproom.text._skip_gram_kernels`.

A word predicts each word of its context: the probability that a word with the vector v has the context word with the
vector u is the logistic function of their dot product, and gradient steps raise it for pairs in the texts and lower it
for the word and random ones, the negative samples. As in word2vec.c, frequent words are dropped at random, the window
of each word is drawn, and the step falls linearly to 0.

The words of a batch share their negative samples, so that these gradients are products of small matrices. There are
fewer samples than the pairs would have by themselves, and each counts for several.

Sources: Mikolov, Sutskever, Chen, Corrado and Dean, Distributed Representations of Words and Phrases and their
Compositionality, 2013, equation 4; shared samples: Ji, Satish, Li and Dubey, Parallelizing Word2Vec in Shared and
Distributed Memory, 2016.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.progress import progress
from taproom.text.word_vectors_corpus import END, Corpus, Vocabulary

if TYPE_CHECKING:
    from taproom.text._skip_gram_kernels import Move, SkipGram
    from taproom.text.word_vectors import WordVectorParameters

# A round of the training: so many shards, each of so many words, from the same state. The numbers are part of the
# result.
SHARDS = 2
SHARD_WORDS = 1_000
# By how much the gradient of a vector falls with the distance from its minimum, for each pair of words.
CURVATURE = 0.4
# So many words, one after the other, share so many negative samples.
BATCH_WORDS = 16
SHARED_SAMPLES = 48
# A negative sample is drawn in proportion to the count of the word to this power, from a table of so many words.
COUNT_POWER = 0.75
DRAWN_FROM = 1 << 20


def train_by_skip_gram(
    corpus: Corpus, vocabulary: Vocabulary, parameters: "WordVectorParameters", workers: int
) -> tuple[np.ndarray, int]:
    """The vectors (V, D) float32 of the vocabulary, and the number of words trained on, over all epochs.

    The result does not depend on the workers: each round of the training is cut into the same shards, which start from
    the same state, and their moves are added in the same order. A window does not reach beyond its shard.

    Raises:
        InputError: the steps are so long that the training diverges.
    """
    from taproom.text import _skip_gram_kernels as kernels

    stream = corpus.stream
    model = _model(vocabulary, parameters)
    rows_of = np.full(len(corpus.words) + 1, kernels.RARE, np.int32)
    rows_of[vocabulary.numbers] = np.arange(len(vocabulary.words))
    rows_of[END] = kernels.END
    state = kernels.initial_state(len(vocabulary.words), parameters.dimensions, model.seed)
    total, trained = parameters.epochs * len(stream), 0

    def move_of(begin: int, end: int) -> "Move":
        first = begin % len(stream)
        step = np.float32(parameters.step * (1 - begin / total))
        return kernels.move(state, stream[first : first + end - begin], rows_of, model, begin, step)

    # Not joblib: a shard takes milliseconds, about as long as joblib needs to hand it over.
    with (
        blas_threads(),
        ThreadPoolExecutor(min(SHARDS, workers)) as pool,
        progress(doing="training word vectors", total=total, unit="word") as bar,
    ):
        for begins, ends in _rounds(len(stream), parameters.epochs):
            for move in list(pool.map(move_of, begins, ends)):
                kernels.add(state, move.rows, move.by)
                trained += move.trained
            bar.update(ends[-1] - begins[0])
    if not np.isfinite(state).all():
        raise InputError(f"The training diverges with steps of {parameters.step}. Choose a smaller step, such as 0.02.")
    return state[: len(vocabulary.words)].copy(), trained


def _rounds(length: int, epochs: int) -> Iterator[tuple[list[int], list[int]]]:
    """Where the shards of each round begin and end, counted on over all epochs; no round is of two epochs."""
    for start in range(0, epochs * length, length):
        bounds = [*range(start, start + length, SHARD_WORDS), start + length]
        for first in range(0, len(bounds) - 1, SHARDS):
            of_round = bounds[first : first + SHARDS + 1]
            yield of_round[:-1], of_round[1:]


def _model(vocabulary: Vocabulary, parameters: "WordVectorParameters") -> "SkipGram":
    """What is the same in all shards."""
    from taproom._random_kernels import mixed
    from taproom.text import _skip_gram_kernels as kernels

    p, shares = parameters, vocabulary.counts / vocabulary.counts.sum()
    # The probability that an occurrence is kept is that of word2vec.c; the paper's has no second term.
    keep = np.minimum(1.0, np.sqrt(p.sample / shares) + p.sample / shares) if p.sample else np.ones(len(shares))
    return kernels.SkipGram(
        keep=keep,
        pull=CURVATURE * (p.window + 1) * shares * keep * SHARD_WORDS,
        drawn_from=_drawn_from(vocabulary.counts),
        window=p.window,
        negative=p.negative,
        batch=_batch_words(shares * keep, p),
        samples=SHARED_SAMPLES,
        shards=SHARDS,
        seed=np.uint64(mixed(np.uint64(p.seed))),  # compiled code returns a plain integer
    )


def _drawn_from(counts: np.ndarray) -> np.ndarray:
    """Words as often as they are to be drawn as negative samples: (DRAWN_FROM,) int32."""
    ends = np.cumsum(counts**COUNT_POWER)
    places = (np.arange(DRAWN_FROM) + 0.5) / DRAWN_FROM * ends[-1]
    return np.searchsorted(ends, places).astype(np.int32)


def _batch_words(frequencies: np.ndarray, parameters: "WordVectorParameters") -> int:
    """The number of words in a batch, such that the steps of the most frequent vector add up to at most 1.

    A word has window + 1 context words on average. All steps of a batch start at the same state, and where their sum is
    much longer, the training diverges.
    """
    p = parameters
    most = max((frequencies / frequencies.sum()).max(), 1 / SHARED_SAMPLES)
    return int(np.clip(1 / (p.step * (p.window + 1) * (p.negative + 1) * most), 1, BATCH_WORDS))
