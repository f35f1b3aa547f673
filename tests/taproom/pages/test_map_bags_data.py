"""What the page places texts with, compared with the tables that it is of."""

import numpy as np
import pytest

from assets.reviews.item_map import ITEM_MAP
from assets.reviews.tfidf import TFIDF
from taproom.errors import InputError
from taproom.pages.item_map_data import item_map_data
from taproom.pages.map_bags_data import map_bags_data
from taproom.warehouse.publishing import Origin
from tests.shown_tables import publish, publish_map, unpacked, unpacked_varints

ITEMS = 40


@pytest.fixture
def made(warehouse):
    publish_map(warehouse, ITEMS)
    return warehouse


def weights_of(data) -> np.ndarray:
    """The weights (items, words) that the page has, items in the order of the page."""
    frequency = unpacked_varints(data["document_frequency"])
    numbers = iter(unpacked_varints(data["postings"]).tolist())
    lengths = unpacked(data["words_of_item"])
    weights = np.zeros((len(lengths), len(frequency)))
    for word, items in enumerate(frequency):
        item = -1
        for _ in range(items):
            number = next(numbers)
            item += number // 2
            count = next(numbers) if number % 2 else 1
            weights[item, word] = count / lengths[item] * np.log(data["documents"] / items)
    assert next(numbers, None) is None
    return weights


def test_counts_give_the_weights_of_tfidf(made):
    data = map_bags_data(made)
    rows = made.read("tfidf").to_pandas().set_index("item_id").loc[item_map_data(made)["item_ids"]]
    wanted = np.zeros((ITEMS, len(data["words"])))
    for item, row in enumerate(rows.itertuples()):
        wanted[item, row.term_ids] = row.weights
    np.testing.assert_allclose(weights_of(data), wanted, rtol=1e-12)
    assert data["words"] == made.read("vocabulary")["word"].to_pylist()


def test_items_are_in_order_of_their_ids(made):
    data, ids = map_bags_data(made), item_map_data(made)["item_ids"]
    assert [ids[item] for item in unpacked(data["by_id"])] == sorted(ids)
    assert sorted(unpacked(data["far"])) == list(range(ITEMS))  # of so few, all


def test_of_too_large_a_map_there_is_the_reason(made):
    data = map_bags_data(made, limit=599)
    assert list(data) == ["unavailable"]
    assert "40 items with 600 weights" in data["unavailable"]


def test_weights_of_no_counts_are_refused(made):
    rows = made.read("tfidf").to_pydict()
    rows["weights"] = [[weight * 1.1 for weight in weights] for weights in rows["weights"]]
    publish(made, TFIDF, rows)
    inputs = {name: made.head(name) for name in ("items", "neighbors", "tfidf", "vocabulary")}
    made.publish(ITEM_MAP, made.read("item_map"), since=0, origin=Origin(inputs=inputs), always_commit=True)
    with pytest.raises(InputError, match="whole counts"):
        map_bags_data(made)
