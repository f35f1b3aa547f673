"""classifier: kernel regression on landmarks, with a Gaussian kernel of the images' features.

    min_a  sum_i |sum_j k(x_i, z_j) a_j - (y_i - b)|^2  +  lambda sum_jl k(z_j, z_l) a_j' a_l
    k(x, z) = exp(-|x - z|^2 / (2 width^2))

x_i are the features of an image on the scale of the landmarks z_j: of unit spread, their leading principal components
shrunk (`taproom.images.landmarks`); y_i is 1 for the image's class and -1
for the others, and b their mean. Width and lambda are those with the best accuracy on the validation images, a tenth
of the training images. One temperature for all classes makes the scores of these images probabilities. The classifier
is then fitted to all training images. The test images are not used.

Grain: a class. Source: the deck's slide "Mini case study", steps 6 and 7; Rudi, Carratino and Rosasco, FALKON: an
optimal large scale kernel method, 2017; Guo and others, On calibration of modern neural networks, 2017.
"""

from dataclasses import replace

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.images.image_features import FEATURES, MODEL
from assets.table import Draft, keeps_settings, refreshed
from taproom.compute import Made
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank
from taproom.warehouse.table_version import TableVersion

_LEARNED_FROM = ("images.label", "landmarks.features", *FEATURES)

CONTRACT = Contract(
    table="classifier",
    grain="a class",
    columns=(
        Column("class", pa.string(), "name of the class; rows are in alphabetical order", made_from=("images.label",)),
        Column("images", pa.int64(), "number of training images of the class",
               made_from=("images.label", "images.split")),
        Column("width", pa.float64(), "width of the Gaussian kernel, a distance of features of unit spread over the "
               "landmarks, whose leading principal components are shrunk; the same in all rows",
               made_from=_LEARNED_FROM),
        Column("penalty", pa.float64(), "ridge penalty lambda with the best validation accuracy; the fit to all "
               "training images scales it by their number; the same in all rows", made_from=_LEARNED_FROM),
        Column("validation_accuracy", pa.float64(), "accuracy on the validation images, before the classifier was "
               "fitted to these too; the same in all rows", made_from=_LEARNED_FROM),
        Column("temperature", pa.float64(), "softmax(scores / temperature) are the probabilities of the classes; the "
               "same in all rows", made_from=_LEARNED_FROM),
        Column("calibration_error", pa.float64(), "expected calibration error of these probabilities on the "
               "validation images, by which the temperature was chosen; the same in all rows", made_from=_LEARNED_FROM),
        Column("intercept", pa.float32(), "score of the class for an image that is unlike all landmarks",
               made_from=("images.label",)),
        Column("weights", pa.list_(pa.float32()), "one weight for each landmark, in the order of the table landmarks; "
               "the predicted class is the one with the highest score, intercept + weights x kernel",
               made_from=_LEARNED_FROM),
    ),
    key=("class",),
    version="2.0.0",
    invariants=(
        NotBlank("class"),
        Between("images", 0),
        Between("width", 0),
        Between("penalty", 0),
        Between("validation_accuracy", 0, 1),
        Between("temperature", 0),
        Between("calibration_error", 0, 1),
        Between("intercept"),
        Between("weights"),
    ),
    limits=(
        "The validation accuracy was used to choose width and penalty and is too high; confusion has the test images.",
        "Scores are not probabilities; softmax(scores / temperature) are, for images like those of the data set.",
    ),
)  # fmt: skip


class ClassifierConfig(dg.Config):
    """The widths and penalties to compare."""

    widths: list[float] | None = Field(
        None,
        description="widths of the kernel to compare, in units of the median distance of landmarks; null: 1.4",
    )
    penalties: list[float] | None = Field(
        None,
        description="ridge penalties lambda to compare; null: 0.01, 0.001, and others if an end is best",
    )
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=ClassifierConfig,
        description="A classifier of images by kernel regression: one row of weights of landmarks for each class.",
    ),
    ins={name: dg.AssetIn(metadata={"as_read_by": "landmarks"}) for name in ("images", "image_features", *MODEL)},
    pool="numerics",
)
@keeps_settings
def classifier(
    config: ClassifierConfig,
    landmarks: TableVersion,
    images: TableVersion,
    image_features: TableVersion,
    encoder: TableVersion,
    whitening: TableVersion,
    filters: TableVersion,
) -> Draft:
    """Compare widths and penalties on the validation images, and fit the best to all training images."""
    import numpy as np

    from taproom.images import classifier_figures as figures
    from taproom.images.classifier_choice import PENALTIES, WIDTHS, TrainingImages, choose_classifier
    from taproom.images.image_classifier import (
        LabelledImages,
        known_features,
        landmark_features,
        stored_images_to_encode,
        with_progress,
    )
    from taproom.images.landmarks import Landmarks
    from taproom.images.stored_features import StoredFeatures
    from taproom.images.stored_pixels import without_pixels

    rows = without_pixels(images).read()
    labelled = LabelledImages.of(rows)
    ids = replace(landmarks, columns=("image_id",)).read()["image_id"]
    landmark_rows = pa.compute.index_in(ids, rows["image_id"]).to_numpy()
    others = np.setdiff1d(labelled.training, landmark_rows)
    made = Made(stored_images_to_encode, (images, encoder, whitening, filters))
    features = StoredFeatures()
    for _, of_block in with_progress(known_features(made, image_features, others, config.workers), len(others)):
        features.add(of_block)
    training, count = np.concatenate([others, landmark_rows]), len(labelled.classes)
    compared = Landmarks.of(landmark_features(landmarks), overwrite=True)
    chosen = choose_classifier(
        TrainingImages(features, compared, labelled.labels[training], labelled.validation[training], count),
        config.widths or WIDTHS,
        config.penalties or PENALTIES,
        config.workers,
    )
    numbers = {
        "width": chosen.classifier.kernel.width,
        "penalty": chosen.penalty,
        "validation_accuracy": chosen.accuracies[chosen.penalty],
        "temperature": chosen.classifier.temperature,
        "calibration_error": chosen.calibration_error,
    }
    trained = np.bincount(labelled.labels[training], minlength=count)
    model = encoder.read()
    return Draft(
        CONTRACT.table_of(**{
            "class": labelled.classes,
            "images": trained,
            **{name: [number] * count for name, number in numbers.items()},
            "intercept": chosen.classifier.intercept,
            "weights": list(chosen.classifier.weights.T),
        }),
        metadata={
            **numbers,
            "validation_images": int(labelled.validation.sum()),
            "landmarks": len(compared),
            "classes_not_trained": [labelled.classes[label] for label in np.flatnonzero(trained == 0)],
            "preset": model["preset"][0].as_py(),
            "champion": model["champion"][0].as_py(),
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
