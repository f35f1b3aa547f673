import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from threadpoolctl import threadpool_limits

from taproom.errors import InputError
from taproom.text.topics import (
    TopicParameters,
    check_rank,
    document_weights,
    dominant_topics,
    fit_topics,
    mixtures,
    top_terms,
    topic_rows,
    topics_of_table,
)

THREE = TopicParameters(topics=3)
# Words of their own, of which the first weigh most.
PLANTED = np.kron(np.eye(3), 1.0 / np.arange(1, 6))
PLANTED /= np.linalg.norm(PLANTED, axis=1, keepdims=True)


def planted(documents=60, seed=0):
    """Documents that are mixtures of the three topics, the first the most frequent, and these mixtures."""
    mixed = np.random.default_rng(seed).dirichlet([1.0, 0.6, 0.3], documents)
    return sparse.csr_array(mixed @ PLANTED), mixed


def shares(documents=40, terms=30, seed=0):
    random = np.random.default_rng(seed)
    counts = random.poisson(random.gamma(0.3, 1.0, (documents, terms)))
    return sparse.csr_array(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def test_weights_are_those_computed_by_hand():
    weights = document_weights(sparse.csr_array(np.array([[0.5, 0.25, 0.0], [0.0, 0.0, 1.0]])), np.array([1.0, 2.0, 3]))
    np.testing.assert_allclose(weights.toarray(), [[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]])


def test_plain_shares_stay_as_they_are_and_are_no_view():
    given_shares = shares()
    weights = document_weights(given_shares)
    assert (weights.toarray() == given_shares.toarray()).all()
    assert not np.shares_memory(weights.data, given_shares.data)


def test_a_document_whose_words_weigh_nothing_keeps_an_empty_row():
    weights = document_weights(sparse.csr_array(np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]])), np.array([0.0, 1.0]))
    assert weights.toarray().tolist() == [[0, 1], [0, 0], [0, 0]]
    assert weights.nnz == 1


def test_weights_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="3 inverse document frequencies for 30 terms"):
        document_weights(shares(), np.ones(3))
    with pytest.raises(InputError, match="negative or not finite"):
        document_weights(shares(), np.full(30, -1.0))
    with pytest.raises(InputError, match="negative or not finite"):
        document_weights(sparse.csr_array([[np.nan]]))


def test_a_documents_weights_and_mixture_have_the_same_bits_whatever_came_with_it():
    idf = np.random.default_rng(1).random(30)
    together = document_weights(shares(), idf)
    topics = fit_topics(together, TopicParameters(topics=5))
    mixed = mixtures(together, topics)
    for place in range(together.shape[0]):
        alone = document_weights(shares()[[place]], idf)
        assert alone.data.tobytes() == together[[place]].data.tobytes()
        assert mixtures(alone, topics)[0].tobytes() == mixed[place].tobytes()


def test_planted_topics_and_mixtures_are_found_in_the_order_of_their_share():
    weights, mixed = planted()
    topics = fit_topics(weights, TopicParameters(topics=3, iterations=2_000, tolerance=1e-9))
    np.testing.assert_allclose(topics, PLANTED, atol=0.02)
    np.testing.assert_allclose(mixtures(weights, topics), mixed, atol=0.02)


def test_topics_are_not_negative_of_length_one_and_in_descending_order():
    weights = document_weights(shares(), np.ones(30))
    topics = fit_topics(weights, TopicParameters(topics=6))
    assert topics.shape == (6, 30)
    assert (topics >= 0).all()
    np.testing.assert_allclose((topics**2).sum(axis=1), 1)
    assert (np.diff(mixtures(weights, topics).sum(axis=0)) <= 0).all()


def test_equally_large_topics_are_ordered_by_their_heaviest_term():
    weights = sparse.csr_array(np.kron(np.eye(3), np.ones((4, 2))))
    assert fit_topics(weights, THREE).argmax(axis=1).tolist() == [0, 2, 4]


def test_the_same_bits_come_out_again_whatever_the_threads():
    weights = document_weights(shares(), np.ones(30))
    with threadpool_limits(limits=1):
        alone = fit_topics(weights, THREE)
    with threadpool_limits(limits=2):
        together = fit_topics(weights, THREE)
    assert alone.tobytes() == together.tobytes()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 8))
def test_mixtures_solve_nonnegative_least_squares(seed, count):
    random = np.random.default_rng(seed)
    topics = random.random((count, 12)) * (random.random((count, 12)) < 0.6) + np.eye(count, 12) * 1e-3
    weights = sparse.csr_array(random.random((5, 12)))
    mixed = mixtures(weights, topics)
    assert (mixed >= 0).all()
    np.testing.assert_allclose(mixed.sum(axis=1), 1)
    for document, mixture in zip(weights.toarray(), mixed, strict=True):
        # The scale is free: the best one along this mixture has no slope, and no topic would lower the error further.
        blend = mixture @ topics
        slope = topics @ (blend * (blend @ document) / (blend @ blend) - document)
        assert (slope > -1e-7).all()
        np.testing.assert_allclose(slope[mixture > 0], 0, atol=1e-7)


def test_topics_that_are_the_same_share_a_document():
    twice = np.vstack([PLANTED[0], PLANTED[0], PLANTED[1]])
    mixed = mixtures(planted()[0], twice)
    assert np.isfinite(mixed).all()
    np.testing.assert_allclose(mixed.sum(axis=1), 1)


