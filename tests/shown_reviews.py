"""Reviews with attributes and sub-scores of items, and earlier positions, of the map of `tests.shown_tables`."""

import numpy as np
import pyarrow as pa

from assets.reviews.item_map import MAP_MOVES
from assets.reviews.reviews import CONTRACT as REVIEWS
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import HOSTILE, publish

NEW_ITEMS = 5
BREWERS = (HOSTILE[1], "Abbey", "Brauhaus")


def publish_reviews(warehouse: Warehouse, items: int = 60) -> None:
    """Publish two reviews of each item: one brewer of three, a strength of ten, a name of its own, a sub-score."""
    numbers = np.repeat(np.arange(items), 2)
    reviews = len(numbers)
    rows = {
        "batch": ["made_up"] * reviews,
        "collection": ["beers"] * reviews,
        "review_id": [f"review {number}" for number in range(reviews)],
        "item_id": [f"beer_{item:05d}" for item in numbers],
        "item_name": [f"Beer number {item}" for item in numbers],
        "category": [None] * reviews,
        "reviewer_id": [None] * reviews,
        "time": [None] * reviews,
        "overall": [None] * reviews,
        "scores": [{"taste": float(item % 4)} for item in numbers],
        "attributes": [
            {"brewer": BREWERS[item % 3], "strength": f"{4 + item % 10 / 2}", "label": f"label {item}"}
            for item in numbers
        ],
        "text": ["good"] * reviews,
    }
    columns = {name: pa.array([list(each.items()) if isinstance(each, dict) else each for each in values],
                              REVIEWS.schema.field(name).type) for name, values in rows.items()}  # fmt: skip
    warehouse.publish(REVIEWS, REVIEWS.table_of(**columns), since=warehouse.head("reviews"), partition="made_up")


def publish_moves(warehouse: Warehouse) -> None:
    """Publish a map before the newest one, which did not have the last items."""
    rows = warehouse.read("item_map").to_pandas()
    rows = rows[rows.item_id < f"beer_{len(rows) // 2 - NEW_ITEMS:05d}"]
    publish(
        warehouse,
        MAP_MOVES,
        {
            **{name: rows[name].tolist() for name in ("dimension", "item_id")},
            "x": rows.x + 0.3,
            "y": rows.y - 0.4,
            "z": [None if np.isnan(z) else z for z in rows.z],
            "moved": np.full(len(rows), 0.5),
        },
    )
