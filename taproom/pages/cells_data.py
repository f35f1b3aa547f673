"""The data of the page of cells: events of each well, their calls, mixtures of Gaussians, and shares of classes.

Events are those of the newest `wells`, in the channels that it compares them in. Every other table may be missing or
empty (classes are, without labelled wells); what it would have is then None.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.assays.event_mixture import mixture_from, separating_channels
from taproom.assays.mixtures import Mixture
from taproom.pages.scripts import packed, packed_fractions, packed_indices
from taproom.pages.shown_events import ShownEvents, read_events
from taproom.pages.tables import LONGEST_CELL
from taproom.sources.events import from_lists
from taproom.warehouse.warehouse import Warehouse

EVENTS_PER_WELL = 2_000
VALUES = 300_000  # of all events and channels together
BINS = 20  # of the largest posterior, from 0 to 1
ITERATIONS = (0, 1, 2, 3, 4, 5, 6, 20)  # the deck's pictures of EM
ABOUT_CLASS = ("wells", "components", "held_out_accuracy", "held_out_sure_accuracy", "held_out_ambiguous_share")
GRID_STEP = 2  # of the kernel density's grid, every second point in each channel


def cells_data(warehouse: Warehouse, values: int = VALUES) -> dict[str, Any]:
    """What the page of cells shows, from the newest tables of the assay chain.

    Of each well at most `EVENTS_PER_WELL` events are shown, evenly spread over it, and of all wells together at most
    `values` numbers (but one event of each well).

    Raises:
        UnknownTableError: there are no wells, or a table that they were made from is gone.
        DamagedFileError: a table is damaged.
    """
    wells, inputs = warehouse.read("wells"), _inputs(warehouse, "wells")
    channels = wells["channels"][0].as_py()
    most = max(1, min(EVENTS_PER_WELL, values // (len(channels) * len(wells))))
    columns = ["sample", "event", "plate", "well", "transformed"]
    events = read_events(warehouse.stream("events", inputs.get("events"), columns=columns), wells, most)

    def part(table: str, function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any] | None:
        return function(warehouse, *arguments) if _has_rows(warehouse, table) else None

    mixture, density = part("mixture", _mixture, channels), part("density", _grid_channels, "density", channels)
    return {
        "version": warehouse.head("wells"),
        "count": len(events.keys),
        "channels": [_short(name) for name in channels],
        "transforms": wells["transforms"][0].as_py(),
        "wells": _wells(wells, events),
        "values": packed(events.values.astype(np.float32)),
        "pair": _pair(density, mixture),
        "calls": part("event_calls", _calls, events, len(wells)),
        "populations": part("assignments", _populations, events, len(wells)),
        "mixture": mixture,
        "class_mixtures": part("class_mixtures", _class_mixtures, channels),
        "kernel": part("kernel_density", _kernel_density, channels),
        "trace": part("mixture_trace", _trace),
        "two_components": part("two_component_trace", _two_components, channels),
        "shares": part("well_shares", _shares, wells),
        "share_errors": part("share_errors", _share_errors),
    }


def _has_rows(warehouse: Warehouse, table: str) -> bool:
    version = warehouse.head(table)
    return version is not None and any(file.rows for file in warehouse.files(table, version))


def _inputs(warehouse: Warehouse, table: str) -> Mapping[str, int]:
    """The versions of tables that the newest version of a table was made from."""
    version = warehouse.head(table)
    return {} if version is None else warehouse.commit_of(table, version)["inputs"]


def _wells(wells: pa.Table, events: ShownEvents) -> list[dict[str, Any]]:
    """Each well with its number of events, and how many of them are shown."""
    shown = np.bincount(events.well[events.place >= 0], minlength=len(wells))
    return [
        {
            "plate": _short(row["plate"]),
            "well": _short(row["well"]),
            "label": row["label"] and _short(row["label"]),
            "events": row["events"],
            "shown": int(shown[place]),
        }
        for place, row in enumerate(wells.select(["plate", "well", "label", "events"]).to_pylist())
    ]


def _pair(density: dict[str, Any] | None, mixture: dict[str, Any] | None) -> list[int]:
    """The two channels that are shown first: those of the densities, or those in which components are far apart."""
    places = density["channels"] if density else mixture["separating"] if mixture else [0, 1]
    return places if min(places) >= 0 else [0, 1]


def _places(names: Sequence[str], channels: Sequence[str]) -> list[int]:
    """The place of each name among the channels of the wells, -1 for none: they may have been changed since."""
    return [channels.index(name) if name in channels else -1 for name in names]


def _calls(warehouse: Warehouse, events: ShownEvents, wells: int) -> dict[str, Any]:
    """Called classes: of the shown events one by one, of all events as counts of each well."""
    classes = warehouse.read("classes", _inputs(warehouse, "event_calls").get("classes")).sort_by("class")
    names = classes["class"].combine_chunks()
    shown = len(events.values)
    called, largest = np.full(shown, -1), np.zeros(shown)
    ambiguous, anomalous = np.zeros(shown, np.uint8), np.zeros(shown, np.uint8)
    histogram = np.zeros((wells, BINS), np.int64)
    counts = {name: np.zeros(wells, np.int64) for name in ("events", "ambiguous", "anomalous")}
    columns = ["sample", "event", "called", "posteriors", "ambiguous", "anomalous"]
    for batch in warehouse.stream("event_calls", columns=columns):
        found = events.find(batch)
        rows = np.flatnonzero(found >= 0)
        well, place = events.well[found[rows]], events.place[found[rows]]
        sure = from_lists(batch["posteriors"], len(names)).max(axis=1)[rows]
        flags = {name: batch[name].to_numpy(zero_copy_only=False)[rows] for name in ("ambiguous", "anomalous")}
        np.add.at(histogram, (well, np.minimum((sure * BINS).astype(np.int64), BINS - 1)), 1)
        counts["events"] += np.bincount(well, minlength=wells)
        for name, flag in flags.items():
            counts[name] += np.bincount(well[flag], minlength=wells)
        seen, place = place >= 0, place[place >= 0]
        codes = pc.fill_null(pc.index_in(batch["called"], value_set=names), -1).to_numpy()[rows]
        called[place], largest[place] = codes[seen], sure[seen]
        ambiguous[place], anomalous[place] = flags["ambiguous"][seen], flags["anomalous"][seen]
    return {
        "classes": [_short(name) for name in names.to_pylist()],
        "about": [{name: row[name] for name in ABOUT_CLASS} for row in classes.to_pylist()],
        "ambiguous_below": classes["ambiguous_below"][0].as_py(),
        "called": packed_indices(called),
        "largest": packed_fractions(largest),
        "ambiguous": packed(ambiguous),
        "anomalous": packed(anomalous),
        "histogram": histogram.tolist(),
        "counts": {name: each.tolist() for name, each in counts.items()},
    }


def _populations(warehouse: Warehouse, events: ShownEvents, wells: int) -> dict[str, Any]:
    """The most likely population of each shown event, and the number of each well's events in each population."""
    population, counts = np.full(len(events.values), -1), np.zeros((wells, 0), np.int64)
    for batch in warehouse.stream("assignments", columns=["sample", "event", "population"]):
        found = events.find(batch)
        found, numbers = found[found >= 0], batch["population"].to_numpy()[found >= 0]
        counts = np.pad(counts, ((0, 0), (0, max(0, int(numbers.max(initial=-1)) + 1 - counts.shape[1]))))
        np.add.at(counts, (events.well[found], numbers), 1)
        place = events.place[found]
        population[place[place >= 0]] = numbers[place >= 0]
    return {"population": packed_indices(population), "counts": counts.tolist()}


