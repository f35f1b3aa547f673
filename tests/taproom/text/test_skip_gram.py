from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom._random_kernels import mixed
from taproom.errors import InputError
from taproom.text import _skip_gram_kernels as kernels
from taproom.text import skip_gram
from taproom.text.word_vectors import WordVectorParameters, train
from tests.zipf_texts import zipf_texts

SMALL = WordVectorParameters(dimensions=8, min_count=1, epochs=2, window=3, sample=1e-2)
END, RARE = -1, -2
PAST_64_BITS = 1 << 64


def same_bits(one, other):
    return one.vectors.tobytes() == other.vectors.tobytes()


def plainly_mixed(bits):
    bits %= PAST_64_BITS
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % PAST_64_BITS
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % PAST_64_BITS
    return bits ^ bits >> 31


def plainly_kept(rows, model, first):
    """The row, the text and the random bits of each word that is trained on."""
    text = 0
    for place, row in enumerate(rows.tolist()):
        bits = plainly_mixed(int(model.seed) + (first + place) * 0x9E3779B97F4A7C15)
        text += row == END
        if row >= 0 and bits / PAST_64_BITS < model.keep[row]:
            yield row, text, bits


def plainly_drawn(bits, model):
    for sample in range(model.samples):
        high = plainly_mixed(bits + (sample + 1) * 0xD1B54A32D192ED03) >> 32
        yield int(model.drawn_from[high * len(model.drawn_from) >> 32])


def plainly_moved(state, rows, model, first, step):
    """How a shard moves the state, in float64 and by whole matrices."""
    vectors, contexts = np.split(state.astype(np.float64), 2)
    words = list(plainly_kept(rows, model, first))
    for begin in range(0, len(words), model.batch):
        batch = words[begin : begin + model.batch]
        inputs, samples = [row for row, _, _ in batch], list(plainly_drawn(batch[0][2], model))
        before, sampled = vectors[inputs], contexts[samples]
        gradients, pairs = np.zeros_like(before), np.zeros(len(batch))
        for place, (_, text, bits) in enumerate(batch):
            here, reach = begin + place, 1 + ((bits & 0xFFFFFFFF) * model.window >> 32)
            around = [*words[max(0, here - reach) : here], *words[here + 1 : here + 1 + reach]]
            for context in (row for row, its_text, _ in around if its_text == text):
                error = step / (1 + np.exp(before[place] @ contexts[context]))
                gradients[place] += error * contexts[context]
                contexts[context] += error * before[place]
                pairs[place] += 1
        weights = -step * pairs * model.negative / model.samples
        errors = weights[:, None] / (1 + np.exp(-before @ sampled.T))
        np.add.at(contexts, samples, errors.T @ before)
        np.add.at(vectors, inputs, gradients + errors @ sampled)
    share_alone, share_of_all = (1 - np.exp(-shards * step * model.pull) for shards in (1, model.shards))
    damping = np.tile(share_of_all / (model.shards * share_alone), 2)[:, None]
    return damping * (np.concatenate([vectors, contexts]) - state)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.integers(1, 40), st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32))
def test_a_shard_moves_as_in_plain_numpy(length, vocabulary, window, shards, seed):
    random = np.random.default_rng(seed)
    rows_of = np.array([END, RARE, *range(vocabulary)], np.int32)
    stream = random.integers(len(rows_of), size=length).astype(np.int32)
    stream.flags.writeable = False
    keep, pull = random.uniform(0.3, 1.3, vocabulary), random.uniform(0.1, 50, vocabulary)
    drawn_from = random.integers(vocabulary, size=100).astype(np.int32)
    model = kernels.SkipGram(keep, pull, drawn_from, window, 3, 8, 4, shards, np.uint64(seed))
    state = random.normal(0, 0.5, (2 * vocabulary, 5)).astype(np.float32)
    move = kernels.move(state, stream, rows_of, model, 10**12, np.float32(0.01))
    found = np.zeros_like(state)
    kernels.add(found, move.rows, move.by)
    wanted = plainly_moved(state, rows_of[stream], model, 10**12, 0.01)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    assert move.trained == len(list(plainly_kept(rows_of[stream], model, 10**12)))
    assert len(np.unique(move.rows)) == len(move.rows)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_the_same_bits_whatever_the_workers(monkeypatch, shards):
    monkeypatch.setattr(skip_gram, "SHARDS", shards)
    monkeypatch.setattr(skip_gram, "SHARD_WORDS", 97)
    texts = zipf_texts(60, 50)
    once = train([texts], SMALL)
    assert all(same_bits(once, train([texts], SMALL, workers=workers)) for workers in (2, 4, -1))


def test_rounds_cover_each_epoch_once_in_order(monkeypatch):
    monkeypatch.setattr(skip_gram, "SHARD_WORDS", 10)
    monkeypatch.setattr(skip_gram, "SHARDS", 4)
    begins, ends = zip(*skip_gram._rounds(95, 2), strict=True)
    assert [len(shards) for shards in begins] == [4, 4, 2] * 2
    assert [*chain(*begins)] == [*range(0, 95, 10), *range(95, 190, 10)]
    assert [*chain(*ends)] == [*[*chain(*begins)][1:], 190]


def test_a_text_of_one_word_teaches_nothing():
    parameters = replace(SMALL, sample=0)
    vectors = train([["alpha", "beta", "gamma"] * 50], parameters).vectors
    untrained = kernels.initial_state(3, 8, np.uint64(mixed(np.uint64(parameters.seed))))
    np.testing.assert_array_equal(vectors, untrained[:3])
    assert (np.abs(vectors) <= 0.5 / 8).all()
    assert vectors.std() == pytest.approx(1 / 8 / 12**0.5, rel=0.3)


@pytest.mark.parametrize("sample", [0, 1e-3, 0.5])
def test_frequent_words_are_dropped_as_often_as_in_word2vec(sample):
    texts = [" ".join(["often"] * 9 + ["rare"])] * 2_000
    trained = train([texts], replace(SMALL, dimensions=1, sample=sample, epochs=5))
    shares = np.array([0.9, 0.1])
    keep = np.minimum(1, np.sqrt(sample / shares) + sample / shares) if sample else np.ones(2)
    expected = 100_000 * shares * keep
    deviation = np.sqrt((expected * (1 - keep)).sum())
    assert abs(trained.trained_tokens - expected.sum()) <= 4 * deviation


def test_negative_samples_are_drawn_by_a_power_of_the_counts():
    counts = np.array([1_000, 100, 10, 1])
    drawn = np.bincount(skip_gram._drawn_from(counts)) / skip_gram.DRAWN_FROM
    np.testing.assert_allclose(drawn, counts**0.75 / (counts**0.75).sum(), atol=1e-6)


@given(st.floats(1e-3, 1), st.integers(1, 30), st.integers(1, 30), st.lists(st.integers(1, 1_000), min_size=1))
def test_the_steps_of_a_batch_are_short_unless_those_of_a_word_are_long(step, window, negative, counts):
    parameters = replace(SMALL, step=step, window=window, negative=negative)
    batch, share = skip_gram._batch_words(np.array(counts), parameters), max(counts) / sum(counts)
    assert 1 <= batch <= skip_gram.BATCH_WORDS
    assert batch == 1 or batch * step * (window + 1) * (negative + 1) * max(share, 1 / 48) <= 1 + 1e-9


def test_steps_that_are_too_long_are_refused():
    with pytest.raises(InputError, match=r"The training diverges with steps of 1\.0\. Choose a smaller step"):
        train([zipf_texts(60, 50)], replace(SMALL, step=1.0, negative=20, window=20, epochs=5))
