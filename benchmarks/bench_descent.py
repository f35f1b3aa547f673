"""Claim: the errors of a map in two dimensions after a sixth of the default updates are within 0.01 of those after ten
times as many (seen with 2,500 items), and one thread gives the bits of two. Peer: the same descent with ten times as
many updates.

    python benchmarks/bench_descent.py [ITEMS WORDS TOKENS]

The default is a twentieth of the deck's scale; `50000 400000 150000000` is the full scale (its neighbours take some
minutes).
"""

import sys
import time
from dataclasses import replace

import numpy as np
from review_graphs import synthetic_graph

from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.triplets import triplet_errors

UPDATES_PER_ITEM = 330
SAMPLES = 500_000


def main(items: int = 2_500, words: int = 20_000, tokens: int = 7_500_000) -> None:
    """Find the neighbours of a synthetic corpus, and map them with few and with many updates."""
    graph = synthetic_graph(items, words, tokens)
    compare_descents(graph.indices, graph.distances)


def compare_descents(indices: np.ndarray, distances: np.ndarray) -> None:
    """Print seconds and errors of both descents, and whether the result is the same with one thread and two."""
    few = OrdinalParameters(updates_per_item=UPDATES_PER_ITEM)
    embed(indices[:, :1], distances[:, :1], replace(few, updates_per_item=1))  # compiles
    fits = {}
    for threads, parameters in ((2, few), (1, few), (2, replace(few, updates_per_item=10 * UPDATES_PER_ITEM))):
        started = time.perf_counter()
        positions = embed(indices, distances, parameters, n_jobs=threads)
        seconds = time.perf_counter() - started
        errors = triplet_errors(positions, indices, distances, samples=SAMPLES)
        held_out = " / ".join(f"{row.kind} {row.error:.4f}" for row in errors if row.split == "held_out")
        updates = len(indices) * parameters.updates_per_item
        print(
            f"{len(indices):,} items, {updates:.1e} updates, {threads} threads: {seconds:.1f} s, {held_out}", flush=True
        )
        fits[threads, parameters] = positions
    print(f"the result is the same with one thread and two: {np.array_equal(fits[1, few], fits[2, few])}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
