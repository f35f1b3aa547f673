import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import taproom
from assets.text.topics import DOCUMENT_TOPICS, no_topic_dominates
from taproom.errors import InputError, UnknownTableError


@pytest.fixture
def topics(themes, make, made_once, warehouse):
    assert made_once(lambda: make("topics", "document_topics", topics={"topics": 4})).success
    return warehouse.read("topics").to_pylist()


def test_planted_themes_are_the_topics_of_either_weighting(topics, themes, make, warehouse, subtests):
    words = warehouse.read("terms")["word"].to_pylist()
    documents = warehouse.read("document_topics")
    for weighting in ("tfidf", "bag_of_words"):
        rows = [row for row in topics if row["weighting"] == weighting]
        of_it = documents.filter(pc.equal(documents["weighting"], weighting)).to_pylist()
        with subtests.test("each theme is a topic", weighting=weighting):
            assert len(of_it) == 80
            assert len({(row["label"], row["topic"]) for row in of_it}) == 4
        with subtests.test("the largest topic is the first", weighting=weighting):
            shares = [row["share"] for row in rows]
            assert [row["topic"] for row in rows] == [0, 1, 2, 3]
            assert sum(shares) == pytest.approx(1)
            assert shares == sorted(shares, reverse=True)
        with subtests.test("weights have length 1, and the heaviest words are told", weighting=weighting):
            for row in rows:
                assert np.linalg.norm(row["weights"]) == pytest.approx(1)
                heaviest = sorted(zip(row["weights"], row["term_ids"], strict=True), key=lambda pair: -pair[0])
                assert row["top_words"] == [words[term] for _, term in heaviest[:10]]

    with subtests.test("a text gets the bits of its row"):
        rows = [row for row in documents.to_pylist() if row["weighting"] == "tfidf"]
        for row in rows[::20]:
            found = taproom.open().topics.of((themes / row["document_id"]).read_text())
            assert {share.topic: share.share for share in found.topics} == {
                topic: share for topic, share in enumerate(row["mixture"]) if share > 0
            }

    with subtests.test("a new text is told with its topics' words"):
        about = taproom.open().topics.of("Lemon, tart and zzz!")
        assert f"<td>{about.topics[0].share:.0%}</td>" in about._repr_html_()
        assert set(about.topics[0].top_words) >= {"lemon", "tart"}
        assert (about.words, about.unknown_words) == (("lemon", "tart"), ("and", "zzz"))
        assert taproom.open().topics.of("lemon", "bag_of_words").topics[0].share == pytest.approx(1, abs=0.2)

    for text, told in [("zzz", "None of the 1 words"), ("!", "has no word"), (3, "one string")]:
        with (
            subtests.test("a text that topics know nothing of is refused", text=text),
            pytest.raises(InputError, match=told),
        ):
            taproom.open().topics.of(text)

    with subtests.test("a weighting that there is not is refused"), pytest.raises(InputError, match="'tfidf'"):
        taproom.open().topics.of("lemon", "tf-idf")

    with subtests.test("made again, they are the same"):
        heads = warehouse.heads()
        make("topics", "document_topics", topics={"topics": 4})
        assert warehouse.heads() == heads


@pytest.mark.usefixtures("warehouse")
def test_before_any_topics_the_table_is_missed():
    with pytest.raises(UnknownTableError, match="topics"):
        taproom.open().topics.of("lemon")


def test_more_topics_than_the_corpus_has_are_refused_and_the_old_ones_stay(topics, make, warehouse):
    with pytest.raises(InputError, match="rank"):
        make("topics", "document_topics", topics={"topics": 60})
    assert len(warehouse.read("topics")) == 8


def test_documents_without_a_known_word_have_no_topic(themes, make, warehouse):
    (themes / "odd.txt").write_text("zzz")
    make("documents", documents={"source": "files", "path": str(themes)})
    make("terms", "bag_of_words", bag_of_words={"min_document_frequency": 2, "max_document_share": 0.5})
    make("topics", "document_topics", topics={"topics": 4})
    odd = [row for row in warehouse.read("document_topics").to_pylist() if row["document_id"] == "odd.txt"]
    assert [(row["topic"], row["mixture"]) for row in odd] == [(None, None)] * 2


@pytest.mark.parametrize(("topics", "share"), [([0, 0, 1, None], 0.5), ([0, 0, 0, 1], 0.75), ([None], 0.0)])
def test_a_topic_of_most_documents_is_warned_of(topics, share):
    rows = [
        {"weighting": weighting, "document_id": str(place), "split": "test", "topic": topic}
        for weighting, all_topics in (("tfidf", topics), ("bag_of_words", [0] * 9))
        for place, topic in enumerate(all_topics)
    ]
    result = no_topic_dominates(pa.Table.from_pylist(rows, DOCUMENT_TOPICS.schema))
    assert result.passed is (share <= 0.5)
    assert result.metadata["largest_share"].value == share
    assert result.metadata["documents_without_topic"].value == topics.count(None)
