"""The chains of tables, and where each takes its input from.

A chain is described once, here; its jobs, schedule and sensor (`pipelines.jobs`) and its part of `make run`
(`pipelines.making`) are built from the description.
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
    """How the input of a chain arrives in batches, each a partition of the tables that are read from it.

    Attributes:
        partitions: Dagster's partitions, one a batch.
        inbox: name of the sensor that watches the chain's inbox.
        dropped: gives how to read a file in the inbox, from its path and the inbox's settings.
        rollup: the op that combines all batches.
        rolled_up: a table of that op.
        counted: an input of `rolled_up`, which is up to date if it was made from the newest version of this table.
    """

    partitions: dg.DynamicPartitionsDefinition
    inbox: str
    dropped: Callable[[Path, Config], Drop]
    rollup: str
    rolled_up: str
    counted: str


@dataclass(frozen=True)
class Chain:
    """A chain of tables, from its input to its products.

    Attributes:
        name: the asset group, and the chain's folder in the inbox.
        read: the op that reads the input.
        ingested: all tables that this op makes.
        reads: gives what a configuration of this op reads: the configuration of each batch by its key. Input that does
            not come in batches is read at once, and its key is None.
        batches: None where the input is read at once.
        studies: the studies whose champions set the parameters of the chain's products.
    """

    name: str
    read: str
    ingested: tuple[str, ...]
    reads: Callable[[Config], Mapping[Any, Config]]  # all keys are strings, or the only one is None
    batches: Batches | None = None
    studies: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchChain(Chain):
    """A chain whose input comes in batches."""

    batches: Batches


REVIEWS = BatchChain(
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

ASSAYS = BatchChain(
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

# Its corpus may be the reviews, which must then have been read.
TEXT = Chain(
    name="text",
    read="documents",
    ingested=("documents",),
    reads=documents.read_at_once,
    studies=("topics", "word_vectors"),
)

IMAGES = Chain(name="images", read="images", ingested=("images",), reads=images.read_at_once, studies=("classifier",))

TUNING = Chain(name="tuning", read="digits", ingested=("digits",), reads=digits.read_at_once)

CHAINS: tuple[Chain, ...] = (REVIEWS, TEXT, ASSAYS, IMAGES, TUNING)
BATCH_CHAINS = (REVIEWS, ASSAYS)
