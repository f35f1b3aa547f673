"""image_features: the features of all images.

A feature is the mean response to a filter over a window of the image, raised to a power. The table is empty if the
features would be too large; what needs them then computes them again.

Grain: an image. Source: the deck's slide "Mini case study", steps 4 and 5.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.images.images import SPLITS
from assets.table import Draft, keeps_settings, refreshed
from taproom.compute import Made, made_ahead
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

if TYPE_CHECKING:
    import numpy as np

FEW_BYTES = 10**9
MOST_ALIKE = 0.05
BYTES_AHEAD = 50_000_000

# The tables that are the model of features, and the columns that a feature is made from.
MODEL = ("encoder", "whitening", "filters")
FEATURES = ("images.pixels", "whitening.mean", "whitening.weights", "filters.weights")

IMAGE_ID = Column(
    "image_id",
    pa.string(),
    "id of the image; rows are in the order of the table images",
    made_from=("images.image_id",),
)

CONTRACT = Contract(
    table="image_features",
    grain="an image",
    columns=(
        IMAGE_ID,
        Column("split", pa.string(), "split that the image belongs to: training or test", made_from=("images.split",)),
        Column("label", pa.string(), "class of the image; null if unknown", nullable=True, made_from=("images.label",)),
        Column(
            "features",
            pa.list_(pa.float32()),
            "mean responses raised to a power, by window, sign and filter",
            made_from=FEATURES,
        ),
    ),
    key=("image_id",),
    invariants=(NotBlank("image_id"), OneOf("split", SPLITS), Between("features")),
    may_be_empty=True,
    foreign_keys=(ForeignKey(("image_id",), "images", ("image_id",)),),
    limits=("Features of two versions of the encoder cannot be compared.",),
)


class ImageFeaturesConfig(dg.Config):
    """Whether the features become a table, and the number of threads."""

    keep_features: bool | None = Field(
        None,
        description=f"whether to write the table; null: if the features take at most {FEW_BYTES / 1e9:g} GB",
    )
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=ImageFeaturesConfig,
        description="Features of all images; empty if they would be too large.",
    ),
    pool="numerics",
)
@keeps_settings
def image_features(
    config: ImageFeaturesConfig,
    images: TableVersion,
    encoder: TableVersion,
    whitening: TableVersion,
    filters: TableVersion,
) -> Draft:
    """Compute the features of the images block by block."""
    import numpy as np

    from taproom.images.image_classifier import BLOCK_IMAGES, feature_blocks, stored_images_to_encode, with_progress
    from taproom.images.stored_pixels import without_pixels

    rows = without_pixels(images).read()
    made = Made(stored_images_to_encode, (images, encoder, whitening, filters))
    dimensions = made.here.encoder.dimensions
    size = len(rows) * dimensions * 4
    metadata = {"dimensions": dimensions, "bytes_if_kept": size}
    if not (size <= FEW_BYTES if config.keep_features is None else config.keep_features):
        reason = f"they would take {size / 1e9:.1f} GB; taproom.open().images.features(images) computes them"
        return Draft(CONTRACT.schema.empty_table(), metadata={**metadata, "empty_because": reason})

    def batches() -> Iterator[pa.RecordBatch]:
        # Encoding uses all cores, writing one, for a third of the time: blocks are encoded while a file is written.
        count = max(1, BYTES_AHEAD // (BLOCK_IMAGES * dimensions * 4))
        with closing(made_ahead(feature_blocks(made, np.arange(len(rows)), config.workers), count)) as blocks:
            for block, features in with_progress(blocks, len(rows)):
                yield _batch(rows, block, features)

    return Draft(pa.RecordBatchReader.from_batches(CONTRACT.schema, batches()), metadata=metadata)


def _batch(images: pa.Table, block: "np.ndarray", features: "np.ndarray") -> pa.RecordBatch:
    from taproom.words.sparse import matrix_to_lists

    chosen = images.select(["image_id", "split", "label"]).slice(int(block[0]), len(block)).combine_chunks()
    columns = [column.chunk(0) for column in chosen.columns]
    lists = matrix_to_lists(pa.array(features.ravel()), features.shape[1])
    return pa.RecordBatch.from_arrays([*columns, lists], schema=CONTRACT.schema)


@dg.asset_check(
    asset="image_features",
    description=f"At most {MOST_ALIKE:.0%} of the images have the same features as another image.",
)
def few_images_are_alike(image_features: pa.RecordBatchReader) -> dg.AssetCheckResult:
    """Images that are twice in a data set may be in both of its splits, and then the test accuracy is too high."""
    from hashlib import sha256

    from taproom.images.image_classifier import features_in

    hashes = [sha256(features).digest() for batch in image_features for features in features_in(batch)]
    alike = len(hashes) - len(set(hashes))
    return dg.AssetCheckResult(
        passed=alike <= MOST_ALIKE * len(hashes),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"images_alike": alike, "images": len(hashes)},
    )
