"""Attributes of items to colour the map by, compared with the reviews that they are of."""

import numpy as np
import pyarrow as pa
import pytest

from taproom.pages import item_attributes
from tests.shown_reviews import BREWERS, publish_reviews
from tests.shown_tables import unpacked

ITEMS = 60
IDS = pa.array([f"beer_{item:05d}" for item in range(ITEMS)][::-1])


@pytest.fixture
def found(warehouse):
    publish_reviews(warehouse, ITEMS)
    return {each["name"]: each for each in item_attributes.item_attributes(warehouse, None, IDS)}


def test_attributes_that_few_items_share_are_left_out(found):
    assert sorted(found) == ["brewer", "strength", "taste"]


def test_texts_are_groups_of_the_most_frequent_value(found):
    groups = unpacked(found["brewer"]["groups"])
    assert [found["brewer"]["names"][group] for group in groups] == [
        BREWERS[item % 3] for item in reversed(range(ITEMS))
    ]


def test_numbers_are_cut_into_steps_of_equally_many_items(found):
    groups, ends = unpacked(found["strength"]["groups"]), found["strength"]["ends"]
    strengths = 4 + np.arange(ITEMS)[::-1] % 10 / 2
    assert (ends[0], ends[-1]) == (4, 8.5)
    assert all(ends[group] <= strength <= ends[group + 1] for group, strength in zip(groups, strengths, strict=True))
    assert np.ptp(np.bincount(groups)) <= ITEMS // 10  # as equal as ties allow
    assert found["taste"]["ends"] == [0, 1, 2, 3, 3]  # means of sub-scores


def test_an_item_without_reviews_is_in_no_group(warehouse, found):
    ids = pa.array(["unknown", *IDS.to_pylist()])
    (brewer, *_) = item_attributes.item_attributes(warehouse, None, ids)
    assert unpacked(brewer["groups"])[0] == 255


def test_of_too_many_reviews_there_is_nothing(warehouse, found, monkeypatch):
    monkeypatch.setattr(item_attributes, "REVIEWS", 2 * ITEMS - 1)
    assert item_attributes.item_attributes(warehouse, None, IDS) == []


def test_without_reviews_there_is_nothing(warehouse):
    assert item_attributes.item_attributes(warehouse, None, IDS) == []
