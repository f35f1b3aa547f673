"""Claim: 200,000 items of 400 words go from text to a map within 15 minutes and 12 GB on two cores, recall >= 0.95.

    python benchmarks/bench_scale.py                         # small sizes of all kinds, some minutes
    python benchmarks/bench_scale.py items 5000 20000 50000 200000
    python benchmarks/bench_scale.py exact 5000 20000 50000 100000
    python benchmarks/bench_scale.py events 100000 1000000 10000000
    python benchmarks/bench_scale.py words 1000000 10000000 100000000

For each size: the seconds of each step, the peak memory of its process so far, and the megabytes it has read; then for
each step the exponent b of seconds ~ size^b, fitted to all sizes by least squares of the logarithms. Each size is a
process of its own. `items` are searched approximately, `exact` exactly. Peer: the law; docs/scaling.md has the results.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bench_mixtures import COMPONENTS, simulated_events
from corpus import write_corpus
from zipf import zipf_texts

from taproom.assays.expectation_maximization import EmParameters, fit
from taproom.assays.mixture_starts import start_at
from taproom.maps.approximate_neighbors import nearest_approximately
from taproom.maps.item_map import NeighborGraph, graph_of_ranks, map_items
from taproom.maps.neighbors import nearest
from taproom.maps.ordinal import OrdinalParameters
from taproom.text.word_vectors import WordVectorParameters, train
from taproom.words.counting import count_stream
from taproom.words.tfidf import select_words, weigh

K, ANCHORS = 100, 1_000
WORDS_PER_ITEM, WORDS_PER_TEXT, VOCABULARY = 400, 250, 400_000
EM_ITERATIONS = 20
SMALL = {"items": (2_000, 5_000), "exact": (2_000, 5_000), "events": (50_000, 100_000), "words": (500_000, 1_000_000)}


def main(kind: str | None = None, *sizes: str) -> None:
    """Measure each size in a process, and print the table and the exponents."""
    if kind is None:
        for each, some in SMALL.items():
            main(each, *map(str, some))
        return
    seconds: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for size in map(int, sizes):
        with tempfile.TemporaryDirectory() as folder:
            write(kind, size, Path(folder))
            command = [sys.executable, __file__, "measure", kind, str(size), folder]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for row in map(json.loads, output.splitlines()):
            seconds[row["step"]].append((size, row["seconds"]))
            more = f"  {row['more']}" if row["more"] else ""
            print(f"{size:>11,} {kind:7} {row['step']:32} {row['seconds']:8.1f} s  peak {row['peak']:5.2f} GB  "
                  f"read {row['read']:7.0f} MB{more}", flush=True)  # fmt: skip
    for step, points in seconds.items():
        if len(points) > 1:
            exponent, _ = np.polyfit(*np.log(np.array(points)).T, 1)
            print(f"{kind:7} {step:32} seconds ~ {kind}^{exponent:.2f}")


def write(kind: str, size: int, folder: Path) -> None:
    """What the process of a size reads."""
    if kind in ("items", "exact"):
        write_corpus(folder / "corpus.parquet", size, min(2 * size, VOCABULARY), WORDS_PER_ITEM * size)
    if kind == "words":
        with (folder / "corpus.txt").open("w", encoding="utf-8") as file:
            for seed, first in enumerate(range(0, size, 10**6)):
                texts = zipf_texts(min(size - first, 10**6) // WORDS_PER_TEXT, WORDS_PER_TEXT, VOCABULARY, seed)
                file.writelines(f"{text}\n" for text in texts)


def measure_items(size: int, folder: Path, exactly: bool = False) -> None:
    """From text to neighbours, and to maps if the search is approximate."""
    search = nearest if exactly else nearest_approximately
    warm_up(search)
    with step("read and count"):
        batches = pq.ParquetFile(folder / "corpus.parquet").iter_batches(10_000, columns=["item_id", "text"])
        counts = count_stream(((each["item_id"].to_pylist(), each["text"].to_pylist()) for each in batches), n_jobs=2)
    with step("weigh") as more:
        weights, _ = weigh(counts, select_words(counts, 2, VOCABULARY))
        more["entries"] = f"{weights.nnz / 1e6:.0f} M"
        del counts
    with step("exact neighbours" if exactly else "approximate neighbours") as more:
        indices, distances, *about = search(weights, K, n_jobs=2)
        more.update(zip(("recall", "share", "candidates"), about, strict=False))
    if exactly:
        return
    with step(f"ten times as many of {ANCHORS:,}"):
        graph = graph_of_ranks(indices, distances, weights, ANCHORS, exact_up_to=0)
        del weights, indices, distances
    for dimension in (2, 3):
        with step(f"map in {dimension} dimensions") as more:
            errors = map_items(graph, OrdinalParameters(), dimension, n_jobs=2).errors
            more.update({row["kind"]: round(row["error"], 3) for row in errors if row["split"] == "held_out"})


def warm_up(search: Callable) -> None:
    """Compile, and start no clock for that."""
    from zipf import zipf_matrix

    matrix = zipf_matrix(300, 500, 20)
    indices, distances, *_ = search(matrix, 5)
    map_items(NeighborGraph(indices, distances, np.arange(3), indices[:3]), OrdinalParameters(updates_per_item=10), 2)


def measure_events(size: int, folder: Path) -> None:
    """EM for ten components in five channels."""
    values = simulated_events(size)
    fit(values[:1_000], start_at(values[:1_000], 2, 0), EmParameters(iterations=1))
    with step("start"):
        start = start_at(values, COMPONENTS, seed=0)
    with step(f"EM, {EM_ITERATIONS} iterations"):
        fit(values, start, EmParameters(iterations=EM_ITERATIONS, tolerance=0), n_jobs=2)


def measure_words(size: int, folder: Path) -> None:
    """Count the words of texts of 250 words, and train word vectors for an epoch."""

    def texts() -> Iterator[list[str]]:
        with (folder / "corpus.txt").open(encoding="utf-8") as file:
            block = []
            for line in file:
                block.append(line)
                if len(block) == 10_000:
                    yield block
                    block = []
            yield block

    with step("read and count"):
        numbered = (([f"{n}.{m:05}" for m in range(len(block))], block) for n, block in enumerate(texts()))
        count_stream(numbered, n_jobs=2)
    with step("word vectors, an epoch") as more:
        trained = train(texts(), WordVectorParameters(epochs=1), workers=2)
        more["words a second"] = round(trained.tokens / trained.seconds)


@contextmanager
def step(name: str) -> Iterator[dict]:
    """Print what the block took, as JSON; the block may add more."""
    more: dict = {}
    read, started = bytes_read(), time.perf_counter()
    yield more
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    told = {"step": name, "seconds": seconds, "peak": peak, "read": (bytes_read() - read) / 1e6, "more": more}
    print(json.dumps(told), flush=True)


def bytes_read() -> int:
    """Bytes that this process has read so far, from files and pipes."""
    return int(Path("/proc/self/io").read_text().split()[1])


MEASURES = {
    "items": measure_items,
    "exact": lambda size, folder: measure_items(size, folder, exactly=True),
    "events": measure_events,
    "words": measure_words,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        MEASURES[sys.argv[2]](int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(*sys.argv[1:])
