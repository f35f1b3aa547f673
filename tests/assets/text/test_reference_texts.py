import pyarrow as pa
import pytest

from assets.text.reference_texts import CONTRACT, few_short_entries
from taproom.sources.fetching import read_sources
from tests.reference_files import summaries_wheel, wordnet_package
from tests.served_sources import served_sources

SMALL = {"dimensions": 4, "min_count": 1, "epochs": 1}


@pytest.fixture
def reference_works(tmp_path):
    members = [f"package/dict/data.{part}" for part in ("noun", "verb", "adj", "adv")]
    assert read_sources()["wordnet"].members == tuple(members)
    archives = {
        "wordnet": (wordnet_package(), members), "wikipedia_summaries": (summaries_wheel(), ["summaries.json"]),
    }  # fmt: skip
    with served_sources(tmp_path, archives):
        yield


@pytest.mark.usefixtures("reference_works")
def test_entries_are_those_of_a_dictionary_and_an_encyclopedia(make, warehouse):
    make("reference_texts")
    first, *_, last = rows = warehouse.read("reference_texts").to_pylist()
    assert len(rows) == 8
    assert (first["entry_id"], first["label"]) == ("00000001-n", "noun.food")
    assert (last["entry_id"], last["label"]) == ("Hop", "Biology")


@pytest.mark.usefixtures("reference_works")
def test_word_vectors_are_trained_on_the_documents_and_the_entries(themes, make, warehouse, subtests):
    def counts():
        make("word_vectors", "training_pairs", word_vectors=SMALL)
        vectors = warehouse.read("word_vectors")
        return dict(zip(vectors["word"].to_pylist(), vectors["count"].to_pylist(), strict=True))

    of_documents = counts()
    pairs = warehouse.head("training_pairs")
    make("reference_texts")
    of_both = counts()
    assert of_both.keys() > of_documents.keys()
    assert all(count >= of_documents.get(word, 0) for word, count in of_both.items())
    assert warehouse.head("training_pairs") == pairs, "pairs of the documents are shown"

    with subtests.test("without entries, they are those of the documents again"):
        make("reference_texts", reference_texts={"source": "none"})
        assert warehouse.read("reference_texts").num_rows == 0
        assert counts() == of_documents


@pytest.mark.parametrize(
    ("texts", "passed"),
    [
        ([], True),
        (["beer: a drink of malt and hops"] * 99 + ["beer"], True),
        (["beer"] * 2 + ["a b c d e"] * 98, False),
    ],
)
def test_entries_that_have_lost_their_definitions_are_warned_of(texts, passed):
    rows = [{"entry_id": str(place), "label": "noun.food", "text": text} for place, text in enumerate(texts)]
    result = few_short_entries(pa.Table.from_pylist(rows, CONTRACT.schema))
    assert result.passed is passed
    assert result.metadata["short_share"].value == (sum(text == "beer" for text in texts) / max(len(texts), 1))
