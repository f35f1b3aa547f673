"""The terms of the topics, with which the page of words finds the topics of a text as `taproom.topics_of` does."""

from typing import Any

import numpy as np

from taproom.pages.map_bags_data import document_count
from taproom.pages.scripts import packed, packed_varints
from taproom.pages.tables import inputs_of
from taproom.warehouse.warehouse import Warehouse
from taproom.words.sparse import lists_to_csr

WEIGHTS = 2_000_000  # 8 MB


def topic_terms_data(warehouse: Warehouse, limit: int = WEIGHTS) -> dict[str, Any]:
    """The terms of the newest topics and their weights in each topic, to 16 bits relative to the topic's largest.

    Returns:
        `unavailable`, a sentence, if the topics have more than `limit` weights.

    Raises:
        UnknownTableError: there are no topics, or the terms that they were made from are gone.
        DamagedFileError: a table is damaged.
    """
    version = warehouse.head("topics")
    topics = warehouse.read("topics", version)
    terms = warehouse.read("terms", inputs_of(warehouse, "topics", version).get("terms"))
    matrix = lists_to_csr(topics["term_ids"], topics["weights"], len(terms))
    if matrix.nnz > limit:
        return {
            "unavailable": f"These topics have {matrix.nnz:,} weights. The page finds the topics of a text with at "
            f"most {limit:,}; taproom.topics_of(text) finds them with any number."
        }
    frequency = terms["document_frequency"].to_numpy()
    largest = matrix.max(axis=1).toarray()
    of_topic = np.diff(matrix.indptr)
    gaps = np.diff(matrix.indices, prepend=0)
    first = matrix.indptr[:-1][of_topic > 0]
    gaps[first] = matrix.indices[first]
    rounded = np.rint(matrix.data / np.repeat(largest, of_topic) * np.iinfo(np.uint16).max)
    return {
        "token_pattern": terms["token_pattern"][0].as_py(),
        "documents": document_count(terms["idf"].to_numpy(), frequency),
        "words": terms["word"].to_pylist(),
        "document_frequency": packed_varints(frequency),
        "weightings": topics["weighting"].to_pylist(),
        "topics": topics["topic"].to_pylist(),
        "terms_of_topic": of_topic.tolist(),
        "largest": largest.tolist(),
        "gaps": packed_varints(gaps),
        "weights": packed(rounded.astype(np.uint16)),
    }
