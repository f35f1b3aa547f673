"""Claims: two workers of a Dask cluster are 1.6 to 1.7 times as fast as one; without a cluster, the seam costs < 2 %.

    python benchmarks/bench_cluster.py [--share SHARE] [STEP ...]

The first claim is for these steps, with SHARE 1; by default all of them are tried with 0.3 of their sizes:

- `neighbors`: the 100 nearest of 20,000 items with 1,540 of 400,000 words each;
- `counting`: the words of 1 GB of reviews;
- `em`: 20 iterations of three fits of 12 components to 1,000,000 events in five channels.

Workers of one thread on this machine, with the settings in `deploy/dask.yaml`, read weights and texts from a warehouse
in a temporary folder, and make events from a seed. A step is computed twice, and the second time counts, when workers
have what blocks share. The peers of two workers are one worker, and the same two threads without a cluster; all must
give the same bits. Then the bytes that went over the wire.

The second claim is for blocks of 10 ms: what `taproom.compute.workers` adds to joblib alone.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dask
import numpy as np
import pyarrow as pa
from corpus import corpus
from distributed import LocalCluster
from joblib import Parallel, delayed
from zipf import zipf_matrix

from assets.reviews.tfidf import TFIDF
from taproom.assays.expectation_maximization import EmParameters, Fit, fit_all
from taproom.assays.mixtures import BLOCK
from taproom.cluster import ClusterUsage, taken_usages
from taproom.compute import Made, workers
from taproom.maps.neighbors import nearest
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import Counts
from taproom.words.sparse import csr_to_lists, stored_weights
from taproom.words.stored_texts import count_stored

ITEMS, WORDS, WORDS_PER_ITEM, K = 20_000, 400_000, 1_540, 100
TOKENS = 180_000_000  # 1 GB
EVENTS, CHANNELS, COMPONENTS, RESTARTS, ITERATIONS = 1_000_000, 5, 12, 3, 20
BLOCKS, BLOCK_SECONDS = 2_000, 0.01
SETTINGS = str(Path(__file__).parents[1] / "deploy/dask.yaml")

TEXTS = Contract(
    "texts",
    "a text",
    (
        Column("text_id", pa.int64(), "its number"),
        Column("item_id", pa.string(), "its item"),
        Column("text", pa.string(), "the text"),
    ),
    key=("text_id",),
)


class Step(NamedTuple):
    """What is computed, and how: by two threads without a cluster, and on one. Both give arrays."""

    what: str
    here: Callable[[], list[np.ndarray]]
    there: Callable[[], list[np.ndarray]]


def main() -> None:
    """Time the steps that the command line names, and the seam."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"{', '.join(STEPS)}; all by default")
    parser.add_argument("--share", type=float, default=0.3, help="of the sizes of the claim")
    given = parser.parse_args()
    dask.config.refresh(paths=[SETTINGS])
    for name in given.steps or STEPS:
        with tempfile.TemporaryDirectory() as folder:
            compare(name, STEPS[name](given.share, folder))
    seam()


def compare(name: str, step: Step) -> None:
    """Time two threads, one worker and two, and check that the bits are equal."""
    print(f"{name}: {step.what}", flush=True)
    here, threads = timed(step.here)
    print(f"  two threads of this process: {threads:.1f} s", flush=True)
    seconds = {}
    for number in (1, 2):
        with cluster(number):
            found, first = timed(step.there)
            assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, here, strict=True))
            taken_usages()
            _, seconds[number] = timed(step.there)
            usages = taken_usages()
        print(f"  {number} workers: {seconds[number]:.1f} s, the first time {first:.1f} s; {wire(usages)}", flush=True)
    print(f"  two workers against one: ratio {seconds[1] / seconds[2]:.2f}", flush=True)


def wire(usages: list[ClusterUsage]) -> str:
    """What went over the wire."""
    sent, received = (sum(getattr(usage, name) for usage in usages) for name in ("bytes_sent", "bytes_received"))
    largest = [max((getattr(usage, f"largest_{way}") for usage in usages), default=0) for way in ("sent", "received")]
    return (
        f"{sum(usage.blocks for usage in usages)} blocks, {sent / 1e6:.2f} MB sent, at most {largest[0] / 1e3:.1f} kB "
        f"a block, {received / 1e6:.2f} MB received, at most {largest[1] / 1e3:.1f} kB"
    )


def neighbors(share: float, folder: str) -> Step:
    """Items with weighted words, in the table `tfidf`."""
    items = round(share * ITEMS)
    made = stored_matrix(items, folder)
    matrix = made.here
    nearest(matrix[: K + 1], K)  # compiles
    return Step(
        f"{items:,} items, {matrix.nnz / 1e6:.0f} M weights",
        lambda: list(nearest(matrix, K, n_jobs=2)),
        lambda: list(nearest(made, K)),
    )


