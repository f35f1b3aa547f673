"""kernel_density, kernel_bandwidths: a kernel density estimate on the grid of `density`.

The other density estimator of the deck ("Density Estimation"), beside the mixture's on the same points. The bandwidth,
in standard deviations of either channel, is the champion's; without one, that of several usual ones under which
held-out events are most likely.

Grain: a point of the grid; a bandwidth that was tried.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.density import grid_contract, is_on_its_grid, on_grid
from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.warehouse.contracts import Between, Column, Contract

KERNEL_DENSITY = grid_contract("kernel_density")

KERNEL_BANDWIDTHS = Contract(
    table="kernel_bandwidths",
    grain="a bandwidth that was tried",
    columns=(
        Column("bandwidth", pa.float64(), "standard deviation of the kernel, in standard deviations of either channel"),
        Column("held_out_log_density", pa.float64(), "mean log density of held-out events; null where the bandwidth is "
               "too small for a grid", unit="nats", nullable=True),
        Column("chosen", pa.bool_(), "whether kernel_density has it"),
    ),
    key=("bandwidth",),
    invariants=(Between("bandwidth", 0), Between("held_out_log_density")),
)  # fmt: skip


class KernelDensityConfig(dg.Config):
    """The bandwidth, or which are tried."""

    bandwidth: float | None = Field(
        None, gt=0, description="in standard deviations; null: the champion's, else the best of those tried"
    )
    bandwidths: list[float] = Field([], description="bandwidths to try, whatever the champion; empty: the usual ones")
    seed: int = Field(0, ge=0, description="seed of the parting into events fitted and held out")


_out = partial(refreshed_out, module=__name__, config=KernelDensityConfig)


@several_tables(
    name="kernel_density",
    outs={
        "kernel_density": _out(KERNEL_DENSITY, "A kernel density estimate on the mixture's grid."),
        "kernel_bandwidths": _out(KERNEL_BANDWIDTHS, "How likely held-out events are under each bandwidth."),
    },
    ins={**MATRIX_EVENTS, "champions": champion_of("kernel_density")},
)
@keeps_settings
def kernel_density(
    config: KernelDensityConfig, events: pa.Table, wells: pa.Table, density: pa.Table, champions: pa.Table
) -> Iterator[dg.Output]:
    """Choose a bandwidth, and estimate the density where the mixture's is told."""
    import numpy as np

    from taproom.assays import assay_figures as figures
    from taproom.assays.densities import (
        CANDIDATES,
        Grid,
        KernelDensityParameters,
        choose_bandwidth,
        enclosing_levels,
        kernel_density,
    )
    from taproom.sources.events import event_matrix

    matrix = event_matrix(events, wells)
    channels = [density[f"{axis}_channel"][0].as_py() for axis in "xy"]
    grid = Grid(*(np.unique(density[axis].to_numpy()) for axis in "xy"))
    values = matrix.values[:, matrix.places(channels)]
    given = config.model_dump(exclude={"bandwidths"})
    made_with = resolve_parameters(KernelDensityParameters(), champions, KernelDensityConfig, given)
    chosen = made_with.parameters
    candidates = np.array(config.bandwidths or ([chosen.bandwidth] if chosen.bandwidth else CANDIDATES))
    bandwidth, scores = choose_bandwidth(values, chosen.seed, candidates)
    found = kernel_density(values, grid, bandwidth)
    mixture_there = density.sort_by([("x", "ascending"), ("y", "ascending")])["density"].to_numpy()
    yield dg.Output(
        Draft(
            on_grid(KERNEL_DENSITY, channels, grid, found),
            metadata={
                "champion": made_with.champion,
                "bandwidth": bandwidth,
                "mass": float(found.sum() * grid.spacing.prod()),
                "distance_to_mixture": float(abs(found.ravel() - mixture_there).sum() * grid.spacing.prod() / 2),
            },
            figure=figures.density(grid, found, enclosing_levels(found), values, channels, "Kernel density"),
        ),
        "kernel_density",
    )
    yield dg.Output(
        Draft(
            KERNEL_BANDWIDTHS.table_of(
                bandwidth=candidates,
                held_out_log_density=pa.array(scores, from_pandas=True),
                chosen=candidates == bandwidth,
            ),
            metadata={"bandwidth": bandwidth, "held_out_log_density": float(np.nanmax(scores))},
            figure=figures.bandwidths(candidates, scores, bandwidth),
        ),
        "kernel_bandwidths",
    )


@dg.asset_check(asset="kernel_bandwidths", description="The best bandwidth is neither the smallest nor the largest.")
def bandwidth_is_inside(kernel_bandwidths: pa.Table) -> dg.AssetCheckResult:
    """At an end of what was tried, a better one may lie beyond."""
    rows = sorted(kernel_bandwidths.to_pylist(), key=lambda row: row["bandwidth"])
    chosen = next(row["bandwidth"] for row in rows if row["chosen"])
    return dg.AssetCheckResult(
        passed=len(rows) == 1 or rows[0]["bandwidth"] < chosen < rows[-1]["bandwidth"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"bandwidth": chosen},
    )


@dg.asset_check(asset="kernel_density", description="The grid holds all but a twentieth of the kernel density.")
def grid_holds_the_kernel_density(kernel_density: pa.Table) -> dg.AssetCheckResult:
    """A wide kernel puts probability outside of the grid, a narrow one between its points."""
    return is_on_its_grid(kernel_density)
