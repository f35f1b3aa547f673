"""The vectors of the page of words, compared with the table."""

import numpy as np
import pytest

from taproom.errors import UnknownTableError
from taproom.pages.word_vectors_data import word_vectors_data
from tests.shown_tables import publish_words, unpacked
from tests.shown_texts import publish_vectors


def test_vectors_have_the_directions_of_the_table(warehouse):
    publish_words(warehouse)
    publish_vectors(warehouse)
    data, rows = word_vectors_data(warehouse), warehouse.read("word_vectors").to_pandas()
    assert data["words"] == rows.word.tolist()
    found, wanted = unpacked(data["vectors"]).reshape(len(rows), data["dimensions"]), np.stack(rows.vector)
    found, wanted = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (found.astype(float), wanted))
    np.testing.assert_allclose((found * wanted).sum(axis=1), 1, atol=1e-4)


def test_of_too_many_words_the_most_frequent_have_vectors(warehouse):
    publish_words(warehouse)
    publish_vectors(warehouse)
    all_words, few = word_vectors_data(warehouse), word_vectors_data(warehouse, limit=85)
    assert few["words"] == all_words["words"][:10]
    assert few["count"] == len(all_words["words"])


def test_without_tables_there_is_an_error(warehouse):
    with pytest.raises(UnknownTableError):
        word_vectors_data(warehouse)
