import numpy as np
import pytest

from taproom.errors import InputError
from taproom.text.analogies import CAPITALS, DECK, Question, accuracy_by_section, answer, complete, questions
from taproom.text.word_vectors import WordVectorParameters, train
from taproom.words.vectors import WordVectors
from tests.planted_corpus import planted_corpus, planted_questions


def brute_force(word_vectors, question):
    """The answer and the expected word's rank, one cosine at a time."""
    unit = {word: v / np.linalg.norm(v) for word, v in zip(word_vectors.words, word_vectors.vectors, strict=True)}
    _, a, b, c, expected = question
    query = unit[b] - unit[a] + unit[c]
    cosines = {word: float(unit[word] @ query) for word in word_vectors.words if word not in (a, b, c)}
    best_first = sorted(cosines, key=cosines.get, reverse=True)
    return best_first[0], best_first.index(expected) + 1, cosines[expected] / np.linalg.norm(query)


@pytest.fixture(scope="module")
def random_vectors():
    words = np.array([f"w{number:03}" for number in range(300)], dtype=object)
    vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    return WordVectors(words, np.arange(300, 0, -1), vectors)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_corpus_answers_the_decks_questions(seed):
    parameters = WordVectorParameters(dimensions=24, epochs=6, sample=0, step=0.05, seed=seed)
    trained = train([list(planted_corpus(seed))], parameters)
    asked = planted_questions()
    answers = answer(trained, asked)
    assert len(answers) == len(asked)
    assert complete(trained, "man", "king", "woman", k=1)[0][0] == "queen"
    for section in accuracy_by_section(asked, answers):
        assert section["accuracy"] >= 0.9, section


def test_the_questions_are_the_decks_and_those_of_the_published_set():
    found = questions()
    assert len(found) == 1 + len(CAPITALS) * (len(CAPITALS) - 1) + 19_544
    assert len(set(found)) == len(found)
    assert found[0] == (DECK, "man", "king", "woman", "queen")
    assert found[1] == (DECK, "china", "beijing", "russia", "moscow")
    assert found[111] == ("capital-common-countries", "athens", "greece", "baghdad", "iraq")
    assert all(word == word.lower() for question in found for word in question[1:])


def test_answers_are_those_of_brute_force(random_vectors):
    draw = np.random.default_rng(1)
    asked = [Question("random", *random_vectors.words[draw.permutation(300)[:4]]) for _ in range(50)]
    for question, row in zip(asked, answer(random_vectors, asked), strict=True):
        answered, rank, similarity = brute_force(random_vectors, question)
        assert (row["answered"], row["rank"]) == (answered, rank)
        assert row["similarity"] == pytest.approx(similarity, abs=1e-6)


def test_an_answer_has_the_same_bits_alone_and_among_others(random_vectors):
    draw = np.random.default_rng(2)
    asked = [Question("random", *random_vectors.words[draw.permutation(300)[:4]]) for _ in range(40)]
    together = answer(random_vectors, asked)
    assert [answer(random_vectors, [question])[0] for question in asked] == together
    for question, row in zip(asked, together, strict=True):
        found = complete(random_vectors, *question[1:4], k=297)
        assert found[0][0] == row["answered"]
        assert found[row["rank"] - 1] == (question.expected, row["similarity"])


def test_a_b_and_c_are_no_answers(random_vectors):
    found = [word for word, _ in complete(random_vectors, "w000", "w001", "w002", k=297)]
    assert set(found) == set(random_vectors.words) - {"w000", "w001", "w002"}


def test_equal_words_rank_by_frequency():
    words = np.array(["a", "b", "c", "d", "e", "f"], dtype=object)
    vectors = np.array([[1, 0], [0, 1], [1, 1], [0, 3], [0, 3], [0, 3]], np.float32)
    found = WordVectors(words, np.arange(6, 0, -1), vectors)
    asked = [Question("tie", "a", "b", "c", expected) for expected in "def"]
    rows = answer(found, asked)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["answered"] for row in rows] == ["d"] * 3


def test_questions_with_unknown_words_are_left_out_and_their_share_is_told(random_vectors):
    asked = [
        Question("some", "w000", "w001", "w002", "w003"),
        Question("some", "w000", "w001", "w002", "unheard"),
        Question("none", "never", "w001", "w002", "w003"),
    ]
    rows = answer(random_vectors, asked)
    assert [tuple(row.values())[:5] for row in rows] == [asked[0]]
    some, none = accuracy_by_section(asked, rows)
    assert (some["section"], some["questions"], some["known"], some["known_share"]) == ("some", 2, 1, 0.5)
    assert none == {
        "section": "none",
        "questions": 1,
        "known": 0,
        "known_share": 0.0,
        "right": 0,
        "accuracy": None,
        "accuracy_of_5": None,
    }
    assert answer(random_vectors, asked[1:]) == []


def test_sections_count_right_answers_and_those_among_the_first_five():
    asked = [Question("one", "a", "b", "c", str(number)) for number in range(4)]
    rows = [{**question._asdict(), "rank": rank} for question, rank in zip(asked, [1, 5, 6, 2], strict=True)]
    (section,) = accuracy_by_section(asked, rows)
    assert (section["right"], section["accuracy"], section["accuracy_of_5"]) == (1, 0.25, 0.75)


def test_an_unknown_word_is_refused_with_the_nearest_spellings(random_vectors):
    with pytest.raises(InputError, match=r"'w0011' is not among the 300 words .* 'w001'"):
        complete(random_vectors, "w0011", "w001", "w002", k=1)


def test_more_answers_than_words_are_refused(random_vectors):
    with pytest.raises(InputError, match="298 similar words were requested, but 297 other words"):
        complete(random_vectors, "w000", "w001", "w002", k=298)
