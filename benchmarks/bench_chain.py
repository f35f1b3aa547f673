"""Claim: a map of 50,000 items from 1.5 * 10^8 words of reviews takes at most 8 minutes and 8 GB, and with Dagster and
the warehouse at most 1.2 times as long as with the functions alone. Peer: the functions alone.

    python benchmarks/bench_chain.py [ITEMS WORDS TOKENS]

The default is a hundredth of the deck's scale; `50000 400000 150000000` is the full scale.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from corpus import write_corpus

BARE = """
import numpy as np
from bench_chain import step
from assets.reviews import items, reviews
from taproom.words.counting import count_stream
from taproom.maps.item_map import NeighborGraph, map_items
from taproom.maps.map_comparison import compare
from taproom.maps.map_methods import ItemGraph
from taproom.maps.neighbors import choose_k, nearest
from taproom.maps.ordinal import OrdinalParameters
from taproom.sources.review_files import ReviewFile
from taproom.sources.reviews import ReviewReader
from taproom.words.rollup import ReviewRollup
from taproom.words.tfidf import select_words, weigh

rollup = ReviewRollup({})

def blocks():
    for batch in ReviewReader(ReviewFile(path), "deck", "deck", reviews.CONTRACT.schema).reader():
        rollup.add(batch)
        yield batch["item_id"].to_pylist(), batch["text"].to_pylist()

with step("read, count, roll up"):
    counts = count_stream(blocks(), n_jobs=-1)
    rollup.items(items.ITEMS.schema)
    del rollup
with step("weigh"):
    weights, _ = weigh(counts, select_words(counts, 2, 400_000))
    del counts
with step("neighbours"):
    k = choose_k(weights.shape[0])
    indices, distances = nearest(weights, k, n_jobs=-1)
with step("ten times as many neighbours of 1,000 items"):
    anchors = np.unique(np.linspace(0, weights.shape[0] - 1, 1_000).astype(int))
    wide, _ = nearest(weights, min(10 * k, weights.shape[0] - 1), queries=anchors, n_jobs=-1)
maps = {}
for dimension in (2, 3):
    with step(f"map in {dimension} dimensions"):
        graph = NeighborGraph(indices, distances, anchors, wide)
        maps[dimension] = map_items(graph, OrdinalParameters(), dimension, n_jobs=-1).positions
with step("other methods"):
    compare(ItemGraph(weights, indices, distances), maps)
"""


def main(items: int = 500, words: int = 4_000, tokens: int = 1_500_000) -> None:
    """Write the corpus, process it both ways in a process each, print seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.parquet"
        write_corpus(path, items, words, tokens)
        config = Path(folder) / "run.yaml"
        config.write_text(yaml.safe_dump({"ops": {"reviews": {"config": {"source": "table", "path": str(path)}}}}))
        code = f"from pathlib import Path\npath = Path({str(path)!r})\n{BARE}"
        bare = seconds_of("functions alone", [sys.executable, "-c", code], folder)
        run = [sys.executable, "-m", "pipelines.run", "--config", str(config)]
        through = seconds_of("with Dagster", run, folder)
    print(f"{items:,} items, {tokens:,} tokens: functions alone {bare:.0f} s, with Dagster {through:.0f} s, "
          f"ratio {through / bare:.2f}")  # fmt: skip


def seconds_of(name: str, command: list[str], folder: str) -> float:
    """Run a command in a process; print its seconds and the largest peak of memory so far."""
    environment = {
        "DAGSTER_HOME": folder,
        "TAPROOM_WAREHOUSE": f"{folder}/warehouse",
        "TAPROOM_ALLOWED_FOLDERS": folder,
        "PYTHONPATH": ".:benchmarks",
        "TQDM_DISABLE": "1",
    }
    started = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | environment)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{name}: {seconds:.0f} s, peak so far {peak:.1f} GB", flush=True)
    return seconds


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print how long the block takes, and the process's peak memory so far."""
    started = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  {name}: {time.perf_counter() - started:.1f} s, peak {peak:.1f} GB", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
