"""kernel_density, kernel_bandwidths: a kernel density estimate on the grid of `density`.

The other density estimator of the deck ("Density Estimation"), at the same points as the mixture's density. The
bandwidth, in standard deviations of each channel, is the champion's. Without a champion it is the one of several
candidates under which held-out events are most likely.

Grain: a point of the grid; a bandwidth that was tried.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.density import grid_contract, integrates_to_one, on_grid
from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract

KERNEL_DENSITY = grid_contract(
    "kernel_density",
    "It is smoothed by the bandwidth: peaks are lower and wider than those of the events.",
    made_from={
        **{name: (f"density.{name}",) for name in ("x_channel", "y_channel", "x", "y")},
        "density": ("events.transformed",),
    },
)

KERNEL_BANDWIDTHS = Contract(
    table="kernel_bandwidths",
    grain="a bandwidth that was tried",
    columns=(
        Column("bandwidth", pa.float64(), "standard deviation of the kernel, in standard deviations of each channel"),
        Column("held_out_log_density", pa.float64(), "mean log density of held-out events; null if the bandwidth "
               "is too small for a grid", unit="nats", nullable=True, made_from=("events.transformed",)),
        Column("chosen", pa.bool_(), "whether kernel_density uses this bandwidth"),
    ),
    key=("bandwidth",),
    usual=FOLLOWS_SETTINGS,
    invariants=(Between("bandwidth", 0), Between("held_out_log_density")),
    limits=("The log densities compare bandwidths on the same events only, not those of two versions.",),
)  # fmt: skip


class KernelDensityConfig(dg.Config):
    """The bandwidth, or the candidates for it."""

    bandwidth: float | None = Field(
        None,
        gt=0,
        description="bandwidth in standard deviations of each channel; null: the champion's, or the best candidate",
    )
    bandwidths: list[float] = Field(
        [],
        description="candidates for the bandwidth, which take precedence over the champion; empty: default candidates",
    )
    seed: int = Field(0, ge=0, description="seed of the split into fitted and held-out events")


_out = partial(refreshed_out, module=__name__, config=KernelDensityConfig)


@several_tables(
    name="kernel_density",
    outs={
        "kernel_density": _out(KERNEL_DENSITY, "Kernel density estimate on the grid of the table density."),
        "kernel_bandwidths": _out(
            KERNEL_BANDWIDTHS, "Candidates for the bandwidth, with the log density of held-out events under each."
        ),
    },
    ins={**MATRIX_EVENTS, "champions": champion_of("kernel_density")},
)
@keeps_settings
def kernel_density(
    config: KernelDensityConfig, events: pa.Table, wells: pa.Table, density: pa.Table, champions: pa.Table
) -> Iterator[dg.Output]:
    """Choose a bandwidth, and estimate the density at the points of the mixture's grid."""
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


@dg.asset_check(
    asset="kernel_bandwidths",
    description="The chosen bandwidth is neither the smallest nor the largest of the candidates.",
)
def bandwidth_is_not_at_an_end(kernel_bandwidths: pa.Table) -> dg.AssetCheckResult:
    """At an end of the candidates, a bandwidth beyond may be better."""
    rows = sorted(kernel_bandwidths.to_pylist(), key=lambda row: row["bandwidth"])
    chosen = next(row["bandwidth"] for row in rows if row["chosen"])
    return dg.AssetCheckResult(
        passed=len(rows) == 1 or rows[0]["bandwidth"] < chosen < rows[-1]["bandwidth"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"bandwidth": chosen},
    )


@dg.asset_check(
    asset="kernel_density", description="The grid covers at least 95 % of the kernel density's probability."
)
def grid_covers_the_kernel_density(kernel_density: pa.Table) -> dg.AssetCheckResult:
    """A wide kernel has probability outside of the grid, a narrow one between its points."""
    return integrates_to_one(kernel_density)
