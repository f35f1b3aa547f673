"""The data of the map's page, compared with the tables that they are of."""

import numpy as np
import pytest

from assets.reviews.item_map import ITEM_MAP
from taproom.errors import UnknownTableError
from taproom.pages.item_map_data import NEIGHBORS, STEPS, WORDS, item_map_data
from taproom.pages.tables import LONGEST_CELL
from taproom.warehouse.publishing import Origin
from tests.shown_reviews import NEW_ITEMS, publish_moves
from tests.shown_tables import publish_map, unpacked, unpacked_varints

ITEMS = 40


@pytest.fixture
def data(warehouse):
    publish_map(warehouse, ITEMS)
    return item_map_data(warehouse)


def test_items_are_in_descending_order_of_reviews(warehouse, data):
    reviews = unpacked_varints(data["reviews"])
    assert reviews.tolist() == sorted(reviews, reverse=True)
    items = warehouse.read("items").to_pandas().set_index("item_id").loc[data["item_ids"]]
    assert [name[:LONGEST_CELL] for name in items.item_name] == data["names"]
    assert reviews.tolist() == items.reviews.tolist()
    np.testing.assert_array_equal(unpacked(data["score"]), items.mean_overall.to_numpy(np.float32))


def test_categories_are_those_of_most_items_first(warehouse, data):
    codes = unpacked(data["category"])
    counts = np.bincount(codes[codes < 255])
    assert counts.tolist() == sorted(counts, reverse=True)
    items = warehouse.read("items").to_pandas().set_index("item_id").loc[data["item_ids"]]
    shown = [None if code == 255 else data["categories"][code] for code in codes]
    assert shown == [None if category != category else category for category in items.category]


def test_positions_are_those_of_the_map(warehouse, data):
    rows = warehouse.read("item_map").to_pandas()
    for dimension, name, axes in ((2, "flat", "xy"), (3, "space", "xyz")):
        wanted = rows[rows.dimension == dimension].set_index("item_id").loc[data["item_ids"], list(axes)]
        np.testing.assert_array_equal(unpacked(data[name]).reshape(-1, dimension), wanted.to_numpy(np.float32))


def test_nearest_items_are_those_of_neighbors(warehouse, data):
    rows = warehouse.read("neighbors").to_pandas().set_index("item_id").loc[data["item_ids"]]
    nearest = unpacked(data["nearest"]).reshape(ITEMS, NEIGHBORS)
    named = [[data["item_ids"][place] for place in row] for row in nearest]
    assert named == [list(row[:NEIGHBORS]) for row in rows.neighbor_ids]
    distances = np.stack([row[:NEIGHBORS] for row in rows.distances])
    np.testing.assert_allclose(unpacked(data["distances"]).reshape(ITEMS, NEIGHBORS), distances, atol=2e-5)


def test_words_are_the_most_weighted(warehouse, data):
    vocabulary = warehouse.read("vocabulary")["word"].to_pylist()
    rows = warehouse.read("tfidf").to_pandas().set_index("item_id").loc[data["item_ids"]]
    words = unpacked(data["words"]).reshape(ITEMS, WORDS)
    weights = unpacked(data["weights"]).reshape(ITEMS, WORDS) / 255 * unpacked(data["largest_weight"])[:, None]
    for row, places, shown in zip(rows.itertuples(), words, weights, strict=True):
        order = np.argsort(-row.weights, kind="stable")[:WORDS]
        assert [data["vocabulary"][place] for place in places] == [vocabulary[term] for term in row.term_ids[order]]
        np.testing.assert_allclose(shown, row.weights[order], atol=0.003)


def test_of_too_many_items_those_with_the_most_reviews_are_shown(warehouse, data):
    few = item_map_data(warehouse, limit=10)
    assert few["count"] == data["count"] == ITEMS
    assert few["item_ids"] == data["item_ids"][:10]
    nearest = unpacked(few["nearest"])
    assert set(nearest.tolist()) <= {*range(10), 255}


def test_tables_are_read_in_the_versions_that_the_map_was_made_from(warehouse, data):
    older = warehouse.read("item_map")
    publish_map(warehouse, ITEMS, seed=1)
    # another map of the first versions, which is the newest again
    origin = Origin(inputs=dict.fromkeys(("items", "neighbors", "tfidf", "vocabulary"), 0))
    warehouse.publish(ITEM_MAP, older, since=1, origin=origin)
    assert {**item_map_data(warehouse), "version": 0} == data


def test_positions_on_the_map_before_are_those_of_map_moves(warehouse, data):
    assert "before" not in data  # on a first map
    publish_moves(warehouse)
    moved = item_map_data(warehouse)
    steps = unpacked(moved["before"]).reshape(-1, 2).astype(float)
    is_new = steps[:, 0] == 65_535
    assert [moved["item_ids"][index] for index in np.flatnonzero(is_new)] == [
        f"beer_{item:05d}" for item in range(ITEMS - NEW_ITEMS, ITEMS)
    ]
    before = (steps / STEPS * 2 - 1) * moved["before_radius"]
    wanted = unpacked(moved["flat"]).reshape(-1, 2) + np.array([0.3, -0.4])
    np.testing.assert_allclose(before[~is_new], wanted[~is_new], atol=1e-4)


def test_moves_of_another_map_are_left_out(warehouse, data):
    publish_moves(warehouse)
    publish_map(warehouse, ITEMS, seed=1)
    assert "before" not in item_map_data(warehouse)


def test_without_a_map_there_is_an_error(warehouse):
    with pytest.raises(UnknownTableError):
        item_map_data(warehouse)
