"""street_fight: which choices of the image chain help, each tried against the others on the same images.

The deck's case study as experiments: how patches are standardized, how responses are encoded, where filters come from
and how many there are; the penalty; what to do about classes of which there are few images; and whether Huber's loss
does what the squared one does not when labels, images or targets are wrong. Everything is repeated with other images.
Only training images are used, to judge by as well: the test images are for the classifier.

Grain: a setting of an experiment, under a condition, by one measure. Source: the deck's slides "ML Street Fight".
"""

import re
from enum import Enum

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.images.imbalance_experiment import MEASURES
from taproom.images.street_fight_draws import EXPERIMENTS, SIZES
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf

CONTRACT = Contract(
    table="street_fight",
    grain="a setting of an experiment, under a condition, by one measure",
    columns=(
        Column("experiment", pa.string(), "what is varied: a part of the encoder, the penalty, what is done about "
               "class imbalance, or the loss where there are outliers"),
        Column("condition", pa.string(), "what the images that are trained on are: clean; 10:1, of half of the classes "
               "only a tenth; or spoilt, and by which kernel they are regressed"),
        Column("setting", pa.string(), "what the experiment tries"),
        Column("base", pa.string(), "the setting that it is compared with; null for this itself", nullable=True),
        Column("measure", pa.string(), "accuracy, at 10:1 of images in these proportions; balanced accuracy, the mean "
               "of the classes' recalls; or the same of the rare classes only"),
        Column("value", pa.float64(), "mean over the seeds, on images that nothing is fitted to"),
        Column("low", pa.float64(), "lower end of Student's 95 % interval over the seeds; null for one", nullable=True),
        Column("high", pa.float64(), "its upper end", nullable=True),
        Column("difference", pa.float64(), "mean over the seeds of the value less that of the base, on the same "
               "images; null for the base", nullable=True),
        Column("difference_low", pa.float64(), "lower end of its 95 % interval over the seeds", nullable=True),
        Column("difference_high", pa.float64(), "its upper end", nullable=True),
        Column("values", pa.list_(pa.float64()), "the value with each seed, in their order"),
        Column("images", pa.int64(), "images that are trained on"),
        Column("seconds", pa.float64(), "of one seed, while others run beside it: where the encoder is varied to learn "
               "it, encode and classify, else to classify", unit="s", volatile=True),
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
)  # fmt: skip

# The experiments whose base is what the encoder is made by.
OF_THE_ENCODER = EXPERIMENTS[:3]


class Effort(Enum):
    """How much is spent on the fight."""

    small = "small"
    large = "large"


class StreetFightConfig(dg.Config):
    """What is spent, and the seed."""

    preset: Effort = Field(
        Effort.small,
        description="; ".join(
            f"{name}: {sizes.seeds} seeds, each with {sizes.training:,} images to train on and {sizes.judged:,} to "
            f"judge by, and {sizes.filters} filters"
            for name, sizes in SIZES.items()
        ),
    )
    seed: int = Field(0, ge=0, description="the first seed")
    workers: int = Field(-1, ge=-1, description="workers as joblib counts them; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=StreetFightConfig,
        description="Which standardization, encoding, filters, loss and care for rare classes do best.",
    ),
    pool="numerics",
)
@keeps_settings
def street_fight(config: StreetFightConfig, images: pa.Table) -> Draft:
    """Try every setting on every seed's draw of the training images."""
    import numpy as np

    from taproom.images.image_arrays import labels_of, pixels_of
    from taproom.images.street_fight import compare
    from taproom.images.street_fight_draws import with_enough_images
    from taproom.images.street_fight_figures import street_fight as picture

    numbers, names = labels_of(images)
    training = np.asarray(pa.compute.equal(images["split"], "training"))
    labels, fighting = with_enough_images(np.where(training, numbers, -1), names)
    rows = compare(
        pixels_of(images),
        labels,
        fighting,
        SIZES[config.preset.value],
        config.seed,
        config.workers,
    )
    return Draft(
        pa.Table.from_pylist(rows, schema=CONTRACT.schema),
        metadata={
            "classes_left_out": [name for name in names if name not in fighting],
            "seeds": SIZES[config.preset.value].seeds,
            "base_accuracy": next(row["value"] for row in rows if row["base"] is None),
            **{_called(row): row["difference"] for row in rows if row["difference"] is not None},
        },
        figure=picture(rows),
    )


def _called(row: dict) -> str:
    """The name of a row's difference in the metadata."""
    return re.sub(r"\W+", "_", " ".join(row[column] for column in CONTRACT.key))


@dg.asset_check(
    asset="street_fight",
    description="No other standardization, encoding or kind of filters does clearly better than the encoder's default.",
)
def base_is_not_beaten(street_fight: pa.Table) -> dg.AssetCheckResult:
    """Where one does, on these images, the encoder had better be made with it."""
    better = {
        f"{row['experiment']}: {row['setting']}": row["difference"]
        for row in street_fight.to_pylist()
        if row["experiment"] in OF_THE_ENCODER and (row["difference_low"] or 0) > 0
    }
    return dg.AssetCheckResult(passed=not better, severity=dg.AssetCheckSeverity.WARN, metadata={"better": better})


@dg.asset_check(asset="street_fight", description="Filters that are learned do no worse than patches taken at random.")
def learning_filters_pays(street_fight: pa.Table) -> dg.AssetCheckResult:
    """Where it does not, k-means has too few patches, or too few passes over them."""
    (row,) = street_fight.filter(pa.compute.equal(street_fight["setting"], "random patches")).to_pylist()
    return dg.AssetCheckResult(
        passed=row["difference"] <= 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            name: row[name] for name in ("difference", "difference_low", "difference_high") if row[name] is not None
        },
    )
