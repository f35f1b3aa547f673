"""predictions, confusion: the classifier's predictions for images that it was not fitted to, and its confusion matrix.

These are all test images, and the images of the training split without a label. Nothing about the classifier was chosen
on the test images; they are used here for the first time.

Grain: an image; a pair of classes. Source: the deck's slide "Mini case study", step 7, "Classify with argmax".
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.images.image_features import FEATURES, IMAGE_ID, MODEL
from assets.images.images import SPLITS
from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from taproom.compute import Made
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

MOST_WRONG = 0.5  # of the errors of always predicting the most frequent class

_SCORES = ("classifier.intercept", "classifier.weights", "classifier.width", "landmarks.features", *FEATURES)

PREDICTIONS = Contract(
    table="predictions",
    grain="an image that the classifier was not fitted to",
    columns=(
        IMAGE_ID,
        Column(
            "split",
            pa.string(),
            "split of the image: test, or training if it has no label",
            made_from=("images.split",),
        ),
        Column(
            "label", pa.string(), "true class of the image; null if unknown", nullable=True, made_from=("images.label",)
        ),
        Column(
            "predicted",
            pa.string(),
            "predicted class: the one with the highest score",
            made_from=("classifier.class", *_SCORES),
        ),
        Column(
            "scores",
            pa.list_(pa.float32()),
            "score of each class, in alphabetical order of the classes",
            made_from=_SCORES,
        ),
        Column(
            "probabilities",
            pa.list_(pa.float32()),
            "probability of each class, in the same order",
            made_from=("classifier.temperature", *_SCORES),
        ),
    ),
    key=("image_id",),
    version="1.1.0",
    invariants=(
        NotBlank("image_id"),
        OneOf("split", SPLITS),
        NotBlank("predicted"),
        Between("scores"),
        Between("probabilities", 0, 1),
    ),
    may_be_empty=True,
    foreign_keys=(
        ForeignKey(("image_id",), "images", ("image_id",)),
        ForeignKey(("predicted",), "classifier", ("class",)),
    ),
    limits=(
        "Probabilities are calibrated on images of the data set: on pictures from elsewhere, they may be too high.",
        "Images of the split training are those without a label; measure the accuracy on the split test.",
    ),
)

CONFUSION = Contract(
    table="confusion",
    grain="a true class and a predicted class",
    columns=(
        Column("label", pa.string(), "true class of the test images", made_from=("predictions.label",)),
        Column("predicted", pa.string(), "predicted class", made_from=("predictions.predicted",)),
        Column(
            "images",
            pa.int64(),
            "number of test images of the true class with this prediction",
            made_from=("predictions.label", "predictions.predicted"),
        ),
        Column(
            "share",
            pa.float64(),
            "share of the test images of the true class; null if there are none",
            nullable=True,
            made_from=("predictions.label", "predictions.predicted"),
        ),
    ),
    key=("label", "predicted"),
    invariants=(NotBlank("label"), NotBlank("predicted"), Between("images", 0), Between("share", 0, 1)),
    foreign_keys=(ForeignKey(("predicted",), "classifier", ("class",)),),
    limits=("The images are those of the data set: on pictures from elsewhere, more predictions may be wrong.",),
)


class PredictionsConfig(dg.Config):
    """The number of threads."""

    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=PredictionsConfig)


@several_tables(
    name="predictions",
    outs={
        "predictions": _out(
            PREDICTIONS, "The classifier's prediction for each test image, with the score of every class."
        ),
        "confusion": _out(CONFUSION, "Confusion matrix: the number of test images by true and predicted class."),
    },
    ins={name: dg.AssetIn(metadata={"as_read_by": "classifier"}) for name in ("landmarks", *MODEL)},
    pool="numerics",
)
@keeps_settings
def predictions(
    config: PredictionsConfig,
    classifier: TableVersion,
    landmarks: TableVersion,
    images: TableVersion,
    encoder: TableVersion,
    whitening: TableVersion,
    filters: TableVersion,
) -> Iterator[dg.Output]:
    """Score the images and count predictions by class."""
    import numpy as np

    from taproom.images import classifier_figures as figures
    from taproom.images.calibration import calibration_error, probabilities
    from taproom.images.image_classifier import (
        confusion_counts,
        held_out_images,
        scores_of_images,
        stored_images_to_score,
    )
    from taproom.images.stored_pixels import without_pixels
    from taproom.intervals import wilson_interval

    known = classifier.read()
    classes = known["class"].to_pylist()
    rows = without_pixels(images).read()
    asked = rows.take(held_out_images(rows))
    labels = asked["label"].to_pylist()
    made = Made(stored_images_to_score, (classifier, landmarks, images, encoder, whitening, filters))
    scores = scores_of_images(made, config.workers)
    likely = probabilities(scores, known["temperature"][0].as_py())
    predicted = [classes[place] for place in scores.argmax(axis=1)] if len(asked) else []
    counts, names = confusion_counts(labels, predicted, classes)
    judged, right = int(counts.sum()), int(np.trace(counts))
    metadata: dict[str, float] = {"test_images": judged}
    if judged:
        accuracy = wilson_interval(right, judged)
        labelled = np.asarray(pa.compute.is_valid(asked["label"]))
        numbers = np.array([classes.index(label) if label in classes else -1 for label in labels])
        metadata |= {
            "test_accuracy": accuracy.mean,
            "accuracy_low": accuracy.low,
            "accuracy_high": accuracy.high,
            "calibration_error": calibration_error(likely[labelled], numbers[labelled]),
        }
    yield dg.Output(
        Draft(
            PREDICTIONS.table_of(
                image_id=asked["image_id"],
                split=asked["split"],
                label=asked["label"],
                predicted=pa.array(predicted, pa.string()),
                scores=pa.array(list(scores), pa.list_(pa.float32())),
                probabilities=pa.array(list(likely), pa.list_(pa.float32())),
            ),
            metadata=metadata,
            figure=figures.predictions(made.here.pixels, labels, predicted, scores) if judged else None,
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
            metadata=metadata,
            figure=figures.confusion(counts, names) if judged else None,
        ),
        "confusion",
    )


@dg.asset_check(
    asset="confusion",
    description=f"The error rate on test images is at most {MOST_WRONG:.0%} of that of always predicting the most "
    "frequent class.",
)
def classifier_beats_chance(confusion: pa.Table) -> dg.AssetCheckResult:
    """Otherwise the labels are unrelated to the training images, or the test images are of another kind."""
    rows = confusion.to_pylist()
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["label"]] += row["images"]
    judged = max(counts.total(), 1)
    right = sum(row["images"] for row in rows if row["label"] == row["predicted"])
    accuracy, guessed = right / judged, max(counts.values()) / judged
    return dg.AssetCheckResult(
        passed=not counts.total() or 1 - accuracy <= MOST_WRONG * (1 - guessed),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"test_accuracy": accuracy, "of_the_best_guess": guessed},
    )


@dg.asset_check(
    asset="predictions",
    additional_ins={"classifier": dg.AssetIn(metadata={"columns": ["class", "images"]})},
    description="Each class that the classifier was trained on is predicted for some image.",
)
def every_class_is_predicted(predictions: pa.Table, classifier: pa.Table) -> dg.AssetCheckResult:
    """A class that is never predicted has too few training images, or looks like another class."""
    trained = {row["class"] for row in classifier.to_pylist() if row["images"]}
    never = sorted(trained - set(predictions["predicted"].to_pylist()))
    return dg.AssetCheckResult(
        passed=not len(predictions) or not never,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"classes_never_predicted": never},
    )
