"""landmarks: training images that the classifier compares other images with, and their features.

They are drawn at random from the training images that are not for validation, or are all training images, those for
validation last. More of them make the classifier more accurate, and its fit slower: time grows with their number times
that of all training images.

Grain: a landmark. Source: Williams and Seeger, Using the Nystroem method to speed up kernel machines, 2001.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.images.image_features import FEATURES, IMAGE_ID, MODEL
from assets.table import Draft, keeps_settings, refreshed
from taproom.compute import Made
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, NotBlank
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

MOST_DEAD = 0.05

CONTRACT = Contract(
    table="landmarks",
    grain="a landmark: a training image that others are compared with",
    columns=(
        replace(IMAGE_ID, made_from=("images.image_id", "images.split", "images.label")),
        Column("features", pa.list_(pa.float32()), "its features, as in image_features", made_from=FEATURES),
    ),
    key=("image_id",),
    usual=FOLLOWS_SETTINGS,
    invariants=(NotBlank("image_id"), Between("features")),
    foreign_keys=(ForeignKey(("image_id",), "images", ("image_id",)),),
    limits=("Landmarks are a random sample of the training images, not typical or important ones.",),
)  # fmt: skip


class LandmarksConfig(dg.Config):
    """How many images are landmarks."""

    landmarks: int | None = Field(
        None,
        ge=1,
        description="number of landmarks; all training images, if they are no more; null: the number of the encoder's "
        "preset",
    )
    seed: int = Field(0, ge=0, description="seed of the choice of landmarks")
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=LandmarksConfig,
        description="Training images that the classifier compares other images with, and their features.",
    ),
    ins={name: dg.AssetIn(metadata={"as_read_by": "image_features"}) for name in ("images", *MODEL)},
    pool="numerics",
)
@keeps_settings
def landmarks(
    config: LandmarksConfig,
    image_features: TableVersion,
    images: TableVersion,
    encoder: TableVersion,
    whitening: TableVersion,
    filters: TableVersion,
) -> Draft:
    """Draw landmarks, and read or compute their features."""
    import numpy as np

    from taproom.images.image_classifier import (
        LANDMARKS,
        LabelledImages,
        choose_landmarks,
        known_features,
        stored_images_to_encode,
        with_progress,
    )
    from taproom.images.stored_pixels import without_pixels
    from taproom.words.sparse import matrix_to_lists

    rows = without_pixels(images).read()
    labelled = LabelledImages.of(rows)
    preset = encoder.read()["preset"][0].as_py()
    chosen = choose_landmarks(labelled, config.landmarks or LANDMARKS[preset], config.seed)
    made = Made(stored_images_to_encode, (images, encoder, whitening, filters))

    def batches() -> Iterator[pa.RecordBatch]:
        # In ascending order, those for validation apart.
        parts = np.split(chosen, [np.sum(labelled.fitted[chosen])])
        blocks = (known_features(made, image_features, part, config.workers) for part in parts if len(part))
        for block, features in with_progress(chain.from_iterable(blocks), len(chosen)):
            ids = rows["image_id"].take(pa.array(block)).combine_chunks()
            lists = matrix_to_lists(pa.array(features.ravel()), features.shape[1])
            yield pa.RecordBatch.from_arrays([ids, lists], schema=CONTRACT.schema)

    return Draft(
        pa.RecordBatchReader.from_batches(CONTRACT.schema, batches()),
        metadata={"landmarks": len(chosen), "training_images": len(labelled.training)},
    )


@dg.asset_check(asset="landmarks", description=f"At most {MOST_DEAD:.0%} of the features are 0 in all landmarks.")
def few_features_are_dead(landmarks: pa.RecordBatchReader) -> dg.AssetCheckResult:
    """Features are means of responses above the encoder's offset. If that is too high, no response is above it."""
    import numpy as np

    from taproom.images.image_classifier import features_in

    alive = np.any([features_in(batch).any(axis=0) for batch in landmarks], axis=0)
    dead = int(np.sum(~alive))
    return dg.AssetCheckResult(
        passed=dead <= MOST_DEAD * len(alive),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"dead_features": dead, "features": len(alive)},
    )
