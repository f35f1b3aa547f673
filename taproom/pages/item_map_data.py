"""The data of the map's page: items with positions, categories, scores, nearest items and most weighted words."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.pages.scripts import packed, packed_fractions, packed_indices
from taproom.pages.tables import LONGEST_CELL
from taproom.warehouse.warehouse import Warehouse

ITEMS = 100_000
NEIGHBORS = 10
WORDS = 12
LARGEST_DISTANCE = 2.0  # of the cosine distance


def item_map_data(warehouse: Warehouse, limit: int = ITEMS) -> dict[str, Any]:
    """What the page of the map shows, from the newest `item_map` and the versions of tables that it was made from.

    Items are in descending order of their number of reviews, which is the order that they are labelled in; with more
    than `limit`, only the first are shown.

    Raises:
        UnknownTableError: there is no map, or a table that it was made from is gone.
        DamagedFileError: a table is damaged.
    """
    version = warehouse.head("item_map")
    inputs = warehouse.commit_of("item_map", version)["inputs"] if version is not None else {}
    positions = warehouse.read("item_map", version)
    flat, deep = (positions.filter(pc.equal(positions["dimension"], dimension)) for dimension in (2, 3))
    about = warehouse.read("items", inputs.get("items"))
    about = about.take(pc.index_in(flat["item_id"], value_set=about["item_id"].combine_chunks()))
    order = np.lexsort((np.arange(len(about)), -about["reviews"].to_numpy()))[:limit]
    item_ids = flat["item_id"].combine_chunks().take(pa.array(order))
    in_space = deep.take(pc.index_in(item_ids, value_set=deep["item_id"].combine_chunks()))
    shown = about.take(pa.array(order))
    names, codes = _categories(shown["category"].to_pylist())
    return {
        "count": len(flat),
        "version": version,
        "item_ids": item_ids.to_pylist(),
        "names": [name[:LONGEST_CELL] for name in flat["item_name"].take(pa.array(order)).to_pylist()],
        "categories": names,
        "category": packed_indices(codes),
        "reviews": packed(shown["reviews"].to_numpy().astype(np.uint32)),
        "score": packed(pc.fill_null(shown["mean_overall"], np.nan).to_numpy().astype(np.float32)),
        "flat": packed(_positions(flat, "xy").astype(np.float32)[order]),
        "space": packed(_positions(in_space, "xyz").astype(np.float32)),
        **_nearest(warehouse, inputs, item_ids),
        **_words(warehouse, inputs, item_ids),
    }


def _positions(rows: pa.Table, axes: str) -> np.ndarray:
    return np.column_stack([rows[axis].to_numpy() for axis in axes])


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


def _nearest(warehouse: Warehouse, inputs: Mapping[str, int], item_ids: pa.Array) -> dict[str, Any]:
    """The nearest items of each one, as places in `item_ids`, and their distances; both (items, NEIGHBORS)."""
    nearest = np.full((len(item_ids), NEIGHBORS), -1, np.int64)
    distances = np.zeros((len(item_ids), NEIGHBORS))
    for batch in warehouse.stream("neighbors", inputs.get("neighbors")):
        rows = pc.fill_null(pc.index_in(batch["item_id"], value_set=item_ids), -1).to_numpy()
        first = {name: pc.list_slice(batch[name], 0, NEIGHBORS) for name in ("neighbor_ids", "distances")}
        lengths = pc.list_value_length(first["neighbor_ids"]).to_numpy()
        ranks = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        # one look-up for all: each call makes a hash table of all items
        places = pc.fill_null(pc.index_in(first["neighbor_ids"].flatten(), value_set=item_ids), -1).to_numpy()
        of_row = np.repeat(rows, lengths)
        shown = of_row >= 0
        nearest[of_row[shown], ranks[shown]] = places[shown]
        distances[of_row[shown], ranks[shown]] = first["distances"].flatten().to_numpy()[shown]
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
        "largest_weight": packed(weights.max(axis=1, initial=0).astype(np.float32)),
    }


def _weighted_words(
    warehouse: Warehouse, inputs: Mapping[str, int], item_ids: pa.Array
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The place of each item, the ids of its words and their weights."""
    for batch in warehouse.stream("tfidf", inputs.get("tfidf"), columns=["item_id", "term_ids", "weights"]):
        rows = pc.index_in(batch["item_id"], value_set=item_ids).to_pylist()
        for row, terms, weights in zip(rows, batch["term_ids"], batch["weights"], strict=True):
            if row is not None:
                yield row, terms.values.to_numpy(), weights.values.to_numpy()