def stored_matrix(items: int, folder: str) -> Made:
    """The weights as a version of the table `tfidf`, which workers read."""
    matrix = zipf_matrix(items, WORDS, WORDS_PER_ITEM)
    term_ids, weights = csr_to_lists(matrix)
    rows = TFIDF.table_of(
        item_id=[f"{item:09}" for item in range(items)],
        words=pa.array(np.diff(matrix.indptr)).cast(TFIDF.schema.field("words").type),
        term_ids=term_ids,
        weights=weights,
    )
    version = Warehouse(folder).publish(TFIDF, rows, since=None).version
    return Made(stored_weights, (TableVersion(folder, "tfidf", version), WORDS))


def counting(share: float, folder: str) -> Step:
    """Reviews in a table of their texts."""
    rows = pa.RecordBatchReader.from_batches(TEXTS.schema, numbered_texts(share))
    version = Warehouse(folder).publish(TEXTS, rows, since=None).version
    texts = TableVersion(folder, "texts", version)
    characters = sum(pa.compute.sum(pa.compute.utf8_length(batch["text"])).as_py() for batch in texts.stream())

    def counted() -> list[np.ndarray]:
        return arrays_of_counts(count_stored(texts, "item_id", n_jobs=2))

    return Step(f"{characters / 1e6:,.0f} MB of text in {len(texts.by_file())} data files", counted, counted)


def numbered_texts(share: float) -> Iterator[pa.RecordBatch]:
    """The reviews of a synthetic corpus, each with a number."""
    first = 0
    for batch in corpus(round(2.5 * share * ITEMS), WORDS, round(share * TOKENS)):
        numbers = pa.array(range(first, first := first + batch.num_rows), pa.int64())
        yield pa.RecordBatch.from_arrays([numbers, batch["item_id"], batch["text"]], schema=TEXTS.schema)


def arrays_of_counts(counts: Counts) -> list[np.ndarray]:
    """All that there is to compare."""
    return [counts.item_ids, counts.words, counts.counts.indptr, counts.counts.indices, counts.counts.data]


def em(share: float, folder: str) -> Step:
    """Events of overlapping populations."""
    made = Made(events, (round(share * EVENTS),))
    values = made.here
    fit_all(values[:BLOCK], [(2, 0)], EmParameters(1))  # compiles
    tasks = [(COMPONENTS, seed) for seed in range(RESTARTS)]
    parameters = EmParameters(ITERATIONS, tolerance=0.0)
    return Step(
        f"{len(values):,} events, {RESTARTS} fits of {COMPONENTS} components, {ITERATIONS} iterations",
        lambda: arrays_of_fits(fit_all(values, tasks, parameters, n_jobs=2)),
        lambda: arrays_of_fits(fit_all(made, tasks, parameters)),
    )


def events(number: int) -> np.ndarray:
    """Values (number, channels), of about unit spread."""
    random = np.random.default_rng(0)
    means = random.normal(size=(COMPONENTS, CHANNELS))
    return means[random.choice(COMPONENTS, number)] + 0.4 * random.normal(size=(number, CHANNELS))


def arrays_of_fits(fits: list[Fit]) -> list[np.ndarray]:
    """All that there is to compare."""
    mixtures = [fit.mixture for fit in fits]
    return [array for each in mixtures for array in (each.weights, each.means, each.covariances)]


STEPS = {"neighbors": neighbors, "counting": counting, "em": em}


@contextmanager
def cluster(number: int) -> Iterator[None]:
    """Workers of one thread, used by what is computed meanwhile."""
    with LocalCluster(n_workers=number, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local:
        os.environ["TAPROOM_CLUSTER"] = local.scheduler_address
        try:
            yield
        finally:
            del os.environ["TAPROOM_CLUSTER"]


def seam() -> None:
    """Print what a block costs through the seam and through joblib, with blocks that do nothing."""

    def through_the_seam() -> list:
        with workers(None, 2) as run:
            return list(run(nothing, ((block,) for block in range(BLOCKS))))

    def through_joblib() -> list:
        parallel = Parallel(2, prefer="threads", return_as="generator")
        return list(parallel(delayed(nothing)(None, block) for block in range(BLOCKS)))

    ours, theirs = (min(timed(work)[1] for _ in range(5)) / BLOCKS for work in (through_the_seam, through_joblib))
    print(
        f"seam: a block that does nothing takes {ours * 1e6:.0f} us, through joblib alone {theirs * 1e6:.0f} us; the "
        f"difference is {(ours - theirs) / BLOCK_SECONDS:.2%} of a block of {BLOCK_SECONDS * 1e3:.0f} ms"
    )


def nothing(_shared: None, block: int) -> int:
    """A block without work."""
    return block


def timed(work: Callable[[], object]) -> tuple:
    """The result of `work`, and its seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


if __name__ == "__main__":
    main()
