"""The documents of each topic, compared with the mixtures that they are chosen by."""

from taproom.pages.typical_documents import CHARACTERS, typical_documents
from tests.shown_tables import HOSTILE
from tests.shown_texts import DOCUMENT_COUNT, publish_documents


def test_documents_have_the_largest_shares_and_are_not_too_short(warehouse):
    publish_documents(warehouse)
    found = typical_documents(warehouse, None)
    assert sorted(found) == [("tfidf", 0), ("tfidf", 1)]
    last = DOCUMENT_COUNT - 1
    assert [round(row["share"] * last) for row in found["tfidf", 0]] == [last - 1, last - 2, last - 3]
    assert [round(row["share"] * last) for row in found["tfidf", 1]] == [last, last - 1, last - 2]
    first, second, _ = found["tfidf", 0]
    assert (first["label"], second["label"]) == (None, HOSTILE[1])
    assert first["start"].startswith(f"{HOSTILE[0]} document 1 car car")  # blanks in a row are one
    assert len(first["start"]) <= CHARACTERS + 4


def test_without_tables_there_is_nothing(warehouse):
    assert typical_documents(warehouse, None) == {}
