"""Two versions of a table, some with texts that try to do harm."""

from assets.text.word_vectors import TRAINING_PAIRS
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import HOSTILE, publish

# From version 0 to version 1.
SAME, CHANGED, ADDED, GONE = 4, len(HOSTILE), 3, 2


def publish_changes(warehouse: Warehouse) -> None:
    """Publish two versions of `training_pairs`. Keys and texts of changed rows are hostile."""
    same = [f"same {row}" for row in range(SAME)]
    _publish(warehouse, [*same, *_changed(), *(f"gone {row}" for row in range(GONE))], "before")
    _publish(warehouse, [*same, *_changed(), *(f"added {row}" for row in range(ADDED))], "now")


def _changed() -> list[str]:
    return [f"{row} {text}" for row, text in enumerate(HOSTILE)]


def _publish(warehouse: Warehouse, documents: list[str], when: str) -> None:
    texts = [document if document.startswith("same") else f"{when} {document}" for document in documents]
    publish(
        warehouse,
        TRAINING_PAIRS,
        {
            "document_id": documents,
            "sentence": ["a sentence"] * len(documents),
            "position": [0] * len(documents),
            "centre": texts,
            "place": [0] * len(documents),
            "context": ["context"] * len(documents),
        },
    )
