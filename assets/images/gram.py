"""gram, image_features: what least squares needs of the features of the training images, and the features themselves.

Every patch of every image is held against all filters, what remains after the offset is averaged over windows, and of
these features only sums of products are kept: memory grows with the number of features, not of images. The sums are
over the training images that are fitted to; those for validation, and the test images, are left out. The features of
all images are a table too where they are few enough.

Grain: a feature; an image. Source: the deck's slide "Mini case study", steps 4 to 6.
"""

from collections.abc import Iterator
from functools import partial

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.images.images import SPLITS
from assets.table import Draft, empty_outputs, keeps_settings, refreshed_out, several_tables
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf

FEW_BYTES = 10**9
MOST_DEAD = 0.05

GRAM = Contract(
    table="gram",
    grain="a feature",
    columns=(
        Column("feature", pa.int32(), "the feature, from 0; the last is the constant 1, whose row counts the images"),
        Column("centre", pa.float32(), "what is subtracted from the feature: its mean over some first images"),
        Column("spread", pa.float32(), "what it is then divided by: its standard deviation over them"),
        Column("sum", pa.float64(), "its sum over the images that are fitted to"),
        Column("with_targets", pa.list_(pa.float64()), "sums of its products with the targets, 1 for a class and -1 "
               "for the others; classes in alphabetical order"),
        Column("products", pa.list_(pa.float32()), "sums of its products with itself and each feature after it"),
    ),
    key=("feature",),
    invariants=(
        Between("feature", 0),
        Between("centre"),
        Between("spread", 0),
        Between("sum"),
        Between("with_targets"),
        Between("products"),
    ),
)  # fmt: skip

IMAGE_FEATURES = Contract(
    table="image_features",
    grain="an image",
    columns=(
        Column("image_id", pa.string(), "the image; rows are in the order of images"),
        Column("split", pa.string(), "training or test"),
        Column("label", pa.string(), "its class", nullable=True),
        Column("features", pa.list_(pa.float32()), "mean responses, raised to a power: by window, sign, filter"),
    ),
    key=("image_id",),
    invariants=(NotBlank("image_id"), OneOf("split", SPLITS), Between("features")),
    may_be_empty=True,
)


class GramConfig(dg.Config):
    """Whether the features are kept, and who computes them."""

    keep_features: bool | None = Field(
        None, description=f"whether image_features gets rows; null: where these take at most {FEW_BYTES / 1e9:g} GB"
    )
    workers: int = Field(-1, ge=-1, description="threads as joblib counts them; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=GramConfig)


@several_tables(
    name="gram",
    outs={
        "image_features": _out(IMAGE_FEATURES, "The features of every image, where they are not too large."),
        "gram": _out(GRAM, "Sums over training images: what least squares needs of their features."),
    },
    check_specs=[
        dg.AssetCheckSpec(
            "more_images_than_features", asset="gram", description="There are more images to fit to than features."
        )
    ],
    pool="numerics",
)
@keeps_settings
def gram(
    config: GramConfig, images: pa.Table, encoder: pa.Table, whitening: pa.Table, filters: pa.Table
) -> Iterator[dg.Output]:
    """Take the features of the images, block by block, and add them up."""
    import numpy as np

    from taproom.images import classifier_figures as figures
    from taproom.images.image_classifier import LabelledImages, empty_gram, feature_blocks, gram_batches
    from taproom.images.image_features import encoder_of
    from taproom.progress import progress

    model = encoder_of(encoder, whitening, filters)
    labelled = LabelledImages.of(images)
    sums = empty_gram(model, labelled, config.workers)
    few = len(images) * model.dimensions * 4 <= FEW_BYTES
    keep = few if config.keep_features is None else config.keep_features
    rows = np.arange(len(images)) if keep else np.flatnonzero(labelled.fitted)
    bar = progress(doing="features", total=len(rows), unit="image")

    def batches() -> Iterator[pa.RecordBatch]:
        with bar:
            for block, features in feature_blocks(model, labelled.pixels, rows, config.workers):
                if keep:
                    yield _features_batch(images, block, features)
                fitted = labelled.fitted[block]
                sums.add(features[fitted], labelled.targets(block[fitted]), n_jobs=config.workers)
                bar.update(len(block))

    told = {"dimensions": model.dimensions, "bytes_if_kept": len(images) * model.dimensions * 4}
    if keep:
        stream = pa.RecordBatchReader.from_batches(IMAGE_FEATURES.schema, batches())
        yield dg.Output(Draft(stream, metadata=told), "image_features")
    else:
        for _ in batches():
            pass
        yield from empty_outputs(
            IMAGE_FEATURES, reason=f"{told['bytes_if_kept'] / 1e9:.1f} GB; taproom.features(images) gives them again"
        )
    yield dg.Output(
        Draft(
            pa.RecordBatchReader.from_batches(GRAM.schema, gram_batches(sums, GRAM.schema)),
            metadata={"dimensions": model.dimensions, "images": int(sums.weight)},
            figure=lambda: figures.gram(sums.products, sums.sums, sums.weight),
        ),
        "gram",
    )
    # With fewer, a classifier can be right on all of them whatever their labels are; only the penalty prevents it.
    yield dg.AssetCheckResult(
        check_name="more_images_than_features",
        asset_key="gram",
        passed=bool(sums.weight > model.dimensions),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"images": int(sums.weight), "dimensions": model.dimensions},
    )


def _features_batch(images: pa.Table, block, features) -> pa.RecordBatch:
    from taproom.words.sparse import matrix_to_lists

    chosen = images.select(["image_id", "split", "label"]).slice(int(block[0]), len(block)).combine_chunks()
    columns = [column.chunk(0) for column in chosen.columns]
    lists = matrix_to_lists(pa.array(features.ravel()), features.shape[1])
    return pa.RecordBatch.from_arrays([*columns, lists], schema=IMAGE_FEATURES.schema)


@dg.asset_check(
    asset="image_features",
    additional_ins={"gram": dg.AssetIn(metadata={"columns": ["feature", "centre"]})},
    description=f"At most {MOST_DEAD:.0%} of the features are 0 in all images that were looked at first.",
)
def few_features_are_dead(gram: pa.Table) -> dg.AssetCheckResult:
    """Features are means of what is above the encoder's offset; where that is too high, nothing is.

    Their means are read from `gram`, which has them also where the features are not kept.
    """
    import numpy as np

    centres = gram.sort_by("feature")["centre"].to_numpy()[:-1]
    dead = int(np.sum(centres == 0))
    return dg.AssetCheckResult(
        passed=dead <= MOST_DEAD * len(centres),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"dead_features": dead, "features": len(centres)},
    )
