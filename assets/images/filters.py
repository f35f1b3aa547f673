"""patches, whitening, filters, encoder: the model that turns images into features, learned from random patches.

Random patches of the training images, without their labels, are standardized and whitened, and filters are learned from
them by k-means. The table `encoder` has all other parameters of the features. `gram` and the tables after it compute
features with whitening, filters and encoder. A preset is a budget: the number of filters, of patches to learn them
from, and of windows to pool over. The other parameters come from the champion of the study `classifier`.

Grain: a patch; a value of a patch (a pixel's red, green or blue); a filter; there is one encoder. Source: the deck's
slide "Mini case study", steps 1 to 3.
"""

from collections.abc import Iterator
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.errors import InputError
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, NotBlank, OneOf
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.table_version import TableVersion

if TYPE_CHECKING:
    from taproom.images.patches import Whitening

COLOURS = ("red", "green", "blue")
MOST_FLAT = 0.1
MOST_UNUSED = 0.05

PATCHES = Contract(
    table="patches",
    grain="a random patch of a training image",
    columns=(
        Column("patch", pa.int32(), "number of the patch, from 0, in the order of drawing"),
        Column(
            "image_id", pa.string(), "id of the image that the patch was cut out of", made_from=("images.image_id",)
        ),
        Column("row", pa.int32(), "top row of the patch in the image", "pixels"),
        Column("column", pa.int32(), "leftmost column of the patch in the image", "pixels"),
        Column(
            "pixels",
            pa.binary(),
            "pixels of the patch, row by row, with a byte each for red, green and blue",
            made_from=("images.pixels",),
        ),
    ),
    key=("patch",),
    usual=FOLLOWS_SETTINGS,
    invariants=(Between("patch", 0), Between("row", 0), Between("column", 0), NotBlank("image_id")),
    foreign_keys=(ForeignKey(("image_id",), "images", ("image_id",)),),
)

WHITENING = Contract(
    table="whitening",
    grain="a value of a patch: a pixel's red, green or blue",
    columns=(
        Column("row", pa.int32(), "row of the pixel in the patch", "pixels"),
        Column("column", pa.int32(), "column of the pixel in the patch", "pixels"),
        Column("channel", pa.string(), "colour channel of the value: red, green or blue"),
        Column(
            "mean",
            pa.float32(),
            "mean of the value over standardized patches and their mirror images",
            made_from=("patches.pixels",),
        ),
        Column(
            "weights",
            pa.list_(pa.float32()),
            "the value's row of the ZCA matrix; a patch x is whitened to (x - mean) ZCA",
            made_from=("patches.pixels",),
        ),
    ),
    key=("row", "column", "channel"),
    usual=FOLLOWS_SETTINGS,
    invariants=(
        Between("row", 0),
        Between("column", 0),
        OneOf("channel", COLOURS),
        Between("mean"),
        Between("weights"),
    ),
)

FILTERS = Contract(
    table="filters",
    grain="a filter",
    columns=(
        Column("filter", pa.int32(), "number of the filter, from 0, ordered by falling number of patches"),
        Column(
            "patches",
            pa.int64(),
            "number of random patches in the filter's cluster",
            made_from=("patches.pixels", "whitening.mean", "whitening.weights"),
        ),
        Column(
            "weights",
            pa.list_(pa.float32()),
            "weights for the values of a whitened patch; of length 1 if learned by spherical k-means",
            made_from=("patches.pixels", "whitening.mean", "whitening.weights"),
        ),
    ),
    key=("filter",),
    usual=FOLLOWS_SETTINGS,
    invariants=(Between("filter", 0), Between("patches", 0), Between("weights")),
    limits=("In another version, the same number may be another filter.",),
)

ENCODER = Contract(
    table="encoder",
    grain="the encoder: there is one",
    columns=(
        Column("preset", pa.string(), "name of the budget: small, coates, large or best"),
        Column("filters", pa.int32(), "number of filters"),
        Column("patches", pa.int32(), "number of random patches that the filters were learned from"),
        Column("learned_by", pa.string(), "how the filters were found: spherical k-means, k-means, or random patches"),
        Column("iterations", pa.int32(), "number of passes of k-means over the patches"),
        Column("patch_size", pa.int32(), "side length of a patch", "pixels"),
        Column("standardization", pa.string(), "how patches are standardized: none, de-mean, norm 1, whiten, or all"),
        Column("contrast", pa.float64(), "added to the mean square of a patch, by whose root the patch is divided",
               "squared grey levels"),
        Column("zca_epsilon", pa.float64(), "added to the variances in whitening"),
        Column("encoding", pa.string(), "non-linearity that responses go through: relu, two signs, or triangle"),
        Column("offset", pa.float64(), "subtracted from a response (from its absolute value, for two signs) before "
               "negative values are set to 0"),
        Column("pools", pa.int32(), "number of pooling windows along each side of an image"),
        Column("mirrored", pa.bool_(), "whether the features of an image and of its mirror image are averaged"),
        Column("power", pa.float64(), "exponent that is applied to the means over windows; 1 for none"),
        Column("seed", pa.int64(), "seed of the choice of patches and of k-means"),
        Column("champion", pa.string(), "the champion of the study classifier whose parameters were used",
               volatile=True),
    ),
    key=("preset",),
    usual=FOLLOWS_SETTINGS,
    invariants=(NotBlank("preset"), Between("filters", 1), Between("pools", 1), Between("patch_size", 1)),
    single_valued=("preset",),
)  # fmt: skip


