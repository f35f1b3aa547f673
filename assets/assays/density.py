"""density: the mixture's density on a grid over two channels.

The deck's "Resulting Density Estimator": the probability density of events in two channels, with all other channels
integrated out.
Grain: a point of the grid.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, NotBlank

if TYPE_CHECKING:
    import numpy as np

    from taproom.assays.densities import Grid


def grid_contract(table: str, limit: str, made_from: Mapping[str, tuple[str, ...]]) -> Contract:
    """The contract of a table with a density on a grid over two channels.

    `limit` is one of its own, and `made_from` that of its columns.
    """
    return Contract(
        table=table,
        grain="a point of a grid over two channels",
        columns=(
            Column("x_channel", pa.string(), "name of the channel along x", made_from=made_from["x_channel"]),
            Column("y_channel", pa.string(), "name of the channel along y", made_from=made_from["y_channel"]),
            Column(
                "x", pa.float64(), "value in the channel x_channel, on its transformed scale", made_from=made_from["x"]
            ),
            Column(
                "y", pa.float64(), "value in the channel y_channel, on its transformed scale", made_from=made_from["y"]
            ),
            Column(
                "density", pa.float64(), "probability density, per unit of both scales", made_from=made_from["density"]
            ),
            Column(
                "enclosed",
                pa.float64(),
                "share of the grid's probability at points with a higher density; points with at most 0.95 are inside "
                "the contour that encloses 95 % of the probability",
                made_from=made_from["density"],
            ),
        ),
        key=("x", "y"),
        usual=FOLLOWS_SETTINGS,
        invariants=(
            NotBlank("x_channel"),
            NotBlank("y_channel"),
            Between("x"),
            Between("y"),
            Between("density", 0),
            Between("enclosed", 0, 1),
        ),
        single_valued=("x_channel", "y_channel"),
        limits=("The density is that of all samples together.", limit),
    )


CONTRACT = grid_contract(
    "density",
    "Events that are alike in two channels may differ in the others.",
    made_from={
        **dict.fromkeys(("x_channel", "y_channel"), ("wells.channels",)),
        **dict.fromkeys("xy", ("events.transformed",)),
        "density": ("mixture.weight", "mixture.mean", "mixture.covariance"),
    },
)


class DensityConfig(dg.Config):
    """The channels and the size of the grid."""

    channels: list[str] = Field(
        [], description="names of the two channels; empty: those in which the mixture's components are farthest apart"
    )
    points: int = Field(200, ge=10, le=1_000, description="number of grid points in each channel")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=DensityConfig,
        description="Density of the mixture on a grid over two channels.",
    ),
    ins=MATRIX_EVENTS,
)
@keeps_settings
def density(config: DensityConfig, events: pa.Table, wells: pa.Table, mixture: pa.Table) -> Draft:
    """Evaluate the mixture's density on a grid over two of its channels."""
    from taproom.assays import assay_figures as figures
    from taproom.assays.densities import enclosing_levels, grid_over, mixture_density
    from taproom.assays.event_mixture import mixture_from, shown_channels
    from taproom.sources.events import event_matrix

    matrix, fitted = event_matrix(events, wells), mixture_from(mixture)
    shown = shown_channels(matrix, fitted, config.channels)
    values = matrix.values[:, shown]
    grid = grid_over(values, config.points, margin=0.1)
    found = mixture_density(fitted.marginal(shown), grid)
    names = [matrix.channels[place] for place in shown]
    return Draft(
        on_grid(CONTRACT, names, grid, found),
        metadata={"channels": names, "mass": float(found.sum() * grid.spacing.prod())},
        figure=figures.density(grid, found, enclosing_levels(found), values, names, "The mixture's density"),
    )


def on_grid(contract: Contract, channels: list[str], grid: "Grid", found: "np.ndarray") -> pa.Table:
    """The rows of a density table, from the density `found` on `grid`, (x, y)."""
    from taproom.assays.densities import enclosed

    points = grid.points()
    return contract.table_of(
        x_channel=pa.repeat(channels[0], len(points)),
        y_channel=pa.repeat(channels[1], len(points)),
        x=points[:, 0],
        y=points[:, 1],
        density=found.ravel(),
        enclosed=enclosed(found).ravel(),
    )


@dg.asset_check(asset="density", description="The grid covers at least 95 % of the mixture's probability.")
def grid_covers_the_mixture(density: pa.Table) -> dg.AssetCheckResult:
    """The parts of the density outside of the grid are missing from figures and contours."""
    return integrates_to_one(density)


def integrates_to_one(density: pa.Table) -> dg.AssetCheckResult:
    """Whether a density's integral over its grid is within 0.05 of 1."""
    import numpy as np

    x, y = (np.unique(density[name].to_numpy()) for name in "xy")
    mass = float(density["density"].to_numpy().sum() * (x[1] - x[0]) * (y[1] - y[0]))
    return dg.AssetCheckResult(passed=0.95 < mass < 1.05, severity=dg.AssetCheckSeverity.WARN, metadata={"mass": mass})
