import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import InputError
from taproom.text.word_vectors import METHODS, WordVectorParameters, train, training_pairs
from taproom.words.vectors import WordVectors, nearest, vectors_from_table
from tests.zipf_texts import zipf_texts

SMALL = WordVectorParameters(dimensions=8, min_count=1, epochs=2)


def same_bits(one, other):
    return one.words.tolist() == other.words.tolist() and one.vectors.tobytes() == other.vectors.tobytes()


def random_vectors(words=200, dimensions=6, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(words, dimensions)).astype(np.float32)
    return WordVectors(np.array([f"w{n:03}" for n in range(words)], dtype=object), np.ones(words, np.int64), vectors)


def test_words_are_sorted_by_count_and_then_by_alphabet():
    trained = train([["cc bb dd", "bb aa cc"], ["dd dd dd ee"]], SMALL)
    assert trained.words.tolist() == ["dd", "bb", "cc", "aa", "ee"]
    assert trained.counts.tolist() == [4, 2, 2, 1, 1]
    assert trained.vectors.shape == (5, 8)
    assert (trained.counts.dtype, trained.vectors.dtype) == (np.int64, np.float32)


def test_rare_words_get_no_vector_but_are_counted_as_words():
    trained = train([["aa aa bb"]], WordVectorParameters(dimensions=3, min_count=2))
    assert trained.words.tolist() == ["aa"]
    assert trained.tokens == 3


@pytest.mark.parametrize("method", METHODS)
def test_one_worker_gives_the_same_bits_whatever_the_batches(method):
    texts, parameters = zipf_texts(100, 60), replace(SMALL, method=method)
    once = train([texts], parameters)
    assert same_bits(once, train([texts], parameters))
    assert same_bits(once, train([texts[:7], [], texts[7:]], parameters))
    assert not same_bits(once, train([texts], replace(parameters, seed=1)))


@pytest.mark.parametrize("method", METHODS)
def test_no_word_is_left_out(method):
    lengths = [3, 0, 20_001, 0, 7]
    texts = [" ".join(f"word{number % 7}" for number in range(length)) for length in lengths]
    parameters = WordVectorParameters(
        dimensions=2, window=1, negative=1, min_count=1, epochs=3, sample=0, method=method
    )
    trained = train([texts], parameters, workers=2)
    assert trained.documents == 5
    assert trained.tokens == trained.counts.sum() == sum(lengths)
    assert trained.trained_tokens == 3 * sum(lengths)


@pytest.mark.slow
def test_another_process_with_another_hash_seed_gives_the_same_bits():
    program = (
        "import hashlib; from taproom.text.word_vectors import *\n"
        "texts = [f'word{n} word{n * n % 13} word{n % 7} word{n % 3}' for n in range(200)]\n"
        "trained = train([texts], WordVectorParameters(dimensions=8, min_count=1, epochs=2))\n"
        "print(hashlib.sha256(trained.vectors.tobytes() + ' '.join(trained.words).encode()).hexdigest())"
    )
    run = [sys.executable, "-c", program]
    hashes = {
        subprocess.run(run, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == len(hashlib.sha256().hexdigest())


def test_words_of_other_scripts_and_words_with_blanks_get_vectors():
    texts = ["слово за слово", "東京 と 大阪", "naïve größe"]
    assert set(train([texts], SMALL).words) == {"слово", "за", "東京", "大阪", "naïve", "größe"}
    trained = train([["New York, Los Angeles, New York"]], SMALL, token_pattern=r"[^,]+")
    assert set(trained.words) == {"new york", " los angeles", " new york"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "The 0 texts have no word"),
        ([[]], "The 0 texts have no word"),
        ([["", "! ?"]], "The 2 texts have no word"),
        ([["aa bb", "aa"]], r"None of the 2 distinct words occurs 5 times or more; the most frequent, 'aa', occurs 2"),
    ],
)
def test_texts_without_words_to_train_on_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        train(texts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dimensions": 0},
        {"window": 0},
        {"negative": 0},
        {"min_count": 0},
        {"epochs": 0},
        {"sample": -0.1},
        {"sample": 1.5},
        {"step": 0.0},
        {"step": 1.5},
        {"step": float("nan")},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=f"{name} is "):
        train([["aa bb"]], WordVectorParameters(**wrong))


def test_no_workers_and_an_unknown_method_are_refused():
    with pytest.raises(InputError, match="workers is 0"):
        train([["aa bb"]], workers=0)
    with pytest.raises(InputError, match="method is 'glove'; wanted: one of skip_gram, gensim"):
        train([["aa bb"]], WordVectorParameters(method="glove"))


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    train([["aa bb aa"]], SMALL)
    with pytest.raises(InputError):
        train([["!"]], SMALL)
    assert list(tmp_path.iterdir()) == []


def test_training_pairs_are_those_of_the_deck():
    words = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
    pairs = [(words[centre], words[place]) for centre, place in training_pairs(words, 2)]
    assert pairs[:9] == [
        ("the", "quick"), ("the", "brown"),
        ("quick", "the"), ("quick", "brown"), ("quick", "fox"),
        ("brown", "the"), ("brown", "quick"), ("brown", "fox"), ("brown", "jumps"),
    ]  # fmt: skip
    assert pairs[9:13] == [("fox", "quick"), ("fox", "brown"), ("fox", "jumps"), ("fox", "over")]
    assert training_pairs(["alone"], 2) == training_pairs([], 2) == []
    with pytest.raises(InputError, match="The window is 0"):
        training_pairs(words, 0)


