"""digits: the handwritten digits that searches are compared on.

They are the 5,000 of MNIST that are embedded, all 70,000, which are fetched, or a set of files. Which of them a network
is trained on, and which it is judged on, is for the comparison to decide.

Grain: an image of a digit. Source: the deck's slides "Hyperparameter Optimization"; LeCun, Bottou, Bengio and Haffner,
Gradient-based learning applied to document recognition, 1998, for MNIST.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from assets.read_at_once import with_fingerprint
from assets.table import Draft, keeps_settings, refreshed
from taproom.errors import SourceError
from taproom.sources.allowed_folders import allowed_path
from taproom.warehouse.contracts import Column, Contract, NotBlank
from taproom.warehouse.sql_names import sql_name

if TYPE_CHECKING:
    from taproom.sources.digits import Digits


@dataclass(frozen=True)
class HasBytes:
    """Every value of a column of bytes has so many."""

    column: str
    count: int

    def __str__(self) -> str:
        """The rule as a sentence."""
        return f"{self.column} has {self.count} bytes"

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        """Which rows break it: bool, shape (rows,)."""
        return pc.not_equal(pc.binary_length(rows.column(self.column)), self.count).to_numpy(zero_copy_only=False)

    def broken_sql(self, schema: pa.Schema) -> str:
        """The same as a condition in DuckDB's SQL."""
        return f"octet_length({sql_name(self.column)}) <> {self.count}"


CONTRACT = Contract(
    table="digits",
    grain="an image of a digit",
    columns=(
        Column("digit_id", pa.string(), "the image: its place among all, from 0"),
        Column("label", pa.string(), "which digit it shows"),
        Column("pixels", pa.binary(), "28 x 28 levels, a byte each, row by row; 0 is the background"),
    ),
    key=("digit_id",),
    invariants=(NotBlank("digit_id"), NotBlank("label"), HasBytes("pixels", 28 * 28)),
)

# Of a label; with fewer, the fifth that judges is a handful.
FEWEST_OF_A_LABEL = 50


class DigitSource(Enum):
    """Where digits come from, if no path is given."""

    mnist_5k = "mnist_5k"
    mnist = "mnist"


class DigitsConfig(dg.Config):
    """Which digits."""

    source: DigitSource = Field(
        DigitSource.mnist_5k,
        description="mnist_5k: 5,000 digits of MNIST (embedded); mnist: its 60,000 training and 10,000 test images, "
        "which are fetched",
    )
    path: str = Field(
        "",
        description="instead of a source: an .npz file with arrays x and y; a CSV file (also .gz) of 784 pixels and "
        "the label a line; or a folder with MNIST's training files in the IDX format (also .gz)",
    )
    fingerprint: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        description="hash of what is at the path; `make run` fills it in, so that changed files are read again",
    )


def read_at_once(given: Mapping[str, Any]) -> dict[None, dict[str, Any]]:
    """A configuration of `digits` with the fingerprint of its files. Raises `SourceError` if there are none."""
    config = DigitsConfig(**given)
    return with_fingerprint(given, allowed_path(config.path, "digits") if config.path else None)


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=DigitsConfig,
        description="Images of handwritten digits with their labels.",
        # Which digits they are stands in a run's configuration, which nothing that runs by itself would have.
        automation_condition=None,
    ),
)
@keeps_settings
def digits(config: DigitsConfig) -> Draft:
    """Read all digits."""
    from taproom.search.search_comparison_figures import sample_digits
    from taproom.sources.digits import binary

    pixels, labels = _read(config)
    names, counts = np.unique(labels, return_counts=True)
    return Draft(
        CONTRACT.table_of(
            digit_id=[f"{number:06}" for number in range(len(labels))], label=labels, pixels=binary(pixels)
        ),
        metadata={
            "digits": len(labels),
            "labels": len(names),
            "fewest_of_a_label": int(counts.min()),
            "most_of_a_label": int(counts.max()),
        },
        figure=sample_digits(pixels, labels),
    )


def _read(config: DigitsConfig) -> "Digits":
    from taproom.sources.digits import digit_files, mnist, mnist_5k
    from taproom.sources.fetching import read_sources

    if config.path and config.source is not DigitSource.mnist_5k:
        raise SourceError(
            f"digits: the path {config.path!r} was given, and the source {config.source.value}, which has none. "
            "Wanted: one of both."
        )
    if config.path:
        return digit_files(allowed_path(config.path, "digits"))
    return (mnist if config.source is DigitSource.mnist else mnist_5k)(read_sources())


@dg.asset_check(asset="digits", description=f"Of each label there are at least {FEWEST_OF_A_LABEL} digits.")
def enough_of_each_label(digits: pa.Table) -> dg.AssetCheckResult:
    """With fewer, losses on the fifth of them that judge are mostly noise."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(digits["label"]).to_pylist()}
    few = {label: count for label, count in counts.items() if count < FEWEST_OF_A_LABEL}
    return dg.AssetCheckResult(passed=not few, severity=dg.AssetCheckSeverity.WARN, metadata={"too_few": few})