class Budget(Enum):
    """The budgets of `taproom.images.image_features.BUDGETS`."""

    small = "small"
    coates = "coates"
    large = "large"
    best = "best"


class FiltersConfig(dg.Config):
    """A budget, and parameters. Null: the budget's value, the champion's, or the default of `EncoderParameters`."""

    preset: Budget = Field(
        Budget.small,
        description="budget of filters, patches and pooling windows: small (1 minute on two cores), coates, "
        "large (16 minutes) or best",
    )
    filters: int | None = Field(None, ge=1, description="number of filters")
    patches: int | None = Field(None, ge=1, description="number of random patches to learn filters from")
    learned_by: str | None = Field(
        None, description="how filters are found: spherical k-means, k-means, or random patches"
    )
    iterations: int | None = Field(None, ge=0, description="number of passes of k-means over the patches")
    patch_size: int | None = Field(None, ge=1, description="side length of a patch in pixels")
    standardization: str | None = Field(
        None, description="how patches are standardized: none, de-mean, norm 1, whiten, or all"
    )
    contrast: float | None = Field(
        None,
        gt=0,
        description="added to the mean square of a patch, by whose root the patch is divided; in squared grey levels",
    )
    zca_epsilon: float | None = Field(None, ge=0, description="added to the variances in whitening")
    encoding: str | None = Field(
        None, description="non-linearity that responses go through: relu, two signs, or triangle"
    )
    offset: float | None = Field(
        None, ge=0, description="subtracted from responses before negative values are set to 0"
    )
    pools: int | None = Field(None, ge=1, description="number of pooling windows along each side of an image")
    mirrored: bool | None = Field(None, description="average the features of an image and its mirror image")
    power: float | None = Field(
        None, gt=0, le=1, description="exponent that is applied to the means over windows; 1 for none"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of patches and of k-means")
    workers: int = Field(-1, ge=-1, description="number of threads; -1: one for each core")


_out = partial(refreshed_out, module=__name__, config=FiltersConfig)


@several_tables(
    name="filters",
    outs={
        "patches": _out(
            PATCHES, "Random patches of the training images, from which whitening and filters are learned."
        ),
        "whitening": _out(WHITENING, "Whitening of standardized patches: the mean patch and the ZCA matrix."),
        "filters": _out(
            FILTERS, "Filters, learned from whitened patches. An image's features are pooled responses to them."
        ),
        "encoder": _out(ENCODER, "Parameters by which the features of images are computed from whitening and filters."),
    },
    ins={"champions": champion_of("classifier")},
    pool="numerics",
)
@keeps_settings
def filters(config: FiltersConfig, images: TableVersion, champions: pa.Table) -> Iterator[dg.Output]:
    """Draw random patches, whiten them, and learn filters from them."""
    from dataclasses import asdict

    import numpy as np

    from taproom.images import classifier_figures as figures
    from taproom.images.image_features import BUDGETS, EncoderParameters, learn
    from taproom.images.patches import CHANNELS
    from taproom.images.stored_pixels import StoredPixels, without_pixels

    chosen = {name: value for name, value in config.model_dump(mode="json").items() if value is not None}
    preset, seed, workers = (chosen.pop(name) for name in ("preset", "seed", "workers"))
    made_with = resolve_parameters(EncoderParameters(), champions, FiltersConfig, BUDGETS[preset] | chosen)
    parameters = made_with.parameters
    rows = without_pixels(images).read()
    training = np.flatnonzero(pa.compute.equal(rows["split"], "training"))
    if not len(training):
        raise InputError(f"none of the {len(rows)} images is for training. Wanted: some, to learn filters from.")
    learned = learn(StoredPixels(images, training), parameters, seed, workers)
    size = parameters.patch_size
    yield dg.Output(
        Draft(
            PATCHES.table_of(
                patch=np.arange(parameters.patches),
                image_id=rows["image_id"].take(training[learned.patches.image]),
                row=learned.patches.row,
                column=learned.patches.column,
                pixels=[pixels.tobytes() for pixels in learned.patches.pixels],
            ),
            metadata={"patch_size": size, "images": len(np.unique(learned.patches.image))},
            figure=figures.patch_grid("Random patches", learned.patches.pixels.reshape(-1, size, size, CHANNELS)),
        ),
        "patches",
    )
    yield dg.Output(
        Draft(
            _whitening_rows(learned.encoder.whitening, size),
            metadata={"numbers": len(learned.encoder.whitening.mean)},
            figure=figures.whitening(learned.encoder.whitening, learned.standardized),
        ),
        "whitening",
    )
    found = learned.filters
    yield dg.Output(
        Draft(
            FILTERS.table_of(filter=np.arange(len(found.filters)), patches=found.patches, weights=list(found.filters)),
            metadata={"inertia": found.inertia, "unused": int((found.patches == 0).sum())},
            figure=figures.patch_grid(
                f"Filters by {parameters.learned_by}, of whitened patches",
                found.filters.reshape(-1, size, size, CHANNELS),
            ),
        ),
        "filters",
    )
    row = {"preset": preset, **asdict(parameters), "seed": seed, "champion": made_with.champion}
    yield dg.Output(Draft(pa.Table.from_pylist([row], ENCODER.schema), metadata=row), "encoder")


def _whitening_rows(whitening: "Whitening", size: int) -> pa.Table:
    import numpy as np

    row, column, channel = np.unravel_index(np.arange(len(whitening.mean)), (size, size, len(COLOURS)))
    return WHITENING.table_of(
        row=row.astype(np.int32),
        column=column.astype(np.int32),
        channel=[COLOURS[place] for place in channel],
        mean=whitening.mean,
        weights=list(whitening.matrix),
    )


@dg.asset_check(asset="patches", description=f"At most {MOST_FLAT:.0%} of the patches are of a single colour.")
def few_patches_are_flat(patches: pa.Table) -> dg.AssetCheckResult:
    """Nothing can be learned from a flat patch. Images with wide borders or a plain background have many."""
    import numpy as np

    pixels = np.frombuffer(b"".join(patches["pixels"].to_pylist()), np.uint8).reshape(len(patches), -1, len(COLOURS))
    share = float((pixels == pixels[:, :1]).all(axis=(1, 2)).mean())
    return dg.AssetCheckResult(
        passed=share <= MOST_FLAT, severity=dg.AssetCheckSeverity.WARN, metadata={"flat_share": share}
    )


@dg.asset_check(asset="whitening", description="The ZCA matrix is symmetric and positive definite, up to rounding.")
def zca_matrix_is_positive_definite(whitening: pa.Table) -> dg.AssetCheckResult:
    """ZCA scales patches along their principal axes without a rotation; otherwise its rows are out of order."""
    import numpy as np

    matrix = np.stack(whitening["weights"].to_pylist())
    asymmetry = float(abs(matrix - matrix.T).max() / abs(matrix).max())
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    return dg.AssetCheckResult(
        passed=asymmetry < 1e-3 and smallest > 0,
        metadata={"largest_asymmetry": asymmetry, "smallest_eigenvalue": smallest},
    )


@dg.asset_check(
    asset="filters", description=f"At most {MOST_UNUSED:.0%} of the filters have no patch in their cluster."
)
def few_filters_are_unused(filters: pa.Table) -> dg.AssetCheckResult:
    """A filter without patches costs as many features as any other: fewer filters would be enough."""
    share = filters["patches"].to_pylist().count(0) / max(len(filters), 1)
    return dg.AssetCheckResult(
        passed=share <= MOST_UNUSED, severity=dg.AssetCheckSeverity.WARN, metadata={"unused_share": share}
    )


@dg.asset_check(
    asset="encoder",
    additional_ins={"filters": dg.AssetIn(), "whitening": dg.AssetIn(metadata={"columns": ["channel"]})},
    blocking=True,
    description="Filters and whitening have the number of filters and the patch size that the encoder states.",
)
def encoder_matches_its_filters(encoder: pa.Table, filters: pa.Table, whitening: pa.Table) -> dg.AssetCheckResult:
    """The tables are committed one by one, so a run that ends in between leaves tables of two different runs."""
    (row,) = encoder.to_pylist()
    numbers = row["patch_size"] ** 2 * len(COLOURS)
    widths = pa.compute.unique(pa.compute.list_value_length(filters["weights"])).to_pylist()
    return dg.AssetCheckResult(
        passed=(len(filters), widths, len(whitening)) == (row["filters"], [numbers], numbers),
        metadata={"filters": len(filters), "numbers_of_filters": widths, "numbers_of_whitening": len(whitening)},
    )