def _gaussians(mixture: Mixture) -> dict[str, Any]:
    """Weights, means and covariances, row by row, as the scripts of the page read them."""
    parts = {"weights": mixture.weights, "means": mixture.means, "covariances": mixture.covariances}
    return {name: packed(part.astype(np.float32)) for name, part in parts.items()}


def _mixture(warehouse: Warehouse, channels: Sequence[str]) -> dict[str, Any]:
    """The mixture of all events."""
    rows = warehouse.read("mixture").sort_by("component")
    mixture, places = mixture_from(rows), _places(rows["channels"][0].as_py(), channels)
    return {
        "channels": places,
        "separating": [places[place] for place in separating_channels(mixture)],
        "groups": rows["population"].to_pylist(),
        **_gaussians(mixture),
    }


def _class_mixtures(warehouse: Warehouse, channels: Sequence[str]) -> dict[str, Any]:
    """The mixtures of all classes as one, of which each class has its prior; `groups` are the classes."""
    rows = warehouse.read("class_mixtures").sort_by([("class", "ascending"), ("component", "ascending")])
    classes = warehouse.read("classes").sort_by("class")
    group = pc.index_in(rows["class"], value_set=classes["class"].combine_chunks()).to_numpy()
    within, prior = rows["weight"].to_numpy(), classes["prior"].to_numpy()
    column = rows.schema.get_field_index("weight")
    mixture = mixture_from(rows.set_column(column, "weight", pa.array(within * prior[group])))
    return {
        "channels": _places(classes["channels"][0].as_py(), channels),
        "names": [_short(name) for name in classes["class"].to_pylist()],
        "groups": group.tolist(),
        **_gaussians(mixture),
    }


