"""The chains whose input comes in batches: what is read batch by batch, and what is made from all of them.

A chain is described once, here; its jobs, schedule and sensor (`pipelines.jobs`) and its part of `make run`
(`pipelines.run`) come from the description.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from assets.assays import events
from assets.reviews import reviews
from taproom.inbox import Drop

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Chain:
    """A chain of tables, from batches to products.

    `name` is its assets' group and its folder in the inbox; `inbox` is what its sensor is called. `read` is the op that
    reads one batch and `batched` are all tables that have batches as partitions. `rollup` is the op where batches meet;
    its table `rolled_up` has an input `counted` whose newest version it must have seen. `batches_of` gives the batches
    that a configuration of `read` describes, each with its own configuration; `dropped` says what a file of the inbox
    is, given the inbox's settings.
    """

    name: str
    inbox: str
    read: str
    batched: tuple[str, ...]
    partitions: dg.DynamicPartitionsDefinition
    rollup: str
    rolled_up: str
    counted: str
    batches_of: Callable[[Config], Mapping[str, Config]]
    dropped: Callable[[Path, Config], Drop]


REVIEWS = Chain(
    name="reviews",
    inbox="review_inbox",
    read="reviews",
    batched=("reviews", "rejected_reviews", "term_counts"),
    partitions=reviews.BATCHES,
    rollup="items",
    rolled_up="review_batches",
    counted="term_counts",
    batches_of=reviews.batches_of,
    dropped=reviews.dropped,
)

ASSAYS = Chain(
    name="assays",
    inbox="assay_inbox",
    read="events",
    batched=("events", "samples"),
    partitions=events.SAMPLES,
    rollup="wells",
    rolled_up="wells",
    counted="samples",
    batches_of=events.batches_of,
    dropped=events.dropped,
)

CHAINS = (REVIEWS, ASSAYS)
