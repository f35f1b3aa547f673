"""event_calls, well_shares: the class of each event, and the share of each class in each well.

The deck's Bayes rule: an event's class is the one with the largest product of density and prior. A call is ambiguous if
its posterior is low, and an event is anomalous if its density is low under all classes; `classes` has both thresholds.
Labelled wells are called too, although the densities were fitted to them: `classes` and `classifier_comparison` have
the accuracy on held-out wells. The share of a class in a well is estimated by EM over the class priors with fixed
densities, because counting calls is biased where classes overlap; `share_errors` has the errors of both. Intervals
measure how well the events of a well determine its shares, not how much wells of a class differ between plates and
days. Events are called on the scale of the reference plate (`plate_scales`).

Grain: an event; a class in a well.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, empty_outputs, keeps_settings, refreshed_out, several_tables
from taproom.warehouse.contracts import FOLLOWS_BATCHES, Between, Column, Contract, NotBlank, SumsTo
from taproom.warehouse.foreign_keys import ForeignKey

_DENSITIES = (
    "events.transformed", "plate_scales.shift", "plate_scales.scale", "plate_scales.applied", "class_mixtures.weight",
    "class_mixtures.mean", "class_mixtures.covariance",
)  # fmt: skip

EVENT_CALLS = Contract(
    table="event_calls",
    grain="an event",
    columns=(
        Column("sample", pa.string(), "key of the event's sample", made_from=("events.sample",)),
        Column("event", pa.int64(), "number of the event in its sample", made_from=("events.event",)),
        Column("called", pa.string(), "called class: the one with the largest posterior",
               made_from=("classes.class", "classes.prior", *_DENSITIES)),
        Column("posteriors", pa.list_(pa.float64()), "posterior probability of each class, in alphabetical order",
               made_from=("classes.prior", *_DENSITIES)),
        Column("log_density", pa.float64(), "log density of the measured values under all classes, weighted by their "
               "priors", unit="nats", made_from=("classes.prior", *_DENSITIES)),
        Column("ambiguous", pa.bool_(), "whether the largest posterior is below the threshold for ambiguous calls",
               made_from=("classes.prior", "classes.ambiguous_below", *_DENSITIES)),
        Column("anomalous", pa.bool_(), "whether the event's density is below the thresholds of all classes",
               made_from=("classes.prior", "classes.anomalous_below", *_DENSITIES)),
    ),
    key=("sample", "event"),
    usual=FOLLOWS_BATCHES,
    may_be_empty=True,
    invariants=(
        NotBlank("called"), Between("posteriors", 0, 1), SumsTo("posteriors", 1.0), Between("log_density"),
    ),
    foreign_keys=(
        ForeignKey(("sample", "event"), "events", ("sample", "event")),
        ForeignKey(("called",), "classes", ("class",)),
    ),
    limits=(
        "Classes are learned from the labels of wells: a cell in a labelled well may be of another class.",
        "Labelled wells are called by mixtures that were fitted to them; measure the accuracy with held_out_events.",
        "Counted calls give biased shares; use well_shares.",
    ),
)  # fmt: skip

WELL_SHARES = Contract(
    table="well_shares",
    grain="a class in a well",
    columns=(
        Column("plate", pa.string(), "name of the plate", made_from=("wells.plate",)),
        Column("well", pa.string(), "name of the well on the plate", made_from=("wells.well",)),
        Column("class", pa.string(), "name of the class", made_from=("classes.class",)),
        Column("events", pa.int64(), "number of the well's events that count: not anomalous, with at least one value",
               made_from=("event_calls.anomalous",)),
        Column("anomalous_share", pa.float64(), "share of the well's events that are anomalous and therefore left out",
               made_from=("event_calls.anomalous",)),
        Column("share", pa.float64(), "share of the class in the well, estimated by EM over the class priors; null "
               "without events", nullable=True, made_from=_DENSITIES),
        Column("low", pa.float64(), "lower end of the bootstrap interval of the share", nullable=True,
               made_from=_DENSITIES),
        Column("high", pa.float64(), "upper end of the bootstrap interval of the share", nullable=True,
               made_from=_DENSITIES),
        Column("argmax_share", pa.float64(), "share of the events for which the class is the most likely one; a biased "
               "estimate", nullable=True, made_from=_DENSITIES),
        Column("known_share", pa.float64(), "true share in a labelled well: 1 for the class of its label, else 0; null "
               "in other wells", nullable=True, made_from=("events.label",)),
    ),
    key=("plate", "well", "class"),
    usual=FOLLOWS_BATCHES,
    may_be_empty=True,
    invariants=(
        NotBlank("class"),
        Between("events", 0),
        *(
            Between(name, 0, 1)
            for name in ("anomalous_share", "share", "low", "high", "argmax_share", "known_share")
        ),
    ),
    foreign_keys=(
        ForeignKey(("plate", "well"), "wells", ("plate", "well")),
        ForeignKey(("class",), "classes", ("class",)),
    ),
    limits=(
        "The interval shows how well a well's events determine the share, not how much wells differ between days.",
        "known_share is that of the label: a cell in a labelled well may be of another class.",
        "Anomalous events are left out of the shares.",
    ),
)  # fmt: skip


class EventCallsConfig(dg.Config):
    """How the bootstrap intervals of shares are computed."""

    resamples: int = Field(200, ge=1, description="number of bootstrap resamples of a well's events")
    confidence: float = Field(0.95, gt=0, lt=1, description="confidence level of the intervals")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")


_out = partial(refreshed_out, module=__name__, config=EventCallsConfig)


@several_tables(
    name="event_calls",
    outs={
        "event_calls": _out(
            EVENT_CALLS,
            "The called class of each event, with posteriors, and flags for ambiguous and anomalous events.",
        ),
        "well_shares": _out(WELL_SHARES, "Share of each class in each well, with a bootstrap interval."),
    },
    ins=MATRIX_EVENTS,
    pool="numerics",
)
@keeps_settings
def event_calls(
    config: EventCallsConfig,
    events: pa.Table,
    wells: pa.Table,
    plate_scales: pa.Table,
    class_mixtures: pa.Table,
    classes: pa.Table,
) -> Iterator[dg.Output]:
    """Call every event by the Bayes rule, and estimate the shares of the classes in each well."""
    from taproom.assays import assay_figures as figures
    from taproom.assays.class_model import call
    from taproom.assays.class_model_rows import model_from_rows
    from taproom.assays.event_calls import fates_by_well, shares_by_well
    from taproom.assays.plate_scales import aligned
    from taproom.sources.events import as_lists, event_matrix

    if not len(classes):
        yield from empty_outputs(EVENT_CALLS, WELL_SHARES, reason="there are no classes")
        return
    matrix = aligned(event_matrix(events, wells), plate_scales)
    model, *_ = model_from_rows(class_mixtures.to_pylist(), classes.to_pylist())
    calls = call(matrix.values, model)
    names = pa.array(model.classes)
    yield dg.Output(
        Draft(
            EVENT_CALLS.table_of(
                sample=matrix.rows["sample"],
                event=matrix.rows["event"],
                called=names.take(pa.array(calls.called)),
                posteriors=as_lists(calls.posteriors),
                log_density=calls.log_density,
                ambiguous=calls.ambiguous,
                anomalous=calls.anomalous,
            ),
            metadata={
                "ambiguous_share": float(calls.ambiguous.mean()),
                "anomalous_share": float(calls.anomalous.mean()),
            },
            figure=figures.calls(*fates_by_well(matrix, calls, model.classes)),
        ),
        "event_calls",
    )
    rows = shares_by_well(matrix, calls, model.classes, config.resamples, config.confidence, config.seed)
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(rows, schema=WELL_SHARES.schema),
            metadata={"wells": len(wells), "wells_to_call": wells["label"].null_count},
            figure=figures.well_shares(rows),
        ),
        "well_shares",
    )


@dg.asset_check(
    asset="well_shares", description="In each labelled well, the class of its label has a share of more than half."
)
def labelled_wells_have_their_class(well_shares: pa.Table) -> dg.AssetCheckResult:
    """Otherwise the label is wrong, or most of the well's cells are non-fluorescent."""
    least = {
        f"{row['plate']} {row['well']}": row["share"]
        for row in well_shares.to_pylist()
        if row["known_share"] == 1 and row["share"] is not None
    }
    return dg.AssetCheckResult(
        passed=all(share > 0.5 for share in least.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"least_share": min(least.values(), default=1.0)},
    )


@dg.asset_check(
    asset="event_calls",
    additional_ins={"classes": dg.AssetIn()},
    description="At most a tenth of the events is anomalous: unlike the events of all classes.",
)
def few_anomalous(event_calls: pa.Table, classes: pa.Table) -> dg.AssetCheckResult:
    """Many anomalous events mean that wells differ from the labelled ones, so that calls and shares are unreliable."""
    share = pa.compute.mean(event_calls["anomalous"].cast(pa.float64())).as_py() or 0.0
    expected = pa.compute.mean(classes["held_out_anomalous_share"]).as_py() or 0.0
    return dg.AssetCheckResult(
        passed=share <= 0.1,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"anomalous_share": share, "held_out_anomalous_share": expected},
    )
