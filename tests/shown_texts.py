"""Word vectors, documents and their topics, for the words and topics of `tests.shown_tables`."""

import numpy as np

from assets.text.bag_of_words import BAG_OF_WORDS
from assets.text.documents import CONTRACT as DOCUMENTS
from assets.text.topics import DOCUMENT_TOPICS
from assets.text.word_vectors import WORD_VECTORS
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import HOSTILE, publish

DOCUMENT_COUNT = 8


def publish_vectors(warehouse: Warehouse) -> None:
    """Publish vectors of the words on the map, and of king, man, woman and queen, which are not on it."""
    words = [*warehouse.read("word_map")["word"].to_pylist(), "king", "man", "woman", "queen"]
    vectors = np.random.default_rng(0).normal(size=(len(words), 8))
    royal, male, female = np.eye(8)[:3]
    vectors[-4:] = [3 * (royal + male), 0.5 * male, female, royal + female]
    publish(
        warehouse,
        WORD_VECTORS,
        {"word": words, "count": 200 - np.arange(len(words)), "vector": list(vectors.astype(np.float32))},
    )


def publish_documents(warehouse: Warehouse) -> None:
    """Publish documents of two topics: their shares of the first topic fall from 1 to 0."""
    shares = np.linspace(1, 0, DOCUMENT_COUNT)
    ids = [f"document {number}" for number in range(DOCUMENT_COUNT)]
    splits, labels = ["training"] * DOCUMENT_COUNT, ["cars", None, HOSTILE[1], *["cars"] * (DOCUMENT_COUNT - 3)]
    texts = [f"{HOSTILE[0]} \n\n document  {number} {'car ' * 100}" for number in range(DOCUMENT_COUNT)]
    publish(
        warehouse,
        DOCUMENTS,
        {
            "corpus": ["made up"] * DOCUMENT_COUNT,
            "document_id": ids,
            "label": labels,
            "split": splits,
            "text": texts,
        },
    )
    publish(
        warehouse,
        BAG_OF_WORDS,
        {
            "document_id": ids,
            "label": labels,
            "split": splits,
            "words": [5, *range(50, 49 + DOCUMENT_COUNT)],  # the first one is too short to be typical
            "term_ids": [[0]] * DOCUMENT_COUNT,
            "shares": [[0.5]] * DOCUMENT_COUNT,
        },
    )
    publish(
        warehouse,
        DOCUMENT_TOPICS,
        {
            "weighting": ["tfidf"] * DOCUMENT_COUNT,
            "document_id": ids,
            "label": labels,
            "split": splits,
            "topic": [int(share < 0.5) for share in shares],
            "mixture": [[share, 1 - share] for share in shares],
        },
    )
