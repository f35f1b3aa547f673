"""Filters for images, learned from whitened patches: by k-means, spherical or plain, or taken from them at random.

Source: the deck's slide "Mini case study", step 3. Spherical k-means is that of Coates and Ng, Learning feature
representations with k-means, 2012, section 2: a patch belongs to the filter whose response to it is largest in size,
each filter becomes the sum of its patches, weighted by their responses, and itself, scaled to length 1. It does not
distinguish a patch from its negative; nor does an encoding by two signs. Plain k-means is Lloyd's.

scikit-learn has plain k-means, but not the spherical one, which is the same loop with another update. Here both have
the same bits for any number of workers; `benchmarks/bench_filters.py` compares them.
"""

from typing import NamedTuple

import numpy as np

from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.progress import progress

FILTERS = ("spherical k-means", "k-means", "random patches")

BLOCK_PATCHES = 8192
# So few that their responses stay in the cache.
CHUNK_PATCHES = 128
SHORTEST = np.float32(1e-6)


class Filters(NamedTuple):
    """Filters (f, k) float32, most used first; `patches` (f,) is how many patches each stands for.

    `inertia` is the mean squared distance of a patch from its filter (spherical: times its response).
    """

    filters: np.ndarray
    patches: np.ndarray
    inertia: float


def learn_filters(
    whitened: np.ndarray, count: int, learned_by: str, iterations: int = 10, seed: int = 0, n_jobs: int | None = None
) -> Filters:
    """Learn `count` filters from whitened patches (n, k) float32.

    Spherical filters and random patches have length 1. The start is a random choice of patches; a filter that stands
    for no patch starts again from another one. The result does not depend on `n_jobs`, workers as joblib counts them.

    Raises `InputError` where there are fewer patches (of any contrast) than filters, and for a `learned_by` that is
    none of `FILTERS`.
    """
    if learned_by not in FILTERS:
        raise InputError(f"filters are to be learned by {learned_by!r}; wanted one of {', '.join(FILTERS)}")
    lengths = np.linalg.norm(whitened, axis=1)
    usable = np.flatnonzero(lengths > SHORTEST)
    if len(usable) < count:
        raise InputError(
            f"{count} filters are to be made of {len(usable)} patches that are not flat ({len(whitened)} in all); "
            "wanted more patches than filters"
        )
    random = np.random.default_rng(seed)
    filters = whitened[random.choice(usable, count, replace=False)]
    spherical = learned_by != "k-means"
    if spherical:
        filters = _of_length_one(filters)
    for _ in progress(range(0 if learned_by == "random patches" else iterations), doing="k-means", unit="pass"):
        sums, patches, _ = _assign(whitened, filters, spherical, n_jobs)
        unused = np.flatnonzero(patches == 0)
        filters = _of_length_one(sums + filters) if spherical else sums / np.maximum(patches, 1)[:, None]
        again = whitened[random.choice(usable, len(unused), replace=False)]
        filters[unused] = _of_length_one(again) if spherical else again
    _, patches, inertia = _assign(whitened, filters, spherical, n_jobs)
    order = np.lexsort((np.arange(count), -patches))
    return Filters(np.ascontiguousarray(filters[order], np.float32), patches[order], inertia)


def _assign(
    whitened: np.ndarray, filters: np.ndarray, spherical: bool, n_jobs: int | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Each filter's sum over its patches, their number, and the inertia."""
    from joblib import Parallel, delayed

    blocks = [whitened[start : start + BLOCK_PATCHES] for start in range(0, len(whitened), BLOCK_PATCHES)]
    sums, patches, inertia = np.zeros(filters.shape, np.float32), np.zeros(len(filters), np.int64), 0.0
    with blas_threads():
        parts = Parallel(n_jobs, prefer="threads", return_as="generator")(
            delayed(_assign_block)(block, filters, spherical) for block in blocks
        )
        for part_sums, part_patches, part_inertia in parts:
            sums += part_sums
            patches += part_patches
            inertia += part_inertia
    return sums, patches, inertia / len(whitened)


def _assign_block(block: np.ndarray, filters: np.ndarray, spherical: bool) -> tuple[np.ndarray, np.ndarray, float]:
    from taproom.images._patch_kernels import add_to_filters

    half = np.einsum("ij,ij->i", filters, filters) / np.float32(2)
    sums, patches, inertia = np.zeros(filters.shape, np.float32), np.zeros(len(filters), np.int64), 0.0
    for start in range(0, len(block), CHUNK_PATCHES):
        chunk = block[start : start + CHUNK_PATCHES]
        responses = chunk @ filters.T
        every = np.arange(len(chunk))
        norms = np.einsum("ij,ij->i", chunk, chunk)
        if spherical:
            nearest = np.abs(responses).argmax(axis=1)
            weights = responses[every, nearest]
            squared = norms - weights**2
        else:
            # |x - d|^2 = |x|^2 - 2 (x'd - |d|^2 / 2)
            responses -= half
            nearest = responses.argmax(axis=1)
            weights = np.ones(len(chunk), np.float32)
            squared = norms - 2 * responses[every, nearest]
        add_to_filters(chunk, nearest, weights, sums, patches)
        inertia += float(squared.sum(dtype=np.float64))
    return sums, patches, inertia


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), SHORTEST)