def test_documents_without_a_word_of_any_topic_have_a_row_of_zeros():
    topics = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    mixed = mixtures(sparse.csr_array(np.array([[0.0, 0, 1], [0, 0, 0], [1, 3, 5]])), topics)
    np.testing.assert_allclose(mixed, [[0, 0], [0, 0], [0.25, 0.75]])
    assert dominant_topics(mixed).tolist() == [-1, -1, 1]
    assert mixtures(sparse.csr_array((0, 3)), topics).shape == (0, 2)


def test_of_equal_topics_a_document_has_the_first():
    assert dominant_topics(np.array([[0.5, 0.5], [0.0, 1.0]])).tolist() == [0, 1]


def test_documents_of_another_vocabulary_are_refused():
    with pytest.raises(InputError, match="4 terms and the topics 15"):
        mixtures(sparse.csr_array(np.ones((1, 4))), PLANTED)


def test_more_topics_than_ranks_are_refused_and_the_rank_is_named():
    weights = planted()[0]
    with pytest.raises(InputError, match="only the rank 3"):
        fit_topics(weights, TopicParameters(topics=4))
    with pytest.raises(InputError, match="only the rank 3"):
        fit_topics(weights, TopicParameters(topics=100))
    check_rank(weights, 3)


@settings(max_examples=20, deadline=None)
@given(rank=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_the_rank_is_that_of_the_matrix(rank, seed):
    random = np.random.default_rng(seed)
    weights = sparse.csr_array(random.random((30, rank)) @ random.random((rank, 25)))
    check_rank(weights, rank)
    with pytest.raises(InputError, match=f"only the rank {rank}\\b"):
        check_rank(weights, rank + 1)


@pytest.mark.parametrize("documents", [0, 1, 3])
def test_fewer_than_two_documents_with_words_have_no_topics(documents):
    weights = np.zeros((documents, 5))
    weights[:1, 2] = 1.0
    with pytest.raises(InputError, match="at least 2 are needed"):
        fit_topics(sparse.csr_array(weights), TopicParameters(topics=1))


def test_two_documents_have_two_topics():
    topics = fit_topics(sparse.csr_array(np.array([[1.0, 0, 0], [0, 0.6, 0.8]])), TopicParameters(topics=2))
    np.testing.assert_allclose(topics, [[1, 0, 0], [0, 0.6, 0.8]])


@pytest.mark.parametrize(
    "wrong", [{"topics": 0}, {"iterations": 0}, {"tolerance": -1.0}, {"tolerance": float("nan")}, {"seed": -1}]
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="wanted: at least 1 topic"):
        TopicParameters(**wrong)


def test_top_terms_are_the_heaviest_with_any_weight():
    topics = np.array([[0.1, 0.5, 0.0, 0.5], [0.0, 0.0, 1.0, 0.0]])
    assert [terms.tolist() for terms in top_terms(topics, 2)] == [[1, 3], [2]]
    assert [terms.tolist() for terms in top_terms(topics)] == [[1, 3, 0], [2]]


def table(weighting, topics, mixed, npmi):
    words = [f"wörd{place}" for place in range(topics.shape[1])]
    rows = [{"weighting": weighting, **row} for row in topic_rows(topics, mixed, words, npmi)]
    types = {
        "weighting": pa.string(),
        "topic": pa.int32(),
        "share": pa.float64(),
        "top_words": pa.list_(pa.string()),
        "npmi": pa.float64(),
        "term_ids": pa.list_(pa.int32()),
        "weights": pa.list_(pa.float64()),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema(types))


def test_topics_come_back_from_their_table_bit_for_bit():
    weights, mixed = planted()
    tfidf, plain = fit_topics(weights, THREE), fit_topics(weights, TopicParameters(topics=2))
    rows = pa.concat_tables(
        [table("tfidf", tfidf, mixed, [0, 0, 0]), table("bag_of_words", plain, mixed[:, :2], [0, 0])]
    )
    shuffled = rows.take([4, 2, 0, 3, 1])
    assert topics_of_table(shuffled, "tfidf", 15).tobytes() == tfidf.tobytes()
    assert topics_of_table(shuffled, "bag_of_words", 15).tobytes() == plain.tobytes()


def test_a_weighting_without_topics_is_refused_by_name():
    with pytest.raises(InputError, match=r"'lda'\. Use one of these: 'tfidf'"):
        topics_of_table(table("tfidf", PLANTED, np.ones((1, 3)), [0, 0, 0]), "lda", 15)


def test_rows_tell_shares_that_sum_to_one_words_and_coherence():
    mixed = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    rows = topic_rows(PLANTED, mixed, [f"word{place}" for place in range(15)], [0.5, np.nan, -1.0])
    assert [row["topic"] for row in rows] == [0, 1, 2]
    assert [row["share"] for row in rows] == [0.75, 0.25, 0.0]
    assert [row["npmi"] for row in rows] == [0.5, None, -1.0]
    assert rows[1]["top_words"] == ["word5", "word6", "word7", "word8", "word9"]
    assert rows[2]["term_ids"].tolist() == [10, 11, 12, 13, 14]
