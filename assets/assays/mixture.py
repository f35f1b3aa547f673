"""mixture, mixture_fits, mixture_trace, assignments: all events as a mixture of Gaussians, fitted by EM.

    p(x) = sum_k weight_k N(x; mean_k, covariance_k),    responsibility_ik = weight_k N(x_i; k) / p(x_i)

The number of components is the one under which held-out events are likeliest, among several, each from several starts,
and among those that come of splitting components of the best fit (`mixture_fits`). Populations of cells are not
Gaussian, so there are more components than populations, and components are merged into populations afterwards
(`taproom.assays.populations` says how and why). The mixture is fitted to all events, including those with missing
values; where many events have the smallest or the largest value of a channel, these are spread first
(`taproom.assays.censored`).

Grain: a component; a fit with a number of components from one start; a component after an iteration; an event. Source:
the deck's "Mixtures of Gaussians", equation (8.42), and its pictures after 1, 2, 3, 4, 5, 6 and 20 iterations.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from taproom.assays.populations import LEVEL, MANY, VALLEY
from taproom.compute import Made
from taproom.warehouse.contracts import (
    FOLLOWS_BATCHES,
    FOLLOWS_SETTINGS,
    Between,
    Column,
    Contract,
    SameLength,
    SumsTo,
    Usual,
)
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

if TYPE_CHECKING:
    from taproom.assays.mixtures import Mixture

PICTURED_ITERATIONS = (0, 1, 2, 3, 4, 5, 6, 20)
LARGEST_DIFFERENCE = 0.1

_VECTOR = pa.list_(pa.float64())
_EVENTS = ("events.transformed",)
_EVENTS_AND_MIXTURE = ("events.transformed", "mixture.weight", "mixture.mean", "mixture.covariance")

_CHANNELS = Column("channels", pa.list_(pa.string()), "channels of mean and covariance", made_from=("wells.channels",))
_MEAN = Column("mean", _VECTOR, "mean of the component in each channel, on the transformed scale", made_from=_EVENTS)
_COVARIANCE = Column("covariance", _VECTOR, "covariance matrix of the component, row by row", made_from=_EVENTS)
_WEIGHT = Column("weight", pa.float64(), "mixing weight of the component", made_from=_EVENTS)

MIXTURE = Contract(
    table="mixture",
    version="1.0.1",
    grain="a component of the mixture",
    columns=(
        Column("component", pa.int32(), "number of the component, from 0, ordered by falling weight"),
        Column(
            "population",
            pa.int32(),
            "population of the component, from 0, ordered by falling weight",
            made_from=_EVENTS,
        ),
        _WEIGHT,
        _CHANNELS,
        Column(
            "transforms",
            pa.list_(pa.string()),
            "transform of each channel: linear, arcsinh(cofactor) or logicle(T, M, W, A)",
            made_from=("wells.transforms",),
        ),
        _MEAN,
        _COVARIANCE,
    ),
    key=("component",),
    usual=FOLLOWS_SETTINGS,
    invariants=(Between("weight", 0, 1), Between("mean"), Between("covariance"), SameLength("channels", "mean")),
    limits=(
        "Components are not populations: a population that is no Gaussian has several components.",
        "Of a channel with many values at an end of its range, these were spread beyond it for the fit.",
        "In another version, the same number may be another component.",
    ),
)

MIXTURE_FITS = Contract(
    table="mixture_fits",
    version="2.0.0",
    grain="a fit with a number of components from one start, on a part of the events, before or after splits",
    columns=(
        Column("components", pa.int32(), "number of components"),
        Column("seed", pa.int64(), "seed of the random start"),
        Column("splits", pa.int32(), "number of times that components were split in two; 0: the fit from the start"),
        Column("log_density", pa.float64(), "mean log density of the fitted events", unit="nats", made_from=_EVENTS),
        Column("held_out_log_density", pa.float64(), "mean log density of as many held-out events; null without any",
               unit="nats", nullable=True, made_from=_EVENTS),
        Column("bic", pa.float64(), "Bayesian information criterion; smaller is better", made_from=_EVENTS),
        Column("iterations", pa.int32(), "number of iterations of EM"),
        Column("converged", pa.bool_(), "whether EM converged before the largest number of iterations"),
        Column("chosen", pa.bool_(), "whether EM on all events started from the centres of this fit"),
    ),
    key=("components", "seed", "splits"),
    usual=FOLLOWS_SETTINGS,
    invariants=(
        Between("components", 1),
        Between("splits", 0),
        Between("log_density"),
        Between("bic"),
        Between("iterations", 0),
    ),
    limits=("The BIC compares fits to the same events only, not those of two versions.",),
)  # fmt: skip

MIXTURE_TRACE = Contract(
    table="mixture_trace",
    version="1.0.1",
    grain="a component after an iteration of EM",
    columns=(
        Column("iteration", pa.int32(), "iteration of EM; 0 is the start"),
        Column("component", pa.int32(), "number of the component in the table mixture"),
        Column(
            "log_likelihood",
            pa.float64(),
            "log-likelihood of all events after this iteration",
            unit="nats",
            made_from=_EVENTS,
        ),
        _WEIGHT,
        _MEAN,
        _COVARIANCE,
    ),
    key=("iteration", "component"),
    usual=Usual(
        added=math.inf,
        gone=math.inf,
        drift=1,
        reason="each start takes another way to its end, in more or fewer iterations",
    ),
    invariants=(
        Between("iteration", 0),
        Between("log_likelihood"),
        Between("weight", 0, 1),
        Between("mean"),
        Between("covariance"),
    ),
    foreign_keys=(ForeignKey(("component",), "mixture", ("component",)),),
    limits=(
        "The log-likelihood is that of the fitted events and does not show how well others are described.",
        "Of a channel with many values at an end of its range, these were spread beyond it for the fit.",
    ),
)

ASSIGNMENTS = Contract(
    table="assignments",
    version="1.0.1",
    grain="an event",
    columns=(
        Column("sample", pa.string(), "key of the event's sample", made_from=("events.sample",)),
        Column("event", pa.int64(), "number of the event in its sample", made_from=("events.event",)),
        Column("component", pa.int32(), "most likely component", made_from=_EVENTS_AND_MIXTURE),
        Column(
            "population",
            pa.int32(),
            "most likely population: the largest sum of its components' responsibilities",
            made_from=("mixture.population", *_EVENTS_AND_MIXTURE),
        ),
        Column(
            "responsibilities",
            _VECTOR,
            "posterior probability of each component, given the event",
            made_from=_EVENTS_AND_MIXTURE,
        ),
        Column(
            "log_density",
            pa.float64(),
            "log density of the event's measured values",
            unit="nats",
            made_from=_EVENTS_AND_MIXTURE,
        ),
    ),
    key=("sample", "event"),
    usual=FOLLOWS_BATCHES,
    invariants=(Between("responsibilities", 0, 1), SumsTo("responsibilities", 1.0), Between("log_density")),
    foreign_keys=(
        ForeignKey(("sample", "event"), "events", ("sample", "event")),
        ForeignKey(("component",), "mixture", ("component",)),
    ),
    limits=(
        "An event between components has a most likely one too; responsibilities show how sure it is.",
        "Log densities are of values as measured, also of those that were spread for the fit of mixture.",
        "In another version, the same number may be another component or population.",
    ),
)


class MixtureConfig(dg.Config):
    """How many components there are, how they are fitted, and which are merged into a population."""

    components: int | None = Field(
        None, ge=1, description="number of components; null: as many as fit held-out events best"
    )
    sizes: list[int] = Field(
        [1, 2, 4, 8, 12, 16, 20, 30, 40],
        min_length=1,
        description="numbers of components to try; components of the best fit are then split as long as that makes "
        "held-out events likelier, unless `components` is set",
    )
    restarts: int = Field(
        8,
        ge=1,
        le=100,
        description="number of random starts for the number of components that fits held-out events best; each number "
        "has a third of them, rounded up",
    )
    selection_events: int = Field(
        10_000,
        ge=2,
        description="largest number of events to which each number of components is fitted; as many are held out",
    )
    iterations: int = Field(300, ge=1, description="largest number of iterations of EM")
    # 1e-5 takes twice as many iterations, and populations agree no better with labels.
    tolerance: float = Field(
        3e-5, gt=0, description="EM has converged when the mean log density grows by less than this, in nats"
    )
    regularization: float = Field(1e-3, ge=0, description="added to the variances, in standardized channels")
    level: float = Field(
        LEVEL,
        gt=0,
        lt=1,
        description="two groups of components stay two populations if that their events have one mode is rejected at "
        "this level of significance",
    )
    valley: float = Field(
        VALLEY,
        ge=0,
        lt=1,
        description=f"they also stay two populations if one of them has fewer than {MANY:,} events and the mixture's "
        "density between them falls below this share of that at the lower peak; 0: never for this reason",
    )
    picture: list[str] = Field(
        [], description="the two channels of the figures; empty: those in which populations differ most"
    )
    seed: int = Field(
        0, ge=0, description="seed of the starts and of the choice of events for the number of components"
    )
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=MixtureConfig)


@several_tables(
    name="mixture",
    outs={
        "mixture": _out(MIXTURE, "Mixture of Gaussians fitted to all events, with components merged into populations."),
        "mixture_fits": _out(
            MIXTURE_FITS,
            "Fits with different numbers of components, starts and splits, with their BIC and held-out density.",
        ),
        "mixture_trace": _out(MIXTURE_TRACE, "Components of the mixture after each iteration of EM."),
        "assignments": _out(
            ASSIGNMENTS, "Most likely component and population of each event, with responsibilities and log density."
        ),
    },
    ins=MATRIX_EVENTS,
    pool="numerics",
)
@keeps_settings
def mixture(config: MixtureConfig, events: TableVersion, wells: TableVersion) -> Iterator[dg.Output]:
    """Choose the number of components, fit them to all events, and merge them into populations."""
    import numpy as np

    from taproom.assays import assay_figures as figures
    from taproom.assays.event_mixture import fit_events, gaussian_columns, shown_channels
    from taproom.assays.expectation_maximization import EmParameters
    from taproom.assays.mixture_sizes import SizeParameters, best_by_bic, best_held_out
    from taproom.assays.stored_events import stored_matrix
    from taproom.drawing import bars
    from taproom.sources.events import as_lists

    made = Made(stored_matrix, (events, wells))
    matrix = made.here
    fitted = fit_events(
        made,
        SizeParameters(tuple(config.sizes), config.restarts, config.selection_events),
        EmParameters(config.iterations, config.tolerance, config.regularization),
        components=config.components,
        level=config.level,
        valley=config.valley,
        seed=config.seed,
        n_jobs=config.workers,
    )
    shown = shown_channels(matrix, fitted.mixture, config.picture)
    names = [matrix.channels[place] for place in shown]
    flat = fitted.mixture.marginal(shown)
    populations = int(fitted.populations.max()) + 1
    yield dg.Output(
        Draft(
            MIXTURE.table_of(
                component=range(fitted.mixture.components),
                population=fitted.populations,
                channels=[list(matrix.channels)] * fitted.mixture.components,
                transforms=[list(matrix.transforms)] * fitted.mixture.components,
                **gaussian_columns(fitted.mixture),
            ),
            metadata={
                "components": fitted.mixture.components,
                "populations": populations,
                "log_density": float(fitted.log_likelihoods[-1] / len(matrix.values)),
                "iterations": len(fitted.log_likelihoods) - 1,
                "converged": fitted.converged,
            },
            figure=figures.populations(matrix.values[:, shown], flat, fitted.populations, names),
        ),
        "mixture",
    )
    rows = fitted.size_rows()
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(rows, schema=MIXTURE_FITS.schema),
            metadata={
                "components_by_bic": best_by_bic(fitted.sizes).components,
                "components_by_held_out": best_held_out(fitted.sizes).components,
            },
            figure=figures.restarts(rows),
        ),
        "mixture_fits",
    )
    pictured = {iteration: each.marginal(shown) for iteration, each in deck_pictures(fitted.history).items()}
    yield dg.Output(
        Draft(
            pa.concat_tables(
                MIXTURE_TRACE.table_of(
                    iteration=[iteration] * each.components,
                    component=range(each.components),
                    log_likelihood=[float(log_likelihood)] * each.components,
                    **gaussian_columns(each),
                )
                for iteration, (each, log_likelihood) in enumerate(
                    zip(fitted.history, fitted.log_likelihoods, strict=True)
                )
            ),
            metadata={"log_likelihood": float(fitted.log_likelihoods[-1])},
            figure=figures.em_iterations(matrix.values[:, shown], pictured, names),
        ),
        "mixture_trace",
    )
    found = fitted.assigned(matrix.values)
    counts = np.bincount(found.population, minlength=populations)
    sizes = {f"population {number}": int(count) for number, count in enumerate(counts)}
    yield dg.Output(
        Draft(
            ASSIGNMENTS.table_of(
                sample=matrix.rows["sample"],
                event=matrix.rows["event"],
                component=found.component.astype(np.int32),
                population=found.population.astype(np.int32),
                responsibilities=as_lists(found.responsibilities),
                log_density=found.log_density,
            ),
            metadata={"median_log_density": float(np.median(found.log_density))},
            figure=bars("Events per population", sizes, "events"),
        ),
        "assignments",
    )


@dg.asset_check(
    asset="mixture_trace",
    blocking=True,
    description="The log-likelihood does not decrease in any iteration of EM, up to rounding.",
)
def log_likelihood_never_decreases(mixture_trace: pa.Table) -> dg.AssetCheckResult:
    """EM cannot decrease it (Dempster, Laird and Rubin 1977); if it decreases, the code is wrong."""
    return never_decreases(mixture_trace)


def deck_pictures(history: Sequence["Mixture"]) -> "dict[int, Mixture]":
    """The mixtures of a history after those iterations that the deck shows, by iteration."""
    return {iteration: history[iteration] for iteration in PICTURED_ITERATIONS if iteration < len(history)}


def never_decreases(trace: pa.Table) -> dg.AssetCheckResult:
    """Whether the log-likelihood of a trace (iteration, component, log_likelihood) does not decrease."""
    import numpy as np

    first = trace.filter(pa.compute.equal(trace["component"], 0)).sort_by("iteration")
    values = first["log_likelihood"].to_numpy()
    largest_fall = float(-np.diff(values).min(initial=0.0))
    return dg.AssetCheckResult(
        passed=bool(largest_fall <= 1e-9 * abs(values[-1])),
        metadata={"largest_fall": largest_fall, "iterations": len(values) - 1},
    )


@dg.asset_check(
    asset="mixture_fits",
    blocking=True,
    description="One fit is chosen, and under no other one are held-out events likelier (without any: BIC smaller).",
)
def chosen_fit_is_the_best(mixture_fits: pa.Table) -> dg.AssetCheckResult:
    """Otherwise the mixture started from another fit than the one for which it is published."""
    without = mixture_fits["held_out_log_density"].null_count > 0
    values = (pa.compute.negate(mixture_fits["bic"]) if without else mixture_fits["held_out_log_density"]).to_numpy()
    chosen = values[mixture_fits["chosen"].to_numpy()]
    return dg.AssetCheckResult(
        passed=len(chosen) == 1 and bool(chosen[0] == values.max()),
        metadata={"chosen": len(chosen), "judged_by": "BIC" if without else "held-out events"},
    )


@dg.asset_check(asset="mixture", description="The weights of all components sum to 1.")
def mixture_weights_sum_to_one(mixture: pa.Table) -> dg.AssetCheckResult:
    """They would not if a component were missing."""
    total = float(pa.compute.sum(mixture["weight"]).as_py())
    return dg.AssetCheckResult(passed=abs(total - 1) < 1e-9, metadata={"weights_sum": total})


@dg.asset_check(
    asset="assignments",
    additional_ins={"mixture": dg.AssetIn(metadata={"columns": ["population", "weight"]})},
    description=f"The share of events assigned to each population is within {LARGEST_DIFFERENCE} of its weight.",
)
def population_shares_match_weights(assignments: pa.RecordBatchReader, mixture: pa.Table) -> dg.AssetCheckResult:
    """Otherwise populations overlap so much that counts of assigned events are misleading."""
    import numpy as np

    populations = mixture["population"].to_numpy()
    weights = np.bincount(populations, weights=mixture["weight"].to_numpy())
    counts = sum(
        (np.bincount(batch["population"].to_numpy(), minlength=len(weights)) for batch in assignments),
        start=np.zeros(len(weights)),
    )
    differences = abs(counts / max(counts.sum(), 1) - weights)
    return dg.AssetCheckResult(
        passed=bool(differences.max() <= LARGEST_DIFFERENCE),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"largest_difference": float(differences.max()), "population": int(differences.argmax())},
    )
