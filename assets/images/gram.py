"""gram, image_features: the Gram matrix of the training images' features, and the features of all images.

A feature is the mean response to a filter over a window of the image. Least squares needs only sums of products of
features, so memory grows with the number of features, not of images. The sums are over the training images without
those for validation; these and the test images are left out. The features of all images are a table too, if they are
not too large.

Grain: a feature; an image. Source: the deck's slide "Mini case study", steps 4 to 6.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.images.images import SPLITS
from assets.table import Draft, empty_outputs, keeps_settings, refreshed_out, several_tables
from taproom.compute import Made
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, NotBlank, OneOf
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

if TYPE_CHECKING:
    import numpy as np

FEW_BYTES = 10**9
MOST_DEAD = 0.05

_FEATURES = ("images.pixels", "whitening.mean", "whitening.weights", "filters.weights")

GRAM = Contract(
    table="gram",
    grain="a feature",
    columns=(
        Column("feature", pa.int32(), "number of the feature, from 0; the last is the constant 1, whose sum is the "
               "number of images"),
        Column("centre", pa.float32(), "subtracted from the feature: its mean over a first part of the images",
               made_from=_FEATURES),
        Column("spread", pa.float32(), "by which the feature is then divided: its standard deviation over the same "
               "images", made_from=_FEATURES),
        Column("sum", pa.float64(), "sum of the feature over the training images without those for validation",
               made_from=_FEATURES),
        Column("with_targets", pa.list_(pa.float64()), "sums of products of the feature with the targets, one for each "
               "class in alphabetical order: 1 for images of the class, -1 for the others",
               made_from=("images.label", *_FEATURES)),
        Column("products", pa.list_(pa.float32()), "sums of products of the feature with itself and with each later "
               "feature", made_from=_FEATURES),
    ),
    key=("feature",),
    usual=FOLLOWS_SETTINGS,
    invariants=(
        Between("feature", 0),
        Between("centre"),
        Between("spread", 0),
        Between("sum"),
        Between("with_targets"),
        Between("products"),
    ),
    limits=("The sums leave out the validation images, so they are not those of all training images.",),
)  # fmt: skip

IMAGE_FEATURES = Contract(
    table="image_features",
    grain="an image",
    columns=(
        Column(
            "image_id",
            pa.string(),
            "id of the image; rows are in the order of the table images",
            made_from=("images.image_id",),
        ),
        Column("split", pa.string(), "split that the image belongs to: training or test", made_from=("images.split",)),
        Column("label", pa.string(), "class of the image; null if unknown", nullable=True, made_from=("images.label",)),
        Column(
            "features",
            pa.list_(pa.float32()),
            "mean responses raised to a power, by window, sign and filter",
            made_from=_FEATURES,
        ),
    ),
    key=("image_id",),
    invariants=(NotBlank("image_id"), OneOf("split", SPLITS), Between("features")),
    may_be_empty=True,
    foreign_keys=(ForeignKey(("image_id",), "images", ("image_id",)),),
    limits=("Features of two versions of the encoder cannot be compared.",),
)


class GramConfig(dg.Config):
    """Whether the features become a table, and the number of threads."""

    keep_features: bool | None = Field(
        None,
        description="whether to write the table image_features; null: if the features take at most "
        f"{FEW_BYTES / 1e9:g} GB",
    )
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=GramConfig)


@several_tables(
    name="gram",
    outs={
        "image_features": _out(IMAGE_FEATURES, "Features of all images; empty if they would be too large."),
        "gram": _out(GRAM, "Gram matrix of the training images' features, from which the classifier is computed."),
    },
    check_specs=[
        dg.AssetCheckSpec(
            "more_images_than_features", asset="gram", description="There are more training images than features."
        )
    ],
    pool="numerics",
)
@keeps_settings
def gram(
    config: GramConfig,
    images: TableVersion,
    encoder: TableVersion,
    whitening: TableVersion,
    filters: TableVersion,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Compute the features of the images block by block, and sum their products."""
    import numpy as np

    from taproom.images import classifier_figures as figures
    from taproom.images.gram_tiles import fitted_gram
    from taproom.images.image_classifier import (
        LabelledImages,
        empty_gram,
        feature_blocks,
        gram_batches,
        stored_images_to_encode,
    )
    from taproom.images.stored_pixels import without_pixels
    from taproom.progress import progress

    rows = without_pixels(images).read()
    labelled = LabelledImages.of(rows)
    made = Made(stored_images_to_encode, (images, encoder, whitening, filters))
    model = made.here.encoder
    few = len(rows) * model.dimensions * 4 <= FEW_BYTES
    keep = few if config.keep_features is None else config.keep_features

    def batches() -> Iterator[pa.RecordBatch]:
        with progress(doing="features", total=len(rows), unit="image") as bar:
            for block, features in feature_blocks(made, np.arange(len(rows)), config.workers):
                yield _features_batch(rows, block, features)
                fitted = labelled.fitted[block]
                sums.add(features[fitted], labelled.targets(block[fitted]), n_jobs=config.workers)
                bar.update(len(block))

    metadata = {"dimensions": model.dimensions, "bytes_if_kept": len(rows) * model.dimensions * 4}
    if keep:
        sums = empty_gram(made, labelled, config.workers)
        stream = pa.RecordBatchReader.from_batches(IMAGE_FEATURES.schema, batches())
        yield dg.Output(Draft(stream, metadata=metadata), "image_features")
    else:
        sums = fitted_gram(made, labelled, images.root, config.workers)
        yield from empty_outputs(
            IMAGE_FEATURES,
            reason=f"they would take {metadata['bytes_if_kept'] / 1e9:.1f} GB; "
            "taproom.open().images.features(images) computes them",
        )
    yield dg.Output(
        Draft(
            pa.RecordBatchReader.from_batches(GRAM.schema, gram_batches(sums, GRAM.schema)),
            metadata={"dimensions": model.dimensions, "images": int(sums.weight)},
            figure=lambda: figures.gram(sums.products, sums.sums, sums.weight),
        ),
        "gram",
    )
    # With fewer images than features, a classifier without a penalty fits any labels.
    yield dg.AssetCheckResult(
        check_name="more_images_than_features",
        asset_key="gram",
        passed=bool(sums.weight > model.dimensions),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"images": int(sums.weight), "dimensions": model.dimensions},
    )


def _features_batch(images: pa.Table, block: "np.ndarray", features: "np.ndarray") -> pa.RecordBatch:
    from taproom.words.sparse import matrix_to_lists

    chosen = images.select(["image_id", "split", "label"]).slice(int(block[0]), len(block)).combine_chunks()
    columns = [column.chunk(0) for column in chosen.columns]
    lists = matrix_to_lists(pa.array(features.ravel()), features.shape[1])
    return pa.RecordBatch.from_arrays([*columns, lists], schema=IMAGE_FEATURES.schema)


@dg.asset_check(
    asset="image_features",
    additional_ins={"gram": dg.AssetIn(metadata={"columns": ["feature", "centre"]})},
    description=f"At most {MOST_DEAD:.0%} of the features are 0 in all of a first part of the images.",
)
def few_features_are_dead(gram: pa.Table) -> dg.AssetCheckResult:
    """Features are means of responses above the encoder's offset. If that is too high, no response is above it.

    The means are read from `gram`, because `image_features` may be empty.
    """
    import numpy as np

    centres = gram.sort_by("feature")["centre"].to_numpy()[:-1]
    dead = int(np.sum(centres == 0))
    return dg.AssetCheckResult(
        passed=dead <= MOST_DEAD * len(centres),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"dead_features": dead, "features": len(centres)},
    )
