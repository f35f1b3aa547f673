"""Compiled loops of `taproom.text.skip_gram`, apart so that importing that loads no numba.

Random numbers are those of `taproom._random_kernels`, of a seed and the position of a word, so a word has the same
draws whoever trains on it. Sums are reordered when a loop is compiled, to be vectorized; then they are fixed.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from taproom._random_kernels import below, mixed

END, RARE, NONE = -1, -2, -1
REORDERED = {"reassoc", "contract", "nsz"}

_WORD, _SAMPLE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)

# Both are one type in compiled code.
Int = int | np.int64


class SkipGram(NamedTuple):
    """What is the same in all shards.

    Attributes:
        keep: (V,) float64, the probability that an occurrence of each word is trained on.
        pull: (V,) float64, the strength with which a shard with steps of 1 pulls the vectors of each word.
        drawn_from: (any,) int32, words as often as they are to be drawn as negative samples.
        window, negative: as in `WordVectorParameters`.
        batch, samples: numbers of words and of negative samples in a batch.
        shards: number of shards whose moves are added.
        seed: of the random numbers.
    """

    keep: np.ndarray
    pull: np.ndarray
    drawn_from: np.ndarray
    window: int
    negative: int
    batch: int
    samples: int
    shards: int
    seed: np.uint64


class Words(NamedTuple):
    """The words that a shard trains on: rows of their two vectors, numbers of their texts, and random bits: (n,)."""

    inputs: np.ndarray
    outputs: np.ndarray
    texts: np.ndarray
    bits: np.ndarray


class Move(NamedTuple):
    """By how much (n, D) float32 a shard moves rows (n,) int32 of the state, and how many words it has trained on."""

    rows: np.ndarray
    by: np.ndarray
    trained: int


@njit(nogil=True, cache=True)
def move(
    state: np.ndarray, stream: np.ndarray, rows_of: np.ndarray, model: SkipGram, position: Int, step: np.float32
) -> Move:
    """How a shard moves the state (2 V, D) float32: the vectors of words, and then those that they have as contexts.

    The shard is a part of a stream of numbers of words, and `rows_of` has the row of each number, `END` or `RARE`. It
    has its own copy of the rows that it uses, whose move is damped. Where a gradient falls in proportion to the
    distance from a minimum, shards that train one after the other would each leave exp(-pull) of the way, so the n-th
    would move a vector exp(-pull)^(n-1) as far as the first. Here each moves it by the mean of these: moves of rare
    words are added up, and those of frequent ones averaged.
    """
    words = _words(stream, rows_of, model, position)
    samples = _samples(words, model)
    rows = _numbered((words.inputs, words.outputs, samples.ravel()), len(state))
    vectors = np.empty((len(rows), state.shape[1]), np.float32)
    _take(state, rows, vectors)
    _train(vectors, words, samples, model, step)
    for place, row in enumerate(rows):
        left, damping = np.exp(-step * np.float32(model.pull[row % len(model.pull)])), _ZERO
        for _ in range(model.shards):
            damping = _ONE + left * damping
        damping /= np.float32(model.shards)
        for axis in range(state.shape[1]):
            vectors[place, axis] = damping * (vectors[place, axis] - state[row, axis])
    return Move(rows, vectors, len(words.texts))


@njit(nogil=True, cache=True)
def add(target: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """Add values (n, D) to rows (n,) of a matrix; a row may be there twice."""
    for place, row in enumerate(rows):
        for axis in range(target.shape[1]):
            target[row, axis] += values[place, axis]


@njit(nogil=True, cache=True)
def initial_state(vocabulary: Int, dimensions: Int, seed: np.uint64) -> np.ndarray:
    """Vectors of words at random from -1/2D to 1/2D, and those of contexts at 0, as in word2vec.c."""
    state = np.zeros((2 * vocabulary, dimensions), np.float32)
    for row in range(vocabulary):
        for axis in range(dimensions):
            bits = mixed(seed + np.uint64(row * dimensions + axis) * _WORD)
            state[row, axis] = (np.float64(bits >> np.uint64(11)) * 2.0**-53 - 0.5) / dimensions
    return state


@njit(nogil=True, cache=True)
def _words(stream: np.ndarray, rows_of: np.ndarray, model: SkipGram, position: Int) -> Words:
    """The words of a shard that have a vector and are not dropped."""
    inputs, texts = np.empty(len(stream), np.int32), np.empty(len(stream), np.int32)
    bits = np.empty(len(stream), np.uint64)
    kept, text = 0, 0
    for place, number in enumerate(stream):
        row = rows_of[number]
        text += row == END
        if row >= 0:
            bits[kept] = mixed(model.seed + np.uint64(position + place) * _WORD)
            if np.float64(bits[kept] >> np.uint64(32)) * 2.0**-32 < model.keep[row]:
                inputs[kept], texts[kept] = row, text
                kept += 1
    return Words(inputs[:kept], inputs[:kept] + np.int32(len(model.keep)), texts[:kept], bits[:kept])


@njit(nogil=True, cache=True)
def _samples(words: Words, model: SkipGram) -> np.ndarray:
    """The rows of the negative samples of each batch: (batches, samples) int32."""
    firsts = words.bits[:: model.batch]
    samples = np.empty((len(firsts), model.samples), np.int32)
    for batch, bits in enumerate(firsts):
        for sample in range(model.samples):
            place = below(mixed(bits + np.uint64(sample + 1) * _SAMPLE), len(model.drawn_from))
            samples[batch, sample] = len(model.keep) + model.drawn_from[place]
    return samples


@njit(nogil=True, cache=True)
def _numbered(arrays: tuple[np.ndarray, ...], size: Int) -> np.ndarray:
    """The distinct rows in arrays, whose values become their places among these."""
    places, rows = np.full(size, NONE, np.int32), np.empty(size, np.int32)
    used = 0
    for values in arrays:
        for index, row in enumerate(values):
            if places[row] == NONE:
                places[row], rows[used] = used, row
                used += 1
            values[index] = places[row]
    return rows[:used].copy()


@njit(nogil=True, cache=True, fastmath=REORDERED)
def _train(state: np.ndarray, words: Words, samples: np.ndarray, model: SkipGram, step: np.float32) -> None:
    """Move the vectors, batch by batch; the words of a batch are moved at its end."""
    vectors = np.zeros((model.batch, state.shape[1]), np.float32)
    gradients, sampled = np.empty_like(vectors), np.empty((model.samples, state.shape[1]), np.float32)
    errors, pairs = np.empty((model.batch, model.samples), np.float32), np.zeros(model.batch, np.float32)
    weight = -step * np.float32(model.negative) / np.float32(model.samples)
    for batch in range(len(samples)):
        first = batch * model.batch
        inputs = words.inputs[first : first + model.batch]
        _take(state, inputs, vectors)
        _take(state, samples[batch], sampled)
        gradients[:] = _ZERO
        pairs[:] = _ZERO
        for place in range(len(inputs)):
            pairs[place] = _attract(state, vectors[place], gradients[place], words, first + place, model.window, step)
        np.dot(vectors, sampled.T, errors)
        for place in range(model.batch):
            for sample in range(model.samples):
                errors[place, sample] = weight * pairs[place] / (_ONE + np.exp(-errors[place, sample]))
        add(state, inputs, gradients)
        np.dot(errors, sampled, gradients)
        np.dot(errors.T, vectors, sampled)
        add(state, inputs, gradients)
        add(state, samples[batch], sampled)


@njit(nogil=True, cache=True, fastmath=REORDERED)
def _attract(
    state: np.ndarray, vector: np.ndarray, gradient: np.ndarray, words: Words, here: int, window: int, step: np.float32
) -> Int:
    """Move the contexts of a word towards it, and add up where they would move it; how many they are."""
    reach = 1 + int(below(words.bits[here] << np.uint64(32), window))
    pairs = 0
    for place in range(max(0, here - reach), min(len(words.texts), here + reach + 1)):
        if place != here and words.texts[place] == words.texts[here]:
            context = state[words.outputs[place]]
            score = _ZERO
            for axis in range(len(vector)):
                score += vector[axis] * context[axis]
            error = step / (_ONE + np.exp(score))
            for axis in range(len(vector)):
                gradient[axis] += error * context[axis]
                context[axis] += error * vector[axis]
            pairs += 1
    return pairs


@njit(nogil=True, cache=True)
def _take(source: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    for place, row in enumerate(rows):
        for axis in range(source.shape[1]):
            values[place, axis] = source[row, axis]
