import math
import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from taproom.errors import InputError
from taproom.words.counting import Counts, count_words
from taproom.words.tfidf import document_frequency, select_frequent, select_words, shares, weigh

TEXTS = ["hops hops malt beer", "malt beer beer beer", "beer roast"]


def counts_of(texts):
    return count_words([f"item {number:03}" for number in range(len(texts))], texts)


def test_weights_are_those_computed_by_hand():
    counts = counts_of(TEXTS)
    assert counts.words.tolist() == ["beer", "hops", "malt", "roast"]
    weights, document_frequency = weigh(counts, np.arange(4))
    assert document_frequency.tolist() == [3, 1, 2, 1]
    assert document_frequency.dtype == np.int64
    wanted = [
        [0, 2 / 4 * math.log(3 / 1), 1 / 4 * math.log(3 / 2), 0],
        [0, 0, 1 / 4 * math.log(3 / 2), 0],
        [0, 0, 0, 1 / 2 * math.log(3 / 1)],
    ]
    np.testing.assert_allclose(weights.toarray(), wanted, rtol=1e-15)


def test_a_share_is_of_all_words_selected_or_not():
    weights, document_frequency = weigh(counts_of(TEXTS), np.array([1, 2]))
    assert document_frequency.tolist() == [1, 2]
    wanted = [[0.5 * math.log(3), 0.25 * math.log(1.5)], [0, 0.25 * math.log(1.5)], [0, 0]]
    np.testing.assert_allclose(weights.toarray(), wanted, rtol=1e-15)


def test_weights_follow_the_formula_on_the_counts_of_scikit_learn():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{number}" for number in rng.zipf(1.5, 60) if number < 500) for _ in range(80)]
    raw = CountVectorizer().fit_transform(texts).toarray()
    share, frequency = raw / raw.sum(axis=1, keepdims=True), (raw > 0).mean(axis=0)
    weights, _ = weigh(counts_of(texts), np.arange(raw.shape[1]))
    np.testing.assert_allclose(weights.toarray(), share * np.log(1 / frequency), rtol=1e-13)


def test_nothing_without_weight_is_stored_and_columns_ascend():
    weights, _ = weigh(counts_of(TEXTS), np.arange(4))
    assert (weights.data > 0).all()
    assert weights.has_canonical_format
    assert weights.dtype == np.float64


def test_an_item_without_any_weight_stays_as_an_empty_row():
    weights, _ = weigh(counts_of([*TEXTS, "beer beer"]), np.arange(4))
    assert np.diff(weights.indptr).tolist() == [2, 1, 1, 0]


def test_the_most_frequent_words_are_kept_and_ties_go_by_alphabet():
    counts = counts_of(TEXTS)
    assert counts.words[select_words(counts)].tolist() == ["beer", "hops", "malt", "roast"]
    assert counts.words[select_words(counts, max_words=1)].tolist() == ["beer"]
    assert counts.words[select_words(counts, max_words=3)].tolist() == ["beer", "hops", "malt"]
    assert counts.words[select_words(counts, max_words=99)].tolist() == ["beer", "hops", "malt", "roast"]
    assert counts.words[select_words(counts, min_document_frequency=2)].tolist() == ["beer", "malt"]
    assert counts.words[select_words(counts, min_document_frequency=2, max_words=1)].tolist() == ["beer"]


def test_words_that_too_many_items_have_are_left_out():
    counts = counts_of(TEXTS)
    frequency, items = document_frequency(counts), len(counts.item_ids)
    kept = select_frequent(frequency, items, max_document_share=0.7)
    assert counts.words[kept].tolist() == ["hops", "malt", "roast"]
    with pytest.raises(InputError, match="2 occur in 2 or more of the 3 documents, and 2 in at most 50% of them"):
        select_frequent(frequency, items, 2, max_document_share=0.5)
    for share in (0.0, 1.1):
        with pytest.raises(InputError, match=r"must be in \(0, 1\]"):
            select_frequent(frequency, items, max_document_share=share)


def test_shares_are_of_all_words_of_an_item_selected_or_not():
    counts = counts_of(["hops hops malt beer", "malt"])
    assert shares(counts, np.array([1])).toarray().tolist() == [[0.5], [0.0]]


def test_frequency_counts_items_not_occurrences():
    counts = counts_of(["roast roast roast roast", "malt", "malt"])
    assert counts.words[select_words(counts, max_words=1)].tolist() == ["malt"]


@pytest.mark.parametrize("limits", [{"min_document_frequency": 0}, {"max_words": 0}])
def test_limits_below_one_are_refused(limits):
    with pytest.raises(InputError, match="at least 1"):
        select_words(counts_of(TEXTS), **limits)


def test_no_word_left_is_refused_with_the_numbers():
    with pytest.raises(InputError, match="None of the 4 words is kept: 0 occur in 4 or more of the 3 documents"):
        select_words(counts_of(TEXTS), min_document_frequency=4)
    with pytest.raises(InputError, match="None of the 0 words"):
        select_words(counts_of([]))
    with pytest.raises(InputError, match="No words were selected"):
        weigh(counts_of(TEXTS), np.empty(0, np.int64))


@pytest.mark.parametrize("texts", [[], ["hops malt"]])
def test_fewer_than_two_items_are_refused(texts):
    counts = counts_of(texts)
    with pytest.raises(InputError, match=f"Only {len(texts)} items"):
        weigh(counts, np.arange(len(counts.words)))


def test_items_that_are_all_the_same_are_refused():
    counts = counts_of(["hops malt"] * 5)
    with pytest.raises(InputError, match="Each of the 2 selected words occurs in all 5 items"):
        weigh(counts, select_words(counts))


def test_rows_at_a_time_and_all_at_once_give_the_same_bits_and_leave_the_counts(monkeypatch):
    words = [f"word{number:02}" for number in range(30)]
    random = np.random.default_rng(0)
    counts = counts_of([" ".join(random.choice(words, 50)) for _ in range(40)])
    before, columns = counts.counts.toarray(), np.arange(0, 30, 2)
    wanted, frequency = weigh(counts, columns)
    direct = counts.counts[:, columns].toarray() / counts.counts.sum(axis=1)[:, None] * np.log(40 / frequency)
    assert wanted.toarray().tobytes() == direct.tobytes()
    monkeypatch.setattr("taproom.words.tfidf.ROWS_AT_ONCE", 7)
    assert weigh(counts, columns)[0].toarray().tobytes() == wanted.toarray().tobytes()
    assert (counts.counts.toarray() == before).all()


def test_weights_take_little_more_memory_than_they_have():
    random = np.random.default_rng(0)
    rows, columns = np.divmod(np.sort(random.choice(4_000 * 500, 1_000_000, replace=False)), 500)
    matrix = sparse.csr_array((random.integers(1, 9, len(rows)), (rows, columns)), shape=(4_000, 500))
    counts = Counts(np.arange(4_000).astype(str).astype(object), np.arange(500).astype(str).astype(object), matrix)
    tracemalloc.start()
    weights, _ = weigh(counts, np.arange(500))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.9 * (weights.data.nbytes + weights.indices.nbytes)
