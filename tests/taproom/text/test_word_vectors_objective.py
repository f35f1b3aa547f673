import pickle

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from taproom.errors import InputError
from taproom.text import word_vectors_objective
from taproom.text.word_vectors import TrainedVectors
from taproom.text.word_vectors_objective import SplitDocuments, WordVectorsObjective

THEMES, WORDS_OF_A_THEME, DOCUMENTS = 6, 12, 400
GOOD = {"dimensions": 16, "min_count": 2, "step": 0.1, "epochs": 5, "sample": 0.0}
BUDGET = 1_000


def planted_texts(documents: int = DOCUMENTS, seed: int = 0) -> list[str]:
    """Documents about one of six themes each, in its words and some that all have; the last word names the document."""
    random = np.random.default_rng(seed)
    texts = []
    for place in range(documents):
        own = [f"theme{place % THEMES}word{word}" for word in random.integers(WORDS_OF_A_THEME, size=24)]
        shared = [f"all{word}" for word in random.integers(10, size=12)]
        texts.append(" ".join([*random.permutation([*own, *shared]), f"name{place}"]))
    return texts


def documents_table(texts: list[str], split: list[str] | None = None) -> pa.Table:
    split = split or ["test" if place % 4 == 3 else "training" for place in range(len(texts))]
    return pa.table({"document_id": [f"{place:04d}" for place in range(len(texts))], "text": texts, "split": split})


TEXTS = planted_texts()
TABLE = documents_table(TEXTS)


@pytest.fixture(scope="module")
def objective() -> WordVectorsObjective:
    return WordVectorsObjective.of(TABLE, seed=0)


def names_of(part: SplitDocuments) -> set[int]:
    return {int(word.removeprefix("name")) for word in part.words if word.startswith("name")}


def test_each_training_document_is_in_one_part_and_no_test_document_in_any(objective):
    fitted = {int(text.rsplit("name", 1)[1]) for text in objective.fitted}
    parts = [fitted, names_of(objective.validation), names_of(objective.fresh)]
    assert [len(part) for part in parts] == [165, 45, 90]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert set.union(*parts) == {place for place in range(DOCUMENTS) if place % 4 != 3}


def test_no_more_documents_are_kept_than_wanted_nor_more_of_one(monkeypatch):
    monkeypatch.setattr(word_vectors_objective, "MOST_VALIDATION", 10)
    monkeypatch.setattr(word_vectors_objective, "MOST_FRESH", 20)
    monkeypatch.setattr(word_vectors_objective, "MOST_FITTED", 30)
    monkeypatch.setattr(word_vectors_objective, "MOST_CHARACTERS", 100)
    objective = WordVectorsObjective.of(TABLE, seed=0)
    assert [part.halves[0].shape[0] for part in (objective.validation, objective.fresh)] == [10, 20]
    assert len(objective.fitted) == 30
    assert {len(text) for text in objective.fitted} == {100}
    assert sum(side.sum() for side in objective.validation.halves) < 10 * 101 / 4


def test_a_word_is_on_one_side_alone_and_no_word_is_lost(objective):
    for part in (objective.validation, objective.fresh):
        one, other = (side.sum(axis=0) > 0 for side in part.halves)
        assert (one != other).all()
        assert 0.3 < one.mean() < 0.7
    said = sum(side.sum(axis=1) for side in objective.fresh.halves)
    assert set(said) == {37.0}


def test_vectors_that_are_hardly_trained_score_as_chance_and_trained_ones_much_better(objective):
    hardly, trained = {**GOOD, "step": 1e-6}, objective.score(GOOD, BUDGET, 0)
    assert objective.score(hardly, BUDGET, 0) == pytest.approx(0.5, abs=0.12)
    assert trained > 0.8
    gain = objective.fresh_scores(GOOD, BUDGET, 0) - objective.fresh_scores(hardly, BUDGET, 0)
    assert gain.mean() > 5 * gain.std(ddof=1) / len(gain) ** 0.5


def test_the_budget_is_how_many_documents_are_trained_on(objective):
    fewer = WordVectorsObjective(objective.fitted[:20], objective.validation, objective.fresh)
    assert fewer.score(GOOD, BUDGET, 0) == objective.score(GOOD, 20, 0)
    assert objective.score(GOOD, 165, 0) > objective.score(GOOD, 20, 0)


def by_hand(vectors: dict[str, list[float]], sides: list[tuple[list[str], list[str]]]) -> np.ndarray:
    """Scores of documents given as the words of their sides, by vectors of words that are about as rare."""
    words = sorted({word for document in sides for side in document for word in side})
    counts = np.array([[[side.count(word) for word in words] for side in document] for document in sides], float)
    documents = SplitDocuments(words, tuple(sparse.csr_array(counts[:, side]) for side in (0, 1)))
    known = np.array(sorted(vectors), object)
    values = np.array([vectors[word] for word in known], np.float32)
    trained = TrainedVectors(known, np.ones(len(known), np.int64), values, 1, 1_000, 1, 0.0)
    return word_vectors_objective._own_nearer(documents, trained)


