"""The data of the page of words, compared with the tables that they are of."""

import numpy as np
import pytest

from taproom.pages.words_data import NEAREST, words_data
from tests.shown_tables import publish_words, unpacked


@pytest.fixture
def data(warehouse):
    publish_words(warehouse)
    return words_data(warehouse)


def test_words_have_their_positions_counts_and_nearest_words(warehouse, data):
    shown = data["map"]
    rows = warehouse.read("word_map").to_pandas()
    assert shown["words"][: len(rows)] == rows.word.tolist()
    assert unpacked(shown["counts"]).tolist() == rows["count"].tolist()
    np.testing.assert_array_equal(unpacked(shown["flat"]).reshape(-1, 2), rows[["x", "y"]].to_numpy(np.float32))
    places = unpacked(shown["nearest"]).reshape(len(rows), NEAREST)
    named = [[shown["words"][place] for place in row if place < 255] for row in places]
    assert named == [list(row) for row in warehouse.read("nearest_words").to_pandas().neighbors]
    similarities = unpacked(shown["similarities"]).reshape(len(rows), NEAREST)
    np.testing.assert_allclose(similarities[:, :6], np.tile(np.linspace(0.9, 0.1, 6), (len(rows), 1)), atol=1e-5)


def test_topics_have_their_words_heaviest_first(data):
    first, second = data["topics"]
    assert (first["words"][1], first["weights"]) == ("car", [0.8, 0.6])
    assert (second["words"], second["npmi"]) == (["engine"], None)


def test_of_too_many_words_the_most_frequent_are_shown(warehouse, data):
    few = words_data(warehouse, limit=5)["map"]
    assert few["count"] == data["map"]["count"]
    assert few["words"][:5] == data["map"]["words"][:5]
    assert len(unpacked(few["counts"])) == 5


def test_without_tables_there_is_nothing(warehouse):
    assert words_data(warehouse) == {"map": None, "topics": []}
