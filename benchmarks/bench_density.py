"""Claim: a kernel density of 70,000 events on a 200 x 200 grid takes at most twice as long as FFTKDE."""

import numpy as np
from KDEpy import FFTKDE
from measure import compare
from sklearn.neighbors import KernelDensity

from taproom.assays.densities import Grid, choose_bandwidth, grid_over, kernel_density

EVENTS, REPETITIONS = 70_000, 10


def main() -> None:
    """Compare on a grid over all events, which FFTKDE needs, with the bandwidth that is best for held-out events."""
    values = events()
    grid = grid_over(values, share=1.0)
    bandwidth, _ = choose_bandwidth(values, seed=0)
    scale = values.std(axis=0)
    points, scaled = grid.points() / scale, values / scale

    def repeat(density: object) -> None:
        for _ in range(REPETITIONS):
            density()

    compare(
        f"{REPETITIONS} densities of {EVENTS:,} events on 200 x 200 points, bandwidth {bandwidth:.3g}",
        lambda: repeat(lambda: kernel_density(values, grid, bandwidth)),
        lambda: repeat(lambda: FFTKDE(bw=bandwidth).fit(scaled).evaluate(points)),
        "FFTKDE",
    )
    wider = Grid(grid.x[::4], grid.y[::4])
    exact = exact_density(values, wider, bandwidth)
    ours = kernel_density(values, grid, bandwidth)[::4, ::4]
    theirs = (FFTKDE(bw=bandwidth).fit(scaled).evaluate(points) / scale.prod()).reshape(200, 200)[::4, ::4]
    for name, density in (("ours", ours), ("FFTKDE", theirs)):
        print(f"{name}: largest error {np.abs(density - exact).max() / exact.max():.2%} of the exact density's peak")


def events() -> np.ndarray:
    """A dim population, two bright ones, and a few events far away: (70,000, 2)."""
    random = np.random.default_rng(0)
    means, deviations = [(0.2, 0.2), (0.6, 4.4), (6.0, 0.2), (2.0, 2.0)], [(0.6, 0.3), (0.6, 0.5), (0.5, 0.3), (2, 2)]
    population = random.choice(4, EVENTS, p=[0.6, 0.2, 0.19, 0.01])
    return random.normal(np.array(means)[population], np.array(deviations)[population])


def exact_density(values: np.ndarray, grid: Grid, bandwidth: float) -> np.ndarray:
    """The sum of all kernels at every point of the grid: (x, y)."""
    scale = values.std(axis=0)
    kernels = KernelDensity(bandwidth=bandwidth, rtol=1e-4).fit(values / scale)
    density = np.exp(kernels.score_samples(grid.points() / scale)) / scale.prod()
    return density.reshape(len(grid.x), len(grid.y))


if __name__ == "__main__":
    main()
