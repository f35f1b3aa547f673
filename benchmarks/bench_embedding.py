"""Claim: on the same graph and held-out triplets, our map has lower errors than UMAP, TriMap, PaCMAP and openTSNE,
against random items and within the neighbours, in two dimensions and in three, all with their defaults.

    python benchmarks/bench_embedding.py [REVIEWS] [--figure PATH]

REVIEWS is Parquet with `beer_name` and `text`; its items are the beers with at least two reviews, k = 100. Without it,
a small synthetic corpus is used. Beside the errors stand what people see, trustworthiness, continuity and the share of
the 10 nearest on the map with the same style (`taproom.maps.neighborhoods`); these are no part of the claim.

All methods get the neighbours that `nearest` found. The peers expect Euclidean distances, which for unit rows are
sqrt(2 d). TriMap and PaCMAP also compare items beyond the neighbours, by vectors: the truncated SVD of the unit rows in
100 dimensions, scaled to length 1, with which both do better than with the rows themselves. By default UMAP uses 15
neighbours (including the item), TriMap 12 and PaCMAP 10; in a second row each gets all of them. All use two threads and
a fixed seed, except that TriMap takes no seed, and UMAP with a seed runs in a single thread. The seconds are those of
the embedding, without the graph, the vectors and any compilation.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from corpus import corpus
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from openTSNE import TSNE
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from pacmap import PaCMAP
from review_graphs import THREADS, beer_reviews, beer_styles, graph_of
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits
from trimap import TRIMAP
from umap import UMAP

from taproom.drawing import GREY, PALETTE
from taproom.maps.map_methods import ItemGraph
from taproom.maps.neighborhoods import neighborhood_scores
from taproom.maps.ordinal import OrdinalParameters, embed
from taproom.maps.triplets import triplet_errors

DIMENSIONS = (2, 3)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SEED = 0
VECTOR_DIMENSIONS = 100


class PeerInput(NamedTuple):
    """`indices` and Euclidean `distances` (n, 1 + k) of each item, itself the first, and `vectors` (n, 100)."""

    indices: np.ndarray
    distances: np.ndarray
    vectors: np.ndarray


class Fit(NamedTuple):
    """A map's errors on held-out triplets, and `neighborhood_scores`."""

    method: str
    dimension: int
    seconds: float
    random: float
    within: float
    trustworthiness: float | None
    continuity: float | None
    category_purity: float | None

    def __str__(self) -> str:
        scores = "".join(f" {'' if score is None else format(score, '.4f'):>8}" for score in self[3:])
        return f"{self.method:<28} {self.dimension:>2} {self.seconds:>8.1f}{scores}"


