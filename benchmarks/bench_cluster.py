"""Claim: two workers of a Dask cluster find neighbours at least 1.7 times as fast as one; the seam costs under 2 %.

    python benchmarks/bench_cluster.py [ITEMS]

Workers of one thread on this machine read the weights from a warehouse in a temporary folder. The peers of two workers
are one worker, and the same two threads without a cluster. Then the bytes that went over the wire, and the cost of
`taproom.compute.workers` against joblib alone, in microseconds a block.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from distributed import LocalCluster
from joblib import Parallel, delayed
from zipf import zipf_matrix

from assets.reviews.tfidf import TFIDF
from taproom.cluster import taken_usages
from taproom.compute import Made, workers
from taproom.maps.neighbors import nearest
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse
from taproom.words.sparse import csr_to_lists, stored_weights

K = 100
WORDS, WORDS_PER_ITEM = 400_000, 1_540
BLOCKS = 2_000


def main(items: int = 20_000) -> None:
    """Time two workers, one, and two threads, and check that the bits are equal."""
    with tempfile.TemporaryDirectory() as folder:
        made = stored(items, folder)
        matrix = made.here
        nearest(matrix[: K + 1], K)  # compiles
        print(f"{items:,} x {WORDS:,}, {matrix.nnz / 1e6:.0f} M entries, k = {K}")
        here, threads = timed(lambda: nearest(matrix, K, n_jobs=2))
        print(f"two threads of this process: {threads:.1f} s")
        seconds = {}
        for count in (1, 2):
            with cluster(count):
                found, first = timed(lambda: nearest(made, K, n_jobs=2))
                assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, here, strict=True))
                _, seconds[count] = timed(lambda: nearest(made, K, n_jobs=2))
                usage = taken_usages()[-1]
            print(
                f"{count} workers: {seconds[count]:.1f} s, and {first - seconds[count]:.1f} s more when they read the "
                f"weights first; {usage.blocks} blocks, {usage.bytes_sent / 1e6:.1f} MB sent, at most "
                f"{usage.largest_sent / 1e3:.0f} kB a block, {usage.bytes_received / 1e6:.0f} MB received, at most "
                f"{usage.largest_received / 1e6:.1f} MB"
            )
        print(f"two workers against one: ratio {seconds[1] / seconds[2]:.2f}")
    seam()


def stored(items: int, folder: str) -> Made:
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


@contextmanager
def cluster(count: int) -> Iterator[None]:
    """Workers of one thread, used by what is computed meanwhile."""
    with LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local:
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

    ours, theirs = (min(timed(work)[1] for _ in range(5)) for work in (through_the_seam, through_joblib))
    print(f"a block that does nothing: {ours / BLOCKS * 1e6:.0f} us, joblib alone {theirs / BLOCKS * 1e6:.0f} us")


def nothing(_shared: None, block: int) -> int:
    """A block without work."""
    return block


def timed(work: Callable[[], object]) -> tuple:
    """The result of `work`, and its seconds."""
    started = time.perf_counter()
    return work(), time.perf_counter() - started


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
