"""Claim: on a loaded map, a text's neighbours and position are found within 50 ms, at the deck's scale.

    python benchmarks/bench_place.py [ITEMS [WORDS_PER_ITEM]]

Peer: scikit-learn's brute force over the same matrix, and the mean of the neighbours' positions.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from measure import compare
from scipy import sparse
from sklearn.neighbors import NearestNeighbors
from zipf import zipf_matrix, zipf_texts

from assets.reviews.item_map import ITEM_MAP
from assets.reviews.neighbors import CONTRACT as NEIGHBORS
from assets.reviews.tfidf import TFIDF, VOCABULARY
from taproom.maps.out_of_sample import ItemMap
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import DEFAULT_TOKEN_PATTERN
from taproom.words.sparse import csr_to_lists

WORDS = 400_000
K = 100


def main(items: int = 50_000, words_per_item: int = 3_000) -> None:
    """Publish synthetic tables, load them, place texts of several lengths, compare with the peer."""
    weights, frequency = weighted(items, words_per_item)
    positions = np.random.default_rng(0).normal(size=(items, 3))
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(folder)
        publish(warehouse, weights, frequency, positions)
        before, started = resident_bytes(), time.perf_counter()
        item_map = ItemMap(warehouse)
        seconds, held = time.perf_counter() - started, resident_bytes() - before
    shape = f"{items:,} items x {WORDS:,} words, {weights.nnz / 1e6:.0f} M weights"
    print(f"{shape}: loaded in {seconds:.1f} s, {held / 1e9:.2f} GB")
    for words in (100, words_per_item, 10 * words_per_item):
        texts = [spelled(text) for text in zipf_texts(20, words, WORDS, seed=1)]
        times = [timed(lambda text=text: item_map.place(text)) for text in texts]
        print(f"a text of {words:,} words: median {statistics.median(times):.1f} ms, longest {max(times):.1f} ms")
    brute = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(weights)
    query = weights[:1]
    text = spelled(zipf_texts(1, words_per_item, WORDS, seed=2)[0])
    peer = lambda: positions[brute.kneighbors(query)[1][0]].mean(axis=0)  # noqa: E731
    compare(shape, lambda: item_map.place(text), peer, "scikit-learn and a mean")


def weighted(items: int, words_per_item: int) -> tuple[sparse.csr_array, np.ndarray]:
    """Weights of Zipf-like items as `tfidf` has them, and each word's document frequency."""
    blocks = [zipf_matrix(min(2_000, items - first), WORDS, words_per_item // 2, first)
              for first in range(0, items, 2_000)]  # fmt: skip
    weights = sparse.vstack(blocks, format="csr")
    frequency = np.bincount(weights.indices, minlength=WORDS)
    weights.data *= np.log(items / np.maximum(frequency, 1))[weights.indices]
    weights.eliminate_zeros()
    return weights, frequency


def publish(warehouse: Warehouse, weights: sparse.csr_array, frequency: np.ndarray, positions: np.ndarray) -> None:
    """Publish the tables that a map is read from, with the columns that it needs."""
    items = len(positions)
    item_ids = [f"item {number:06d}" for number in range(items)]
    present = np.maximum(frequency, 1)
    vocabulary = VOCABULARY.table_of(
        term_id=np.arange(WORDS, dtype=np.int32),
        word=[f"w{number:06d}" for number in range(WORDS)],
        document_frequency=present,
        count=present,
        idf=np.where(frequency > 0, np.log(items / present), 0.0),
        token_pattern=pa.repeat(DEFAULT_TOKEN_PATTERN, WORDS),
    )
    term_ids, values = csr_to_lists(weights)
    tfidf = TFIDF.table_of(item_id=item_ids, words=np.ones(items, np.int64), term_ids=term_ids, weights=values)
    neighbors = NEIGHBORS.table_of(item_id=item_ids[:1], neighbor_ids=[item_ids[1 : K + 1]], distances=[[0.5] * K])
    maps = [
        ITEM_MAP.table_of(
            dimension=pa.repeat(pa.scalar(dimension, pa.int32()), items),
            item_id=item_ids,
            item_name=item_ids,
            category=pa.nulls(items, pa.string()),
            x=positions[:, 0],
            y=positions[:, 1],
            z=positions[:, 2] if dimension == 3 else pa.nulls(items, pa.float64()),
        )
        for dimension in (2, 3)
    ]
    for contract, rows in ((VOCABULARY, vocabulary), (TFIDF, tfidf), (NEIGHBORS, neighbors)):
        warehouse.publish(contract, rows, since=None)
    origin = Origin(inputs={"vocabulary": 0, "tfidf": 0, "neighbors": 0})
    warehouse.publish(ITEM_MAP, pa.concat_tables(maps), since=None, origin=origin)


def spelled(text: str) -> str:
    """The words of `zipf_texts` as in the vocabulary, whose alphabetical order is that of the ranks."""
    return " ".join(f"w{int(word[1:]):06d}" for word in text.split())


def timed(work: Callable[[], object]) -> float:
    """How many milliseconds `work` takes."""
    started = time.perf_counter()
    work()
    return 1_000 * (time.perf_counter() - started)


def resident_bytes() -> int:
    """The resident memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
