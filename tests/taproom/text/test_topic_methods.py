import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from joblib import parallel_config
from scipy import sparse
from threadpoolctl import threadpool_limits

from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.text.bag_of_words import Corpus
from taproom.text.coherence import npmi
from taproom.text.topic_methods import METHODS, MethodParameters, compare, lda
from taproom.text.topics import TopicParameters, top_terms

THREE = MethodParameters(TopicParameters(topics=3), lda_passes=10)
SUBJECTS = ("beer", "cells", "films")


def corpus_of(counts, labels, training) -> Corpus:
    counts = np.asarray(counts, float)
    words = counts.sum(axis=1).astype(np.int64)
    document_frequency = np.maximum((counts[training] > 0).sum(axis=0), 1)
    return Corpus(
        document_ids=pa.chunked_array([[f"{place:04}" for place in range(len(counts))]]),
        labels=np.array(labels, object),
        training=np.asarray(training),
        words=words,
        shares=sparse.csr_array(counts / np.maximum(words, 1)[:, None]),
        terms=np.array([f"word{place}" for place in range(counts.shape[1])], object),
        idf=np.log(np.sum(training) / document_frequency),
    )


def planted(documents=120, seed=0) -> Corpus:
    """Documents on one of three subjects with twelve words each, and six words that all of them use."""
    random = np.random.default_rng(seed)
    subject = random.integers(0, 3, documents)
    rates = np.hstack([np.kron(np.eye(3), np.full(12, 1.5)) + 0.02, np.ones((3, 6))])
    return corpus_of(
        random.poisson(rates[subject]), [SUBJECTS[each] for each in subject], np.arange(documents) % 4 != 0
    )


@pytest.fixture(scope="module")
def found():
    return compare(planted(), THREE)


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.slow
def test_every_method_has_a_row(found):
    assert found.left_out == {}
    assert [row["method"] for row in found.rows] == list(METHODS)
    assert all((row["topics"], row["seeds"]) == (3, 2) for row in found.rows)
    assert all(row["seconds"] > 0 for row in found.rows)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"latent_semantic_analysis"}))
def test_planted_subjects_are_found_by_every_method_that_has_topics_of_its_own(found, method):
    row = next(row for row in found.rows if row["method"] == method)
    assert row["nmi"] > 0.9
    assert row["nmi_training"] > 0.9
    assert row["npmi"] > 0.15
    assert row["diversity"] > 0.9
    assert row["stability"] > 0.6


def test_measures_lie_in_their_ranges(found):
    for row in found.rows:
        assert -1 <= row["npmi"] <= 1
        assert all(0 <= row[measure] <= 1 for measure in ("diversity", "nmi", "nmi_training", "stability"))


@pytest.mark.slow
def test_no_bit_but_the_seconds_depends_on_the_workers_or_threads(found):
    with threadpool_limits(limits=2):
        assert without_seconds(compare(planted(), THREE, n_jobs=2).rows) == without_seconds(found.rows)
    with parallel_config(backend="threading"):
        assert without_seconds(compare(planted(), THREE, n_jobs=2).rows) == without_seconds(found.rows)


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows(on_cluster):
    small = MethodParameters(TopicParameters(topics=3), seeds=1, lda_passes=1)
    here = without_seconds(compare(planted(), small).rows)
    assert without_seconds(compare(Made(planted, ()), small).rows) == here
    usage = taken_usages()[-1]
    assert usage.blocks == len(METHODS)
    assert usage.largest_sent < 3_000
    assert usage.largest_received < 4 * 120 + 2_000


@pytest.mark.slow
def test_another_seed_gives_other_fits(found):
    other = compare(planted(), replace(THREE, topics=TopicParameters(topics=3, seed=5)))
    assert without_seconds(other.rows) != without_seconds(found.rows)


def test_a_single_seed_has_no_stability():
    assert {row["stability"] for row in compare(planted(), replace(THREE, seeds=1)).rows} == {None}