def test_scores_are_those_counted_by_hand():
    vectors = {"a": [1, 0], "b": [1, 0.1], "c": [0, 1], "d": [0.1, 1], "e": [1, 1], "f": [-1, -1]}
    sides = [(["a"], ["b"]), (["c"], ["d"]), (["e"], ["f"])]
    np.testing.assert_array_equal(by_hand(vectors, sides), [1.0, 1.0, 0.0])
    np.testing.assert_array_equal(by_hand(vectors, [(["a"], ["d"]), (["c"], ["b"]), (["e"], ["f"])]), [0.5, 0.5, 0.0])


def test_ties_count_half():
    np.testing.assert_array_equal(by_hand({"a": [1, 0], "b": [0, 1]}, [(["a"], ["b"])] * 3), [0.5, 0.5, 0.5])


def test_a_document_without_known_words_on_a_side_is_neither_right_nor_wrong_nor_anothers_rival():
    vectors = {"a": [1, 0], "b": [1, 0.1], "c": [0, 1], "d": [0.1, 1]}
    sides = [(["a"], ["b"]), (["c"], ["d"]), (["a"], ["x"]), (["y"], ["d"]), ([], [])]
    np.testing.assert_array_equal(by_hand(vectors, sides), [1.0, 1.0, 0.5, 0.5, 0.5])
    np.testing.assert_array_equal(by_hand(vectors, [(["a"], ["b"]), (["x"], ["y"])]), [0.5, 0.5])


def test_words_that_are_everywhere_weigh_less():
    words = np.array(["often", "rarely"], object)
    trained = TrainedVectors(words, np.array([100, 1]), np.ones((2, 1), np.float32), 1, 1_000, 1, 0.0)
    weighted = word_vectors_objective._weighted(["rarely", "never", "often"], trained)
    np.testing.assert_allclose(weighted[:, 0], [0.5, 0.0, 1e-3 / 0.101])


def test_fresh_and_test_documents_never_reach_a_score(objective):
    fitted = {int(text.rsplit("name", 1)[1]) for text in objective.fitted}
    searched = fitted | names_of(objective.validation)
    garbled = [text if place in searched else f"{text[::-1]} {text}" for place, text in enumerate(TEXTS)]
    other = WordVectorsObjective.of(documents_table(garbled), seed=0)
    for parameters in (GOOD, {**GOOD, "window": 2}):
        assert other.score(parameters, BUDGET, 0) == objective.score(parameters, BUDGET, 0)
    assert other.fresh.words != objective.fresh.words


def test_units_are_the_fresh_documents_whatever_the_parameters(objective):
    for changed in ({}, {"min_count": 50}, {"dimensions": 2}, {"negative": 1, "epochs": 1}):
        units = objective.fresh_scores({**GOOD, **changed}, BUDGET, 0)
        assert units.shape == (90,)
        assert units.dtype == np.float64
        assert ((units >= 0) & (units <= 1)).all()


def test_the_same_bits_come_out_each_time_and_another_seed_parts_otherwise(objective):
    sent, again = pickle.loads(pickle.dumps(objective)), WordVectorsObjective.of(TABLE, seed=0)
    assert len({each.score(GOOD, BUDGET, 3) for each in (objective, sent, again)}) == 1
    assert sent.fresh_scores(GOOD, BUDGET, 3).tobytes() == objective.fresh_scores(GOOD, BUDGET, 3).tobytes()
    assert names_of(WordVectorsObjective.of(TABLE, seed=1).fresh) != names_of(objective.fresh)


def test_the_defaults_can_be_scored_and_words_are_those_of_the_pattern():
    letters = WordVectorsObjective.of(TABLE, seed=0, token_pattern="[a-z]")
    assert set(letters.fresh.words) <= set("abcdefghijklmnopqrstuvwxyz")
    assert 0 <= letters.score({}, BUDGET, 0) <= 1


def test_too_few_documents_and_parameters_out_of_range_are_refused(objective):
    with pytest.raises(InputError, match="There are 15 training documents; wanted: at least 20"):
        WordVectorsObjective.of(documents_table(TEXTS[:20]), seed=0)
    with pytest.raises(InputError, match="step is 2"):
        objective.score({**GOOD, "step": 2.0}, BUDGET, 0)
    with pytest.raises(InputError, match=r"None of the .* words occurs 10000 times"):
        objective.score({**GOOD, "min_count": 10_000}, BUDGET, 0)
