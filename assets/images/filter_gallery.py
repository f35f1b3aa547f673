"""filter_gallery: the results of convolutions of some images, step by step, with filters that are not learned.

The deck's slides as rows: its example of 5 x 5 numbers; its table of hand-made filters (edge detection, sharpening,
blur) on one image of each of some labels; their stack, a non-linearity and pooling; and the full pipeline with 64
random patches as filters, which ends in one vector, for an image of 32 x 32 of 14 x 14 x 64 = 12,544 numbers. The
deck's formula of convolution is (I * K)(i, j) = sum over m, n of I(i + m, j + n) K(m, n). Larger images are scaled
down.

Grain: an operation on an image. Source: the deck's slides "Convolution of images" to "Full feature pipeline".
"""

from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, NotBlank
from taproom.warehouse.table_version import TableVersion

if TYPE_CHECKING:
    import numpy as np

    from taproom.images.convolution import Step

# The id of the deck's example, which is in the table beside the images.
DECK = "deck"
PATCHED_IMAGES = 1_000

CONTRACT = Contract(
    table="filter_gallery",
    grain="an operation on an image",
    columns=(
        Column("image_id", pa.string(), f"id of the image; {DECK} for the deck's example of 5 x 5 numbers",
               made_from=("images.image_id",)),
        Column("label", pa.string(), "label of the image", nullable=True, made_from=("images.label",)),
        Column("step", pa.int32(), "number of the operation among those on the image, from 0"),
        Column("operation", pa.string(), "name of the operation: a filter of the deck's table, the stack of these "
               "filters' responses, a non-linearity, or max pooling over 2 x 2; with the prefix 'pipeline:', a step of "
               "the pipeline whose filters are random patches"),
        Column("applied_to", pa.string(), "the operation whose result is the input; null: the image itself",
               nullable=True),
        Column("kernels", pa.list_(pa.float32()), "weights of the filters, filter by filter, row by row; null if the "
               "operation has no filters",
               nullable=True),
        Column("kernels_shape", pa.list_(pa.int32()), "number of filters, their height, width and channels",
               nullable=True),
        Column("height", pa.int32(), "height of the result", "pixels"),
        Column("width", pa.int32(), "width of the result; a vector is 1 x 1", "pixels"),
        Column("channels", pa.int32(), "number of channels of the result"),
        Column("values", pa.list_(pa.float32()), "the result, row by row, with all channels of a pixel together; "
               "images have values from 0 to 1", made_from=("images.pixels",)),
    ),
    key=("image_id", "operation"),
    usual=FOLLOWS_SETTINGS,
    invariants=(
        NotBlank("image_id"),
        NotBlank("operation"),
        Between("step", 0),
        Between("kernels"),
        Between("kernels_shape", 1),
        *(Between(name, 1) for name in ("height", "width", "channels")),
        Between("values"),
    ),
    limits=(
        "The images are examples, one of each of some labels, and no sample to measure on.",
        "The image deck is not in the table images.",
    ),
)  # fmt: skip


class FilterGalleryConfig(dg.Config):
    """The images that are shown, and the random patches."""

    examples: int = Field(
        4, ge=1, le=6, description="number of images: one of each of the first labels in alphabetical order"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of images and of the random patches")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=FilterGalleryConfig,
        description="Some images after convolution with hand-made filters, a non-linearity and pooling, step by step.",
    ),
    pool="numerics",
)
@keeps_settings
def filter_gallery(config: FilterGalleryConfig, images: TableVersion) -> Draft:
    """Apply the operations of the deck's slides to some training images."""
    import numpy as np

    from taproom.images import gallery_figures as figures
    from taproom.images.convolution import choose_examples, deck_example, gallery, random_patch_filters
    from taproom.images.image_arrays import labels_of
    from taproom.images.stored_pixels import StoredPixels, without_pixels

    known, every = without_pixels(images).read(), StoredPixels(images)
    training = np.array(known["split"]) == "training"
    rows = choose_examples(labels_of(known)[0], training, config.examples, config.seed)
    trained = np.flatnonzero(training)
    patched = trained[np.linspace(0, len(trained) - 1, min(PATCHED_IMAGES, len(trained))).astype(int)]
    filters = random_patch_filters(_scaled_down(every[patched]), seed=config.seed)
    chosen = known.take(rows)
    steps = [gallery(image, filters) for image in _scaled_down(every[rows])]
    deck = deck_example()
    found = [_row(DECK, None, place, step) for place, step in enumerate(deck)]
    for of_image, image_id, label in zip(
        steps, chosen["image_id"].to_pylist(), chosen["label"].to_pylist(), strict=True
    ):
        found.extend(_row(image_id, label, place, step) for place, step in enumerate(of_image))
    return Draft(
        pa.Table.from_pylist(found, schema=CONTRACT.schema),
        metadata={
            "images": len(steps),
            "operations": len(found),
            "vector_length": steps[0][-1].result.size,
            "first_value_of_deck": float(deck[-1].result[0, 0, 0]),
        },
        figure=figures.gallery(deck, steps),
    )


def _scaled_down(pixels: "np.ndarray") -> "np.ndarray":
    """The images, no larger than those of the deck, in their own proportions."""
    from taproom.images.hand_made_features import SIDE, reduced

    height, width = pixels.shape[1:3]
    scale = min(1, SIDE / max(height, width))
    return reduced(pixels, *(max(1, round(scale * side)) for side in (height, width)))


def _row(image_id: str, label: str | None, place: int, step: "Step") -> dict:
    height, width, channels = step.result.shape
    return {
        "image_id": image_id,
        "label": label,
        "step": place,
        "operation": step.operation,
        "applied_to": step.applied_to,
        "kernels": None if step.kernels is None else step.kernels.ravel(),
        "kernels_shape": None if step.kernels is None else list(step.kernels.shape),
        "height": height,
        "width": width,
        "channels": channels,
        "values": step.result.ravel(),
    }


@dg.asset_check(
    asset="filter_gallery",
    description="The numbers on the deck's slides are reproduced: the example's first value is 4, and the vector of a "
    "32 x 32 image has 12,544 values.",
)
def deck_numbers_are_reproduced(filter_gallery: pa.Table) -> dg.AssetCheckResult:
    """For images of another size, the length of the vector is checked by the same rule."""
    rows = {(row["image_id"], row["operation"]): row for row in filter_gallery.to_pylist()}
    first = rows[DECK, "deck's example"]["values"][0]
    vectors = {image_id: row for (image_id, operation), row in rows.items() if operation == "pipeline: vector"}
    wanted = {image_id: _vector_length(rows[image_id, "image"]) for image_id in vectors}
    lengths = {image_id: len(row["values"]) for image_id, row in vectors.items()}
    return dg.AssetCheckResult(passed=first == 4 and lengths == wanted, metadata={"first_value": first, **lengths})


def _vector_length(image: dict) -> int:
    from taproom.images.convolution import FILTER_SIZE, FILTERS, WINDOW

    rows, columns = ((image[side] - FILTER_SIZE + 1) // WINDOW for side in ("height", "width"))
    return rows * columns * FILTERS
