import pickle

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from scipy.optimize import nnls

from taproom.errors import InputError
from taproom.text import topics_objective
from taproom.text.coherence import npmi
from taproom.text.topics import TopicParameters, fit_topics, top_terms
from taproom.text.topics_objective import BLOCKS, TopicsObjective
from taproom.words.sparse import csr_to_lists

SUBJECTS, WORDS_OF_A_SUBJECT, DOCUMENTS = 4, 15, 320
BUDGET = 200


def planted_counts(documents: int = DOCUMENTS, seed: int = 0) -> np.ndarray:
    """Documents about one of four subjects each, some words of it and some that all have."""
    random = np.random.default_rng(seed)
    of_subjects = np.kron(np.eye(SUBJECTS), np.full(WORDS_OF_A_SUBJECT, 0.8 / WORDS_OF_A_SUBJECT))
    shared = np.full((SUBJECTS, 30), 0.2 / 30)
    said = np.hstack([of_subjects, shared])
    return np.array([random.multinomial(25, said[place % SUBJECTS]) for place in range(documents)])


def tables_of(counts: np.ndarray, split: list[str] | None = None) -> tuple[pa.Table, pa.Table]:
    """The tables bag_of_words and terms; every fourth document is a test document unless splits are given."""
    split = split or ["test" if place % 4 == 3 else "training" for place in range(len(counts))]
    shares = sparse.csr_array(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    term_ids, values = csr_to_lists(shares)
    frequency = (counts[np.array(split) == "training"] > 0).sum(axis=0)
    bags = pa.table(
        {
            "document_id": [f"{place:04d}" for place in range(len(counts))],
            "label": pa.nulls(len(counts), pa.string()),
            "split": split,
            "words": counts.sum(axis=1),
            "term_ids": term_ids,
            "shares": values,
        }
    )
    words = [f"word{term:02d}" for term in range(counts.shape[1])]
    idf = np.log(split.count("training") / np.maximum(frequency, 1))
    return bags, pa.table({"word": words, "document_frequency": frequency, "idf": idf})


COUNTS = planted_counts()
TABLES = tables_of(COUNTS)


@pytest.fixture(scope="module")
def objective() -> TopicsObjective:
    return TopicsObjective.of(*TABLES, seed=0)


def places_of(part: sparse.csr_array) -> set[int]:
    """Which documents these are, by the words that they have."""
    has = {tuple(np.flatnonzero(row)): place for place, row in enumerate(COUNTS)}
    return {has[tuple(np.sort(part[[row]].indices))] for row in range(part.shape[0])}


def test_each_training_document_is_in_one_part_and_no_test_document_in_any(objective):
    parts = [places_of(part) for part in (objective.fitted, objective.validation, objective.fresh)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 240
    assert all(place % 4 != 3 for place in set.union(*parts))
    assert [len(part) for part in parts] == [96, 72, 72]


def test_no_more_documents_are_kept_than_wanted(monkeypatch):
    monkeypatch.setattr(topics_objective, "MOST_JUDGED", 50)
    monkeypatch.setattr(topics_objective, "MOST_FITTED", 80)
    objective = TopicsObjective.of(*TABLES, seed=0)
    assert [part.shape[0] for part in (objective.fitted, objective.validation, objective.fresh)] == [80, 50, 50]


def test_as_many_topics_as_there_are_subjects_score_better_than_too_few_or_too_many(objective):
    scores = {topics: objective.score({"topics": topics}, BUDGET, 0) for topics in (1, 2, 4, 20)}
    assert max(scores, key=scores.get) == SUBJECTS
    best = objective.fresh_scores({"topics": SUBJECTS}, BUDGET, 0)
    for topics in (1, 20):
        gain = best - objective.fresh_scores({"topics": topics}, BUDGET, 0)
        assert gain.mean() > 2 * gain.std(ddof=1) / len(gain) ** 0.5


def test_the_score_is_coherence_and_explained_share_computed_by_hand(objective):
    topics = fit_topics(objective.fitted, TopicParameters(topics=4, seed=3))
    coherence = npmi(top_terms(topics), objective.validation).mean()
    documents = objective.validation.toarray()
    left = np.array([nnls(topics.T, document)[1] for document in documents])
    explained = 1 - (left**2).sum() / (documents**2).sum()
    assert 0.2 < explained < 1
    assert objective.score({"topics": 4}, BUDGET, 3) == pytest.approx(coherence + explained, abs=1e-9)


def test_the_budget_is_how_many_documents_are_fitted_to(objective):
    fewer = TopicsObjective(objective.fitted[:40], objective.validation, objective.fresh, objective.least_frequency)
    assert objective.score({"topics": 4}, 40, 0) == fewer.score({"topics": 4}, 10_000, 0)
    assert objective.score({"topics": 4}, 40, 0) != objective.score({"topics": 4}, 96, 0)


def test_terms_too_rare_among_the_documents_fitted_to_are_in_no_topic(objective):
    few = objective.fitted[:30]
    rare = np.bincount(few.indices, minlength=few.shape[1]) < 6
    found = TopicsObjective(objective.fitted, objective.validation, objective.fresh, 6)._fit({"topics": 4}, 30, 0)
    assert 0 < rare.sum() < len(rare)
    assert not found[:, rare].any()
    assert found[:, ~rare].any(axis=0).mean() > 0.9


def test_the_mean_over_units_is_the_score_of_the_fresh_documents(objective):
    turned = TopicsObjective(objective.fitted, objective.fresh, objective.validation, objective.least_frequency)
    units = objective.fresh_scores({"topics": 4}, BUDGET, 0)
    assert units.shape == (BLOCKS,)
    assert units.mean() == pytest.approx(turned.score({"topics": 4}, BUDGET, 0), abs=1e-12)


def test_units_of_what_is_a_mean_over_documents_are_the_means_of_blocks():
    a_word_each = sparse.csr_array(np.tile(np.eye(3, 6), (4, 1)))  # topics of one word have no coherence
    fresh = np.random.default_rng(0).random((3 * BLOCKS, 6))
    fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    objective = TopicsObjective(a_word_each, a_word_each, sparse.csr_array(fresh), least_frequency=1)
    explained = (fresh[:, :3] ** 2).sum(axis=1)
    units = objective.fresh_scores({"topics": 3}, BUDGET, 0)
    np.testing.assert_allclose(units, explained.reshape(BLOCKS, 3).mean(axis=1), atol=1e-9)


@pytest.mark.slow
def test_the_error_of_the_units_mean_is_about_how_far_other_documents_scores_are_apart(objective):
    scores, errors = [], []
    for seed in range(1, 13):
        others = TopicsObjective.of(*tables_of(planted_counts(400, seed)), seed=0).fresh
        judged = TopicsObjective(objective.fitted, objective.validation, others, objective.least_frequency)
        units = judged.fresh_scores({"topics": 3}, BUDGET, 0)
        scores.append(units.mean())
        errors.append(units.std(ddof=1) / BLOCKS**0.5)
    assert 0.5 < np.mean(errors) / np.std(scores, ddof=1) < 2.0


def test_fresh_and_test_documents_never_reach_a_score(objective):
    searched = places_of(objective.fitted) | places_of(objective.validation)
    garbled = COUNTS.copy()
    others = [place for place in range(DOCUMENTS) if place not in searched]
    garbled[others] = garbled[others][:, ::-1]
    other = TopicsObjective.of(tables_of(garbled)[0], TABLES[1], seed=0)
    for topics in (2, 4, 8):
        assert other.score({"topics": topics}, BUDGET, 0) == objective.score({"topics": topics}, BUDGET, 0)
    assert (
        other.fresh_scores({"topics": 4}, BUDGET, 0).mean() != objective.fresh_scores({"topics": 4}, BUDGET, 0).mean()
    )


def test_units_do_not_depend_on_the_parameters_and_are_fewer_only_where_documents_are(objective):
    for parameters in ({"topics": 1}, {"topics": 30}, {"topics": 4, "iterations": 1}, {"topics": 4, "tolerance": 0.1}):
        units = objective.fresh_scores(parameters, BUDGET, 0)
        assert units.shape == (BLOCKS,)
        assert units.dtype == np.float64
        assert np.isfinite(units).all()
    few = TopicsObjective.of(*tables_of(COUNTS[:30], ["training"] * 30), seed=0)
    assert few.fresh_scores({"topics": 2}, BUDGET, 0).shape == (9,)


def test_a_topic_of_a_single_word_counts_as_words_that_meet_by_chance(objective):
    topics = np.zeros((2, COUNTS.shape[1]))
    topics[0, 0] = 1.0
    assert topics_objective._coherence(topics, objective.validation) == 0.0
    topics[1, :10] = 0.1
    alone = npmi([np.arange(10)], objective.validation)[0]
    assert topics_objective._coherence(topics, objective.validation) == pytest.approx(alone / 2)


def test_the_same_bits_come_out_each_time_and_another_seed_parts_otherwise(objective):
    sent, again = pickle.loads(pickle.dumps(objective)), TopicsObjective.of(*TABLES, seed=0)
    assert len({each.score({"topics": 4}, BUDGET, 3) for each in (objective, sent, again)}) == 1
    found = [each.fresh_scores({"topics": 4}, BUDGET, 3).tobytes() for each in (objective, sent, again)]
    assert len(set(found)) == 1
    assert places_of(TopicsObjective.of(*TABLES, seed=1).fresh) != places_of(objective.fresh)


def test_documents_without_terms_do_not_count():
    counts = COUNTS.copy()
    counts[:40] = 0
    objective = TopicsObjective.of(*tables_of(counts), seed=0)
    parts = objective.fitted, objective.validation, objective.fresh
    assert sum(part.shape[0] for part in parts) == 210
    assert all(np.diff(part.indptr).all() for part in parts)


def test_too_few_documents_and_more_topics_than_these_hold_are_refused(objective):
    with pytest.raises(InputError, match="15 training documents have a term; wanted: at least 20"):
        TopicsObjective.of(*tables_of(COUNTS[:20]), seed=0)
    with pytest.raises(InputError, match="rank"):
        objective.score({"topics": 500}, BUDGET, 0)
    with pytest.raises(InputError, match="at least 1 topic"):
        objective.score({"topics": 0}, BUDGET, 0)
