"""Calls of events, well by well, and of new events from the tables alone.

Here belongs what takes the class model to events: the shares of each well, and `taproom.call`. The model itself is in
`taproom.assays.class_mixtures`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from taproom.assays.class_model import Calls, call
from taproom.assays.class_model_rows import model_from_rows
from taproom.assays.class_shares import argmax_shares, share_intervals, shares
from taproom.assays.plate_scales import shift_and_scale
from taproom.errors import InputError
from taproom.sources.events import EventMatrix, as_lists, transform_all
from taproom.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd


def shares_by_well(
    matrix: EventMatrix,
    calls: Calls,
    classes: Sequence[str],
    resamples: int,
    confidence: float,
    seed: int,
) -> list[dict[str, Any]]:
    """The share of each class in each well, a row for each of both (`well_shares`), wells sorted.

    Anomalous events belong to no class, and events without any value hold no information: both are left out. `calls`
    are those of the matrix's events.
    """
    rows = []
    measured = ~np.isnan(matrix.values).all(axis=1)
    for well in np.unique(matrix.wells):
        events = np.flatnonzero(matrix.wells == well)
        counted = events[~calls.anomalous[events] & measured[events]]
        found = _estimates(calls.log_densities[counted], resamples, confidence, seed)
        first = matrix.rows.slice(events[0], 1).to_pylist()[0]
        labels = set(matrix.labels[events])
        for place, name in enumerate(classes):
            rows.append(
                {
                    "plate": first["plate"],
                    "well": first["well"],
                    "class": name,
                    "events": len(counted),
                    "anomalous_share": float(calls.anomalous[events].mean()),
                    "known_share": float(labels == {name}) if None not in labels and len(labels) == 1 else None,
                    **{column: float(values[place]) for column, values in found.items()},
                }
            )
    return rows


def fates_by_well(matrix: EventMatrix, calls: Calls, classes: Sequence[str]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Wells, and what share of each one's events is anomalous, ambiguous, or else called a class; shares sum to 1."""
    wells, well_of = np.unique(matrix.wells, return_inverse=True)
    fate = np.where(calls.anomalous, len(classes) + 1, np.where(calls.ambiguous, len(classes), calls.called))
    names = [*classes, "ambiguous", "anomalous"]
    counts = np.bincount(well_of * len(names) + fate, minlength=len(wells) * len(names)).reshape(len(wells), -1)
    shares_of = counts / counts.sum(axis=1, keepdims=True)
    return wells.tolist(), dict(zip(names, shares_of.T, strict=True))


def _estimates(log_densities: np.ndarray, resamples: int, confidence: float, seed: int) -> dict[str, np.ndarray]:
    if not len(log_densities):
        return {}
    low, high = share_intervals(log_densities, resamples, confidence, seed)
    return {
        "share": shares(log_densities),
        "low": low,
        "high": high,
        "argmax_share": argmax_shares(log_densities),
    }


def call_events(
    events: "str | Path | pa.Table | pd.DataFrame | Mapping[str, Any]",
    warehouse: Warehouse,
    version: int,
    plate: str | None = None,
) -> pa.Table:
    """Call events by the class model that a version of `event_calls` was made with; see `taproom.call`."""
    inputs = warehouse.commit_of("event_calls", version)["inputs"]
    rows = [warehouse.read(table, inputs[table]).to_pylist() for table in ("class_mixtures", "classes")]
    if not rows[1]:
        raise InputError("There are no classes: no two have labelled wells. Read such wells, and refresh the assays.")
    model, channels, transforms = model_from_rows(*rows)
    of_file: dict[str, str] = {}
    if isinstance(events, str | Path):
        events, of_file = _channels_of_file(Path(events))
    values = transform_all(_channel_values(events, channels), transforms)
    if plate is not None:
        shift, scale = _scale_of(warehouse, inputs, plate, channels)
        values = shift + scale * values
    calls = call(values, model)
    names = pa.array(model.classes)
    return pa.table(
        {
            "called": names.take(pa.array(calls.called)),
            "posteriors": as_lists(calls.posteriors),
            "log_density": calls.log_density,
            "ambiguous": calls.ambiguous,
            "anomalous": calls.anomalous,
        },
        metadata={"classes": ",".join(model.classes), **of_file},
    )


def _scale_of(
    warehouse: Warehouse, inputs: Mapping[str, int], plate: str, channels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The shift and the scale of a plate's channels, of the version that the calls were made with."""
    if "plate_scales" not in inputs:
        raise InputError("The calls were made before plates had scales: leave the plate out, or refresh the assays.")
    return shift_and_scale(warehouse.read("plate_scales", inputs["plate_scales"]), plate, channels)


def _channels_of_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The compensated channels of an FCS file, and what was done to read them."""
    from taproom.sources.cytometry import compensated
    from taproom.sources.fcs import read_fcs

    recording = read_fcs(path)
    compensation = str(recording.spillover) if recording.spillover else "none"
    about = {"compensation": compensation, "repairs": "; ".join(recording.repairs) or "none"}
    return dict(zip(recording.channels, compensated(recording).T, strict=True)), about


def _channel_values(events: Any, channels: Sequence[str]) -> np.ndarray:
    """The channels of `events`, in order, as float64 (events, channels); NaN where a channel or a value is missing."""
    names = getattr(events, "column_names", None) or list(events)
    if not (known := [name for name in channels if name in names]):
        raise InputError(f"Events with the channels {list(names)[:20]} were given; wanted: some of {list(channels)}.")
    columns = {name: _numbers(name, events[name]) for name in known}
    count = len(columns[known[0]])
    if uneven := [name for name in known if len(columns[name]) != count]:
        raise InputError(f"The channels {known[0]} and {uneven[0]} differ in length; wanted: a value for each event.")
    return np.column_stack([columns.get(name, np.full(count, np.nan)) for name in channels])


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float).reshape(-1)
    except (TypeError, ValueError) as error:
        raise InputError(f"The channel {name} does not hold numbers: {error}") from error
