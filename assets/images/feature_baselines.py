"""feature_baselines: the accuracy of hand-made image features, as a baseline for learned filters.

Plain pixels, and those of the deck's six kinds of features that a maintained library supports: HoG, dense SIFT as a bag
of words, textons. No library that we know of has spin images of the intensity domain or RIFT for pictures; only
ArrayFire has GLOH, see `taproom.images.hand_made_features`. The classifier is kernel regression, as for the table
`classifier`. Width and penalty are chosen on a tenth of the training images; the test images are used once. Test images
with a label that no training image has are left out and counted: no classifier could learn it.

Grain: a kind of features. Source: the deck's slide "Some hand-created image features".
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, OneOf
from taproom.warehouse.table_version import TableVersion

FEATURES = ("pixels", "hog", "sift", "textons")

CONTRACT = Contract(
    table="feature_baselines",
    grain="a kind of features",
    columns=(
        Column("features", pa.string(), "kind of features: pixels, the plain pixels; hog, histograms of oriented "
               "gradients; sift, dense SIFT as a bag of visual words; textons, a bag of typical responses to Gabor "
               "filters"),
        Column("dimensions", pa.int32(), "number of features of an image"),
        Column("penalty", pa.float64(), "ridge penalty lambda with the best validation accuracy"),
        Column("validation_accuracy", pa.float64(), "share of the validation images classified correctly, by which the "
               "penalty was chosen", made_from=("images.pixels", "images.label", "images.split")),
        Column("accuracy", pa.float64(), "share of the test images classified correctly",
               made_from=("images.pixels", "images.label", "images.split")),
        Column("low", pa.float64(), "lower end of the 95 % Wilson interval of the accuracy",
               made_from=("images.pixels", "images.label", "images.split")),
        Column("high", pa.float64(), "upper end of the 95 % Wilson interval of the accuracy",
               made_from=("images.pixels", "images.label", "images.split")),
        Column("training_images", pa.int32(), "number of training images, including those for validation",
               made_from=("images.split",)),
        Column("test_images", pa.int32(), "number of test images", made_from=("images.split",)),
        Column("seconds", pa.float64(), "time to learn the features and compute them for all these images", "s",
               volatile=True),
    ),
    key=("features",),
    version="1.0.1",
    invariants=(
        OneOf("features", FEATURES),
        Between("dimensions", 1),
        Between("penalty", 0),
        *(Between(name, 0, 1) for name in ("validation_accuracy", "accuracy", "low", "high")),
        Between("training_images", 2),
        Between("test_images", 1),
        Between("seconds", 0),
    ),
    limits=("Test images with a label that no training image has are left out.",),
)  # fmt: skip


class FeatureBaselinesConfig(dg.Config):
    """The images that are compared on."""

    training_images: int = Field(
        2_400,
        ge=1,
        description="largest number of training images, chosen at random; at least two of each label are used",
    )
    test_images: int = Field(1_200, ge=1, description="largest number of test images, chosen at random")
    seed: int = Field(0, ge=0, description="seed of the choice of images and of the features that are learned")
    workers: int = Field(-1, ge=-1, description="number of worker processes; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=FeatureBaselinesConfig,
        description="Accuracy of the classifier on hand-made image features, as a baseline for learned filters.",
    ),
    pool="numerics",
)
@keeps_settings
def feature_baselines(config: FeatureBaselinesConfig, images: TableVersion) -> Draft:
    """Fit the classifier to each kind of features, and measure its accuracy on test images."""
    import numpy as np

    from taproom.images import gallery_figures as figures
    from taproom.images.feature_baselines import choose_images, compare
    from taproom.images.image_arrays import labels_of
    from taproom.images.image_classifier import LabelledImages
    from taproom.images.stored_pixels import StoredPixels, without_pixels

    known = without_pixels(images).read()
    labels, classes = labels_of(known)
    training = np.array(known["split"]) == "training"
    rows = choose_images(labels, training, (config.training_images, config.test_images), config.seed)
    found = compare(StoredPixels(images)[rows], LabelledImages.of(known.take(rows)), config.seed, config.workers)
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
    asset="feature_baselines", description="Some hand-made features have a higher test accuracy than plain pixels."
)
def pixels_are_not_best(feature_baselines: pa.Table) -> dg.AssetCheckResult:
    """Otherwise colours and positions are all that matters, or there are too few images to see a difference."""
    accuracy = {row["features"]: row["accuracy"] for row in feature_baselines.to_pylist()}
    best = max(accuracy, key=lambda features: accuracy[features])
    return dg.AssetCheckResult(
        passed=best != "pixels" or len(accuracy) == 1,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"best": best, **accuracy},
    )
