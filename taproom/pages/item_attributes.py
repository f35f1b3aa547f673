"""Attributes and sub-scores of items, from their reviews, in a few groups to colour the map by."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import UnknownTableError
from taproom.pages.scripts import packed_indices
from taproom.pages.tables import LONGEST_CELL, inputs_of
from taproom.warehouse.warehouse import Warehouse

ATTRIBUTES = 5
GROUPS = 8  # with a colour each
STEPS = 6
REVIEWS = 500_000  # read in 3 s
LEAST_SHARE = 0.2


def item_attributes(warehouse: Warehouse, items_version: int | None, item_ids: pa.Array) -> list[dict[str, Any]]:
    """The attributes and sub-scores that most items have, at most `ATTRIBUTES`.

    The value of an item is the most frequent one of an attribute in its reviews (ties: the first in the alphabet), or
    the mean of a sub-score. Numbers are cut into steps of equally many items. An attribute of texts is left out if its
    `GROUPS` most frequent values are those of less than a fifth of the items, as names and ids are.

    Args:
        warehouse: where the table `reviews` is.
        items_version: version of `items`, which recorded the version of `reviews` that it was made from.
        item_ids: (items,) the items of the map.

    Returns:
        For each its `name`, and the `groups` of the items, -1 for none, packed. Numbers have `ends`, where the steps
        begin and the last one ends; texts the `names` of the groups. Nothing, if there are more than `REVIEWS` reviews
        or the reviews are gone.

    Raises:
        DamagedFileError: the table is damaged.
    """
    try:
        version = inputs_of(warehouse, "items", items_version).get("reviews")
        if sum(file.rows for file in warehouse.files("reviews", version)) > REVIEWS:
            return []
        reviews = warehouse.read("reviews", version, columns=["item_id", "attributes", "scores"])
    except UnknownTableError:
        return []
    items = pc.index_in(reviews["item_id"], value_set=item_ids).combine_chunks()
    texts = _entries(items, reviews["attributes"].combine_chunks())
    scores = _entries(items, reviews["scores"].combine_chunks())
    found = {**_by_name(_most_frequent(texts)), **_by_name(_means(scores))}
    most_items_first = sorted(found, key=lambda name: (-len(found[name]), name))
    grouped = (_grouped(name, found[name], len(item_ids)) for name in most_items_first)
    return [each for each in grouped if each is not None][:ATTRIBUTES]


def _entries(items: pa.Array, maps: pa.MapArray) -> pa.Table:
    """The entries of the map of each review of an item, as rows (name, item, value), without missing values."""
    offsets = maps.offsets.to_numpy()
    entries = slice(offsets[0], offsets[-1])
    of_review = np.repeat(np.arange(len(maps)), np.diff(offsets))
    columns = {"name": maps.keys[entries], "item": items.take(pa.array(of_review)), "value": maps.items[entries]}
    return pa.table(columns).drop_null()


def _most_frequent(entries: pa.Table) -> pa.Table:
    counted = entries.group_by(["name", "item", "value"]).aggregate([([], "count_all")])
    order = [("name", "ascending"), ("item", "ascending"), ("count_all", "descending"), ("value", "ascending")]
    rows = counted.sort_by(order)
    names, items = rows["name"].combine_chunks().dictionary_encode().indices.to_numpy(), rows["item"].to_numpy()
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (np.diff(names) != 0) | (np.diff(items) != 0)
    return rows.filter(pa.array(is_first))


def _means(entries: pa.Table) -> pa.Table:
    means = entries.group_by(["name", "item"]).aggregate([("value", "mean")])
    return means.rename_columns({"value_mean": "value"}).sort_by([("name", "ascending"), ("item", "ascending")])


def _by_name(rows: pa.Table) -> dict[str, pa.Table]:
    return {name: rows.filter(pc.equal(rows["name"], name)) for name in rows["name"].unique().to_pylist()}


def _grouped(name: str, rows: pa.Table, items: int) -> dict[str, Any] | None:
    """An attribute of the items in groups; None if it has one value only, or texts that few items share."""
    groups = np.full(items, -1, np.int64)
    numbers = _as_numbers(rows["value"])
    if numbers is not None:
        ends = _ends(numbers)
        if ends[0] == ends[-1]:
            return None
        groups[rows["item"].to_numpy()] = np.searchsorted(ends[1:-1], numbers, side="right")
        return {"name": name[:LONGEST_CELL], "ends": ends.tolist(), "groups": packed_indices(groups)}
    counted = rows.group_by("value").aggregate([([], "count_all")])
    frequent = counted.sort_by([("count_all", "descending"), ("value", "ascending")]).slice(0, GROUPS)
    if len(counted) < 2 or pc.sum(frequent["count_all"]).as_py() < LEAST_SHARE * len(rows):
        return None
    places = pc.fill_null(pc.index_in(rows["value"], value_set=frequent["value"].combine_chunks()), -1)
    groups[rows["item"].to_numpy()] = places.to_numpy()
    names = [value[:LONGEST_CELL] for value in frequent["value"].to_pylist()]
    return {"name": name[:LONGEST_CELL], "names": names, "groups": packed_indices(groups)}


def _as_numbers(values: pa.ChunkedArray) -> np.ndarray | None:
    """The values, if all of them are finite numbers."""
    try:
        numbers = pc.cast(values, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _ends(numbers: np.ndarray) -> np.ndarray:
    """Where steps of about equally many numbers begin, and the largest number.

    >>> _ends(np.array([5.0, 4, 4, 4, 6, 7, 8])).tolist()
    [4.0, 5.0, 6.0, 7.0, 8.0]
    """
    ascending = np.sort(numbers)
    limits = np.unique(ascending[np.arange(1, STEPS) * len(ascending) // STEPS])
    return np.concatenate([ascending[:1], limits[limits > ascending[0]], ascending[-1:]])
