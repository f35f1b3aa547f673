"""wells: the wells of all samples, and the channels in which they are compared.

All tables that are made from samples depend on this rollup, for the same reasons as on `review_batches` (ADR 6): it has
the content hash of each sample's events. Two samples with the same well are an error, which only this table can notice,
because it is made from all samples. Grain: a well.
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.automation import WHEN_A_BATCH_CHANGES
from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import FOLLOWS_BATCHES, Between, Column, Contract, NotBlank, SameLength
from taproom.warehouse.foreign_keys import ForeignKey

# The columns of the events that `taproom.sources.events.event_matrix` uses.
MATRIX_EVENTS = {
    "events": dg.AssetIn(
        metadata={
            "columns": ["sample", "event", "plate", "well", "label", "transformed"],
            "as_read_by": "wells",
        }
    )
}

CONTRACT = Contract(
    table="wells",
    grain="a well that has events",
    columns=(
        Column("plate", pa.string(), "name of the plate", made_from=("events.plate",)),
        Column("well", pa.string(), "name of the well on the plate", made_from=("events.well",)),
        Column("sample", pa.string(), "key of the sample that has the well's events", made_from=("events.sample",)),
        Column("label", pa.string(), "known class of the well; null if unknown or if its events have several",
               nullable=True, made_from=("events.label",)),
        Column("events", pa.int64(), "number of events in the well", made_from=("events.plate", "events.well")),
        Column("channels", pa.list_(pa.string()), "channels in which wells are compared, the same in every row",
               made_from=("samples.channels",)),
        Column("transforms", pa.list_(pa.string()), "transform of each of these channels: linear, arcsinh(cofactor) or "
               "logicle(T, M, W, A)", made_from=("samples.transforms",)),
        Column("places", pa.list_(pa.int32()), "index of each of these channels in the lists of the sample's events, "
               "from 0; null if the channel was not measured", made_from=("samples.channels",)),
        Column("events_hash", pa.string(), "content hash of the sample's rows in events",
               made_from=("samples.events_hash",)),
    ),
    key=("plate", "well"),
    usual=FOLLOWS_BATCHES,
    invariants=(
        NotBlank("plate"),
        NotBlank("well"),
        Between("events", 1),
        SameLength("channels", "transforms"),
        SameLength("channels", "places"),
        Between("places", 0),
    ),
    foreign_keys=(ForeignKey(("sample",), "samples", ("sample",)),),
    limits=(
        "The label is the well's: a cell in a labelled well may be of another class.",
        "A sample without events has no well.",
    ),
)  # fmt: skip


class WellsConfig(dg.Config):
    """The channels and samples that are compared."""

    channels: list[str] = Field(
        [],
        description="channels in which wells are compared, as shell patterns; empty: the areas (*-A), or without these "
        "all transformed channels, or without these all channels",
    )
    leave_out: list[str] = Field([], description="keys of samples that are left out")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=WellsConfig,
        description="The wells of all samples, and the channels in which they are compared.",
        automation_condition=WHEN_A_BATCH_CHANGES,
    ),
    ins={"events": dg.AssetIn(metadata={"columns": ["sample", "plate", "well", "label"]})},
)
@keeps_settings
def wells(config: WellsConfig, events: pa.RecordBatchReader, samples: pa.Table) -> Draft:
    """Find the wells in one pass over the events of all samples."""
    from taproom.drawing import bars
    from taproom.sources.events import compared_channels, roll_up

    found = roll_up(events, samples, config.leave_out)
    of_sample = {row["sample"]: row for row in samples.to_pylist()}
    used = [of_sample[name] for name in sorted({row["sample"] for row in found})]
    compared = compared_channels(
        [row["channels"] for row in used], [row["transforms"] for row in used], config.channels
    )
    rows = [
        {
            **{name: row[name] for name in ("plate", "well", "sample", "label", "events")},
            "channels": list(compared),
            "transforms": list(compared.values()),
            "places": [_index(of_sample[row["sample"]]["channels"], channel) for channel in compared],
            "events_hash": of_sample[row["sample"]]["events_hash"],
        }
        for row in found
    ]
    sizes = {f"{row['plate']} {row['well']}": row["events"] for row in rows}
    classes = sorted({row["label"] for row in rows if row["label"]})
    return Draft(
        pa.Table.from_pylist(rows, schema=CONTRACT.schema),
        metadata={"wells": len(rows), "events": sum(sizes.values()), "classes": classes, "channels": list(compared)},
        figure=bars("Events per well", sizes, "events"),
    )


def _index(channels: list[str], channel: str) -> int | None:
    return channels.index(channel) if channel in channels else None


@dg.asset_check(
    asset="wells",
    additional_ins={"events": dg.AssetIn(metadata={"columns": ["plate", "well", "label"]})},
    description="Every class has at least two wells, so that one can be held out.",
)
def classes_have_two_wells(wells: pa.Table, events: pa.Table) -> dg.AssetCheckResult:
    """Accuracy on a held-out well can be measured only for classes that have another well."""
    found = events.group_by(["plate", "well", "label"]).aggregate([])["label"].to_pylist()
    alone = sorted(label for label in set(found) - {None} if found.count(label) < 2)
    return dg.AssetCheckResult(
        passed=not alone, severity=dg.AssetCheckSeverity.WARN, metadata={"classes_with_one_well": alone}
    )
