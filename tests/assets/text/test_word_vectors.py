import pytest

import taproom
from taproom.errors import InputError, UnknownTableError

SMALL = {"dimensions": 8, "min_count": 1, "epochs": 2, "window": 3}


@pytest.fixture
def vectors(themes, make, warehouse):
    assert make("word_vectors", "training_pairs", word_vectors=SMALL).success
    return warehouse.read("word_vectors").to_pylist()


def test_every_word_has_a_vector_the_most_frequent_first(vectors, themes):
    said = " ".join(path.read_text() for path in themes.rglob("*.txt")).split()
    assert {row["word"]: row["count"] for row in vectors} == {word: said.count(word) for word in set(said)}
    assert [(-row["count"], row["word"]) for row in vectors] == sorted((-row["count"], row["word"]) for row in vectors)
    assert {len(row["vector"]) for row in vectors} == {8}


def test_made_again_the_vectors_are_the_same_bits(vectors, make, warehouse):
    heads = warehouse.heads()
    make("word_vectors", "training_pairs", word_vectors=SMALL)
    assert warehouse.heads() == heads


def test_pairs_are_shown_as_the_deck_has_them(vectors, warehouse, themes):
    pairs = warehouse.read("training_pairs").to_pylist()
    first = [row for row in pairs if row["document_id"] == pairs[0]["document_id"]]
    words = first[0]["sentence"].split()
    assert words == (themes / first[0]["document_id"]).read_text().split()[: len(words)]
    assert [(row["centre"], row["context"]) for row in first if row["position"] < 2] == [
        (words[0], words[1]), (words[0], words[2]),
        (words[1], words[0]), (words[1], words[2]), (words[1], words[3]),
    ]  # fmt: skip


def test_questions_are_answered_from_the_tables(vectors, make, warehouse):
    result = make("analogies", "analogy_sections", "nearest_words", "word_map", word_map={"updates_per_word": 50})
    assert result.success
    (check,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "corpus_is_large_enough"]
    assert not check.passed
    assert check.metadata["words"].value < check.metadata["published_words"].value == 783_000_000
    rows = warehouse.read("nearest_words").to_pylist()
    assert [row["word"] for row in rows] == [row["word"] for row in vectors]
    for row in rows[:3]:
        found = taproom.nearest(row["word"].upper(), 10)
        assert found == list(zip(row["neighbors"], row["similarities"], strict=True))
    assert len(warehouse.read("word_map")) == len(vectors)
    sections = warehouse.read("analogy_sections").to_pylist()
    assert sections[0]["section"] == "deck"
    assert {row["known"] for row in sections} == {0}
    assert {row["accuracy"] for row in sections} == {None}


@pytest.mark.usefixtures("vectors")
def test_an_unknown_word_is_refused_with_the_nearest_spelling():
    with pytest.raises(InputError, match="'lemon'"):
        taproom.nearest("lemmon")
    with pytest.raises(InputError, match="'coffee'"):
        taproom.analogy("lemon", "tart", "cofee")


@pytest.mark.usefixtures("warehouse")
def test_before_any_vectors_the_table_is_missed():
    with pytest.raises(UnknownTableError, match="word_vectors"):
        taproom.nearest("lemon")


def test_a_corpus_whose_words_are_all_rare_is_refused(themes, make, warehouse):
    with pytest.raises(InputError, match="1000"):
        make("word_vectors", "training_pairs", word_vectors={"min_count": 1_000})
    assert warehouse.head("word_vectors") is None
