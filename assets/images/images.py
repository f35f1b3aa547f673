"""images: the pictures that filters, features and a classifier are made of.

The images are CIFAR-10 (embedded), any folder of images, or a Parquet file with their pixels, all of one size. A
warehouse holds one data set: its name is in every row, and another is refused.

Grain: an image. Source: the deck's slides "Feature generation for images"; Krizhevsky 2009, "Learning Multiple Layers
of Features from Tiny Images", for CIFAR-10.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from assets.read_at_once import with_fingerprint
from assets.table import Draft, keeps_settings, refreshed
from taproom.compute import made_ahead
from taproom.errors import SourceError
from taproom.sources.allowed_folders import allowed_path
from taproom.sources.corpus import Split
from taproom.sources.fetching import read_sources
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf
from taproom.warehouse.sql_names import sql_name

if TYPE_CHECKING:
    from taproom.sources.image_reader import ImageReader

SPLITS = get_args(Split)
MAX_LEFT_OUT_SHARE = 0.01
BLOCKS_AHEAD = 20


@dataclass(frozen=True)
class HoldsPixels:
    """A column of bytes has three for each pixel of an image of the row's height and width."""

    column: str

    def __str__(self) -> str:
        """The rule as a sentence."""
        return f"{self.column} has height x width x 3 bytes"

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        """Which rows break it: bool, shape (rows,)."""
        height, width = (rows.column(name).cast(pa.int64()) for name in ("height", "width"))
        wanted = pc.multiply(pc.multiply(height, width), 3)
        return pc.not_equal(pc.binary_length(rows.column(self.column)), wanted).to_numpy(zero_copy_only=False)

    def broken_sql(self, schema: pa.Schema) -> str:
        """The same as a condition in DuckDB's SQL."""
        return f"octet_length({sql_name(self.column)}) <> height::bigint * width * 3"


CONTRACT = Contract(
    table="images",
    grain="an image",
    columns=(
        Column("dataset", pa.string(), "what the images are of; a warehouse holds one data set"),
        Column("image_id", pa.string(), "the image: its split and number, or its file, or its row"),
        Column("split", pa.string(), "training: everything is learned from it; test: the classifier is judged on it"),
        Column("label", pa.string(), "what it is known to show", nullable=True),
        Column("height", pa.int32(), "height", unit="pixels"),
        Column("width", pa.int32(), "width", unit="pixels"),
        Column("pixels", pa.binary(), "the levels of red, green and blue of each pixel, a byte each, row by row"),
    ),
    key=("image_id",),
    invariants=(
        NotBlank("image_id"),
        NotBlank("label"),
        OneOf("split", SPLITS),
        Between("height", 1),
        Between("width", 1),
        HoldsPixels("pixels"),
    ),
    single_valued=("dataset",),
    limits=("Labels are the source's, and some may be wrong.",),
)


class ImageSource(Enum):
    """Where images come from."""

    cifar10 = "cifar10"
    files = "files"


class ImagesConfig(dg.Config):
    """Which images, and of which size."""

    source: ImageSource = Field(
        ImageSource.cifar10,
        description="cifar10 (embedded), or files: a folder of images (<label>/<file>, or <split>/<label>/<file> with "
        "splits called train and test), or a Parquet file with a column `pixels`",
    )
    path: str = Field("", description="files: the folder or file")
    height: int | None = Field(
        None, ge=1, description="files: height of the images that are taken; null: the size that most have"
    )
    width: int | None = Field(None, ge=1, description="files: their width; given if the height is")
    test_share: float = Field(
        0.2, ge=0, lt=1, description="files: share of the images without a split that nothing is learned from"
    )
    dataset: str = Field("", description="the data set's name; empty: the source's, or the file's or folder's")
    fingerprint: str = Field(
        "", description="files: hash of their content; `make run` fills it in, so that changed files are read again"
    )


def read_at_once(given: Mapping[str, Any]) -> dict[None, dict[str, Any]]:
    """A configuration of `images` with the fingerprint of its files. Raises `SourceError` if there are none."""
    config = ImagesConfig(**given)
    return with_fingerprint(given, _path(config) if config.source is ImageSource.files else None)


def _path(config: ImagesConfig) -> Path:
    from taproom.sources.image_files import check_is_there

    if not config.path:
        raise SourceError("images: no path was given. Wanted: `path`, the folder of images, or their Parquet file.")
    path = allowed_path(config.path, "images")
    check_is_there(path)
    return path


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=ImagesConfig,
        description="The images of the data set, each with its label, where it has one, its split, and its pixels.",
        # Which images they are stands in a run's configuration, which nothing that runs by itself would have.
        automation_condition=None,
    ),
    check_specs=[
        dg.AssetCheckSpec(
            "few_left_out",
            asset="images",
            description=f"At most {MAX_LEFT_OUT_SHARE:.0%} of the images are left out: damaged, of another size, or "
            "nothing that RGB can say.",
        )
    ],
)
@keeps_settings
def images(config: ImagesConfig) -> Iterator:
    """Stream the images into the warehouse."""
    from taproom.images.image_figures import sample_images

    reader = _reader(config)
    yield dg.Output(
        Draft(
            reader.reader(),
            metadata=lambda: {**reader.counts, "left_out_because": _told(reader)},
            figure=lambda: sample_images(reader.samples, reader.by_label),
        )
    )
    left_out, kept = reader.counts["left_out"], reader.counts["images"]
    share = left_out / max(left_out + kept, 1)
    yield dg.AssetCheckResult(
        check_name="few_left_out",
        passed=share <= MAX_LEFT_OUT_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"left_out_share": share, "left_out_because": _told(reader)},
    )


def _told(reader: "ImageReader") -> list[str]:
    return [f"{image}: {reason}" for image, _, reason in reader.left_out[:20]]


def _reader(config: ImagesConfig) -> "ImageReader":
    from taproom.sources.cifar10 import cifar10
    from taproom.sources.image_files import image_files
    from taproom.sources.image_reader import ImageReader

    if config.source is ImageSource.files:
        path = _path(config)
        found, name = image_files(path, config.height, config.width), path.resolve().name
    elif config.path:
        raise SourceError(
            f"images: the path {config.path!r} was given, and the source {config.source.value}, which has none. "
            "Wanted: `source: files` to read it, or no path."
        )
    else:
        # Reading takes as long as writing, which is done a file of about so many blocks at a time. A block of other
        # images may be as large as a file.
        found, name = made_ahead(cifar10(read_sources()), BLOCKS_AHEAD), "cifar10"
    return ImageReader(found, config.dataset or name, CONTRACT.schema, config.test_share)
