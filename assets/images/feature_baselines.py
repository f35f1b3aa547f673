"""feature_baselines: what hand-made features are worth to the classifier that learned filters feed.

Plain pixels, and of the deck's six those that a maintained library has the parts for: HoG, dense SIFT as a bag of
words, textons. No library that we know of has spin images of the intensity domain or RIFT for pictures; GLOH is in
ArrayFire alone, see `taproom.images.hand_made_features`. The classifier is multiclass least squares. Its penalty is
chosen on a tenth of the training images; the test images are used once. Test images whose label no training image has
are left out and counted: no classifier could know them.

Grain: a kind of features. Source: the deck's slide "Some hand-created image features".
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, OneOf

FEATURES = ("pixels", "hog", "sift", "textons")

CONTRACT = Contract(
    table="feature_baselines",
    grain="a kind of features",
    columns=(
        Column("features", pa.string(), "pixels: plain; hog: histograms of oriented gradients; sift: dense SIFT as a "
               "bag of visual words; textons: a bag of common responses to Gabor filters"),
        Column("dimensions", pa.int32(), "numbers that an image has"),
        Column("penalty", pa.float64(), "lambda, for standardized features, of best accuracy on the validation images"),
        Column("validation_accuracy", pa.float64(), "share of the validation images called right, which the penalty "
               "was chosen by"),
        Column("accuracy", pa.float64(), "share of the test images called right"),
        Column("low", pa.float64(), "lower end of its interval of 95 % (Wilson)"),
        Column("high", pa.float64(), "upper end of it"),
        Column("training_images", pa.int32(), "images fitted to, those for validation among them"),
        Column("test_images", pa.int32(), "images judged on"),
        Column("seconds", pa.float64(), "of learning the features and computing them of all these images", "s",
               volatile=True),
    ),
    key=("features",),
    invariants=(
        OneOf("features", FEATURES),
        Between("dimensions", 1),
        Between("penalty", 0),
        *(Between(name, 0, 1) for name in ("validation_accuracy", "accuracy", "low", "high")),
        Between("training_images", 2),
        Between("test_images", 1),
        Between("seconds", 0),
    ),
)  # fmt: skip


class FeatureBaselinesConfig(dg.Config):
    """How many images are spent on the comparison."""

    training_images: int = Field(
        2_400, ge=1, description="training images at most, at random; of each label two at least"
    )
    test_images: int = Field(1_200, ge=1, description="test images at most, at random")
    seed: int = Field(0, ge=0, description="seed of which images, and of what features learn")
    workers: int = Field(-1, ge=-1, description="workers as joblib counts them; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=FeatureBaselinesConfig,
        description="How well a linear classifier knows images by hand-made features.",
    ),
    pool="numerics",
)
@keeps_settings
def feature_baselines(config: FeatureBaselinesConfig, images: pa.Table) -> Draft:
    """Fit the classifier to each of the features, and judge it."""
    import numpy as np

    from taproom.images import gallery_figures as figures
    from taproom.images.feature_baselines import choose_images, compare
    from taproom.images.image_arrays import labels_of
    from taproom.images.image_classifier import LabelledImages

    labels, classes = labels_of(images)
    training = np.array(images["split"]) == "training"
    rows = choose_images(labels, training, (config.training_images, config.test_images), config.seed)
    found = compare(LabelledImages.of(images.take(rows)), config.seed, config.workers)
    unknown = ~training & (labels >= 0) & ~np.isin(labels, labels[training])
    return Draft(
        pa.Table.from_pylist(found.rows, schema=CONTRACT.schema),
        metadata={
            **{f"accuracy_{row['features']}": row["accuracy"] for row in found.rows},
            "left_out": found.left_out,
            "test_images_of_unknown_labels": int(unknown.sum()),
            "unknown_labels": [classes[label] for label in np.unique(labels[unknown])],
        },
        figure=figures.feature_accuracies(found.rows),
    )


@dg.asset_check(
    asset="feature_baselines", description="Plain pixels are not the best: the features that people made are worth it."
)
def pixels_are_not_best(feature_baselines: pa.Table) -> dg.AssetCheckResult:
    """Where they are, colours and places say all, or the images are too few to tell."""
    accuracy = {row["features"]: row["accuracy"] for row in feature_baselines.to_pylist()}
    best = max(accuracy, key=accuracy.get)
    return dg.AssetCheckResult(
        passed=best != "pixels" or len(accuracy) == 1,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"best": best, **accuracy},
    )
