"""The data of the page of words: the word map with nearest words, and topics with their words and shares."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import UnknownTableError
from taproom.pages.scripts import packed, packed_fractions, packed_indices
from taproom.pages.tables import inputs_of
from taproom.pages.typical_documents import typical_documents
from taproom.warehouse.warehouse import Warehouse

WORDS = 50_000
NEAREST = 10
TOPIC_WORDS = 20


def words_data(warehouse: Warehouse, limit: int = WORDS) -> dict[str, Any]:
    """What the page of words shows: `map` (None without a word map) and `topics` (empty without topics).

    Raises:
        DamagedFileError: a table is damaged.
    """
    return {"map": _word_map(warehouse, limit), "topics": _topics(warehouse)}


def _word_map(warehouse: Warehouse, limit: int) -> dict[str, Any] | None:
    """Words with positions and nearest words, the most frequent first; of more than `limit`, the first."""
    try:
        rows, nearest = warehouse.read("word_map"), warehouse.read("nearest_words")
    except UnknownTableError:
        return None
    shown = rows.slice(0, limit)
    listed = nearest.take(pc.index_in(shown["word"], value_set=nearest["word"].combine_chunks()))
    neighbors = [(each or [])[:NEAREST] for each in listed["neighbors"].to_pylist()]
    similarities = np.zeros((len(shown), NEAREST))
    for row, values in enumerate(listed["similarities"].to_pylist()):
        similarities[row, : len(neighbors[row])] = (values or [])[:NEAREST]
    # Nearest words may lie outside the map, so they are listed after its words.
    words = list(dict.fromkeys([*shown["word"].to_pylist(), *(word for row in neighbors for word in row)]))
    places = {word: place for place, word in enumerate(words)}
    nearest_places = np.full((len(shown), NEAREST), -1, np.int64)
    for row, each in enumerate(neighbors):
        nearest_places[row, : len(each)] = [places[word] for word in each]
    return {
        "count": len(rows),
        "version": warehouse.head("word_map"),
        "words": words,
        "counts": packed(shown["count"].to_numpy().astype(np.uint32)),
        "flat": packed(np.column_stack([shown["x"].to_numpy(), shown["y"].to_numpy()]).astype(np.float32)),
        "nearest": packed_indices(nearest_places),
        "similarities": packed_fractions(similarities),
    }


def _topics(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The topics of each weighting, the largest share first, with their heaviest words."""
    try:
        version = warehouse.head("topics")
        topics = warehouse.read("topics", version)
        inputs = inputs_of(warehouse, "topics", version)
        words = warehouse.read("terms", inputs.get("terms"), columns=["word"])["word"]
    except UnknownTableError:
        return []
    documents = typical_documents(warehouse, inputs.get("bag_of_words"))
    return [
        {
            "weighting": row["weighting"],
            "topic": row["topic"],
            "share": row["share"],
            "npmi": row["npmi"],
            "documents": documents.get((row["weighting"], row["topic"]), []),
            **_heaviest(row, words),
        }
        for row in topics.drop_columns("top_words").to_pylist()
    ]


def _heaviest(topic: Mapping[str, Any], words: pa.ChunkedArray) -> dict[str, Any]:
    weights = np.array(topic["weights"])
    top = np.argsort(-weights, kind="stable")[:TOPIC_WORDS]
    terms = pa.array(np.array(topic["term_ids"], np.int64)[top])
    return {"words": words.take(terms).to_pylist(), "weights": [round(float(weight), 4) for weight in weights[top]]}
