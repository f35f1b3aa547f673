"""The terms of topics, compared with the tables."""

import numpy as np
import pytest

from taproom.errors import UnknownTableError
from taproom.pages.topic_terms_data import topic_terms_data
from tests.shown_tables import publish_words, unpacked, unpacked_varints


def test_topics_have_their_terms_and_weights(warehouse):
    publish_words(warehouse)
    data, rows = topic_terms_data(warehouse), warehouse.read("topics").to_pylist()
    gaps = np.split(unpacked_varints(data["gaps"]), np.cumsum(data["terms_of_topic"])[:-1])
    steps = np.split(unpacked(data["weights"]), np.cumsum(data["terms_of_topic"])[:-1])
    for row, gap, step, largest in zip(rows, gaps, steps, data["largest"], strict=True):
        assert np.cumsum(gap).tolist() == row["term_ids"]
        np.testing.assert_allclose(step / 65_535 * largest, row["weights"], atol=1e-5)
    frequency = unpacked_varints(data["document_frequency"])
    np.testing.assert_allclose(np.log(data["documents"] / frequency), warehouse.read("terms")["idf"].to_numpy())


def test_of_too_many_weights_there_is_the_reason(warehouse):
    publish_words(warehouse)
    assert "These topics have 3 weights" in topic_terms_data(warehouse, limit=2)["unavailable"]


def test_without_tables_there_is_an_error(warehouse):
    with pytest.raises(UnknownTableError):
        topic_terms_data(warehouse)
