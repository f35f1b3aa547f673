"""map_methods: the same neighbour graph mapped by other methods, their errors and their seconds beside ours.

Ours (`ordinal`) against what the deck names: locally linear embedding, kernel PCA with the cosine kernel, maximum
variance unfolding; and against scikit-learn's non-metric MDS. The last two cost too much for all items, so every method
also maps a sample with a graph of its own; compare rows that have the same `items`. Judged are the same held-out
triplets, of which only ours has seen any others. A method that cannot map a graph (one in several pieces, too few
items) has no rows for it; the log and the metadata say why.

Grain: a method that mapped so many items in so many dimensions. Source: the slides "BeerMapper - Under the Hood".
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import Between, Column, Contract, OneOf

METHODS = ("ordinal", "kernel_pca", "locally_linear", "maximum_variance_unfolding", "nonmetric_mds")

CONTRACT = Contract(
    table="map_methods",
    grain="a method that mapped so many items in so many dimensions",
    columns=(
        Column("method", pa.string(), "ordinal is ours, hinge loss on triplets; the others by their usual names"),
        Column("dimension", pa.int32(), "2 or 3"),
        Column("items", pa.int64(), "items that were mapped: all that have neighbors, or a sample of them"),
        Column("k", pa.int32(), "neighbors of each item in the graph of these items"),
        Column("error_random", pa.float64(), "share of violated held-out triplets (item, neighbor, item that is none); "
               "null without any", nullable=True),
        Column("error_within", pa.float64(), "share of violated held-out triplets (item, neighbor, farther neighbor); "
               "null without any", nullable=True),
        Column("seconds", pa.float64(), "of the fit, ours with default parameters; the same in both dimensions where "
               "one fit gives both; null where that is not measured", unit="s", nullable=True, volatile=True),
    ),
    key=("method", "dimension", "items"),
    invariants=(
        OneOf("method", METHODS),
        Between("dimension", 2, 3),
        Between("items", 1),
        Between("k", 1),
        Between("error_random", 0, 1),
        Between("error_within", 0, 1),
        Between("seconds", 0),
    ),
)  # fmt: skip


class MapMethodsConfig(dg.Config):
    """How many items each kind of method is given, and what it looks at."""

    sample: int = Field(
        150, ge=10, le=5_000, description="items that all methods map; a step of two of them costs its square"
    )
    dense_items: int = Field(
        8_000,
        ge=0,
        le=20_000,
        description="items up to which locally linear embedding maps them all, with a dense matrix of items x items, "
        "and ours is fitted once more to time it",
    )
    reconstruction_neighbors: int = Field(20, ge=1, description="neighbors that locally linear embedding looks at")
    unfolding_neighbors: int = Field(5, ge=1, description="neighbors to which unfolding keeps an item's distance")
    seed: int = Field(0, ge=0, description="seed of our fits, of the triplets, and of where iterations start")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=MapMethodsConfig,
        description="How well other methods map the same neighbours, and how long they take, beside ours.",
    ),
    pool="numerics",
)
@keeps_settings
def map_methods(
    config: MapMethodsConfig, neighbors: pa.Table, tfidf: pa.RecordBatchReader, vocabulary: pa.Table, item_map: pa.Table
) -> Draft:
    """Fit what the graph's size allows, judge all on the same triplets; ours is taken as it was published."""
    from taproom.maps import map_figures as figures
    from taproom.maps.map_comparison import compare, graph_of, maps_of
    from taproom.maps.map_methods import MethodParameters

    graph = graph_of(neighbors, tfidf, len(vocabulary))
    found = compare(graph, maps_of(item_map, neighbors["item_id"]), MethodParameters(**config.model_dump()))
    compared = min(row["items"] for row in found.rows)
    errors = {
        f"{kind}_{row['method']}_{row['dimension']}d": row[kind]
        for row in found.rows
        for kind in ("error_random", "error_within")
        if row["items"] == compared and row[kind] is not None
    }
    return Draft(
        pa.Table.from_pylist(found.rows, schema=CONTRACT.schema),
        metadata={"items": len(neighbors), "items_compared": compared, "left_out": found.left_out, **errors},
        figure=figures.method_errors(found.rows),
    )


@dg.asset_check(
    asset="map_methods",
    description="On the same items, no method has a lower mean of both errors than ours, which is fitted to that mean.",
)
def ordinal_is_best(map_methods: pa.Table) -> dg.AssetCheckResult:
    """Either error alone can be bought with the other; ours is fitted to an even mix of both kinds of triplets."""
    means: dict[str, dict[str, float]] = {}
    for row in map_methods.to_pylist():
        known = [error for error in (row["error_random"], row["error_within"]) if error is not None]
        if known:
            of_graph = means.setdefault(f"{row['items']} items, {row['dimension']}d", {})
            of_graph[row["method"]] = sum(known) / len(known)
    best = {graph: min(of_graph, key=of_graph.get) for graph, of_graph in means.items()}
    return dg.AssetCheckResult(
        passed=all(means[graph].get("ordinal") == means[graph][method] for graph, method in best.items()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"best": best},
    )
