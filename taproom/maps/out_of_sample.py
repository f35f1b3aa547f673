"""The neighbours of a new item and its place on an existing map: out-of-sample extension, without a new fit.

Here belongs the placing of a text on the newest map, from the tables alone: all are read at the versions that the map
recorded. How maps are fitted is in `taproom.maps.ordinal`, how neighbours of all items are found in
`taproom.maps.neighbors`.

Source: the formulas of the lecture deck (Jamieson, CSE546 2017; slides "TF*IDF" and "BeerMapper - Under the Hood"),
with the idf and the other items' positions held fixed, as out-of-sample extensions do (Bengio et al., NIPS 2003).

An inverted index (`taproom.maps.inverted_index`) gives the cosine distances to all items. Its terms ascend, so the
distances have the same bits as in `taproom.maps.neighbors`. The point then minimises the hinge loss of
`taproom.maps.ordinal` over the triplets (new item, nearer, farther) by subgradient descent from the mean of its
neighbours' positions, weighted by their similarity.

The constants below were chosen on items that were left out of weights, neighbours and map alike: 347 beers of 6,947
(100 neighbours) and 102 films of 508 (50 neighbours). Their errors, against random items / within the neighbours:

- beers, d = 2: 0.136 / 0.385, d = 3: 0.107 / 0.363 (mean of the neighbours 0.142 / 0.432 and 0.110 / 0.416; the
  positions of these beers on a map fitted with them, before ADR 38, 0.149 / 0.389 and 0.120 / 0.369);
- films, d = 2: 0.247 / 0.425, d = 3: 0.223 / 0.410 (mean 0.254 / 0.476 and 0.227 / 0.471; fitted 0.252 / 0.405 and
  0.222 / 0.392).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError
from taproom.html import html_table
from taproom.maps.inverted_index import load_index
from taproom.maps.item_map import positions_on
from taproom.warehouse.catalog import existing_head
from taproom.warehouse.history import recorded_inputs
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import count_text

# By how much a far item should be farther, where the map's RMS radius is 1. From 0.2 to 0.6 the beers' errors differ by
# 0.003. It is larger than the margin of the fit, which is meant for the radius of its start.
MARGIN = 0.4
# Weight of the triplets within the neighbours. For the beers 0.4 gives 0.134 / 0.388 in two dimensions, 0.6 gives
# 0.140 / 0.382.
WITHIN_SHARE = 0.5
# A sample of so many items represents all that are no neighbours; 1,000 give the same errors to within 0.001.
FAR_ITEMS = 500
# Steps fall linearly from the first to 0: 30 of them end where 300 do, and reach 6 radii far.
STEPS = 60
FIRST_STEP = 0.2

_INPUTS = ("vocabulary", "tfidf", "neighbors")
_MAKE_AGAIN = "Make item_map, and what it is made from, again (`make run`)."


@dataclass(frozen=True)
class Neighbor:
    """An item near a text, with its cosine distance."""

    item_id: str
    item_name: str
    category: str | None
    distance: float


@dataclass(frozen=True)
class Placement:
    """Where a text belongs.

    Attributes:
        neighbors: the items nearest to it, as many as the table `neighbors` has of each item, nearest first.
        positions: its place on the map of each dimension: {2: (2,) float64, 3: (3,) float64}.
        words: the distinct words of it that the vocabulary has, in alphabetical order.
        unknown_words: those that it has not.
    """

    neighbors: tuple[Neighbor, ...]
    positions: dict[int, np.ndarray]
    words: tuple[str, ...]
    unknown_words: tuple[str, ...]

    def _repr_html_(self) -> str:
        rows = ((near.item_name, f"{near.distance:.3f}") for near in self.neighbors[:10])
        return html_table("nearest items", ("item", "distance"), rows)


class ItemMap:
    """A version of the table `item_map` (by default the newest), with what it takes to place texts on it.

    It takes 12 bytes for each weight of `tfidf`, shared by processes (`taproom.maps.inverted_index`), and some 200 for
    each word: 1.0 and 0.2 GB for 50,000 items, 400,000 words and 87 million weights.

    Attributes:
        commit: what the map was made from, as in `taproom.history`.

    Raises:
        UnknownTableError: there is no such map.
        InputError: the map does not say what it was made from, or that does not fit together.
        DamagedFileError: a file is not what was committed.
    """

    def __init__(self, warehouse: Warehouse | None = None, version: int | None = None) -> None:
        warehouse = warehouse or Warehouse()
        version = existing_head(warehouse.storage, "item_map") if version is None else version
        item_map = warehouse.read("item_map", version)
        self.commit = warehouse.commit_of("item_map", version)
        inputs = recorded_inputs(self.commit, "item_map", _INPUTS)
        dimensions = sorted(item_map["dimension"].unique().to_pylist())
        about = item_map.filter(pc.equal(item_map["dimension"], dimensions[0])).sort_by("item_id")
        self._about = about.select(["item_id", "item_name", "category"]).combine_chunks()
        self._positions = {
            dimension: positions_on(item_map, self._about["item_id"], dimension) for dimension in dimensions
        }
        vocabulary = warehouse.read("vocabulary", inputs["vocabulary"])
        _check_vocabulary(vocabulary, inputs["vocabulary"])
        self._token_pattern = vocabulary["token_pattern"][0].as_py()
        self._idf = vocabulary["idf"].to_numpy()
        self._term_ids = {word: term_id for term_id, word in enumerate(vocabulary["word"].to_pylist())}
        item_ids = self._about["item_id"].combine_chunks()
        self._index = load_index(warehouse, inputs, vocabulary, item_ids)
        distances = warehouse.stream("neighbors", inputs["neighbors"], columns=["distances"])
        self._k = len(distances.read_next_batch()["distances"][0])
        self._far_candidates = far_candidates(len(self._about), self._k)
        self._find(np.argmax(self._idf, keepdims=True), np.ones(1))  # compiles; that is a part of loading
        pa.default_memory_pool().release_unused()  # or Arrow would keep what reading took: twice what is held here

    def place(self, text: str) -> Placement:
        """Find the text's nearest items and its place on the map of each dimension.

        A word's weight is its share of all words of the text, known or not, times its idf. Nearest is by cosine
        distance, in float64 over ascending terms, with ties by item id: the text of an item that is on the map has
        that item first, at distance 0, and then its row of `neighbors` to the bit.

        Raises:
            InputError: it is no string, or none of its words weighs anything.
        """
        words, counts = count_text(text, self._token_pattern)
        term_ids = np.array([self._term_ids.get(word, -1) for word in words])
        known = term_ids >= 0
        if not known.any():
            raise InputError(
                f"None of the {counts.sum()} words of the text is among the {len(self._term_ids)} words of the map. "
                "Give a text about what the map shows, in the language of its reviews."
            )
        term_ids = term_ids[known]
        weights = counts[known] / counts.sum() * self._idf[term_ids]
        has_weight = weights > 0
        if not has_weight.any():
            raise InputError(
                f"Every item of the map has the words {_some(words[known])}, so they weigh nothing, and the text has "
                "no other word of the vocabulary of the map. Use words that are specific to the item."
            )
        neighbors, positions = self._find(term_ids[has_weight], weights[has_weight])
        return Placement(neighbors, positions, tuple(words[known]), tuple(words[~known]))

    def _find(self, term_ids: np.ndarray, weights: np.ndarray) -> tuple[tuple[Neighbor, ...], dict[int, np.ndarray]]:
        distances = self._index.cosine_distances(term_ids, weights)
        nearest = _smallest(distances, self._k + 1)
        near = nearest[: self._k]
        positions = place_on_maps(nearest, distances[nearest], self._k, self._positions, self._far_candidates)
        rows = self._about.take(pa.array(near)).to_pylist()
        found = zip(rows, distances[near].tolist(), strict=True)
        return tuple(Neighbor(**row, distance=distance) for row, distance in found), positions


def far_candidates(items: int, k: int) -> np.ndarray:
    """A random sample of the items, in ascending order of their ids: at least `FAR_ITEMS` of it are no neighbours.

    Args:
        items: number of items on the map.
        k: number of neighbours of a text.

    Returns:
        (min(items, k + FAR_ITEMS),) int64 rows of items.
    """
    return np.random.default_rng(0).permutation(items)[: k + FAR_ITEMS]


def place_on_maps(
    nearest: np.ndarray, distances: np.ndarray, k: int, maps: Mapping[int, np.ndarray], candidates: np.ndarray
) -> dict[int, np.ndarray]:
    """Where a new item belongs on maps that stay as they are.

    Args:
        nearest: (k + 1,) rows of the items nearest to it, nearest first; fewer where there are no more items.
        distances: (k + 1,) float64, their cosine distances to it, ascending.
        k: how many of them are its neighbours.
        maps: the positions (items, dimension) float64 of all items, by dimension.
        candidates: of `far_candidates`.

    Returns:
        Its position (dimension,) float64 on each map.
    """
    near, beyond = nearest[:k], distances[k:]
    # What ties with an item that is no neighbour is not known to be nearer than it.
    reach = int((distances[:k] < beyond.min(initial=np.inf)).sum())
    far = candidates[~np.isin(candidates, near)][:FAR_ITEMS]
    return {
        dimension: place_point(points[near], distances[:k], reach, points[far]) for dimension, points in maps.items()
    }


def place_point(near: np.ndarray, near_distances: np.ndarray, reach: int, far: np.ndarray) -> np.ndarray:
    """Where a new item belongs among items whose positions stay as they are.

    Args:
        near: (k, dimension) float64, positions of its neighbours.
        near_distances: (k,) float64, their cosine distances to it, ascending.
        reach: how many of the neighbours are nearer to it than all of `far`.
        far: (m, dimension) float64, positions of items that are no neighbours.

    Returns:
        (dimension,) float64. Without any triplet (all distances tie) the mean of the neighbours.
    """
    from taproom.maps import _out_of_sample_kernels as kernels

    # Only negative weights lead to distances above 1; where all are, no neighbour is similar.
    similarities = np.maximum(1 - near_distances, 0)
    point = np.average(near, axis=0, weights=similarities if similarities.any() else None)
    kernels.descend(point, near, near_distances, reach, far, MARGIN, WITHIN_SHARE, STEPS, FIRST_STEP)
    return point


def _check_vocabulary(vocabulary: pa.Table, version: int) -> None:
    if "token_pattern" not in vocabulary.column_names:
        raise InputError(
            f"Version {version} of vocabulary, which the map was made from, does not say what a word is (it has no "
            f"token_pattern), so no text can be placed. {_MAKE_AGAIN}"
        )


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the smallest values, ascending, the first of equals first; all places if there are not more."""
    count = min(count, len(values))
    candidates = np.flatnonzero(values <= np.partition(values, count - 1)[count - 1])
    return candidates[np.argsort(values[candidates], kind="stable")][:count]


def _some(words: np.ndarray) -> str:
    return ", ".join(map(repr, words[:5])) + (" ..." if len(words) > 5 else "")
