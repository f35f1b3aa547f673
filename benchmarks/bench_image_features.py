"""Claim: features are computed at three quarters of a matrix product's rate, and three times as fast as by PyTorch.

    python benchmarks/bench_image_features.py [IMAGES]

1,600 filters of 6 x 6 pixels, random images of 32 x 32, two signs, 2 x 2 windows: 2 * 729 * 108 * 1,600 operations an
image. First the rate (GFLOP/s) of NumPy's single-precision products, of the size for one image and of 4,096 x 4,096, in
turn with ours, with one worker and with two.

Then, for the same features without mirror images, two usual implementations in PyTorch. conv2d: filters with whitening
folded in, ReLU of both signs, mean pooling (without the standardization of patches, so it does less work than ours).
unfold: standardized patches times filters, then the same. Both process a few images at a time to save memory. PyTorch
is no dependency; without it only the first part runs. To install it, in a separate environment:
`pip install torch==2.13.0`.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from measure import compare
from threadpoolctl import threadpool_limits

from taproom.images.image_features import Encoder, EncoderParameters, learn_encoder

FILTERS, SIZE, SIDE, POOLS = 1600, 6, 32, 2
POSITIONS = SIDE - SIZE + 1
LENGTH = 3 * SIZE**2
WORKERS = 2
TURNS = 5
PEER_IMAGES = 16  # at a time: more do not fit into the cache, fewer need more calls


def main(images: int = 256) -> None:
    """Measure rates, and compare with the peers."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
    parameters = EncoderParameters(
        filters=FILTERS,
        patches=20_000,
        learned_by="random patches",
        patch_size=SIZE,
        pools=POOLS,
        mirrored=False,
        power=1.0,
    )
    plain = learn_encoder(pixels, parameters, seed=0)
    mirrored = Encoder(replace(parameters, mirrored=True), plain.whitening, plain.filters)
    print(f"{images} images of {SIDE} x {SIDE}, {FILTERS:,} filters, {POSITIONS**2} patches of {LENGTH} numbers")
    for workers in (1, WORKERS):
        rates(plain, mirrored, pixels, workers)
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed, so no peer is timed: pip install torch==2.13.0, in a separate environment")
        return
    torch.set_num_threads(WORKERS)
    with torch.inference_mode():
        for name, theirs in {"conv2d": convolved(plain), "unfold and matmul": unfolded(plain)}.items():
            peer = lambda: in_parts(theirs, pixels)  # noqa: B023, E731
            compare(f"features, {WORKERS} workers", lambda: plain.features(pixels, WORKERS), peer, name)
        found = in_parts(unfolded(plain), pixels[:4])
    wanted = by_window(plain.features(pixels[:4]))
    print(f"largest difference between unfold's features and ours: {np.abs(found - wanted).max():.1e}")


def rates(plain: Encoder, mirrored: Encoder, pixels: np.ndarray, workers: int) -> None:
    """Print the median rates of products and of features, which are timed in turn."""
    operations = 2 * POSITIONS**2 * LENGTH * FILTERS * len(pixels)
    works = {
        f"product of {POSITIONS**2} x {LENGTH + 1} x {FILTERS}": product(POSITIONS**2, LENGTH + 1, FILTERS, 32),
        "product of 4096 x 4096 x 4096": product(4096, 4096, 4096, 1),
        "features": (lambda: plain.features(pixels, workers), operations),
        "features, mirrored": (lambda: mirrored.features(pixels, workers), 2 * operations),
    }
    reached: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(1 + TURNS):  # the first one compiles, and is not counted
        for name, (work, count) in works.items():
            with threadpool_limits(limits=workers, user_api="blas"):
                seconds = timed(work)
            if turn:
                reached[name].append(count / seconds / 1e9)
    medians = {name: statistics.median(values) for name, values in reached.items()}
    best = max(rate for name, rate in medians.items() if name.startswith("product"))
    print(f"{workers} worker{'s' if workers > 1 else ''}:")
    for name, rate in medians.items():
        print(f"  {name}: {rate:.0f} GFLOP/s, {rate / best:.0%} of the best product")


def product(rows: int, length: int, columns: int, times: int) -> tuple[Callable[[], object], int]:
    """A function that computes a matrix product `times` times, and the number of its operations."""
    random = np.random.default_rng(0)
    left, right = (random.random(shape, np.float32) for shape in ((rows, length), (length, columns)))
    into = np.empty((rows, columns), np.float32)

    def work() -> None:
        for _ in range(times):
            np.matmul(left, right, out=into)

    return work, 2 * rows * length * columns * times


def timed(work: Callable[[], object]) -> float:
    """How many seconds `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def folded(encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    """Filters (f, k) for patches that are not whitened, and the bias of their responses (f,)."""
    whitening = encoder.whitening
    filters = encoder.filters @ whitening.matrix.T
    return filters, -(filters @ whitening.mean)


def in_parts(work: Callable, pixels: np.ndarray) -> np.ndarray:
    """The peer's features (n, signs, filters, windows) of a few images at a time."""
    import torch

    given = torch.from_numpy(pixels)
    return torch.cat([work(part.permute(0, 3, 1, 2).float()) for part in given.split(PEER_IMAGES)]).numpy()


def convolved(encoder: Encoder) -> Callable:
    """Features (n, signs, filters, windows) of images (n, 3, h, w), by conv2d."""
    import torch

    filters, bias = map(torch.from_numpy, folded(encoder))
    kernels = filters.reshape(-1, SIZE, SIZE, 3).permute(0, 3, 1, 2).contiguous()
    return lambda images: pooled(torch.nn.functional.conv2d(images, kernels, bias), encoder.parameters.offset)


def unfolded(encoder: Encoder) -> Callable:
    """Features (n, signs, filters, windows) of images (n, 3, h, w), by unfold and matmul of standardized patches."""
    import torch

    filters, bias = map(torch.from_numpy, folded(encoder))
    # unfold gives patches colour by colour.
    by_colour = filters.reshape(-1, SIZE, SIZE, 3).permute(0, 3, 1, 2).reshape(FILTERS, -1).contiguous()

    def work(images):
        patches = torch.nn.functional.unfold(images, SIZE)
        patches = patches - patches.mean(dim=1, keepdim=True)
        patches = patches / (patches.square().mean(dim=1, keepdim=True) + encoder.parameters.contrast).sqrt()
        responses = by_colour @ patches + bias[:, None]
        return pooled(responses.reshape(len(images), FILTERS, POSITIONS, POSITIONS), encoder.parameters.offset)

    return work


def pooled(responses, offset: float):
    """Means over 2 x 2 windows of both signs of responses (n, filters, rows, columns)."""
    import torch

    stride = POSITIONS // (POOLS + 1)
    width = POSITIONS - stride * (POOLS - 1)
    signs = [torch.relu(sign * responses - offset) for sign in (1, -1)]
    means = [torch.nn.functional.avg_pool2d(sign, width, stride) for sign in signs]
    return torch.stack(means, dim=1).flatten(3)


def by_window(features: np.ndarray) -> np.ndarray:
    """Our features in the order of `pooled`: (n, signs, filters, windows)."""
    return features.reshape(len(features), POOLS**2, 2, FILTERS).transpose(0, 2, 3, 1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
