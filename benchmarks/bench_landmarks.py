"""Claim: on RateBeer, a map by landmarks, a quarter of the beers, takes half of the updates of the descent of all
beers, and its errors are within 0.007 of those; with a quarter of the updates instead, the one against random items is
0.006 higher. Peers: that
descent, with all updates and with a quarter of them; landmarks with the others placed one by one, as new texts are.

    python benchmarks/bench_landmarks.py [--beers REVIEWS [--least-reviews N]] [--items N --words N --tokens N]

REVIEWS is Parquet with `beer_name` and `text`. Without it, the items are of a synthetic corpus, by default a small one.
The errors are those of held-out triplets, random / within the neighbours. Seconds are of processor time,
without the neighbours of all items, and with those of the landmarks.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from review_graphs import THREADS, beer_reviews, graph_of, synthetic_graph

from taproom.maps.map_methods import ItemGraph
from taproom.maps.neighbors import nearest, nearest_of_new
from taproom.maps.ordinal import OrdinalParameters, embed, embed_from_landmarks
from taproom.maps.out_of_sample import far_candidates, place_on_maps
from taproom.maps.triplets import triplet_errors

DIMENSIONS = (2, 3)
SHARES = (2, 4, 10)
SAMPLES = 300_000


def main() -> None:
    """Print a row for each method and dimension."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":\n")[0])
    parser.add_argument("--beers", type=Path, help="Parquet with beer_name and text")
    parser.add_argument("--least-reviews", type=int, default=2)
    parser.add_argument("--items", type=int, default=4_000)
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--tokens", type=int, default=1_600_000)
    given = parser.parse_args()
    if given.beers:
        graph = graph_of(*beer_reviews(given.beers, given.least_reviews))
    else:
        graph = synthetic_graph(given.items, given.words, given.tokens)
    once = OrdinalParameters(updates_per_item=1)
    embed_from_landmarks(graph.indices, graph.distances, *landmark_graph(graph, SHARES[0]), once)  # compiles
    print(f"{len(graph.indices):,} items, k = {graph.indices.shape[1]}")
    for dimension in DIMENSIONS:
        compare(graph, OrdinalParameters(dimension))


def compare(graph: ItemGraph, parameters: OrdinalParameters) -> None:
    """Print the errors and seconds of all methods in a dimension."""
    of = graph.indices, graph.distances

    def row(method: str, fit: Callable[[], np.ndarray]) -> None:
        started = time.process_time()
        positions = fit()
        seconds = time.process_time() - started
        errors = triplet_errors(positions, *of, samples=SAMPLES)
        held_out = " / ".join(f"{error.error:.4f}" for error in errors if error.split == "held_out")
        print(f"{method:<34} d = {parameters.dimension} {seconds:>7.1f} s  {held_out}", flush=True)

    quarter = OrdinalParameters(parameters.dimension, parameters.updates_per_item // 4)
    row("all items", lambda: embed(*of, parameters, n_jobs=THREADS))
    row("all items, a quarter of the updates", lambda: embed(*of, quarter, n_jobs=THREADS))
    for share in SHARES:
        row(
            f"1/{share} landmarks",
            lambda share=share: embed_from_landmarks(*of, *landmark_graph(graph, share), parameters, n_jobs=THREADS),
        )
        row(f"1/{share} landmarks, others placed", lambda share=share: placed(graph, share, parameters))


def landmark_graph(graph: ItemGraph, share: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random sample of the items, and the neighbours of each in it."""
    items, k = graph.indices.shape
    rows = np.sort(np.random.default_rng(0).permutation(items)[: items // share])
    return rows, *nearest(graph.weights[rows], k, n_jobs=THREADS)


def placed(graph: ItemGraph, share: int, parameters: OrdinalParameters) -> np.ndarray:
    """A map of the landmarks, and the other items placed on it one by one, as `taproom.place` does."""
    items, k = graph.indices.shape
    rows, *among_landmarks = landmark_graph(graph, share)
    positions = np.empty((items, parameters.dimension))
    positions[rows] = embed(*among_landmarks, parameters, n_jobs=THREADS)
    others = np.setdiff1d(np.arange(items), rows)
    found = nearest_of_new(graph.weights[rows], graph.weights[others], k + 1, n_jobs=THREADS)
    maps, candidates = {parameters.dimension: positions[rows]}, far_candidates(len(rows), k)
    for item, near, apart in zip(others, *found, strict=True):
        positions[item] = place_on_maps(near, apart, k, maps, candidates)[parameters.dimension]
    return positions


if __name__ == "__main__":
    main()
