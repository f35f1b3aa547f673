"""event_calls, well_shares: which class each event is of, and how large each class is in each well.

The deck's Bayes rule: the class with the largest product of density and prior. A call is ambiguous where the largest
posterior is low, an event anomalous where no class has such events; both thresholds are those of `classes`. Labelled
wells are called too, by densities that have seen them: what calls are worth on unseen wells is in `classes` and
`classifier_comparison`. A class's share of a well is found by EM over the class priors with the densities fixed, since
counting calls is biased wherever classes overlap; `share_errors` shows by how much. Intervals tell how well a well's
events determine its shares, not how much the classes' wells differ between plates and days.

Grain: an event; a class in a well.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, empty_outputs, keeps_settings, refreshed_out, several_tables
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, SumsTo

EVENT_CALLS = Contract(
    table="event_calls",
    grain="an event",
    columns=(
        Column("sample", pa.string(), "the event's sample"),
        Column("event", pa.int64(), "its number in the sample"),
        Column("called", pa.string(), "the class with the largest posterior"),
        Column("posteriors", pa.list_(pa.float64()), "probability of each class, in alphabetical order"),
        Column("log_density", pa.float64(), "of what was measured, under all classes by their priors", unit="nats"),
        Column("ambiguous", pa.bool_(), "the largest posterior is low"),
        Column("anomalous", pa.bool_(), "no class has such events"),
    ),
    key=("sample", "event"),
    may_be_empty=True,
    invariants=(
        NotBlank("called"), Between("posteriors", 0, 1), SumsTo("posteriors", 1.0), Between("log_density"),
    ),
)  # fmt: skip

WELL_SHARES = Contract(
    table="well_shares",
    grain="a class in a well",
    columns=(
        Column("plate", pa.string(), "the plate"),
        Column("well", pa.string(), "the well on it"),
        Column("class", pa.string(), "the class"),
        Column("events", pa.int64(), "events of the well that the shares are of: not anomalous, and with a value"),
        Column("anomalous_share", pa.float64(), "share of the well's events that are, and are left out"),
        Column("share", pa.float64(), "the class's share, by EM over the class priors; null without events",
               nullable=True),
        Column("low", pa.float64(), "lower end of its bootstrap interval over events", nullable=True),
        Column("high", pa.float64(), "upper end of it", nullable=True),
        Column("argmax_share", pa.float64(), "share of events whose most likely class it is: biased", nullable=True),
        Column("known_share", pa.float64(), "1 or 0 in a labelled well; null in others", nullable=True),
    ),
    key=("plate", "well", "class"),
    may_be_empty=True,
    invariants=(
        NotBlank("class"),
        Between("events", 0),
        *(
            Between(name, 0, 1)
            for name in ("anomalous_share", "share", "low", "high", "argmax_share", "known_share")
        ),
    ),
)  # fmt: skip


class EventCallsConfig(dg.Config):
    """How sure the shares' intervals are."""

    resamples: int = Field(200, ge=1, description="bootstrap resamples of a well's events")
    confidence: float = Field(0.95, gt=0, lt=1, description="share of the resamples within an interval")
    seed: int = Field(0, ge=0, description="seed of the resamples")


_out = partial(refreshed_out, module=__name__, config=EventCallsConfig)


@several_tables(
    name="event_calls",
    outs={
        "event_calls": _out(EVENT_CALLS, "The class of each event, with posteriors, and flags where it is doubtful."),
        "well_shares": _out(WELL_SHARES, "Each class's share of each well, with an interval."),
    },
    ins=MATRIX_EVENTS,
    pool="numerics",
)
@keeps_settings
def event_calls(
    config: EventCallsConfig, events: pa.Table, wells: pa.Table, class_mixtures: pa.Table, classes: pa.Table
) -> Iterator[dg.Output]:
    """Call every event by the Bayes rule, and find the shares of each well."""
    from taproom.assays import assay_figures as figures
    from taproom.assays.class_model import call
    from taproom.assays.class_model_rows import model_from_rows
    from taproom.assays.event_calls import fates_by_well, shares_by_well
    from taproom.sources.events import as_lists, event_matrix

    if not len(classes):
        yield from empty_outputs(EVENT_CALLS, WELL_SHARES, reason="wanted: classes")
        return
    matrix = event_matrix(events, wells)
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


@dg.asset_check(asset="well_shares", description="Each labelled well is found to be mostly of its own class.")
def labelled_wells_are_found(well_shares: pa.Table) -> dg.AssetCheckResult:
    """A well that is not is labelled wrongly, or most of its cells do not shine."""
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
    description="No more than a tenth of the events is like nothing that the classes have.",
)
def few_anomalous(event_calls: pa.Table, classes: pa.Table) -> dg.AssetCheckResult:
    """Many anomalous events mean wells of another kind than the labelled ones: their calls and shares say little."""
    share = pa.compute.mean(event_calls["anomalous"].cast(pa.float64())).as_py() or 0.0
    expected = pa.compute.mean(classes["held_out_anomalous_share"]).as_py() or 0.0
    return dg.AssetCheckResult(
        passed=share <= 0.1,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"anomalous_share": share, "held_out_anomalous_share": expected},
    )
