import pyarrow as pa
import pytest

import taproom
from assets.text.analogies import ANALOGY_SECTIONS, NEAREST_WORDS, most_questions_are_known, no_word_is_near_most
from assets.text.word_vectors import TRAINING_PAIRS, sentences_are_shown
from taproom.errors import ContractError, InputError, UnknownTableError
from tests.planted_corpus import planted_corpus

ANALOGY_TABLES = ("analogies", "analogy_sections", "nearest_words")
SMALL = {"dimensions": 8, "min_count": 1, "epochs": 2, "window": 3}


@pytest.fixture
def vectors(themes, make, warehouse):
    assert make("word_vectors", "training_pairs", word_vectors=SMALL).success
    return warehouse.read("word_vectors").to_pylist()


def test_vectors_and_what_is_asked_of_them(vectors, themes, make, warehouse, subtests):
    with subtests.test("every word has a vector, the most frequent first"):
        said = " ".join(path.read_text() for path in themes.rglob("*.txt")).split()
        assert {row["word"]: row["count"] for row in vectors} == {word: said.count(word) for word in set(said)}
        order = [(-row["count"], row["word"]) for row in vectors]
        assert order == sorted(order)
        assert {len(row["vector"]) for row in vectors} == {8}

    with subtests.test("pairs are shown as the deck has them"):
        pairs = warehouse.read("training_pairs").to_pylist()
        first = [row for row in pairs if row["document_id"] == pairs[0]["document_id"]]
        words = first[0]["sentence"].split()
        assert words == (themes / first[0]["document_id"]).read_text().split()[: len(words)]
        assert [(row["centre"], row["context"]) for row in first if row["position"] < 2] == [
            (words[0], words[1]), (words[0], words[2]),
            (words[1], words[0]), (words[1], words[2]), (words[1], words[3]),
        ]  # fmt: skip

    with subtests.test("made again, they are the same bits"):
        heads = warehouse.heads()
        make("word_vectors", "training_pairs", word_vectors=SMALL)
        assert warehouse.heads() == heads

    result = make(*ANALOGY_TABLES, "word_map", word_map={"updates_per_word": 8})
    with subtests.test("a small corpus is said to be small"):
        checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
        told = checks["corpus_is_large_enough"]
        assert not told.passed
        assert told.metadata["words"].value < told.metadata["published_words"].value == 783_000_000

    with subtests.test("neighbours are those that a reader is given"):
        rows = warehouse.read("nearest_words").to_pylist()
        assert [row["word"] for row in rows] == [row["word"] for row in vectors]
        for row in rows[:3]:
            found = taproom.open().words.nearest(row["word"].upper(), 10)
            assert found == list(zip(row["neighbors"], row["similarities"], strict=True))

    with subtests.test("sections without a known question have no accuracy"):
        sections = warehouse.read("analogy_sections").to_pylist()
        assert sections[0]["section"] == "deck"
        assert {(row["known"], row["accuracy"]) for row in sections} == {(0, None)}

    with subtests.test("every word is on the map"):
        assert warehouse.read("word_map")["word"].to_pylist() == [row["word"] for row in vectors]

    with subtests.test("gensim gives the same words other vectors"):
        make("word_vectors", "training_pairs", word_vectors={**SMALL, "method": "gensim", "workers": 1})
        rows = warehouse.read("word_vectors").to_pylist()
        assert [row["word"] for row in rows] == [row["word"] for row in vectors]
        assert not any(row["vector"] == other["vector"] for row, other in zip(rows, vectors, strict=True))


def test_a_corpus_in_which_analogies_hold_is_solved(make, warehouse, tmp_path, change_rows, subtests):
    (tmp_path / "planted.txt").write_text("\n".join(planted_corpus(seed=0)))
    make("documents", documents={"source": "files", "path": str(tmp_path / "planted.txt")})
    given = {"dimensions": 24, "epochs": 6, "sample": 0.0, "step": 0.05}
    make("word_vectors", "training_pairs", word_vectors=given)
    make(*ANALOGY_TABLES)
    deck, *_ = warehouse.read("analogy_sections").to_pylist()
    assert (deck["section"], deck["known_share"]) == ("deck", 1.0)
    assert deck["accuracy"] >= 0.9
    assert taproom.open().words.analogy("man", "king", "woman", k=1)[0][0] == "queen"

    with subtests.test("answers to questions of a section that is not described are not published"):
        change_rows("assets.text.analogies", ANALOGY_SECTIONS, lambda rows: rows.slice(1))
        with pytest.raises(ContractError, match="break the rule 'section refers to section of analogy_sections'"):
            make(*ANALOGY_TABLES)
        assert (warehouse.head("analogy_sections"), warehouse.head("analogies")) == (1, 0)


@pytest.mark.usefixtures("warehouse")
def test_before_any_vectors_the_table_is_missed():
    with pytest.raises(UnknownTableError, match="word_vectors"):
        taproom.open().words.nearest("lemon")


def test_a_corpus_whose_words_are_all_rare_is_refused(themes, make, warehouse):
    with pytest.raises(InputError, match="1000"):
        make("word_vectors", "training_pairs", word_vectors={"min_count": 1_000})
    assert warehouse.head("word_vectors") is None


@pytest.mark.parametrize(("known", "passed"), [([3, 2], True), ([3, 1], False), ([0, 0], False)])
def test_an_accuracy_on_few_of_the_questions_is_warned_of(known, passed):
    rows = [{"section": str(place), "questions": 5, "known": count} for place, count in enumerate(known)]
    result = most_questions_are_known(pa.Table.from_pylist(rows, ANALOGY_SECTIONS.schema))
    assert result.passed is passed
    assert result.metadata["known_share"].value == sum(known) / 10


@pytest.mark.parametrize(
    ("neighbors", "passed"), [([["b"], ["a"], ["d"], ["a"]], True), ([["d"], ["d"], ["d"], ["a"]], False)]
)
def test_a_word_that_is_near_most_others_is_warned_of(neighbors, passed):
    rows = [{"word": word, "neighbors": near} for word, near in zip("abcd", neighbors, strict=True)]
    result = no_word_is_near_most(pa.Table.from_pylist(rows, NEAREST_WORDS.schema))
    assert result.passed is passed
    assert result.metadata["word"].value == ("a" if passed else "d")


@pytest.mark.parametrize(("documents", "passed"), [("aabbcc", True), ("aabb", False), ("", False)])
def test_fewer_sentences_than_are_to_be_shown_are_warned_of(documents, passed):
    rows = [{"document_id": document, "position": place} for place, document in enumerate(documents)]
    result = sentences_are_shown(pa.Table.from_pylist(rows, TRAINING_PAIRS.schema))
    assert result.passed is passed
    assert result.metadata["pairs"].value == len(documents)
