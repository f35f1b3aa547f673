"""class_mixtures, classes, held_out_events, share_errors: the classes, each a mixture fitted to its labelled wells.

The deck's Bayes rule needs the density and the prior of each class. The tables have both, and the thresholds below
which a call is ambiguous or an event anomalous, which are chosen on events of held-out wells. Priors are uniform: how
many wells of a class a plate has is the experimenter's choice. A well has one label, so the density of a class is that
of all events in its wells, including non-fluorescent cells and debris. Events are taken on the scale of the reference
plate (`plate_scales`).

Grain: a component of a class; a class; an event, scored by models that were fitted without its well; a class in a blend
of known shares. Source: the deck's "Mixtures of Gaussians" and "Density Estimation"; `taproom.assays.class_mixtures`
has the details.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, empty_outputs, keeps_settings, refreshed_out, several_tables
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.compute import Made, derived, made_here
from taproom.warehouse.contracts import (
    FOLLOWS_BATCHES,
    FOLLOWS_SETTINGS,
    Between,
    Column,
    Contract,
    NotBlank,
    SameLength,
)
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

LEAST_VARIANCE = 1e-5  # relative to the widest component in the channel

_HELD_OUT = ("held_out_events.class", "held_out_events.log_densities")
_LABELLED = (
    "events.label", "events.transformed", "plate_scales.shift", "plate_scales.scale", "plate_scales.applied",
)  # fmt: skip

CLASS_MIXTURES = Contract(
    table="class_mixtures",
    grain="a component of a class's mixture",
    columns=(
        Column("class", pa.string(), "name of the class", made_from=("events.label",)),
        Column("component", pa.int32(), "number of the component, from 0, ordered by falling weight"),
        Column("weight", pa.float64(), "mixing weight of the component within the class", made_from=_LABELLED),
        Column("mean", pa.list_(pa.float64()), "mean of the component in each of the class's channels, on the "
               "transformed scale of the reference plate", made_from=_LABELLED),
        Column("covariance", pa.list_(pa.float64()), "covariance matrix of the component, row by row",
               made_from=_LABELLED),
    ),
    key=("class", "component"),
    usual=FOLLOWS_SETTINGS,
    may_be_empty=True,
    invariants=(NotBlank("class"), Between("weight", 0, 1), Between("mean"), Between("covariance")),
    foreign_keys=(ForeignKey(("class",), "classes", ("class",)),),
    limits=("A class is described by all events of its wells, including debris and cells of no class.",),
    version="1.0.1",
)  # fmt: skip

CLASSES = Contract(
    table="classes",
    grain="a class that has wells",
    columns=(
        Column("class", pa.string(), "name of the class", made_from=("events.label",)),
        Column("prior", pa.float64(), "prior probability of the class"),
        Column("wells", pa.int64(), "number of wells that the class's mixture was fitted to"),
        Column("events", pa.int64(), "number of events that the class's mixture was fitted to, the same of each well"),
        Column("components", pa.int32(), "number of components of the class's mixture"),
        Column("channels", pa.list_(pa.string()), "channels of means and covariances, the same for all classes",
               made_from=("wells.channels",)),
        Column("transforms", pa.list_(pa.string()), "transform of each channel: linear, arcsinh(cofactor) or "
               "logicle(T, M, W, A)", made_from=("wells.transforms",)),
        Column("anomalous_below", pa.float64(), "threshold of the log density, below which few held-out events of the "
               "class lie; an event below the thresholds of all classes is anomalous", unit="nats",
               made_from=_HELD_OUT),
        Column("ambiguous_below", pa.float64(), "threshold of the largest posterior, below which a call is ambiguous; "
               "the same for all classes", made_from=_HELD_OUT),
        Column("wanted_accuracy", pa.float64(), "accuracy that ambiguous_below was chosen to reach; the same for all "
               "classes"),
        Column("reached_accuracy", pa.float64(), "accuracy of the held-out calls that are not ambiguous; over all "
               "classes", made_from=_HELD_OUT),
        Column("held_out_events", pa.int64(), "number of held-out events of the class: called by models that were "
               "fitted without the event's well", made_from=("held_out_events.class",)),
        Column("held_out_accuracy", pa.float64(), "share of the class's held-out events with the right call",
               made_from=_HELD_OUT),
        Column("held_out_sure_accuracy", pa.float64(), "share of right calls among the class's held-out events whose "
               "call is not ambiguous; null if there are none", nullable=True, made_from=_HELD_OUT),
        Column("held_out_ambiguous_share", pa.float64(), "share of the class's held-out events whose call is "
               "ambiguous", made_from=_HELD_OUT),
        Column("held_out_anomalous_share", pa.float64(), "share of the class's held-out events that are anomalous",
               made_from=_HELD_OUT),
    ),
    key=("class",),
    usual=FOLLOWS_BATCHES,
    may_be_empty=True,
    invariants=(
        NotBlank("class"),
        Between("prior", 0, 1),
        Between("wells", 1),
        Between("components", 1),
        SameLength("channels", "transforms"),
        Between("anomalous_below"),
        *(
            Between(name, 0, 1)
            for name in (
                "ambiguous_below", "reached_accuracy", "held_out_accuracy", "held_out_sure_accuracy",
                "held_out_ambiguous_share", "held_out_anomalous_share",
            )
        ),
    ),
    limits=(
        "A call counts as right if it is the well's label: debris and cells of no class keep the accuracy below 1.",
        "The prior is set and not estimated from the wells.",
    ),
)  # fmt: skip

HELD_OUT_EVENTS = Contract(
    table="held_out_events",
    grain="a labelled event, scored by mixtures that were fitted without its well",
    columns=(
        Column("sample", pa.string(), "key of the event's sample", made_from=("events.sample",)),
        Column("event", pa.int64(), "number of the event in its sample", made_from=("events.event",)),
        Column("class", pa.string(), "class of the event's well", made_from=("events.label",)),
        Column("log_densities", pa.list_(pa.float64()), "log density under each class, in alphabetical order, by "
               "mixtures fitted without the event's well (without its fold of events, if the class has only one well)",
               unit="nats", made_from=_LABELLED),
    ),
    key=("sample", "event"),
    usual=FOLLOWS_SETTINGS,
    may_be_empty=True,
    invariants=(NotBlank("class"), Between("log_densities")),
    foreign_keys=(
        ForeignKey(("sample", "event"), "events", ("sample", "event")),
        ForeignKey(("class",), "classes", ("class",)),
    ),
    limits=(
        "The class is the well's: a cell in a labelled well may be of another class.",
        "Where a class has a single well, the mixtures were fitted to other events of the same well.",
    ),
)  # fmt: skip

SHARE_ERRORS = Contract(
    table="share_errors",
    grain="a class in a blend of held-out events whose shares are known",
    columns=(
        Column("blend", pa.int32(), "number of the blend"),
        Column("class", pa.string(), "name of the class", made_from=("held_out_events.class",)),
        Column("events", pa.int64(), "number of events in the blend"),
        Column("true_share", pa.float64(), "true share of the class in the blend",
               made_from=("held_out_events.class",)),
        Column("share", pa.float64(), "share of the class estimated by EM over the class priors", made_from=_HELD_OUT),
        Column("argmax_share", pa.float64(), "share of the events for which the class is the most likely one; a biased "
               "estimate", made_from=_HELD_OUT),
    ),
    key=("blend", "class"),
    usual=FOLLOWS_SETTINGS,
    may_be_empty=True,
    invariants=(Between("true_share", 0, 1), Between("share", 0, 1), Between("argmax_share", 0, 1)),
    foreign_keys=(ForeignKey(("class",), "classes", ("class",)),),
    limits=("The true shares are those of the wells' labels: a cell in a labelled well may be of another class.",),
)  # fmt: skip

TABLES = (CLASSES, CLASS_MIXTURES, HELD_OUT_EVENTS, SHARE_ERRORS)


class ClassMixturesConfig(dg.Config):
    """How classes are fitted and thresholds chosen. Null: the champion's value, or the default of `ClassParameters`."""

    components: int | None = Field(
        None,
        ge=1,
        description="number of components of each class; null: for each class the number with the smallest BIC",
    )
    sizes: list[int] | None = Field(
        None,
        min_length=1,
        description="numbers of components to choose from by BIC; they take precedence over the champion",
    )
    restarts: int | None = Field(None, ge=1, description="number of random starts for each number of components")
    events_per_well: int | None = Field(None, ge=1, description="largest number of events of a well that are used")
    priors: dict[str, float] = Field(
        {}, description="prior of each class by its name, up to a common factor; empty: uniform"
    )
    anomalous_share: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of a class's held-out events that lie below its threshold for anomalous events",
    )
    wanted_accuracy: float | None = Field(
        None, ge=0, le=1, description="accuracy that held-out calls which are not ambiguous should have"
    )
    regularization: float | None = Field(
        None, ge=0, description="added to all variances of a class, in channels that are scaled to variance 1"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of events and of the starts")
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")

    def given(self) -> dict[str, Any]:
        """The values for `ClassParameters`; None where none is given."""
        sizes = {"sizes": tuple(self.sizes)} if self.sizes else {}
        return self.model_dump(exclude={"workers", "sizes", "priors"}) | sizes | {"priors": self.priors or None}


_out = partial(refreshed_out, module=__name__, config=ClassMixturesConfig)


@several_tables(
    name="class_mixtures",
    outs={
        "classes": _out(
            CLASSES, "The classes with their priors and thresholds, and the accuracy of calls on held-out events."
        ),
        "class_mixtures": _out(
            CLASS_MIXTURES, "The density of each class, as a mixture of Gaussians fitted to its labelled wells."
        ),
        "held_out_events": _out(
            HELD_OUT_EVENTS,
            "Labelled events with their log density under each class, by models fitted without the event's well.",
        ),
        "share_errors": _out(
            SHARE_ERRORS, "Errors of estimated class shares, on blends of held-out events whose shares are known."
        ),
    },
    ins={**MATRIX_EVENTS, "champions": champion_of("class_mixtures")},
    pool="numerics",
)
@keeps_settings
def class_mixtures(
    config: ClassMixturesConfig,
    events: TableVersion,
    wells: TableVersion,
    plate_scales: TableVersion,
    champions: pa.Table,
) -> Iterator[dg.Output]:
    """Fit a mixture to each class, and again without each of its wells to choose thresholds."""
    from taproom.assays import assay_figures as figures
    from taproom.assays.class_mixtures import ClassParameters, cross_fit
    from taproom.assays.class_model_rows import model_rows
    from taproom.assays.class_shares import blend_errors
    from taproom.assays.class_thresholds import held_out_fates, model_of
    from taproom.assays.event_mixture import pooled, separating_channels
    from taproom.assays.stored_events import aligned_matrix, labelled_events
    from taproom.sources.events import EventMatrix, as_lists

    made = derived(Made(aligned_matrix, (events, wells, plate_scales)), EventMatrix.labelled)
    labelled = made_here(made)
    if len(set(labelled.labels)) < 2:
        yield from empty_outputs(*TABLES, reason="there are no labelled wells of at least two classes")
        return
    made_with = resolve_parameters(ClassParameters(), champions, ClassMixturesConfig, config.given())
    chosen = made_with.parameters
    if config.sizes and not config.components:
        chosen = replace(chosen, components=None)  # the sizes that are given take precedence over the champion's
    crossed = cross_fit(derived(made, labelled_events), chosen, config.workers)
    model = model_of(crossed, chosen)
    component_rows, class_rows = model_rows(model, labelled.channels, labelled.transforms)
    fates = figures.calls(model.classes, held_out_fates(model), title="Held-out events")
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(
                [{**row, "wanted_accuracy": chosen.wanted_accuracy} for row in class_rows], schema=CLASSES.schema
            ),
            metadata={
                "ambiguous_below": model.ambiguous_below,
                "reached_accuracy": model.reached_accuracy,
                **{f"held_out_accuracy_{row['class']}": row["held_out_accuracy"] for row in class_rows},
            },
            figure=fates,
        ),
        "classes",
    )
    by_class = dict(zip(model.classes, model.mixtures, strict=True))
    shown = separating_channels(pooled(model.mixtures))
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(component_rows, schema=CLASS_MIXTURES.schema),
            metadata={
                "champion": made_with.champion,
                **{f"components_{name}": mixture.components for name, mixture in by_class.items()},
            },
            figure=figures.class_mixtures(
                {name: mixture.marginal(shown) for name, mixture in by_class.items()},
                {name: labelled.values[labelled.labels == name][:, shown] for name in by_class},
                [labelled.channels[place] for place in shown],
            ),
        ),
        "class_mixtures",
    )
    seen = labelled.rows.take(pa.array(crossed.rows))
    yield dg.Output(
        Draft(
            HELD_OUT_EVENTS.table_of(
                sample=seen["sample"],
                event=seen["event"],
                **{"class": seen["label"], "log_densities": as_lists(crossed.log_densities)},
            ),
            metadata={"wells": int(model.wells.sum())},
            figure=fates,
        ),
        "held_out_events",
    )
    errors = blend_errors(crossed, seed=chosen.seed)
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(errors, schema=SHARE_ERRORS.schema),
            metadata={name: _mean_error(errors, name) for name in ("share", "argmax_share")},
            figure=figures.share_errors(errors),
        ),
        "share_errors",
    )


