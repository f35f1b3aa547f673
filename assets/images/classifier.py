"""classifier: multiclass least squares with a ridge penalty, solved from the Gram matrix.

    min_W,b  sum_i |W' x_i + b - y_i|^2 + lambda |W|^2

Lambda is the penalty with the best accuracy on the validation images, a tenth of the training images that the Gram
matrix leaves out. The classifier is then fitted to these too. The test images are not used.

Grain: a class. Source: the deck's slide "Mini case study", step 6.
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank
from taproom.warehouse.table_version import TableVersion

_SUMS_AND_FEATURES = (
    "gram.centre",
    "gram.spread",
    "gram.sum",
    "gram.with_targets",
    "gram.products",
    "images.label",
    "images.pixels",
    "whitening.mean",
    "whitening.weights",
    "filters.weights",
)

CONTRACT = Contract(
    table="classifier",
    grain="a class",
    columns=(
        Column("class", pa.string(), "name of the class; rows are in alphabetical order", made_from=("images.label",)),
        Column("images", pa.int64(), "number of training images of the class",
               made_from=("images.label", "images.split")),
        Column("penalty", pa.float64(), "ridge penalty lambda with the best validation accuracy, for features of about "
               "unit variance; the fit to all training images scales it by their number; the same in all rows"),
        Column("validation_accuracy", pa.float64(), "accuracy on the validation images, before the classifier was "
               "fitted to these too; the same in all rows"),
        Column("intercept", pa.float32(), "score of the class for an image whose features are all 0",
               made_from=_SUMS_AND_FEATURES),
        Column("weights", pa.list_(pa.float32()), "one weight for each feature; the predicted class is the one "
               "with the highest score, intercept + weights x features", made_from=_SUMS_AND_FEATURES),
    ),
    key=("class",),
    invariants=(
        NotBlank("class"),
        Between("images", 0),
        Between("penalty", 0),
        Between("validation_accuracy", 0, 1),
        Between("intercept"),
        Between("weights"),
    ),
    limits=(
        "The validation accuracy was used to choose the penalty and is too high; confusion has the test images.",
        "Scores are not probabilities.",
    ),
)  # fmt: skip


class ClassifierConfig(dg.Config):
    """The penalties to compare."""

    penalties: list[float] | None = Field(
        None,
        description="ridge penalties lambda to compare; null: 3, 10, 30, 100, 300, and others if an end is best",
    )
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=ClassifierConfig,
        description="A linear classifier of images: one row of weights for each class.",
    ),
    pool="numerics",
)
@keeps_settings
def classifier(
    config: ClassifierConfig,
    gram: pa.RecordBatchReader,
    images: TableVersion,
    encoder: pa.Table,
    whitening: pa.Table,
    filters: pa.Table,
) -> Draft:
    """Compare penalties on the validation images, and fit the best to all training images."""
    import numpy as np

    from taproom.images import classifier_figures as figures
    from taproom.images.image_classifier import (
        PENALTIES,
        ImagesToEncode,
        LabelledImages,
        choose_classifier,
        gram_of,
        validation_features,
    )
    from taproom.images.image_features import encoder_of
    from taproom.images.stored_pixels import StoredPixels, without_pixels

    model = encoder_of(encoder, whitening, filters)
    labelled = LabelledImages.of(without_pixels(images).read())
    chosen = choose_classifier(
        gram_of(gram, model.dimensions, len(labelled.classes)),
        validation_features(ImagesToEncode(model, StoredPixels(images)), labelled, config.workers),
        config.penalties or PENALTIES,
        config.workers,
    )
    trained = labelled.labels[labelled.fitted | labelled.validation]
    accuracy = chosen.accuracies[chosen.penalty]
    count = len(labelled.classes)
    return Draft(
        CONTRACT.table_of(**{
            "class": labelled.classes,
            "images": np.bincount(trained, minlength=count),
            "penalty": [chosen.penalty] * count,
            "validation_accuracy": [accuracy] * count,
            "intercept": chosen.classifier.intercept,
            "weights": list(chosen.classifier.weights.T),
        }),
        metadata={
            "validation_accuracy": accuracy,
            "validation_images": int(labelled.validation.sum()),
            "penalty": chosen.penalty,
            "classes_not_trained": [labelled.classes[label] for label in set(range(count)) - set(trained.tolist())],
            "preset": encoder["preset"][0].as_py(),
            "champion": encoder["champion"][0].as_py(),
        },
        figure=figures.penalties(chosen.accuracies, chosen.penalty),
    )  # fmt: skip


@dg.asset_check(
    asset="classifier",
    description="The validation accuracy is higher than that of always predicting the most frequent class.",
)
def better_than_the_largest_class(classifier: pa.Table) -> dg.AssetCheckResult:
    """Otherwise the classifier has learned how frequent the classes are, and nothing about the images."""
    images = classifier["images"].to_pylist()
    guessed, accuracy = max(images) / max(sum(images), 1), classifier["validation_accuracy"][0].as_py()
    return dg.AssetCheckResult(
        passed=accuracy > guessed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"validation_accuracy": accuracy, "of_the_best_guess": guessed},
    )