@pytest.mark.slow
def test_without_labels_there_is_no_agreement_and_all_else_stays(found):
    unlabelled = compare(replace(planted(), labels=np.full(120, None)), THREE)
    assert without_seconds(unlabelled.rows) == [
        {**row, "nmi": None, "nmi_training": None} for row in without_seconds(found.rows)
    ]


@pytest.mark.slow
def test_documents_without_a_label_are_in_the_fit_but_not_in_the_agreement(found):
    labels = planted().labels.copy()
    labels[::3] = None
    some = compare(replace(planted(), labels=labels), THREE)
    assert [row["npmi"] for row in some.rows] == [row["npmi"] for row in found.rows]
    assert all(row["nmi"] > 0.9 for row in some.rows if row["method"] != "latent_semantic_analysis")


@pytest.mark.slow
def test_one_label_is_nothing_to_agree_with():
    rows = compare(replace(planted(), labels=np.full(120, "beer", object)), THREE).rows
    assert {row["nmi"] for row in rows} == {None}


@pytest.mark.slow
def test_without_a_test_split_coherence_is_that_in_the_training_documents():
    corpus = replace(planted(), training=np.ones(120, bool))
    row = next(row for row in compare(corpus, replace(THREE, seeds=1)).rows if row["method"] == "lda")
    fit = lda(sparse.csr_array(np.rint(corpus.shares.toarray() * corpus.words[:, None])), 0, THREE)
    assert row["npmi"] == pytest.approx(npmi(top_terms(fit.topics), corpus.shares).mean())
    assert row["nmi"] is None
    assert row["nmi_training"] > 0.9


@pytest.mark.slow
def test_documents_without_a_known_word_change_neither_fits_nor_agreement(found):
    corpus = planted()
    empty = 40
    training = np.concatenate([corpus.training, np.ones(empty, bool)])
    counts = np.vstack([np.rint(corpus.shares.toarray() * corpus.words[:, None]), np.zeros((empty, 42))])
    more = replace(corpus_of(counts, [*corpus.labels, *["none"] * empty], training), idf=corpus.idf)
    assert without_seconds(compare(more, THREE).rows) == without_seconds(found.rows)


def test_lda_ends_when_it_has_converged():
    counts = sparse.csr_array(np.rint(planted().shares.toarray() * planted().words[:, None]))
    first = lda(counts, 0, replace(THREE, lda_passes=1)).topics
    until = lda(counts, 0, replace(THREE, lda_passes=500, lda_tolerance=0.5)).topics
    longer = lda(counts, 0, replace(THREE, lda_passes=2, lda_tolerance=0.0)).topics
    assert until.tobytes() == longer.tobytes()
    assert first.tobytes() != longer.tobytes()


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_a_method_that_cannot_be_fitted_is_left_out_and_says_why(caplog):
    corpus = corpus_of(np.kron(np.eye(2), np.ones((4, 3))), ["beer"] * 4 + ["films"] * 4, [True] * 8)
    with caplog.at_level(logging.WARNING, "taproom.text.topic_methods"):
        found = compare(corpus, THREE)
    assert {"nmf_tfidf", "nmf_bag_of_words"} <= set(found.left_out)
    assert "only the rank 2" in found.left_out["nmf_tfidf"]
    assert "nmf_tfidf is left out of the comparison" in caplog.text
    assert {row["method"] for row in found.rows} == set(METHODS) - set(found.left_out)


def test_fewer_than_two_training_documents_with_words_are_refused():
    with pytest.raises(InputError, match="1 documents to fit topics to have a known word"):
        compare(corpus_of([[1, 2], [0, 0], [2, 1]], [None] * 3, [True, True, False]), THREE)


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"lda_passes": 0}, {"lda_tolerance": -0.1}])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="wanted: at least 1 seed"):
        MethodParameters(**wrong)
