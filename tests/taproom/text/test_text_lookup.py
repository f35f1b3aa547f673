import numpy as np
import pyarrow as pa
import pytest

import taproom
from assets.text.word_vectors import WORD_VECTORS
from taproom.errors import InputError

WORDS = ["man", "king", "woman", "queen", "beer"]
VECTORS = np.array([[1, 0, 0], [1, 1, 0], [-1, 0, 0.1], [-1, 1, 0.1], [0, 0, 1]], np.float32)


@pytest.fixture
def vectors(warehouse):
    rows = WORD_VECTORS.table_of(word=WORDS, count=[5, 4, 3, 2, 1], vector=VECTORS.tolist())
    warehouse.publish(WORD_VECTORS, rows, since=None)
    return warehouse


@pytest.mark.usefixtures("vectors")
def test_the_decks_question_is_answered_from_the_table():
    (word, cosine), *others = taproom.open().words.analogy("man", "king", "woman", k=2)
    assert word == "queen"
    assert cosine > 0.9
    assert [word for word, _ in others] == ["beer"]


@pytest.mark.usefixtures("vectors")
def test_nearest_words_are_those_of_the_largest_cosine():
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    found = taproom.open().words.nearest(" King ", k=4)
    assert [word for word, _ in found] == [WORDS[place] for place in np.argsort(-(unit @ unit[1])) if place != 1]
    assert [cosine for _, cosine in found] == pytest.approx(sorted(unit[[0, 2, 3, 4]] @ unit[1])[::-1], abs=1e-6)


@pytest.mark.usefixtures("vectors")
@pytest.mark.parametrize(
    "ask",
    [lambda: taproom.open().words.nearest("kinng", 1), lambda: taproom.open().words.analogy("man", "kinng", "woman")],
)
def test_an_unknown_word_is_refused_and_the_nearest_spelling_offered(ask):
    with pytest.raises(InputError, match=r"'kinng' is not among the 5 words.*'king'"):
        ask()


@pytest.mark.usefixtures("vectors")
def test_more_words_than_there_are_are_refused():
    with pytest.raises(InputError, match="9 similar words were requested, but 4 other words"):
        taproom.open().words.nearest("king", 9)


def test_a_newer_version_is_noticed(vectors):
    assert taproom.open().words.nearest("man", 1)[0][0] == "king"
    rows = WORD_VECTORS.table_of(
        word=["man", "beer"], count=[2, 1], vector=pa.array([[1.0], [1.0]], WORD_VECTORS.schema.field("vector").type)
    )
    vectors.publish(WORD_VECTORS, rows, since=0)
    assert taproom.open().words.nearest("man", 1)[0][0] == "beer"
