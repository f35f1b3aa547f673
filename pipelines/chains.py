"""The chains of tables, and where each takes its input from.

A chain is described once, here; its jobs, schedule and sensor (`pipelines.jobs`) and its part of `make run`
(`pipelines.run`) come from the description.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from assets.assays import events
from assets.images import images
from assets.reviews import reviews
from assets.text import documents
from assets.tuning import digits
from taproom.sources.inbox import Drop

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Batches:
    """How the input of a chain comes in batches, each a partition of the tables that are read from it.

    `inbox` is what the sensor of its inbox is called; `dropped` says what a file there is, given the inbox's settings.
    `rollup` is the op where batches meet; its table `rolled_up` has an input `counted` whose newest version it must
    have seen.
    """

    partitions: dg.DynamicPartitionsDefinition
    inbox: str
    dropped: Callable[[Path, Config], Drop]
    rollup: str
    rolled_up: str
    counted: str


@dataclass(frozen=True)
class Chain:
    """A chain of tables, from what is read to products.

    `name` is its assets' group and its folder in the inbox. `read` is the op that reads the input, `ingested` are all
    tables that are made as it is read: batch by batch where it comes in `batches`, else all at once. `reads` gives what
    a configuration of that op reads: the configuration of each batch by its key, which is None without batches.
    `studies` are those whose champions its products are made with.
    """

    name: str
    read: str
    ingested: tuple[str, ...]
    reads: Callable[[Config], Mapping[str | None, Config]]
    batches: Batches | None = None
    studies: tuple[str, ...] = ()


REVIEWS = Chain(
    name="reviews",
    read="reviews",
    ingested=("reviews", "rejected_reviews", "term_counts"),
    reads=reviews.batches_of,
    batches=Batches(
        partitions=reviews.BATCHES,
        inbox="review_inbox",
        dropped=reviews.dropped,
        rollup="items",
        rolled_up="review_batches",
        counted="term_counts",
    ),
    studies=("item_map",),
)

ASSAYS = Chain(
    name="assays",
    read="events",
    ingested=("events", "samples"),
    reads=events.batches_of,
    batches=Batches(
        partitions=events.SAMPLES,
        inbox="assay_inbox",
        dropped=events.dropped,
        rollup="wells",
        rolled_up="wells",
        counted="samples",
    ),
    studies=("class_mixtures", "kernel_density"),
)

# Its corpus may be the reviews, which are then to be there.
TEXT = Chain(
    name="text",
    read="documents",
    ingested=("documents",),
    reads=documents.read_at_once,
    studies=("topics", "word_vectors"),
)

IMAGES = Chain(name="images", read="images", ingested=("images",), reads=images.read_at_once, studies=("classifier",))

TUNING = Chain(name="tuning", read="digits", ingested=("digits",), reads=digits.read_at_once)

CHAINS = (REVIEWS, TEXT, ASSAYS, IMAGES, TUNING)