def _grid_channels(warehouse: Warehouse, table: str, channels: Sequence[str]) -> dict[str, Any]:
    """The two channels of a density on a grid."""
    rows = warehouse.read(table, columns=["x_channel", "y_channel"])
    return {"channels": _places([rows[f"{axis}_channel"][0].as_py() for axis in "xy"], channels)}


def _kernel_density(warehouse: Warehouse, channels: Sequence[str]) -> dict[str, Any]:
    """What share of the kernel density's probability is where it is higher, x by x, and the ends of both axes."""
    rows = warehouse.read("kernel_density").sort_by([("x", "ascending"), ("y", "ascending")])
    axes = [np.unique(rows[name].to_numpy()) for name in "xy"]
    enclosed = rows["enclosed"].to_numpy().reshape([len(axis) for axis in axes])[::GRID_STEP, ::GRID_STEP]
    shown = [axis[::GRID_STEP] for axis in axes]
    return {
        **_grid_channels(warehouse, "kernel_density", channels),
        "ends": [[float(axis[0]), float(axis[-1])] for axis in shown],
        "points": list(enclosed.shape),
        "enclosed": packed_fractions(enclosed),
    }


def _trace(warehouse: Warehouse) -> dict[str, Any]:
    """The log-likelihood after each iteration of EM, and the mixture after those of the deck and the last."""
    rows = warehouse.read("mixture_trace").sort_by([("iteration", "ascending"), ("component", "ascending")])
    first = rows.filter(pc.equal(rows["component"], 0))
    shown = _shown_iterations(len(first) - 1)
    mixtures = [mixture_from(rows.filter(pc.equal(rows["iteration"], iteration))) for iteration in shown]
    return {
        "iterations": shown,
        "log_likelihood": first["log_likelihood"].to_pylist(),
        "mixtures": [_gaussians(mixture) for mixture in mixtures],
    }


def _two_components(warehouse: Warehouse, channels: Sequence[str]) -> dict[str, Any]:
    """Both components in one channel after each iteration of EM."""
    rows = warehouse.read("two_component_trace").sort_by([("iteration", "ascending"), ("component", "ascending")])
    pairs = {name: rows[name].to_numpy().reshape(-1, 2) for name in ("weight", "mean", "variance", "log_likelihood")}
    shown = _shown_iterations(len(pairs["mean"]) - 1)
    return {
        "name": _short(rows["channel"][0].as_py()),
        "channels": _places([rows["channel"][0].as_py()], channels),
        "iterations": shown,
        "log_likelihood": pairs.pop("log_likelihood")[:, 0].tolist(),
        **{name: each[shown].tolist() for name, each in pairs.items()},
    }


def _shown_iterations(last: int) -> list[int]:
    return [*(iteration for iteration in ITERATIONS if iteration < last), last]


def _shares(warehouse: Warehouse, wells: pa.Table) -> dict[str, Any]:
    """The share of each class in each well, with its interval; None of a well that has no shares."""
    rows = warehouse.read("well_shares").to_pylist()
    classes = sorted({row["class"] for row in rows})
    by_well = {(row["plate"], row["well"], row["class"]): row for row in rows}
    names = list(zip(wells["plate"].to_pylist(), wells["well"].to_pylist(), strict=True))
    anomalous = {(row["plate"], row["well"]): row["anomalous_share"] for row in rows}
    return {
        "classes": [_short(name) for name in classes],
        "anomalous_share": [anomalous.get(name) for name in names],
        **{
            column: [[by_well.get((*name, each), {}).get(column) for each in classes] for name in names]
            for column in ("share", "low", "high", "known_share")
        },
    }


def _share_errors(warehouse: Warehouse) -> dict[str, Any]:
    """The mean absolute error of shares by EM and of counted calls, in blends with known shares."""
    rows = warehouse.read("share_errors")
    true = rows["true_share"].to_numpy()
    errors = {name: float(np.abs(rows[name].to_numpy() - true).mean()) for name in ("share", "argmax_share")}
    return {"blends": len(rows["blend"].unique()), **errors}


def _short(name: str) -> str:
    return name[:LONGEST_CELL]
