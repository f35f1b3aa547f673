"""item_map, map_errors, map_moves: the items on maps of two and three dimensions, the errors of the maps, and how far
items moved.

The deck's non-metric multidimensional scaling: positions x such that ||x_k - x_i|| < ||x_k - x_j|| whenever
d(k, i) < d(k, j), by hinge and ramp loss and stochastic gradient descent. A map continues the previous one: it is
initialized with it and aligned to it, so that readers find items where they were. The version it continued is one of
its recorded inputs. Made again from the same neighbours, the map continues the same version and is the same.

Of more than 50,000 items (`landmarks`), a random sample of so many is mapped first; then all are, with fewer updates.
Identical items (distance 0) are mapped as one, and then placed on a circle of 0.01 of the map's RMS radius.

Grain: an item on the map of a dimension; a kind of triplet on it; an item that was on the previous map. Source: the
deck's slides "BeerMapper - Under the Hood".
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.reviews.neighbors import EXACT_UP_TO
from assets.table import Draft, keeps_settings, refreshed_out, several_tables
from assets.tuning.champions import champion_of, resolve_parameters
from taproom.warehouse.contracts import FOLLOWS_BATCHES, Between, Column, Contract, OneOf, Usual
from taproom.warehouse.foreign_keys import ForeignKey

if TYPE_CHECKING:
    import numpy as np

DIMENSIONS = (2, 3)
ANCHORS_CHECKED = 1_000
MEDIAN_MOVE = 0.5  # in RMS radii; two unrelated maps are more than 1 apart

_GRAPH = ("neighbors.neighbor_ids", "neighbors.distances", "tfidf.term_ids", "tfidf.weights")

ITEM_MAP = Contract(
    table="item_map",
    grain="an item on the map of a dimension",
    columns=(
        Column("dimension", pa.int32(), "number of dimensions of the map, 2 or 3"),
        Column("item_id", pa.string(), "the item", made_from=("neighbors.item_id",)),
        Column("item_name", pa.string(), "name of the item", made_from=("items.item_name",)),
        Column("category", pa.string(), "category of the item", nullable=True, made_from=("items.category",)),
        Column("x", pa.float64(), "first coordinate; on the first version of the map the direction of largest "
               "variance; the RMS distance of all items to the centre is 1", made_from=_GRAPH),
        Column("y", pa.float64(), "second coordinate", made_from=_GRAPH),
        Column("z", pa.float64(), "third coordinate; null on the map of dimension 2", nullable=True, made_from=_GRAPH),
    ),
    key=("dimension", "item_id"),
    usual=FOLLOWS_BATCHES,
    invariants=(Between("dimension", 2, 3), Between("x"), Between("y"), Between("z")),
    foreign_keys=(ForeignKey(("item_id",), "items", ("item_id",)),),
    limits=(
        "Only the order of distances is fitted: axes, directions and ratios of distances have no meaning.",
        "The map continues the previous one, so positions also depend on earlier versions.",
    ),
)  # fmt: skip

MAP_ERRORS = Contract(
    table="map_errors",
    grain="a kind of triplet (item, nearer, farther) on the map of a dimension",
    columns=(
        Column("dimension", pa.int32(), "number of dimensions of the map, 2 or 3"),
        Column("kind", pa.string(), "what the farther item is; random: not a neighbour; near_miss: a neighbour of rank "
               "k+1 to 10k; within: a farther one of the k neighbours"),
        Column("split", pa.string(), "training: triplets that the map may have been fitted to; held_out: it was not"),
        Column("triplets", pa.int64(), "number of triplets examined"),
        Column("violated", pa.int64(), "number of triplets whose farther item is not farther on the map",
               made_from=("item_map.x", "item_map.y", "item_map.z", *_GRAPH)),
        Column("error", pa.float64(), "violated / triplets; 0.5 is chance; null without triplets", nullable=True,
               made_from=("item_map.x", "item_map.y", "item_map.z", *_GRAPH)),
    ),
    key=("dimension", "kind", "split"),
    invariants=(
        OneOf("kind", ("random", "near_miss", "within")),
        OneOf("split", ("training", "held_out")),
        Between("error", 0, 1),
    ),
    limits=("Errors of the split training are too low for triplets that the map was not fitted to; use held_out.",),
)  # fmt: skip

MAP_MOVES = Contract(
    table="map_moves",
    grain="an item on the map of a dimension that was on the map which this one continues",
    columns=(
        Column("dimension", pa.int32(), "number of dimensions of the map, 2 or 3"),
        Column("item_id", pa.string(), "the item", made_from=("item_map.item_id",)),
        Column("x", pa.float64(), "previous first coordinate, in the unit of `item_map`", made_from=("item_map.x",)),
        Column("y", pa.float64(), "previous second coordinate", made_from=("item_map.y",)),
        Column(
            "z",
            pa.float64(),
            "previous third coordinate; null on the map of dimension 2",
            nullable=True,
            made_from=("item_map.z",),
        ),
        Column(
            "moved",
            pa.float64(),
            "distance between the previous and the present position, in the same unit",
            made_from=("item_map.x", "item_map.y", "item_map.z"),
        ),
    ),
    key=("dimension", "item_id"),
    usual=Usual(
        added=math.inf, gone=math.inf, drift=1, reason="a map that is hardly changed moves less than one with new items"
    ),
    invariants=(Between("dimension", 2, 3), Between("x"), Between("y"), Between("z"), Between("moved", 0)),
    may_be_empty=True,
    foreign_keys=(ForeignKey(("dimension", "item_id"), "item_map", ("dimension", "item_id")),),
    limits=("A small move may come from the optimization and not from new reviews.",),
)


class ItemMapConfig(dg.Config):
    """Parameters of the embedding; null: the champion's value or, without one, the default of `OrdinalParameters`."""

    updates_per_item: int | None = Field(None, ge=1, description="number of updates per item")
    margin: float | None = Field(None, gt=0, description="margin of the loss")
    step: float | None = Field(None, gt=0, description="initial learning rate; it decreases to 0")
    within_share: float | None = Field(
        None, ge=0, le=1, description="weight of the triplets with both items among the k neighbours"
    )
    seed: int = Field(0, ge=0, description="seed of the initialization and of the triplets")
    landmarks: int | None = Field(
        None,
        ge=DIMENSIONS[-1] + 2,
        description="of more items than this, so many are placed first, and the others among them; null: 50,000",
    )
    workers: int = Field(-1, ge=-1, description="number of threads, as for joblib; -1: one per core")


