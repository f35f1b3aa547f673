"""The data of the map's page: items with positions, categories, scores, nearest items and most weighted words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import UnknownTableError
from taproom.maps.item_map import positions_on
from taproom.pages.item_attributes import item_attributes
from taproom.pages.scripts import packed, packed_fractions, packed_indices, packed_varints
from taproom.pages.tables import LONGEST_CELL, inputs_of
from taproom.warehouse.warehouse import Warehouse

ITEMS = 100_000
NEIGHBORS = 10
WORDS = 12
STEPS = 2**16 - 2
LARGEST_DISTANCE = 2.0  # of the cosine distance


@dataclass(frozen=True)
class ShownItems:
    """The items that the page shows, in the order of the page.

    Attributes:
        version: of `item_map`.
        inputs: versions of the tables that it was made from.
        count: number of items on the map.
        item_ids: those that are shown, (items,) strings.
        about: their rows of `items`.
        names: (items,) strings.
        positions: by dimension, (items, dimension) float64.
    """

    version: int | None
    inputs: Mapping[str, int]
    count: int
    item_ids: pa.Array
    about: pa.Table
    names: list[str]
    positions: dict[int, np.ndarray]


def shown_items(warehouse: Warehouse, limit: int = ITEMS) -> ShownItems:
    """The items of the newest map, in descending order of their number of reviews; of more than `limit`, the first.

    That is the order that they are labelled in. Items with as many reviews are in the order of the map.

    Raises:
        UnknownTableError: there is no map, or a table that it was made from is gone.
        DamagedFileError: a table is damaged.
    """
    version = warehouse.head("item_map")
    inputs = inputs_of(warehouse, "item_map", version)
    item_map = warehouse.read("item_map", version)
    flat = item_map.filter(pc.equal(item_map["dimension"], 2))
    about = warehouse.read("items", inputs.get("items"))
    about = about.take(pc.index_in(flat["item_id"], value_set=about["item_id"].combine_chunks()))
    order = pa.array(np.lexsort((np.arange(len(about)), -about["reviews"].to_numpy()))[:limit])
    item_ids = flat["item_id"].combine_chunks().take(order)
    return ShownItems(
        version,
        inputs,
        len(flat),
        item_ids,
        about.take(order),
        [name[:LONGEST_CELL] for name in flat["item_name"].take(order).to_pylist()],
        {dimension: positions_on(item_map, pa.chunked_array([item_ids]), dimension) for dimension in (2, 3)},
    )


def item_map_data(warehouse: Warehouse, limit: int = ITEMS) -> dict[str, Any]:
    """What the page of the map shows, from the newest `item_map` and the versions of tables that it was made from.

    Raises:
        UnknownTableError: there is no map, or a table that it was made from is gone.
        DamagedFileError: a table is damaged.
    """
    shown = shown_items(warehouse, limit)
    names, codes = _categories(shown.about["category"].to_pylist())
    return {
        "count": shown.count,
        "version": shown.version,
        "item_ids": shown.item_ids.to_pylist(),
        "names": shown.names,
        "categories": names,
        "category": packed_indices(codes),
        "reviews": packed_varints(shown.about["reviews"].to_numpy()),
        "attributes": item_attributes(warehouse, shown.inputs.get("items"), shown.item_ids),
        "score": packed(pc.fill_null(shown.about["mean_overall"], np.nan).to_numpy().astype(np.float32)),
        "flat": packed(shown.positions[2].astype(np.float32)),
        "space": packed(shown.positions[3].astype(np.float32)),
        **_before(warehouse, shown),
        **_nearest(warehouse, shown.inputs, shown.item_ids),
        **_words(warehouse, shown.inputs, shown.item_ids),
    }


def _categories(categories: list[str | None]) -> tuple[list[str], np.ndarray]:
    """The categories, those of the most items first, and the place of each item's among them, -1 for none.

    The first eight get a colour of their own, as in the figures.
    """
    counts: dict[str, int] = {}
    for category in categories:
        if category is not None:
            counts[category] = counts.get(category, 0) + 1
    names = sorted(counts, key=lambda name: -counts[name])  # stable, as in the figure
    places = {name: place for place, name in enumerate(names)}
    codes = np.array([-1 if category is None else places[category] for category in categories], np.int64)
    return [name[:LONGEST_CELL] for name in names], codes


def _before(warehouse: Warehouse, shown: ShownItems) -> dict[str, Any]:
    """Where the items were on the map before in two dimensions, in `STEPS` from -radius to radius; -1 for new items.

    Nothing on a first map, and if `map_moves` is not of this map: the distances must be those between the positions.
    """
    try:
        moves = warehouse.read("map_moves")
    except UnknownTableError:
        return {}
    before = positions_on(moves, pa.chunked_array([shown.item_ids]), 2)
    was_there = ~np.isnan(before[:, 0])
    flat = moves.filter(pc.equal(moves["dimension"], 2))
    rows = pc.index_in(shown.item_ids.filter(pa.array(was_there)), value_set=flat["item_id"].combine_chunks())
    distances = np.linalg.norm(shown.positions[2] - before, axis=1)[was_there]
    if not was_there.any() or not np.allclose(distances, flat["moved"].take(rows).to_numpy()):
        return {}
    radius = float(np.nanmax(np.abs(before)))
    steps = np.rint((before / max(radius, np.finfo(float).tiny) + 1) * STEPS / 2)
    return {"before": packed_indices(np.where(np.isnan(steps), -1, steps).astype(np.int64)), "before_radius": radius}


def _nearest(warehouse: Warehouse, inputs: Mapping[str, int], item_ids: pa.Array) -> dict[str, Any]:
    """The nearest items of each one, as places in `item_ids`, and their distances; both (items, NEIGHBORS)."""
    nearest = np.full((len(item_ids), NEIGHBORS), -1, np.int64)
    distances = np.zeros((len(item_ids), NEIGHBORS))
    for batch in warehouse.stream("neighbors", inputs.get("neighbors")):
        of_batch = pc.index_in(batch["item_id"], value_set=item_ids)
        batch, rows = batch.filter(pc.is_valid(of_batch)), of_batch.drop_null().to_numpy()
        first = {name: pc.list_slice(batch[name], 0, NEIGHBORS) for name in ("neighbor_ids", "distances")}
        lengths = pc.list_value_length(first["neighbor_ids"]).to_numpy()
        ranks = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        # one look-up for all: each call makes a hash table of all items
        places = pc.fill_null(pc.index_in(first["neighbor_ids"].flatten(), value_set=item_ids), -1).to_numpy()
        of_row = np.repeat(rows, lengths)
        nearest[of_row, ranks] = places
        distances[of_row, ranks] = first["distances"].flatten().to_numpy()
    return {"nearest": packed_indices(nearest), "distances": packed_fractions(distances, LARGEST_DISTANCE)}


def _words(warehouse: Warehouse, inputs: Mapping[str, int], item_ids: pa.Array) -> dict[str, Any]:
    """The most weighted words of each item, as places in a list of words, and their weights relative to the largest."""
    heaviest = np.full((len(item_ids), WORDS), -1, np.int64)
    weights = np.zeros((len(item_ids), WORDS))
    for row, terms, values in _weighted_words(warehouse, inputs, item_ids):
        top = np.argsort(-values, kind="stable")[:WORDS]
        heaviest[row, : len(top)], weights[row, : len(top)] = terms[top], values[top]
    used = np.unique(heaviest[heaviest >= 0])
    vocabulary = warehouse.read("vocabulary", inputs.get("vocabulary"), columns=["word"])["word"]
    places = np.where(heaviest >= 0, np.searchsorted(used, heaviest), -1)
    largest = np.maximum(weights.max(axis=1, keepdims=True, initial=0), np.finfo(float).tiny)
    return {
        "vocabulary": vocabulary.take(pa.array(used)).to_pylist(),
        "words": packed_indices(places),
        "weights": packed(np.rint(255 * weights / largest).astype(np.uint8)),
        "largest_weight": packed_fractions(weights.max(axis=1, initial=0), weights.max(initial=0) or 1.0),
    }


def _weighted_words(
    warehouse: Warehouse, inputs: Mapping[str, int], item_ids: pa.Array
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The place of each item, the ids of its words and their weights."""
    for batch in warehouse.stream("tfidf", inputs.get("tfidf"), columns=["item_id", "term_ids", "weights"]):
        rows = pc.index_in(batch["item_id"], value_set=item_ids)
        shown = batch.filter(pc.is_valid(rows))
        for row, terms, weights in zip(rows.drop_null(), shown["term_ids"], shown["weights"], strict=True):
            yield row.as_py(), terms.values.to_numpy(), weights.values.to_numpy()
