"""Tables that pages show: items, words and topics, some with names that try to do harm."""

import base64

import numpy as np
import pyarrow as pa

from assets.reviews.item_map import ITEM_MAP
from assets.reviews.items import ITEMS
from assets.reviews.neighbors import CONTRACT as NEIGHBORS
from assets.reviews.tfidf import TFIDF, VOCABULARY
from assets.text.analogies import NEAREST_WORDS
from assets.text.bag_of_words import TERMS
from assets.text.topics import TOPICS
from assets.text.word_map import CONTRACT as WORD_MAP
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import DEFAULT_TOKEN_PATTERN
from tests.points import neighbors_of, plane

HOSTILE = (
    "<script>document.title = 'harmed'</script>",
    "<img src=x onerror=\"document.title = 'harmed'\">",
    "</script><b>bold",
    "\u202egnp.txt \u200fשלום",
    "[a link](javascript:alert(1)) **bold**",
    "long " * 2_000,
    " ",
    "{{ 7 * 7 }} {% raw %} ${7 * 7} \\u003c",
    "__proto__",
)
STYLES = ("stout", "porter", "ale", None, "<i>lager</i>", *(f"style {number}" for number in range(6)))
K = 12


def publish_map(warehouse: Warehouse, items: int = 60, seed: int = 0) -> list[str]:
    """Publish a map and the tables that it was made from; return the names of the items."""
    names = [HOSTILE[item] if item < len(HOSTILE) else f"Beer number {item}" for item in range(items)]
    ids = [f"beer_{item:05d}" for item in range(items)]
    random = np.random.default_rng(seed)
    flat, space = plane(items, 2, seed) - 0.5, plane(items, 3, seed) - 0.5
    nearest, distances = neighbors_of(flat, K)
    origin = Origin(inputs=dict.fromkeys(("items", "neighbors", "tfidf", "vocabulary"), 0))
    words = sorted([*HOSTILE[:3], *(f"word{number}" for number in range(40))])
    terms = [np.sort(random.choice(len(words), 15, replace=False)).astype(np.int32) for _ in ids]
    frequency = np.bincount(np.concatenate(terms), minlength=len(words))
    idf = np.log(items / frequency)
    counts = [random.integers(1, 4, 15) for _ in ids]
    lengths = np.array([row.sum() + 5 for row in counts])  # with five words that are not in the vocabulary
    rows = {
        VOCABULARY: {
            "term_id": np.arange(len(words), dtype=np.int32),
            "word": words,
            "document_frequency": frequency,
            "count": frequency,
            "idf": idf,
            "token_pattern": [DEFAULT_TOKEN_PATTERN] * len(words),
        },
        TFIDF: {
            "item_id": ids,
            "words": lengths,
            "term_ids": terms,
            "weights": [row / length * idf[each] for row, length, each in zip(counts, lengths, terms, strict=True)],
        },
        ITEMS: {
            "item_id": ids,
            "item_name": names,
            "category": [STYLES[item % len(STYLES)] for item in range(items)],
            "spellings": [[] for _ in ids],
            "reviews": 1 + np.arange(items)[::-1],
            "mean_overall": [None if item % 7 == 0 else item % 5 + 0.5 for item in range(items)],
        },
        NEIGHBORS: {
            "item_id": ids,
            "neighbor_ids": [[ids[each] for each in row] for row in nearest],
            "distances": list(np.minimum(distances, 1.0)),
        },
        ITEM_MAP: {
            "dimension": np.repeat(np.array([2, 3], np.int32), items),
            "item_id": [*ids, *ids],
            "item_name": [*names, *names],
            "category": 2 * [STYLES[item % len(STYLES)] for item in range(items)],
            "x": np.concatenate([flat[:, 0], space[:, 0]]),
            "y": np.concatenate([flat[:, 1], space[:, 1]]),
            "z": [*(None for _ in ids), *space[:, 2]],
        },
    }
    for contract, columns in rows.items():
        publish(warehouse, contract, columns, origin if contract is ITEM_MAP else None)
    return names


def publish_words(warehouse: Warehouse) -> list[str]:
    """Publish a map of words, words nearest to them, and topics; return the words of the map."""
    words = ["windows", "linux", *HOSTILE[:5], *(f"word{number}" for number in range(40))]
    places = plane(len(words), 2)
    nearest, _ = neighbors_of(places, 5)
    publish(
        warehouse,
        WORD_MAP,
        {"word": words, "count": 100 - np.arange(len(words)), "x": places[:, 0] - 0.5, "y": places[:, 1] - 0.5},
    )
    publish(
        warehouse,
        NEAREST_WORDS,
        {
            "word": words,
            "neighbors": [[*(words[each] for each in row), "outside"] for row in nearest],
            "similarities": [np.linspace(0.9, 0.1, 6)] * len(words),
        },
    )
    terms = ["car", "engine", HOSTILE[0]]
    publish(
        warehouse,
        TERMS,
        {
            "term_id": np.arange(3, dtype=np.int32),
            "word": terms,
            "document_frequency": np.array([1, 2, 1]),
            "count": np.array([1, 2, 1]),
            "idf": np.log([4.0, 2.0, 4.0]),
            "token_pattern": [DEFAULT_TOKEN_PATTERN] * 3,
        },
    )
    publish(
        warehouse,
        TOPICS,
        {
            "weighting": ["tfidf", "tfidf"],
            "topic": np.array([0, 1], np.int32),
            "share": [0.7, 0.3],
            "top_words": [["car"], ["engine"]],
            "npmi": [0.5, None],
            "term_ids": [np.array([0, 2], np.int32), np.array([1], np.int32)],
            "weights": [[0.6, 0.8], [1.0]],
        },
        Origin(inputs={"bag_of_words": 0, "terms": 0}),
    )
    return words


def publish(warehouse: Warehouse, contract, columns: dict, origin: Origin | None = None) -> None:
    rows = contract.table_of(**{name: pa.array(columns[name], contract.schema.field(name).type) for name in columns})
    partition = columns[contract.partition][0] if contract.partition else None
    warehouse.publish(contract, rows, partition=partition, since=warehouse.head(contract.table), origin=origin)


def unpacked(given: dict) -> np.ndarray:
    """The numbers of `taproom.pages.scripts.packed`, as the scripts of pages read them."""
    numbers = np.frombuffer(base64.b64decode(given["base64"]), np.dtype(given["type"]).newbyteorder("<"))
    return numbers * given.get("scale", 1)


def unpacked_varints(given: str) -> np.ndarray:
    """The numbers of `taproom.pages.scripts.packed_varints`."""
    numbers, number, shift = [], 0, 0
    for byte in base64.b64decode(given):
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    return np.array(numbers)
