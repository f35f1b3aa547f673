"""two_component_trace: the deck's Algorithm 8.1, EM for two components in one channel, iteration by iteration.

The smallest case of `taproom.assays.expectation_maximization.fit`, the code that fits `mixture`: responsibilities by
equation (8.42), then weighted means and variances and the mixing probability. It starts as the deck's source does: the
means are two values drawn at random, the variances that of all values, the mixing probability 0.5. Grain: a component
after an iteration.
"""

import math

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.mixture import deck_pictures, never_decreases
from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, Usual

CONTRACT = Contract(
    table="two_component_trace",
    grain="one of two components in a channel after an iteration of EM",
    columns=(
        Column("channel", pa.string(), "name of the channel", made_from=("wells.channels",)),
        Column("iteration", pa.int32(), "iteration of EM; 0 is the start"),
        Column(
            "component",
            pa.int32(),
            "number of the component: 0 for the one with the larger weight at the end, 1 for the other",
        ),
        Column(
            "log_likelihood",
            pa.float64(),
            "log-likelihood of all events after this iteration",
            unit="nats",
            made_from=("events.transformed",),
        ),
        Column("weight", pa.float64(), "mixing probability of the component", made_from=("events.transformed",)),
        Column(
            "mean",
            pa.float64(),
            "mean of the component, on the channel's transformed scale",
            made_from=("events.transformed",),
        ),
        Column(
            "variance",
            pa.float64(),
            "variance of the component, on the channel's transformed scale",
            made_from=("events.transformed",),
        ),
    ),
    key=("iteration", "component"),
    usual=Usual(
        added=math.inf,
        gone=math.inf,
        drift=1,
        reason="each start takes another way to its end, in more or fewer iterations",
    ),
    invariants=(
        NotBlank("channel"),
        Between("iteration", 0),
        Between("component", 0, 1),
        Between("log_likelihood"),
        Between("weight", 0, 1),
        Between("mean"),
        Between("variance", 0),
    ),
    single_valued=("channel",),
    limits=("That there are two components is given: the fit does not show two populations.",),
)


class TwoComponentsConfig(dg.Config):
    """The channel, and the number of iterations."""

    channel: str = Field(
        "", description="name of the channel; empty: the one in which the mixture's components are farthest apart"
    )
    iterations: int = Field(20, ge=1, description="number of iterations of EM")
    seed: int = Field(0, ge=0, description="seed of the start")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=TwoComponentsConfig,
        description="EM for two Gaussian components in one channel, iteration by iteration (the deck's Algorithm 8.1).",
    ),
    ins=MATRIX_EVENTS,
    pool="numerics",
)
@keeps_settings
def two_component_trace(config: TwoComponentsConfig, events: pa.Table, wells: pa.Table, mixture: pa.Table) -> Draft:
    """Fit two components to all events of a channel."""
    import numpy as np

    from taproom.assays import assay_figures as figures
    from taproom.assays.event_mixture import mixture_from, shown_channels
    from taproom.assays.expectation_maximization import EmParameters, fit
    from taproom.assays.mixture_starts import two_component_start
    from taproom.sources.events import event_matrix

    matrix = event_matrix(events, wells)
    chosen = [config.channel] if config.channel else []
    (place,) = shown_channels(matrix, mixture_from(mixture), chosen, 1)
    values = matrix.values[:, [place]]
    start = two_component_start(values, config.seed)
    fitted = fit(
        values,
        start,
        EmParameters(config.iterations, tolerance=0.0, regularization=1e-9 * float(np.nanvar(values))),
        keep_history=True,
    )
    order = fitted.mixture.order()
    history = [each.take(order) for each in fitted.history]
    name = matrix.channels[place]
    rows = [
        {
            "channel": name,
            "iteration": iteration,
            "component": component,
            "log_likelihood": log_likelihood,
            "weight": each.weights[component],
            "mean": each.means[component, 0],
            "variance": each.covariances[component, 0, 0],
        }
        for iteration, (each, log_likelihood) in enumerate(zip(history, fitted.log_likelihoods, strict=True))
        for component in range(2)
    ]
    return Draft(
        pa.Table.from_pylist(rows, schema=CONTRACT.schema),
        metadata={"channel": name, "iterations": len(history) - 1, "log_likelihood": float(fitted.log_likelihoods[-1])},
        figure=figures.two_components(values[:, 0], deck_pictures(history), name),
    )


@dg.asset_check(
    asset="two_component_trace",
    blocking=True,
    description="The log-likelihood does not decrease in any iteration of EM, up to rounding.",
)
def two_component_log_likelihood_never_decreases(two_component_trace: pa.Table) -> dg.AssetCheckResult:
    """EM cannot decrease it (Dempster, Laird and Rubin 1977)."""
    return never_decreases(two_component_trace)