@given(st.integers(0, 12), st.integers(1, 15))
def test_each_pair_within_the_window_comes_once_and_from_both_sides(length, window):
    pairs = training_pairs(["word"] * length, window)
    assert len(set(pairs)) == len(pairs)
    assert pairs == sorted(pairs)
    assert set(pairs) == {(place, centre) for centre, place in pairs}
    assert len(pairs) == sum(min(window, place) + min(window, length - 1 - place) for place in range(length))


@pytest.mark.parametrize("k", [1, 7, 199])
def test_the_nearest_are_those_of_brute_force(k):
    vectors = random_vectors()
    exact = vectors.vectors.astype(np.float64)
    cosines = exact @ exact.T / np.outer(*[np.linalg.norm(exact, axis=1)] * 2)
    np.fill_diagonal(cosines, -np.inf)
    places, similarities = nearest(vectors, np.arange(200), k)
    np.testing.assert_array_equal(places, np.argsort(-cosines, axis=1)[:, :k])
    np.testing.assert_allclose(similarities, -np.sort(-cosines, axis=1)[:, :k], atol=1e-14)
    assert (places.dtype, similarities.dtype) == (np.int32, np.float64)


def test_many_words_are_searched_as_few_are():
    vectors = random_vectors(words=3_000, dimensions=3)
    exact = vectors.vectors.astype(np.float64)
    for query in (0, 17, 2_999):
        cosines = vectors.cosines(np.repeat(exact[query, None], 3_000, axis=0), np.arange(3_000))
        cosines[query] = -np.inf
        assert nearest(vectors, [query], 5)[0][0].tolist() == np.argsort(-cosines, kind="stable")[:5].tolist()


def test_nearest_has_the_same_bits_for_one_word_and_for_many(monkeypatch):
    vectors = random_vectors()
    places, similarities = nearest(vectors, np.arange(200), 9)
    monkeypatch.setattr("taproom.words.vectors.PAIRS_AT_ONCE", 1_000)
    in_blocks = nearest(vectors, np.arange(200), 9)
    for word in (0, 5, 199):
        alone = nearest(vectors, np.array([word]), 9)
        assert alone[0].tobytes() == places[word].tobytes() == in_blocks[0][word].tobytes()
        assert alone[1].tobytes() == similarities[word].tobytes() == in_blocks[1][word].tobytes()


def test_words_in_one_direction_come_in_their_order():
    rows = np.array([[1, 1], [2, 2], [0.5, 0.5], [1, 1], [0, 0], [-1, -1]], np.float32)
    vectors = WordVectors(np.array(list("abcdef"), dtype=object), np.ones(6, np.int64), rows)
    places, similarities = nearest(vectors, np.arange(6), 5)
    assert places[:4].tolist() == [[1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [0, 1, 3, 4, 5], [0, 1, 2, 4, 5]]
    assert places[4].tolist() == [0, 1, 2, 3, 5]
    assert similarities[4].tolist() == [0.0] * 5
    np.testing.assert_allclose(similarities[0], [1, 1, 1, 0, -1])


@pytest.mark.parametrize("k", [0, 200])
def test_as_many_nearest_as_there_are_words_are_refused(k):
    with pytest.raises(InputError, match=f"{k} similar words were requested, but 199 other words"):
        nearest(random_vectors(), [0], k)


def test_a_word_is_found_in_any_case_and_an_unknown_one_is_offered_others():
    words = np.array(["government", "governments", "windows"], dtype=object)
    vectors = WordVectors(words, np.ones(3, np.int64), np.eye(3, dtype=np.float32))
    assert vectors.row_of("governments") == vectors.row_of(" Governments ") == 1
    assert "WINDOWS" in vectors
    assert "window" not in vectors
    with pytest.raises(
        InputError, match=r"'Govenment' is not among the 3 words .* spelling: 'government', 'governments'\."
    ):
        vectors.row_of("Govenment")
    with pytest.raises(InputError, match="No word is spelled like it"):
        vectors.row_of("слово")
    with pytest.raises(InputError, match="must be one string; 7 was given"):
        vectors.row_of(7)


def test_a_table_gives_the_vectors_back():
    trained = train([zipf_texts(20, 40)], SMALL)
    table = pa.table(
        {
            "word": trained.words,
            "count": trained.counts,
            "vector": pa.array(list(trained.vectors), pa.list_(pa.float32())),
        }
    )
    for rows in (table, pa.concat_tables([table[:3], table[3:]])):
        found = vectors_from_table(rows)
        assert same_bits(found, trained)
        np.testing.assert_array_equal(found.counts, trained.counts)
    assert same_bits(
        vectors_from_table(table[2:]), WordVectors(trained.words[2:], trained.counts[2:], trained.vectors[2:])
    )


@pytest.mark.parametrize("vectors", [[], [[1.0], [1.0, 2.0]], [[1.0, 2.0], [], [1.0]], [[1.0], None], [[], []]])
def test_a_table_of_vectors_of_several_lengths_is_refused(vectors):
    column = pa.array(vectors, pa.list_(pa.float32()))
    words = pa.array([f"w{number}" for number in range(len(vectors))], pa.string())
    with pytest.raises(InputError, match=f"The {len(vectors)} rows of word_vectors"):
        vectors_from_table(pa.table({"word": words, "count": pa.array([1] * len(vectors)), "vector": column}))