_out = partial(refreshed_out, module=__name__, config=ItemMapConfig)


@several_tables(
    name="item_map",
    outs={
        "item_map": _out(
            ITEM_MAP, "Positions of the items on maps that preserve the order of their neighbours' distances."
        ),
        "map_errors": _out(MAP_ERRORS, "The share of triplets (item, nearer, farther) that the map violates."),
        "map_moves": _out(MAP_MOVES, "Positions of the items on the previous map, and how far they moved since."),
    },
    ins={"champions": champion_of("item_map")},
    required_resource_keys={"io_manager"},
    pool="numerics",
)
@keeps_settings
def item_map(
    context: dg.AssetExecutionContext,
    config: ItemMapConfig,
    neighbors: pa.Table,
    tfidf: pa.RecordBatchReader,
    vocabulary: pa.Table,
    items: pa.Table,
    champions: pa.Table,
) -> Iterator[dg.Output]:
    """Fit the maps, count violated triplets, and measure how far items moved."""
    import numpy as np

    from taproom.maps import map_figures as figures
    from taproom.maps.item_map import LANDMARKS, map_items, neighbor_graph, positions_on
    from taproom.maps.ordinal import OrdinalParameters
    from taproom.words.sparse import weighted_items

    given = config.model_dump(exclude={"landmarks", "workers"})
    made_with = resolve_parameters(OrdinalParameters(), champions, ItemMapConfig, given)
    chosen = made_with.parameters
    weights = weighted_items(tfidf, len(vocabulary))[1]
    graph = neighbor_graph(neighbors, weights, ANCHORS_CHECKED, EXACT_UP_TO, config.landmarks or LANDMARKS)
    previous = context.resources.io_manager.read_previous("item_map", made_from="neighbors")
    before = {dimension: positions_on(previous, neighbors["item_id"], dimension) for dimension in DIMENSIONS}
    maps = {
        dimension: map_items(graph, chosen, dimension, before[dimension], n_jobs=config.workers)
        for dimension in DIMENSIONS
    }
    about = items.take(pa.compute.index_in(neighbors["item_id"], value_set=items["item_id"].combine_chunks()))
    flat = maps[2].positions
    yield dg.Output(
        Draft(
            pa.concat_tables(
                ITEM_MAP.table_of(
                    item_name=about["item_name"],
                    category=about["category"],
                    **_places(dimension, about["item_id"], each.positions),
                )
                for dimension, each in maps.items()
            ),
            metadata={
                "champion": made_with.champion,
                **{f"seconds_{dimension}d": each.seconds for dimension, each in maps.items()},
                **{f"landmarks_{d}d": each.landmarks for d, each in maps.items() if each.landmarks},
            },
            figure=figures.item_map(
                flat,
                about["item_name"].to_pylist(),
                about["category"].to_pylist(),
                about["reviews"].to_numpy(),
                f"{len(about):,} items by the words of their reviews",
            ),
        ),
        "item_map",
    )
    errors = pa.Table.from_pylist(
        [{"dimension": dimension, **row} for dimension, each in maps.items() for row in each.errors],
        schema=MAP_ERRORS.schema,
    )
    held_out = [row for row in errors.to_pylist() if row["split"] == "held_out" and row["error"] is not None]
    yield dg.Output(
        Draft(
            errors,
            metadata={f"error_{row['kind']}_{row['dimension']}d": row["error"] for row in held_out},
            figure=figures.map_errors(errors.to_pylist()),
        ),
        "map_errors",
    )
    was_there = {dimension: ~np.isnan(before[dimension][:, 0]) for dimension in DIMENSIONS}
    moves = {
        dimension: np.linalg.norm((maps[dimension].positions - before[dimension])[there], axis=1)
        for dimension, there in was_there.items()
    }
    stayed = was_there[2]
    yield dg.Output(
        Draft(
            pa.concat_tables(
                MAP_MOVES.table_of(
                    moved=moves[dimension],
                    **_places(dimension, about["item_id"].filter(there), before[dimension][there]),
                )
                for dimension, there in was_there.items()
            ),
            metadata={
                "items_new": int((~stayed).sum()),
                **{f"median_move_{d}d": float(np.median(moved)) for d, moved in moves.items() if moved.size},
                **{f"largest_move_{d}d": float(moved.max()) for d, moved in moves.items() if moved.size},
            },
            figure=figures.map_moves(before[2][stayed], flat[stayed], about["item_name"].filter(stayed).to_pylist())
            if stayed.any()
            else None,
        ),
        "map_moves",
    )