def main() -> None:
    """Print a row for each method, then our trade-off; draw both if a figure is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":\n")[0])
    parser.add_argument("reviews", type=Path, nargs="?", help="Parquet with beer_name and text")
    parser.add_argument("--figure", type=Path, help="PNG to draw the errors into")
    arguments = parser.parse_args()
    quieten_peers()
    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))
    with threadpool_limits(THREADS):
        compiled_on = graph_of(*synthetic_reviews(200))
        for method in methods(len(compiled_on.indices[0])).values():
            method(compiled_on, peer_input(compiled_on), 2)
        if arguments.reviews:
            graph = graph_of(*beer_reviews(arguments.reviews), beer_styles(arguments.reviews))
        else:
            graph = graph_of(*synthetic_reviews(1_000))
        fits, trade_off = compare(graph)
    if arguments.figure:
        draw(fits, trade_off, arguments.figure)


def compare(graph: ItemGraph) -> tuple[list[Fit], list[Fit]]:
    """The fits of all methods, and ours by `within_share`; each is printed when it is done."""
    items, k = graph.indices.shape
    print(f"{items:,} items, k = {k}; {', '.join(f'{name} {version(name)}' for name in PEERS)}")
    print(
        f"{'method':<28} {'d':>2} {'seconds':>8} {'random':>8} {'within':>8} {'trust':>8} {'contin.':>8} {'purity':>8}"
    )
    given = peer_input(graph)
    fits = [
        judged(name, method, graph, given, dimension) for name, method in methods(k).items() for dimension in DIMENSIONS
    ]
    trade_off = [
        judged(f"within_share {share}", partial(ours, within_share=share), graph, given, dimension)
        for dimension in DIMENSIONS
        for share in SHARES
    ]
    return fits, trade_off


def judged(name: str, method: "Method", graph: ItemGraph, given: PeerInput, dimension: int) -> Fit:
    """Fit a map, measure its errors, and print them."""
    started = time.perf_counter()
    positions = method(graph, given, dimension)
    seconds = time.perf_counter() - started
    errors = triplet_errors(positions, graph.indices, graph.distances, seed=SEED)
    held_out = {row.kind: row.error for row in errors if row.split == "held_out"}
    scores = neighborhood_scores(positions, graph.unit_rows(), graph.categories)
    fit = Fit(name, dimension, seconds, **held_out, **scores)
    print(fit, flush=True)
    return fit


Method = Callable[[ItemGraph, PeerInput, int], np.ndarray]
PEERS = ("umap-learn", "trimap", "pacmap", "openTSNE")


def methods(k: int) -> dict[str, Method]:
    """Each method with its defaults; the peers that use fewer than k neighbours also with all k."""
    return {
        "Taproom": ours,
        "UMAP": umap,
        "TriMap": trimap,
        "PaCMAP": pacmap,
        "openTSNE": open_tsne,
        f"UMAP, {k} neighbours": partial(umap, n_neighbors=1 + k),
        f"TriMap, {k} neighbours": partial(trimap, n_inliers=k),
        f"PaCMAP, {k} neighbours": partial(pacmap, n_neighbors=k),
    }


def ours(graph: ItemGraph, _: PeerInput, dimension: int, **options: float) -> np.ndarray:
    """Our map."""
    return embed(graph.indices, graph.distances, OrdinalParameters(dimension, **options), n_jobs=THREADS)


def umap(_: ItemGraph, given: PeerInput, dimension: int, n_neighbors: int = 15) -> np.ndarray:
    """UMAP. On small graphs it uses more neighbours than asked for, so the others are removed."""
    knn = given.indices[:, :n_neighbors], given.distances[:, :n_neighbors], None
    peer = UMAP(n_components=dimension, n_neighbors=n_neighbors, precomputed_knn=knn, random_state=SEED, n_jobs=1)
    return peer.fit_transform(given.vectors)


def trimap(_: ItemGraph, given: PeerInput, dimension: int, **options: int) -> np.ndarray:
    """TriMap."""
    return TRIMAP(dimension, knn_tuple=(given.indices, given.distances), **options).fit_transform(given.vectors)


def pacmap(_: ItemGraph, given: PeerInput, dimension: int, n_neighbors: int = 10) -> np.ndarray:
    """PaCMAP, with the pairs of each item and its nearest neighbours."""
    items = given.indices[:, 0]
    pairs = np.column_stack([np.repeat(items, n_neighbors), given.indices[:, 1 : 1 + n_neighbors].ravel()])
    return PaCMAP(dimension, n_neighbors, pair_neighbors=pairs, random_state=SEED).fit_transform(given.vectors)


def open_tsne(_: ItemGraph, given: PeerInput, dimension: int) -> np.ndarray:
    """openTSNE, with the spectral initialization that needs no vectors; with Barnes-Hut in three dimensions."""
    neighbors = PrecomputedNeighbors(given.indices[:, 1:].astype(np.int64), given.distances[:, 1:].astype(np.float64))
    affinities = PerplexityBasedNN(knn_index=neighbors, n_jobs=THREADS)
    gradient = "auto" if dimension < 3 else "bh"
    peer = TSNE(
        dimension,
        initialization="spectral",
        negative_gradient_method=gradient,
        n_jobs=THREADS,
        random_state=SEED,
    )
    return np.asarray(peer.fit(affinities=affinities))


def quieten_peers() -> None:
    """Silence the warnings of the peers about seeds, three dimensions and graphs that cannot place new items."""
    logging.getLogger("pacmap").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "precomputed_knn", module="umap")


def peer_input(graph: ItemGraph) -> PeerInput:
    """The graph in the form that the peers expect."""
    unit = graph.unit_rows()
    reduced = TruncatedSVD(VECTOR_DIMENSIONS, random_state=SEED).fit_transform(unit)
    return PeerInput(
        np.insert(graph.indices, 0, np.arange(len(graph.indices)), axis=1),
        np.insert(np.sqrt(2 * graph.distances), 0, 0.0, axis=1).astype(np.float32),
        normalize(reduced).astype(np.float32),
    )


def synthetic_reviews(items: int) -> tuple[list[str], list[str]]:
    """Items and texts of a synthetic corpus."""
    item_ids, texts = [], []
    for block in corpus(items, words=10 * items, tokens=500 * items):
        item_ids += block["item_id"].to_pylist()
        texts += block["text"].to_pylist()
    return item_ids, texts


def draw(fits: Sequence[Fit], trade_off: Sequence[Fit], path: Path) -> None:
    """Our trade-off as a curve, with the shares at its points, and the peers as points, a panel for each dimension."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    colors = dict(zip(dict.fromkeys(peer_of(fit) for fit in fits), PALETTE, strict=False))
    for panel, dimension in zip(figure.subplots(1, len(DIMENSIONS), sharex=True, sharey=True), DIMENSIONS, strict=True):
        curve = [fit for fit in trade_off if fit.dimension == dimension]
        default, *peers = (fit for fit in fits if fit.dimension == dimension)
        color = colors[default.method]
        panel.plot(
            [fit.random for fit in curve], [fit.within for fit in curve], ".-", color=color, label="by within_share"
        )
        for share, fit in zip(SHARES, curve, strict=True):
            place = fit.random, fit.within
            panel.annotate(share, place, (-4, -10), textcoords="offset points", ha="right", fontsize=8, color=color)
        panel.plot(default.random, default.within, "o", color=color, label=default.method)
        for fit in peers:
            color = colors[peer_of(fit)]
            filled = color if fit.method in colors else "none"
            panel.plot(fit.random, fit.within, "s", color=color, markerfacecolor=filled, label=fit.method)
        panel.axhline(default.within, color=GREY, linestyle=":", zorder=0)
        panel.axvline(default.random, color=GREY, linestyle=":", zorder=0)
        panel.set(title=f"{dimension} dimensions", xlabel="error against random items")
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.1, y=0.08)
    figure.axes[0].set_ylabel("error within the neighbours")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


def peer_of(fit: Fit) -> str:
    """The method's name without its options."""
    return fit.method.partition(",")[0]


if __name__ == "__main__":
    main()
