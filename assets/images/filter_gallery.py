"""filter_gallery: what convolution does to some images, step by step, with filters that nobody learned.

The deck's slides as rows: its example of 5 x 5 numbers; its table of hand-made filters, edge detection, sharpening and
blur, on an image of each of some labels; their stack, a non-linearity and pooling; and the full pipeline with 64 random
patches as filters, which ends in one vector, of an image of 32 x 32 in 14 x 14 x 64 = 12,544 numbers. Convolution is
what the deck's formula says, (I * K)(i, j) = sum over m, n of I(i + m, j + n) K(m, n). Larger images are made smaller.

Grain: an operation on an image. Source: the deck's slides "Convolution of images" to "Full feature pipeline".
"""

from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank

if TYPE_CHECKING:
    import numpy as np

    from taproom.images.convolution import Step

# The deck's example stands among the images, by this id.
DECK = "deck"
PATCHED_IMAGES = 1_000

CONTRACT = Contract(
    table="filter_gallery",
    grain="an operation on an image",
    columns=(
        Column("image_id", pa.string(), f"the image; {DECK}: the deck's example of 5 x 5 numbers"),
        Column("label", pa.string(), "what the image shows", nullable=True),
        Column("step", pa.int32(), "place of the operation among those on the image, from 0"),
        Column("operation", pa.string(), "what was done: a filter by its name in the deck's table, the stack of these "
               "filters' responses, a non-linearity, pooling by the maximum of 2 x 2; 'pipeline:' with random patches"),
        Column("applied_to", pa.string(), "the operation whose result it was done to; null: the image itself",
               nullable=True),
        Column("kernels", pa.list_(pa.float32()), "the filters' numbers, filter by filter, row by row; null: none",
               nullable=True),
        Column("kernels_shape", pa.list_(pa.int32()), "filters, height, width, channels", nullable=True),
        Column("height", pa.int32(), "of the result", "pixels"),
        Column("width", pa.int32(), "of the result; a vector is 1 x 1", "pixels"),
        Column("channels", pa.int32(), "of the result"),
        Column("values", pa.list_(pa.float32()), "the result, row by row, at each pixel all channels; images are from "
               "0 to 1"),
    ),
    key=("image_id", "operation"),
    invariants=(
        NotBlank("image_id"),
        NotBlank("operation"),
        Between("step", 0),
        Between("kernels"),
        Between("kernels_shape", 1),
        *(Between(name, 1) for name in ("height", "width", "channels")),
        Between("values"),
    ),
)  # fmt: skip


class FilterGalleryConfig(dg.Config):
    """Which images are shown, and by which random patches."""

    examples: int = Field(4, ge=1, le=6, description="images, one of each of the first labels")
    seed: int = Field(0, ge=0, description="seed of which images, and of the random patches")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=FilterGalleryConfig,
        description="What hand-made filters, a non-linearity and pooling make of some images, number by number.",
    ),
    pool="numerics",
)
@keeps_settings
def filter_gallery(config: FilterGalleryConfig, images: pa.Table) -> Draft:
    """Take some training images through the deck's slides."""
    import numpy as np

    from taproom.images import gallery_figures as figures
    from taproom.images.convolution import choose_examples, deck_example, gallery, random_patch_filters
    from taproom.images.image_arrays import labels_of, pixels_of

    training = np.array(images["split"]) == "training"
    rows = choose_examples(labels_of(images)[0], training, config.examples, config.seed)
    trained = np.flatnonzero(training)
    patched = trained[np.linspace(0, len(trained) - 1, min(PATCHED_IMAGES, len(trained))).astype(int)]
    filters = random_patch_filters(_shown(pixels_of(images.take(patched))), seed=config.seed)
    chosen = images.take(rows)
    steps = [gallery(image, filters) for image in _shown(pixels_of(chosen))]
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


def _shown(pixels: "np.ndarray") -> "np.ndarray":
    """Images no larger than those of the deck, in their own proportions."""
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
    description="The deck's numbers come out: 4 first, and 12,544 in the vector of an image of 32 x 32.",
)
def deck_numbers_come_out(filter_gallery: pa.Table) -> dg.AssetCheckResult:
    """Images of another size have vectors of another length, which is theirs by the same rule."""
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
