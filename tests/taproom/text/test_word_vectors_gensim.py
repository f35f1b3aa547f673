from itertools import chain

import numpy as np
import pytest
from gensim.models import Word2Vec
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.text import word_vectors_gensim
from taproom.text.word_vectors import WordVectorParameters, train
from taproom.text.word_vectors_corpus import write_corpus
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, tokens
from tests.zipf_texts import zipf_texts

BATCH_BYTES = 6 * 10_001


def written(texts, folder, workers=1):
    """What is written to a file for gensim: batches of lines of words."""
    corpus = write_corpus(texts, DEFAULT_TOKEN_PATTERN, folder / "corpus")
    padded = word_vectors_gensim._write(corpus, folder / "lines", workers)
    spelled = word_vectors_gensim._spelled(np.arange(1, len(corpus.words) + 1))[:, :-1]
    word_of = {bytes(key).decode(): word for key, word in zip(spelled, corpus.words, strict=True)}
    content = (folder / "lines").read_text("ascii")
    assert len(content) == BATCH_BYTES * padded // 10_000
    batches = [content[first : first + BATCH_BYTES] for first in range(0, len(content), BATCH_BYTES)]
    assert all(batch.startswith("..... ") and batch.endswith("\n") for batch in batches)
    lines = [[[word_of[key] for key in line.split() if key != "....."] for line in b.splitlines()] for b in batches]
    return [[line for line in batch if line] for batch in lines]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text("ab Äß東7_-\n", max_size=40), max_size=6), st.integers(1, 50))
def test_the_file_has_every_word_of_every_text_in_order(tmp_path_factory, texts, block_tokens):
    texts = ["first", *texts]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(word_vectors_gensim, "BLOCK_TOKENS", block_tokens)
        read = written([texts], tmp_path_factory.mktemp("corpus"))
    assert list(chain.from_iterable(read)) == [words for text in texts if (words := tokens(text))]


@pytest.mark.parametrize("workers", [1, 3])
def test_each_worker_gets_as_many_batches_and_bytes(tmp_path, workers):
    texts = [" ".join(f"word{number % 7}" for number in range(length)) for length in (9_000, 2_000, 30_000, 17)]
    batches = written([texts[:1], texts[1:]], tmp_path, workers)
    assert len(batches) % workers == 0
    assert [sum(map(len, batch)) for batch in batches[:5]] == [10_000] * 4 + [1_017]
    assert [len(line) for batch in batches for line in batch] == [9_000, 1_000, 1_000, 9_000, 10_000, 10_000, 1_000, 17]


def all_words(**changed):
    """Parameters with which each word of each text is trained on, so that they can be counted."""
    few = {"dimensions": 2, "window": 1, "negative": 1, "min_count": 1, "sample": 0, "method": "gensim"}
    return WordVectorParameters(**(few | changed))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("lengths", [[9_999, 10_000, 10_001], [1], [3, 0, 20_001, 0, 7], [6_000] * 5])
def test_no_word_is_left_out_whatever_the_lengths_of_texts(lengths, workers):
    texts = [" ".join(f"word{number % 7}" for number in range(length)) for length in lengths]
    trained = train([texts], all_words(epochs=3), workers=workers)
    assert trained.trained_tokens == 3 * sum(lengths)


def test_as_many_texts_as_words_are_all_trained_on():
    assert train([["word", "", "other"] * 15_000], all_words(epochs=1)).trained_tokens == 30_000


def test_workers_share_words_of_several_lengths_without_a_gap():
    texts = [" ".join(["a1"] * 30_000), " ".join(["a" * 100] * 30_000)]
    assert train([texts], all_words(epochs=1), workers=2).trained_tokens == 60_000


@pytest.mark.parametrize("sample", [0, 1e-2])
def test_the_vectors_are_gensims_own(tmp_path, sample):
    texts = zipf_texts(200, 50)
    parameters = WordVectorParameters(dimensions=12, min_count=2, epochs=3, sample=sample, seed=5, method="gensim")
    trained = train([texts], parameters)
    path = tmp_path / "corpus"
    path.write_text("\n".join(texts) + "\n")
    given = {"window": 5, "negative": parameters.negative, "sample": sample, "alpha": parameters.step, "seed": 5}
    model = Word2Vec(sg=1, vector_size=12, min_count=2, workers=1, sorted_vocab=0, **given)
    model.build_vocab_from_freq(dict(zip(trained.words, trained.counts.tolist(), strict=True)))
    model.train(corpus_file=str(path), total_words=trained.tokens, epochs=3)
    np.testing.assert_array_equal(trained.vectors, model.wv.vectors)
