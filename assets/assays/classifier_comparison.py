"""classifier_comparison, classifier_wells, classifier_calibration: classifiers judged on wells they have never seen.

The deck's question, generative or discriminative: class mixtures, kernel densities and linear and quadratic
discriminants against logistic regression and gradient boosting. One well at a time is left out with all its events;
all methods see the same events. A label is the well's, and much of every well is cells that do not shine and debris,
which no method can tell apart: no accuracy here comes near 1, and what matters is which is larger.

Grain: a method; a method on a well that was left out; a method's events with a posterior in a bin.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, empty_outputs, keeps_settings, refreshed_out, several_tables
from taproom.warehouse.contracts import Between, Column, Contract, OneOf

METHODS = (
    "class_mixtures", "kernel_density", "linear_discriminant", "quadratic_discriminant", "logistic_regression",
    "gradient_boosting",
)  # fmt: skip
DOUBTFUL_BELOW = 0.5  # of the median well's best accuracy
LARGEST_CALIBRATION_ERROR = 0.1

_METHOD = Column("method", pa.string(), "class_mixtures is ours; the others by their usual names")

COMPARISON = Contract(
    table="classifier_comparison",
    grain="a method",
    columns=(
        _METHOD,
        Column("kind", pa.string(), "generative or discriminative"),
        Column("wells", pa.int64(), "wells that were left out, one at a time"),
        Column("accuracy", pa.float64(), "mean over wells of the share of events called right"),
        Column("accuracy_error", pa.float64(), "its standard error over wells; null for one well", nullable=True),
        Column("difference", pa.float64(), "mean over wells of its accuracy less that of class_mixtures"),
        Column("difference_error", pa.float64(), "its standard error over wells; null for one well", nullable=True),
        Column("log_loss", pa.float64(), "mean over wells of minus the log of the true class's posterior", unit="nats"),
        Column("log_loss_error", pa.float64(), "its standard error over wells; null for one well", nullable=True),
        Column("calibration_error", pa.float64(), "expected calibration error: how far the largest posterior is from "
               "the share of right calls"),
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
)  # fmt: skip

WELLS = Contract(
    table="classifier_wells",
    grain="a method on a well that it was not fitted to",
    columns=(
        _METHOD,
        Column("well", pa.string(), "plate and well"),
        Column("events", pa.int64(), "events that were called"),
        Column("accuracy", pa.float64(), "share of them called right"),
        Column("log_loss", pa.float64(), "minus the mean log of the true class's posterior", unit="nats"),
    ),
    key=("method", "well"),
    may_be_empty=True,
    invariants=(OneOf("method", METHODS), Between("events", 1), Between("accuracy", 0, 1), Between("log_loss", 0)),
)

CALIBRATION = Contract(
    table="classifier_calibration",
    grain="a bin of a method's calls by their largest posterior",
    columns=(
        _METHOD,
        Column("bin", pa.int32(), "the bin, from 0; bins without calls have no row"),
        Column("events", pa.int64(), "calls in it"),
        Column("confidence", pa.float64(), "mean of their largest posteriors, wells alike"),
        Column("observed", pa.float64(), "share of them that are right, wells alike"),
    ),
    key=("method", "bin"),
    may_be_empty=True,
    invariants=(OneOf("method", METHODS), Between("events", 1), Between("confidence", 0, 1), Between("observed", 0, 1)),
)


class ClassifierComparisonConfig(dg.Config):
    """How the other methods are fitted; ours are configured at `class_mixtures`."""

    seed: int = Field(0, ge=0, description="seed of what methods draw")
    workers: int = Field(-1, ge=-1, description="workers as joblib counts them; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=ClassifierComparisonConfig)


@several_tables(
    name="classifier_comparison",
    outs={
        "classifier_comparison": _out(COMPARISON, "How well classifiers do on wells that they have never seen."),
        "classifier_wells": _out(WELLS, "The same, well by well."),
        "classifier_calibration": _out(CALIBRATION, "How far posteriors are from the share of right calls."),
    },
    ins=MATRIX_EVENTS,
    pool="numerics",
)
@keeps_settings
def classifier_comparison(
    config: ClassifierComparisonConfig, events: pa.Table, wells: pa.Table, held_out_events: pa.Table, classes: pa.Table
) -> Iterator[dg.Output]:
    """Leave each labelled well out, fit all methods to the others, and judge them on it."""
    from taproom.assays import assay_figures as figures
    from taproom.assays.classifiers import compare
    from taproom.sources.events import event_matrix, from_lists

    if not len(held_out_events):
        yield from empty_outputs(COMPARISON, WELLS, CALIBRATION, reason="wanted: classes")
        return
    known = event_matrix(events, wells).take(held_out_events)
    ours = from_lists(held_out_events["log_densities"], len(classes))
    found = compare(known.values, known.labels, known.wells, ours, config.seed, config.workers)
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
    description="Class mixtures are within one standard error of the best generative method, or better.",
)
def class_mixtures_keep_up(classifier_comparison: pa.Table) -> dg.AssetCheckResult:
    """The calls are made by class mixtures; another density that is clearly better should make them."""
    rows = {row["method"]: row for row in classifier_comparison.to_pylist() if row["kind"] == "generative"}
    if not rows:
        return dg.AssetCheckResult(passed=True, description="No well could be left out.")
    best = max(rows.values(), key=lambda row: row["accuracy"])
    behind = best["accuracy"] - rows["class_mixtures"]["accuracy"]
    return dg.AssetCheckResult(
        passed=behind <= (best["accuracy_error"] or 0.0),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"best": best["method"], "behind": behind},
    )


@dg.asset_check(
    asset="classifier_wells",
    description=f"On every well some method is at least {DOUBTFUL_BELOW:.0%} as accurate as on the median well.",
)
def no_well_defies_all_methods(classifier_wells: pa.Table) -> dg.AssetCheckResult:
    """A well that no method gets right may bear another class's label."""
    best = classifier_wells.select(["well", "accuracy"]).to_pandas().groupby("well")["accuracy"].max()
    doubtful = best[best < DOUBTFUL_BELOW * best.median()]
    return dg.AssetCheckResult(
        passed=doubtful.empty, severity=dg.AssetCheckSeverity.WARN, metadata={"doubtful_wells": doubtful.to_dict()}
    )


@dg.asset_check(
    asset="classifier_calibration",
    description=f"Posteriors of class_mixtures are {LARGEST_CALIBRATION_ERROR} off at most, on average.",
)
def posteriors_are_calibrated(classifier_calibration: pa.Table) -> dg.AssetCheckResult:
    """The calls' flag `ambiguous` is a threshold of these posteriors, and means what it says only where they hold."""
    rows = [row for row in classifier_calibration.to_pylist() if row["method"] == "class_mixtures"]
    events = sum(row["events"] for row in rows)
    error = sum(row["events"] * abs(row["confidence"] - row["observed"]) for row in rows) / max(events, 1)
    return dg.AssetCheckResult(
        passed=error <= LARGEST_CALIBRATION_ERROR,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"mean_calibration_error": error},
    )
