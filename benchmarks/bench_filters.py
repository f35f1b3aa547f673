"""Claim: filters are learned from 400,000 patches at least as fast as by MiniBatchKMeans, with no larger inertia.

    python benchmarks/bench_filters.py [PATCHES [FILTERS]]

Whitened patches of 6 x 6 pixels of random images with the spectrum of photographs (amplitude 1 / frequency), plain
k-means, 3 and 10 passes, two workers. Peers: scikit-learn's MiniBatchKMeans with its defaults and with larger batches,
and its KMeans from the same start with 10 passes. Inertia is the mean squared distance of a patch from its filter.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

from taproom.images.filters import learn_filters
from taproom.images.patches import fit_whitening, random_patches, standardized

SIZE, SIDE, IMAGES = 6, 32, 2_000
FEW_PASSES, PASSES, WORKERS = 3, 10, 2
BATCHES = (4_096, 16_384)


def main(patches: int = 400_000, filters: int = 1_600) -> None:
    """Time ours and then the peers, one after the other."""
    whitened = whitened_patches(patches)
    start = learn_filters(whitened, filters, "k-means", iterations=0).filters
    learn_filters(whitened[:2_000], 10, "k-means", iterations=1)  # compiles
    lloyd = KMeans(filters, init=start, n_init=1, max_iter=PASSES, tol=0, algorithm="lloyd")
    peers = {"MiniBatchKMeans, with its defaults": MiniBatchKMeans(filters, random_state=0)}
    for size in BATCHES:
        peers[f"MiniBatchKMeans, batches of {size:,}"] = MiniBatchKMeans(filters, batch_size=size, random_state=0)
    peers[f"KMeans, {PASSES} passes"] = lloyd
    print(f"{patches:,} patches of {whitened.shape[1]} numbers, {filters:,} filters, {WORKERS} workers")
    with threadpool_limits(limits=WORKERS):
        for passes in (FEW_PASSES, PASSES):
            ours = lambda: learn_filters(whitened, filters, "k-means", passes, n_jobs=WORKERS).filters  # noqa: B023, E731
            report(f"ours, {passes} passes", ours, whitened)
        for name, peer in peers.items():
            report(name, lambda: peer.fit(whitened).cluster_centers_, whitened)  # noqa: B023


def report(name: str, work: Callable[[], np.ndarray], whitened: np.ndarray) -> None:
    """Print how long it takes to find centroids, and their inertia."""
    started = time.perf_counter()
    centroids = work()
    seconds = time.perf_counter() - started
    print(f"{name}: {seconds:.1f} s, inertia {inertia(whitened, centroids):.3f}", flush=True)


def inertia(whitened: np.ndarray, centroids: np.ndarray) -> float:
    """The mean squared distance of a patch from the nearest centroid, computed in the same way for all methods."""
    half = np.einsum("ij,ij->i", centroids, centroids) / 2
    nearness = [(block @ centroids.T - half).max(axis=1).sum() for block in np.array_split(whitened, 50)]
    return float((np.einsum("ij,ij->", whitened, whitened, dtype=np.float64) - 2 * sum(nearness)) / len(whitened))


def whitened_patches(count: int) -> np.ndarray:
    """Patches of smooth random images, standardized and whitened: (count, 108) float32."""
    random = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / SIDE)
    noise = np.fft.rfft2(random.normal(size=(IMAGES, 3, SIDE, SIDE)))
    waves = np.fft.irfft2(noise * amplitude, (SIDE, SIDE)).transpose(0, 2, 3, 1)
    grey = waves.mean(axis=3, keepdims=True)  # the colour channels of photographs are strongly correlated
    levels = 3 * grey + waves
    pixels = np.clip(128 + 50 * levels / levels.std(), 0, 255).astype(np.uint8)
    standard = standardized(random_patches(pixels, SIZE, count, seed=0).pixels, "all", 10.0)
    return fit_whitening(standard, "all", 0.1).whiten(standard)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
