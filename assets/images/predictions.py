"""predictions, confusion: what the classifier says of the images that it was not fitted to, and how often it is right.

All test images, and images of the training split without a label. Nothing that the classifier is made of was chosen by
the test images: they are looked at here, at the end.

Grain: an image; a pair of classes. Source: the deck's slide "Mini case study", step 7, "Classify with argmax".
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.images.images import SPLITS
from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf

MOST_WRONG = 0.5  # of what naming the most frequent class has wrong

PREDICTIONS = Contract(
    table="predictions",
    grain="an image that the classifier was not fitted to",
    columns=(
        Column("image_id", pa.string(), "the image; rows are in the order of images"),
        Column("split", pa.string(), "training (without a label) or test"),
        Column("label", pa.string(), "its class", nullable=True),
        Column("predicted", pa.string(), "the class with the highest score"),
        Column("scores", pa.list_(pa.float32()), "each class's score, in alphabetical order of the classes"),
    ),
    key=("image_id",),
    invariants=(NotBlank("image_id"), OneOf("split", SPLITS), NotBlank("predicted"), Between("scores")),
    may_be_empty=True,
)

CONFUSION = Contract(
    table="confusion",
    grain="a class and a class that its test images are taken for",
    columns=(
        Column("label", pa.string(), "the class of the test images"),
        Column("predicted", pa.string(), "what they were taken for"),
        Column("images", pa.int64(), "how many were"),
        Column(
            "share", pa.float64(), "their share of the test images of the class; null where it has none", nullable=True
        ),
    ),
    key=("label", "predicted"),
    invariants=(NotBlank("label"), NotBlank("predicted"), Between("images", 0), Between("share", 0, 1)),
)


class PredictionsConfig(dg.Config):
    """Who computes the features."""

    workers: int = Field(-1, ge=-1, description="threads as joblib counts them; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=PredictionsConfig)


@several_tables(
    name="predictions",
    outs={
        "predictions": _out(PREDICTIONS, "The class of each test image by the classifier, and every class's score."),
        "confusion": _out(CONFUSION, "How many test images of each class were taken for which."),
    },
    pool="numerics",
)
@keeps_settings
def predictions(
    config: PredictionsConfig,
    classifier: pa.Table,
    images: pa.Table,
    encoder: pa.Table,
    whitening: pa.Table,
    filters: pa.Table,
) -> Iterator[dg.Output]:
    """Score the images and count the answers."""
    import numpy as np

    from taproom.images import classifier_figures as figures
    from taproom.images.image_arrays import pixels_of
    from taproom.images.image_classifier import classifier_of, confusion_counts, scores_of_images
    from taproom.images.image_features import encoder_of
    from taproom.intervals import wilson_interval

    model, (linear, classes) = encoder_of(encoder, whitening, filters), classifier_of(classifier)
    asked = images.filter(
        pa.compute.or_(pa.compute.equal(images["split"], "test"), pa.compute.is_null(images["label"]))
    )
    pixels = pixels_of(asked) if len(asked) else np.empty((0, 1, 1, 3), np.uint8)
    scores = scores_of_images(model, linear, pixels, config.workers)
    predicted = [classes[place] for place in scores.argmax(axis=1)] if len(asked) else []
    counts, names = confusion_counts(asked["label"].to_pylist(), predicted, classes)
    judged, right = int(counts.sum()), int(np.trace(counts))
    told = {"test_images": judged}
    if judged:
        accuracy = wilson_interval(right, judged)
        told |= {
            "test_accuracy": accuracy.mean,
            "accuracy_low": accuracy.low,
            "accuracy_high": accuracy.high,
        }
    yield dg.Output(
        Draft(
            PREDICTIONS.table_of(
                image_id=asked["image_id"],
                split=asked["split"],
                label=asked["label"],
                predicted=pa.array(predicted, pa.string()),
                scores=pa.array(list(scores), pa.list_(pa.float32())),
            ),
            metadata=told,
            figure=figures.predictions(pixels, asked["label"].to_pylist(), predicted, scores) if judged else None,
        ),
        "predictions",
    )
    rows = [
        {"label": label, "predicted": name, "images": count, "share": count / sum(line) if any(line) else None}
        for label, line in zip(names, counts.tolist(), strict=True)
        for name, count in zip(names, line, strict=True)
    ]
    yield dg.Output(
        Draft(
            pa.Table.from_pylist(rows, schema=CONFUSION.schema),
            metadata=told,
            figure=figures.confusion(counts, names) if judged else None,
        ),
        "confusion",
    )


@dg.asset_check(
    asset="confusion",
    description=f"At most {MOST_WRONG:.0%} as many test images are wrong as by naming the most frequent class.",
)
def classifier_beats_chance(confusion: pa.Table) -> dg.AssetCheckResult:
    """A classifier that guesses was fitted to labels that say nothing, or to images of another kind."""
    counts: Counter[str] = Counter()
    for row in confusion.to_pylist():
        counts[row["label"]] += row["images"]
        counts[None] += row["images"] if row["label"] == row["predicted"] else 0
    right = counts.pop(None)
    judged = max(sum(counts.values()), 1)
    accuracy, guessed = right / judged, max(counts.values()) / judged
    return dg.AssetCheckResult(
        passed=not any(counts.values()) or 1 - accuracy <= MOST_WRONG * (1 - guessed),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"test_accuracy": accuracy, "of_the_best_guess": guessed},
    )


@dg.asset_check(
    asset="predictions",
    additional_ins={"classifier": dg.AssetIn(metadata={"columns": ["class", "images"]})},
    description="Each class that the classifier was trained on is the answer for some image.",
)
def every_class_is_named(predictions: pa.Table, classifier: pa.Table) -> dg.AssetCheckResult:
    """A class that is never the answer had too few training images beside the others, or looks like another."""
    trained = {row["class"] for row in classifier.to_pylist() if row["images"]}
    never = sorted(trained - set(predictions["predicted"].to_pylist()))
    return dg.AssetCheckResult(
        passed=not len(predictions) or not never,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"classes_never_named": never},
    )
