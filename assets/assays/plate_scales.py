"""plate_scales: a shift and a factor for each channel of each plate, which put plates of different days on one scale.

The same cells have other values on another day. Classes are learned from the labelled plates and compared with events
of all plates, so `class_mixtures`, `classifier_comparison` and `event_calls` take events on the scale of the reference
plate: shift + scale * transformed value. A plate's scale is applied only if it makes wells that it was not found on
likelier (`gain`); otherwise the plate's populations differ in something else, or not at all. The tables of populations
and densities take all events as they are. Method and sources: `taproom.assays.plate_scales`.

Grain: a channel of a plate.
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.assays.wells import MATRIX_EVENTS
from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import FOLLOWS_BATCHES, Between, Column, Contract, NotBlank

MOST_UNLIKE = 0.1
FARTHEST_OFF = 1.0  # standard deviations of the reference plate

_EVENTS = ("events.plate", "events.transformed")

CONTRACT = Contract(
    table="plate_scales",
    grain="a channel of a plate",
    columns=(
        Column("plate", pa.string(), "name of the plate", made_from=("wells.plate",)),
        Column("channel", pa.string(), "name of the channel", made_from=("wells.channels",)),
        Column("shift", pa.float64(), "shift that was found: a transformed value becomes shift + scale * value; 0 "
               "where none was looked for", made_from=_EVENTS),
        Column("scale", pa.float64(), "factor that was found; 1 where none was looked for", made_from=_EVENTS),
        Column("off", pa.float64(), "root mean square of what these change the plate's values by, in standard "
               "deviations of the reference plate's channel", made_from=_EVENTS),
        Column("gain", pa.float64(), "what the scale of the plate's other wells adds to the mean log density of a "
               "well's events, in any shares of the reference plate's components; null where none was looked for",
               unit="nats", nullable=True, made_from=_EVENTS),
        Column("unlike", pa.float64(), "share of the plate's events that are unlike all of the reference plate, also "
               "on its scale; null where none was looked for", nullable=True, made_from=_EVENTS),
        Column("reference", pa.bool_(), "whether the plate is the one on whose scale the others are put",
               made_from=("events.plate", "events.well", "events.label")),
        Column("applied", pa.bool_(), "whether shift and scale are applied, because the gain is large enough",
               made_from=_EVENTS),
    ),
    key=("plate", "channel"),
    usual=FOLLOWS_BATCHES,
    invariants=(
        NotBlank("plate"),
        NotBlank("channel"),
        Between("shift"),
        Between("scale", 0),
        Between("off", 0),
        Between("gain"),
        Between("unlike", 0, 1),
    ),
    limits=(
        "A treatment that shifts all cells of a plate looks like another day, and is removed where it is applied.",
        "A shift and a factor cannot undo what moves some populations and leaves others where they are.",
    ),
)  # fmt: skip


class PlateScalesConfig(dg.Config):
    """Which plate is the reference, and which scales are applied."""

    reference: str = Field(
        "", description="name of the reference plate; empty: the one with the most labelled wells, or else events"
    )
    components: int = Field(
        12, ge=1, le=100, description="largest number of components of the mixture that describes the reference plate"
    )
    events: int = Field(
        10_000, ge=200, description="largest number of events of a plate that are used, the same of each well"
    )
    least_gain: float | None = Field(
        0.5, ge=0, description="least gain, in nats per event, with which a scale is applied; null: none is"
    )
    seed: int = Field(0, ge=0, description="seed of the choice of events and of the mixture's start")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=PlateScalesConfig,
        description="Shift and factor of each channel that put the plates of different days on one scale.",
    ),
    ins=MATRIX_EVENTS,
    pool="numerics",
)
@keeps_settings
def plate_scales(config: PlateScalesConfig, events: pa.Table, wells: pa.Table) -> Draft:
    """Find the scale of each plate, and judge it on wells that it was not found on."""
    import math

    from taproom.assays import assay_figures as figures
    from taproom.assays.plate_scales import ScaleParameters
    from taproom.assays.plate_scales import plate_scales as found_scales
    from taproom.sources.events import event_matrix

    matrix = event_matrix(events, wells)
    least_gain = math.inf if config.least_gain is None else config.least_gain
    parameters = ScaleParameters(config.reference, config.components, config.events, least_gain, config.seed)
    found = found_scales(matrix, parameters)
    rows = [
        {
            "plate": each.plate,
            "channel": channel,
            "shift": float(each.shift[place]),
            "scale": float(each.scale[place]),
            "off": float(each.off[place]),
            **{name: getattr(each, name) for name in ("gain", "unlike", "reference", "applied")},
        }
        for each in found
        for place, channel in enumerate(matrix.channels)
    ]
    gains = {each.plate: each.gain for each in found if each.gain is not None}
    return Draft(
        pa.Table.from_pylist(rows, schema=CONTRACT.schema),
        metadata={
            "reference": next(each.plate for each in found if each.reference),
            "gains": gains,
            "applied": [each.plate for each in found if each.applied],
        },
        figure=figures.plate_scales(matrix, found) if gains else None,
    )


@dg.asset_check(
    asset="plate_scales", description=f"At most {MOST_UNLIKE:.0%} of a plate's events are unlike the reference plate's."
)
def plates_have_the_same_populations(plate_scales: pa.Table) -> dg.AssetCheckResult:
    """Populations that the reference plate lacks are compared with its classes all the same."""
    unlike = {row["plate"]: row["unlike"] for row in plate_scales.to_pylist() if row["unlike"] is not None}
    return dg.AssetCheckResult(
        passed=all(share <= MOST_UNLIKE for share in unlike.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unlike": unlike},
    )


@dg.asset_check(
    asset="plate_scales",
    description=f"A scale that is applied changes no channel by more than {FARTHEST_OFF:g} standard deviation.",
)
def applied_scales_are_small(plate_scales: pa.Table) -> dg.AssetCheckResult:
    """An instrument that is off by so much was set up otherwise, or a treatment is removed: look at the plates."""
    off: dict[str, float] = {}
    for row in plate_scales.to_pylist():
        if row["applied"]:
            off[row["plate"]] = max(row["off"], off.get(row["plate"], 0.0))
    return dg.AssetCheckResult(
        passed=all(farthest <= FARTHEST_OFF for farthest in off.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"farthest_off": off},
    )
