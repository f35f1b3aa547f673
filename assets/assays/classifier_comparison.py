"""classifier_comparison, classifier_wells, classifier_calibration: classifiers compared on held-out wells.

The deck's question, generative or discriminative: class mixtures, kernel densities and linear and quadratic
discriminants against logistic regression and gradient boosting. One well at a time is held out with all its events, and
all methods are fitted to the same events. A well has one label, and a large part of every well is non-fluorescent cells
and debris, which no method can tell apart: no accuracy comes near 1, and only differences matter.

Grain: a method; a method on a held-out well; a method's calls with a largest posterior in a bin.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, empty_outputs, keeps_settings, refreshed_out, several_tables
from taproom.compute import Made
from taproom.warehouse.contracts import FOLLOWS_BATCHES, FOLLOWS_SETTINGS, Between, Column, Contract, OneOf
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

METHODS = (
    "class_mixtures", "kernel_density", "linear_discriminant", "quadratic_discriminant", "logistic_regression",
    "gradient_boosting",
)  # fmt: skip
DOUBTFUL_BELOW = 0.5  # relative to the best accuracy on the median well
LARGEST_CALIBRATION_ERROR = 0.1

_METHOD = Column("method", pa.string(), "classification method; class_mixtures is the one that event_calls uses")

COMPARISON = Contract(
    table="classifier_comparison",
    grain="a method",
    columns=(
        _METHOD,
        Column("kind", pa.string(), "kind of method: generative or discriminative"),
        Column("wells", pa.int64(), "number of wells that were held out, one at a time"),
        Column("accuracy", pa.float64(), "share of a held-out well's events with the right call, mean over wells"),
        Column("accuracy_error", pa.float64(), "standard error of the accuracy over wells; null for one well",
               nullable=True),
        Column("difference", pa.float64(), "accuracy minus that of class_mixtures, mean over wells"),
        Column("difference_error", pa.float64(), "standard error of the difference over wells; null for one well",
               nullable=True),
        Column("log_loss", pa.float64(), "minus the log of the true class's posterior, mean over wells", unit="nats"),
        Column("log_loss_error", pa.float64(), "standard error of the log loss over wells; null for one well",
               nullable=True),
        Column("calibration_error", pa.float64(), "expected calibration error: mean absolute difference between "
               "the largest posterior and the share of right calls"),
    ),
    key=("method",),
    may_be_empty=True,
    invariants=(
        OneOf("method", METHODS),
        OneOf("kind", ("generative", "discriminative")),
        Between("wells", 1),
        Between("accuracy", 0, 1),
        Between("log_loss", 0),
        Between("calibration_error", 0, 1),
    ),
    limits=(
        "A large part of every well is debris and cells that no method can tell apart: only differences matter.",
    ),
)  # fmt: skip

WELLS = Contract(
    table="classifier_wells",
    grain="a method on a held-out well",
    columns=(
        _METHOD,
        Column("well", pa.string(), "plate and well that was held out"),
        Column("events", pa.int64(), "number of the well's events that were called"),
        Column("accuracy", pa.float64(), "share of the events with the right call"),
        Column(
            "log_loss", pa.float64(), "minus the mean log of the true class's posterior over the events", unit="nats"
        ),
    ),
    key=("method", "well"),
    usual=FOLLOWS_BATCHES,
    may_be_empty=True,
    invariants=(OneOf("method", METHODS), Between("events", 1), Between("accuracy", 0, 1), Between("log_loss", 0)),
    foreign_keys=(ForeignKey(("method",), "classifier_comparison", ("method",)),),
    limits=("A call counts as right if it is the well's label; compare methods on the same well only.",),
)

CALIBRATION = Contract(
    table="classifier_calibration",
    grain="a bin of a method's calls by their largest posterior",
    columns=(
        _METHOD,
        Column("bin", pa.int32(), "number of the bin, from 0; bins without calls have no row"),
        Column("events", pa.int64(), "number of calls in the bin"),
        Column(
            "confidence", pa.float64(), "mean largest posterior of the calls in the bin, with equal weights for wells"
        ),
        Column("observed", pa.float64(), "share of right calls in the bin, with equal weights for wells"),
    ),
    key=("method", "bin"),
    usual=FOLLOWS_SETTINGS,
    may_be_empty=True,
    invariants=(OneOf("method", METHODS), Between("events", 1), Between("confidence", 0, 1), Between("observed", 0, 1)),
    foreign_keys=(ForeignKey(("method",), "classifier_comparison", ("method",)),),
    limits=("A call counts as right if it is the well's label: a cell may be of another class.",),
)


class ClassifierComparisonConfig(dg.Config):
    """How the other methods are fitted; class mixtures are configured at `class_mixtures`."""

    seed: int = Field(0, ge=0, description="seed of the random choices of the methods")
    workers: int = Field(-1, ge=-1, description="number of worker processes; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=ClassifierComparisonConfig)


@several_tables(
    name="classifier_comparison",
    outs={
        "classifier_comparison": _out(
            COMPARISON, "Accuracy, log loss and calibration of classifiers of events on held-out wells."
        ),
        "classifier_wells": _out(WELLS, "Accuracy and log loss of each classifier on each held-out well."),
        "classifier_calibration": _out(
            CALIBRATION, "Calibration curve of each classifier: posteriors beside the share of right calls."
        ),
    },
    ins=MATRIX_EVENTS,
    pool="numerics",
)
@keeps_settings
def classifier_comparison(
    config: ClassifierComparisonConfig,
    events: TableVersion,
    wells: TableVersion,
    plate_scales: TableVersion,
    held_out_events: TableVersion,
    classes: pa.Table,
) -> Iterator[dg.Output]:
    """Hold out each labelled well, fit all methods to the others, and evaluate them on it."""
    from taproom.assays import assay_figures as figures
    from taproom.assays.classifiers import compare
    from taproom.assays.stored_events import stored_sample
    from taproom.sources.events import from_lists

    held_out = held_out_events.read()
    if not len(held_out):
        yield from empty_outputs(COMPARISON, WELLS, CALIBRATION, reason="there are no classes")
        return
    ours = from_lists(held_out["log_densities"], len(classes))
    made = Made(stored_sample, (events, wells, plate_scales, held_out_events))
    found = compare(made, ours, config.seed, config.workers)
    picture = figures.comparison(found.summary, found.bins)
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(found.summary, schema=COMPARISON.schema),
            metadata={
                **{f"accuracy_{row['method']}": row["accuracy"] for row in found.summary},
                "wells_skipped": found.skipped,
                "methods_left_out": found.left_out,
                "incomplete_events": found.incomplete_events,
            },
            figure=picture,
        ),
        "classifier_comparison",
    )
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(found.rows, schema=WELLS.schema),
            metadata={"least_accuracy": min((row["accuracy"] for row in found.rows), default=0.0)},
            figure=figures.well_accuracies(found.rows),
        ),
        "classifier_wells",
    )
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(found.bins, schema=CALIBRATION.schema),
            metadata={f"calibration_error_{row['method']}": row["calibration_error"] for row in found.summary},
            figure=picture,
        ),
        "classifier_calibration",
    )


@dg.asset_check(
    asset="classifier_comparison",
    description="The accuracy of class mixtures is within one standard error of the best generative method's.",
)
def class_mixtures_keep_up(classifier_comparison: pa.Table) -> dg.AssetCheckResult:
    """Calls are made by class mixtures; a density that is clearly better should be used instead."""
    rows = {row["method"]: row for row in classifier_comparison.to_pylist() if row["kind"] == "generative"}
    if not rows:
        return dg.AssetCheckResult(passed=True, description="No well could be held out.")
    best = max(rows.values(), key=lambda row: row["accuracy"])
    behind = best["accuracy"] - rows["class_mixtures"]["accuracy"]
    return dg.AssetCheckResult(
        passed=behind <= (best["accuracy_error"] or 0.0),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"best": best["method"], "behind": behind},
    )


@dg.asset_check(
    asset="classifier_wells",
    description=f"On every well, the best method's accuracy is at least {DOUBTFUL_BELOW:.0%} of its median over wells.",
)
def some_method_works_on_every_well(classifier_wells: pa.Table) -> dg.AssetCheckResult:
    """A well on which all methods fail may have the wrong label."""
    best = classifier_wells.select(["well", "accuracy"]).to_pandas().groupby("well")["accuracy"].max()
    doubtful = best[best < DOUBTFUL_BELOW * best.median()]
    return dg.AssetCheckResult(
        passed=doubtful.empty, severity=dg.AssetCheckSeverity.WARN, metadata={"doubtful_wells": doubtful.to_dict()}
    )


@dg.asset_check(
    asset="classifier_calibration",
    description=f"The mean calibration error of class_mixtures is at most {LARGEST_CALIBRATION_ERROR}.",
)
def posteriors_are_calibrated(classifier_calibration: pa.Table) -> dg.AssetCheckResult:
    """The flag `ambiguous` of calls compares these posteriors with a threshold: it needs calibrated ones."""
    rows = [row for row in classifier_calibration.to_pylist() if row["method"] == "class_mixtures"]
    events = sum(row["events"] for row in rows)
    error = sum(row["events"] * abs(row["confidence"] - row["observed"]) for row in rows) / max(events, 1)
    return dg.AssetCheckResult(
        passed=error <= LARGEST_CALIBRATION_ERROR,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"mean_calibration_error": error},
    )
