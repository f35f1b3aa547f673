"""street_fight: experiments on the image chain's choices, each compared with its alternatives on the same images.

The deck's case study as experiments: the standardization of patches, the encoding of responses, the kind and number of
filters; the penalty; what to do about class imbalance; and whether Huber's loss is better than the squared loss when
labels, images or targets are wrong. Every experiment is repeated on other images. Only training images are used, also
to measure accuracy: the test images are for the classifier.

Grain: a setting of an experiment, under a condition, by one measure. Source: the deck's slides "ML Street Fight".
"""

import re
from enum import Enum

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.compute import Made
from taproom.images.imbalance_experiment import MEASURES
from taproom.images.street_fight_draws import EXPERIMENTS, SIZES
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf
from taproom.warehouse.table_version import TableVersion

CONTRACT = Contract(
    table="street_fight",
    grain="a setting of an experiment, under a condition, by one measure",
    columns=(
        Column("experiment", pa.string(), "what the experiment varies: a part of the encoder, the penalty, the "
               "treatment of class imbalance, or the loss in the presence of outliers"),
        Column("condition", pa.string(), "the training data: clean; 10:1, with only a tenth of the images of half of "
               "the classes; or with outliers, and the kernel of the regression"),
        Column("setting", pa.string(), "value of what the experiment varies"),
        Column("base", pa.string(), "the setting that this one is compared with; null for the base itself",
               nullable=True),
        Column("measure", pa.string(), "accuracy (at 10:1, on images in the same proportions); balanced accuracy, the "
               "mean recall of the classes; or the mean recall of the rare classes"),
        Column("value", pa.float64(), "mean of the measure over the seeds, on images that nothing was fitted to"),
        Column("low", pa.float64(), "lower end of the 95 % t interval of the value over the seeds; null for one seed",
               nullable=True),
        Column("high", pa.float64(), "upper end of the 95 % t interval of the value", nullable=True),
        Column("difference", pa.float64(), "value minus the value of the base on the same images, mean over the seeds; "
               "null for the base", nullable=True),
        Column("difference_low", pa.float64(), "lower end of the 95 % t interval of the difference over the seeds",
               nullable=True),
        Column("difference_high", pa.float64(), "upper end of the 95 % t interval of the difference", nullable=True),
        Column("values", pa.list_(pa.float64()), "the measure for each seed, in the order of the seeds"),
        Column("images", pa.int64(), "number of training images"),
        Column("seconds", pa.float64(), "time for one seed, with others in parallel: to learn the encoder, encode and "
               "classify if the encoder is varied, else to classify", unit="s", volatile=True),
    ),
    key=("experiment", "condition", "setting", "measure"),
    invariants=(
        OneOf("experiment", EXPERIMENTS),
        NotBlank("condition"),
        NotBlank("setting"),
        NotBlank("base"),
        OneOf("measure", MEASURES),
        *(Between(name, 0, 1) for name in ("value", "values")),
        *(Between(name) for name in ("low", "high", "difference_low", "difference_high")),
        Between("difference", -1, 1),
        Between("images", 1),
        Between("seconds", 0),
    ),
    limits=(
        "Only training images are used, so values cannot be compared with the accuracy on the test images.",
        "Many settings are compared: some intervals of a difference leave out 0 by chance.",
    ),
)  # fmt: skip

# The experiments whose base is the default of the encoder.
OF_THE_ENCODER = EXPERIMENTS[:3]


class Effort(Enum):
    """The sizes of the experiments."""

    small = "small"
    large = "large"


class StreetFightConfig(dg.Config):
    """The size of the experiments, and the seed."""

    preset: Effort = Field(
        Effort.small,
        description="; ".join(
            f"{name}: {sizes.seeds} seeds, each with {sizes.training:,} images to train on, {sizes.judged:,} to "
            f"measure accuracy on, and {sizes.filters} filters"
            for name, sizes in SIZES.items()
        ),
    )
    seed: int = Field(0, ge=0, description="first of the seeds")
    workers: int = Field(-1, ge=-1, description="number of worker processes; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=StreetFightConfig,
        description="Accuracy of different standardizations, encodings, filters, penalties, losses and treatments of "
        "class imbalance.",
    ),
    pool="numerics",
)
@keeps_settings
def street_fight(config: StreetFightConfig, images: TableVersion) -> Draft:
    """Try every setting on the training images that each seed draws."""
    from taproom.images.image_arrays import labels_of
    from taproom.images.stored_pixels import without_pixels
    from taproom.images.street_fight import compare
    from taproom.images.street_fight_draws import stored_draws, training_labels
    from taproom.images.street_fight_figures import street_fight as picture

    sizes, known = SIZES[config.preset.value], without_pixels(images).read()
    rows = compare(Made(stored_draws, (images, sizes, config.seed)), sizes, config.workers)
    names, compared = labels_of(known)[1], training_labels(known)[1]
    return Draft(
        pa.Table.from_pylist(rows, schema=CONTRACT.schema),
        metadata={
            "classes_left_out": [name for name in names if name not in compared],
            "seeds": sizes.seeds,
            "base_accuracy": next(row["value"] for row in rows if row["base"] is None),
            **{_metadata_key(row): row["difference"] for row in rows if row["difference"] is not None},
        },
        figure=picture(rows),
    )


def _metadata_key(row: dict) -> str:
    """The key of a row's difference in the metadata."""
    return re.sub(r"\W+", "_", " ".join(row[column] for column in CONTRACT.key))


@dg.asset_check(
    asset="street_fight",
    description="No standardization, encoding or kind of filters is significantly better than the encoder's default.",
)
def base_is_not_beaten(street_fight: pa.Table) -> dg.AssetCheckResult:
    """If one is, it should be used for the encoder of these images."""
    better = {
        f"{row['experiment']}: {row['setting']}": row["difference"]
        for row in street_fight.to_pylist()
        if row["experiment"] in OF_THE_ENCODER and (row["difference_low"] or 0) > 0
    }
    return dg.AssetCheckResult(passed=not better, severity=dg.AssetCheckSeverity.WARN, metadata={"better": better})


@dg.asset_check(asset="street_fight", description="Learned filters are at least as good as random patches.")
def learning_filters_pays(street_fight: pa.Table) -> dg.AssetCheckResult:
    """Otherwise k-means has too few patches, or too few passes over them."""
    (row,) = street_fight.filter(pa.compute.equal(street_fight["setting"], "random patches")).to_pylist()
    return dg.AssetCheckResult(
        passed=row["difference"] <= 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            name: row[name] for name in ("difference", "difference_low", "difference_high") if row[name] is not None
        },
    )