def _mean_error(rows: list[dict], estimate: str) -> float:
    """Mean absolute error of a column of estimated shares."""
    return sum(abs(row[estimate] - row["true_share"]) for row in rows) / max(len(rows), 1)


@dg.asset_check(
    asset="share_errors", description="Class shares estimated by EM have a smaller error than shares of counted calls."
)
def shares_beat_counting(share_errors: pa.Table) -> dg.AssetCheckResult:
    """Otherwise EM over the class priors is of no use, and calls could be counted."""
    rows = share_errors.to_pylist()
    errors = {name: _mean_error(rows, name) for name in ("share", "argmax_share")}
    return dg.AssetCheckResult(
        passed=errors["share"] <= errors["argmax_share"], severity=dg.AssetCheckSeverity.WARN, metadata=errors
    )


@dg.asset_check(asset="classes", description="Held-out calls that are not ambiguous reach the wanted accuracy.")
def confident_calls_are_accurate(classes: pa.Table) -> dg.AssetCheckResult:
    """No threshold reaches it if classes overlap everywhere; without two classes there are no calls."""
    rows = classes.to_pylist()
    reached = rows[0]["reached_accuracy"] if rows else 0.0
    return dg.AssetCheckResult(
        passed=bool(rows) and reached >= rows[0]["wanted_accuracy"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reached_accuracy": reached, "classes": len(rows)},
    )


@dg.asset_check(
    asset="class_mixtures",
    description=f"In each channel, no component's variance is below {LEAST_VARIANCE:g} times the largest component's.",
)
def no_component_has_collapsed(class_mixtures: pa.Table) -> dg.AssetCheckResult:
    """A component that has collapsed fits a few equal values, such as those at an end of a channel's range."""
    import numpy as np

    if not len(class_mixtures):
        return dg.AssetCheckResult(passed=True, description="There are no classes.")
    channels = len(class_mixtures["mean"][0])
    variances = np.stack(class_mixtures["covariance"].to_pylist())[:, :: channels + 1]
    least = float((variances / variances.max(axis=0)).min())
    return dg.AssetCheckResult(
        passed=least >= LEAST_VARIANCE, severity=dg.AssetCheckSeverity.WARN, metadata={"least_variance": least}
    )


@dg.asset_check(
    asset="held_out_events", description="The mean recall of the classes on held-out events is better than chance."
)
def held_out_events_beat_chance(held_out_events: pa.Table) -> dg.AssetCheckResult:
    """Otherwise the classes differ no more than the wells of one class do."""
    import numpy as np

    from taproom.sources.events import from_lists

    if not len(held_out_events):
        return dg.AssetCheckResult(passed=True, description="There are no classes.")
    names, labels = np.unique(held_out_events["class"].to_numpy(), return_inverse=True)
    right = from_lists(held_out_events["log_densities"], len(names)).argmax(axis=1) == labels
    recall = float(np.mean([right[labels == place].mean() for place in range(len(names))]))
    return dg.AssetCheckResult(
        passed=recall > 1 / len(names),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"mean_recall": recall, "chance": 1 / len(names)},
    )