def _places(dimension: int, item_ids: pa.ChunkedArray, positions: "np.ndarray") -> dict[str, Any]:
    """The columns with the items' positions on the map of a dimension."""
    missing = pa.nulls(len(item_ids), pa.float64())
    axes = {name: positions[:, axis] if axis < dimension else missing for axis, name in enumerate("xyz")}
    return {"dimension": pa.repeat(pa.scalar(dimension, pa.int32()), len(item_ids)), "item_id": item_ids, **axes}


@dg.asset_check(
    asset="map_errors",
    description="Held-out triplets with a random farther item are violated less often than by chance.",
)
def map_beats_chance(map_errors: pa.Table) -> dg.AssetCheckResult:
    """A map that is no better than chance on triplets that it was not fitted to is useless; one without any may be."""
    errors = [row["error"] for row in map_errors.to_pylist() if row["kind"] == "random" and row["split"] == "held_out"]
    known = [error for error in errors if error is not None]
    metadata: dict[str, Any] = {"largest_error": max(known)} if known else {}
    if len(known) < len(errors):
        metadata["why_unknown"] = (
            "no triplet of an item, a neighbor and another item is held out: there are too few items, nearly all are "
            "neighbors, or the neighbors of an item are equally far from it; bring more items, or set `k` of neighbors"
        )
    return dg.AssetCheckResult(
        passed=len(known) == len(errors) and all(error < 0.4 for error in known),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


@dg.asset_check(
    asset="item_map",
    additional_ins={"neighbors": dg.AssetIn(metadata={"as_read_by": "item_map"})},
    blocking=True,
    description="Every item that has neighbours is on both maps.",
)
def every_item_is_placed(item_map: pa.Table, neighbors: pa.Table) -> dg.AssetCheckResult:
    """Only items without a weighted word have no neighbours, and so no position."""
    wanted = set(neighbors["item_id"].to_pylist())
    places = item_map.select(["dimension", "item_id"]).to_pylist()
    missing = {
        str(dimension): len(wanted - {place["item_id"] for place in places if place["dimension"] == dimension})
        for dimension in DIMENSIONS
    }
    return dg.AssetCheckResult(passed=not any(missing.values()), metadata={"items_missing": missing})


@dg.asset_check(
    asset="map_moves", description=f"The median move of the items is at most {MEDIAN_MOVE} of the map's radius."
)
def most_items_stay(map_moves: pa.Table) -> dg.AssetCheckResult:
    """If most items are elsewhere, readers cannot find them again, although the map continues the previous one."""
    medians = map_moves.select(["dimension", "moved"]).to_pandas().groupby("dimension")["moved"].median()
    return dg.AssetCheckResult(
        passed=bool((medians <= MEDIAN_MOVE).all()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={f"median_move_{dimension}d": float(median) for dimension, median in medians.items()},
    )
