"""wells: all samples rolled up, well by well, and the channels in which they are compared.

Whatever follows the samples depends on this rollup, for the reasons of `review_batches` (ADR 6): it carries the content
hash of each sample's events. Two samples that claim to be one well are refused here, since which samples there are is
known only here. Grain: a well.
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.automation import WHEN_A_BATCH_CHANGES
from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, SameLength

# What `taproom.sources.events.event_matrix` takes of the events.
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
        Column("plate", pa.string(), "the plate"),
        Column("well", pa.string(), "the well on it"),
        Column("sample", pa.string(), "the sample that it was measured as"),
        Column("label", pa.string(), "its class; null where unknown, or where its events have several", nullable=True),
        Column("events", pa.int64(), "number of events"),
        Column("channels", pa.list_(pa.string()), "channels in which wells are compared, the same in every row"),
        Column("transforms", pa.list_(pa.string()), "scale of each of them"),
        Column("places", pa.list_(pa.int32()), "where each of them is in the sample's lists, from 0; null where it was "
               "not measured"),
        Column("events_hash", pa.string(), "content hash of the sample's rows in events"),
    ),
    key=("plate", "well"),
    invariants=(
        NotBlank("plate"),
        NotBlank("well"),
        Between("events", 1),
        SameLength("channels", "transforms"),
        SameLength("channels", "places"),
        Between("places", 0),
    ),
)  # fmt: skip


class WellsConfig(dg.Config):
    """What is compared."""

    channels: list[str] = Field(
        [],
        description="channels to compare wells in, as patterns that shells understand; empty: the areas (*-A), where "
        "there are none the transformed ones, else all",
    )
    leave_out: list[str] = Field([], description="samples that do not count")


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
    """Roll all samples up in one pass over their events."""
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
            "places": [_place(of_sample[row["sample"]]["channels"], channel) for channel in compared],
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


def _place(channels: list[str], channel: str) -> int | None:
    return channels.index(channel) if channel in channels else None


@dg.asset_check(
    asset="wells",
    additional_ins={"events": dg.AssetIn(metadata={"columns": ["plate", "well", "label"]})},
    description="Every class has two wells at least, so that one can be left out.",
)
def classes_have_two_wells(wells: pa.Table, events: pa.Table) -> dg.AssetCheckResult:
    """How a classifier does on a well that it has not seen can be told only of classes with another well."""
    found = events.group_by(["plate", "well", "label"]).aggregate([])["label"].to_pylist()
    alone = sorted(label for label in set(found) - {None} if found.count(label) < 2)
    return dg.AssetCheckResult(
        passed=not alone, severity=dg.AssetCheckSeverity.WARN, metadata={"classes_with_one_well": alone}
    )
