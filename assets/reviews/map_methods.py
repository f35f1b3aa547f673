"""map_methods: a comparison of methods that map the same neighbour graph, by errors, nearest items and time.

The methods are the ordinal embedding of `item_map`, those that the deck names (locally linear embedding, kernel PCA
with the cosine kernel, maximum variance unfolding), and scikit-learn's non-metric MDS. Maximum variance unfolding and
MDS are too slow for all items, so every method also maps a sample with a graph of its own; compare rows with the same
`items`. All methods are evaluated on the same held-out triplets; only the ordinal embedding is fitted to other
triplets. No method is fitted to what is measured of the nearest items on the map. A method that cannot map a graph
(disconnected, too few items) has no rows for it; the log and the metadata give the reason.

Grain: a method, a number of items and a number of dimensions. Source: the slides "BeerMapper - Under the Hood".
"""

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, keeps_settings, refreshed
from taproom.warehouse.contracts import FOLLOWS_SETTINGS, Between, Column, Contract, OneOf

METHODS = ("ordinal", "kernel_pca", "locally_linear", "maximum_variance_unfolding", "nonmetric_mds")
MEASURES = ("error_random", "error_within", "trustworthiness", "continuity", "category_purity")

CONTRACT = Contract(
    table="map_methods",
    grain="a method, a number of items and a number of dimensions",
    version="1.1.0",
    columns=(
        Column("method", pa.string(), "name of the method; ordinal: the method of `item_map`, fitted to triplets"),
        Column("dimension", pa.int32(), "number of dimensions of the map, 2 or 3"),
        Column("items", pa.int64(), "number of items mapped: all that have neighbors, or a sample of them"),
        Column("k", pa.int32(), "number of neighbors of each item in the graph of these items"),
        Column("error_random", pa.float64(), "share of violated held-out triplets (item, neighbor, item that is not a "
               "neighbor); null without any", nullable=True),
        Column("error_within", pa.float64(), "share of violated held-out triplets (item, neighbor, farther neighbor); "
               "null without any", nullable=True),
        Column("trustworthiness", pa.float64(), "whether the 10 nearest items on the map are the nearest by cosine "
               "distance: 1 if they are, 0.5 by chance; measured on 2,000 items if there are more; null with 20 or "
               "fewer", nullable=True),
        Column("continuity", pa.float64(), "whether the 10 nearest items by cosine distance are the nearest on the "
               "map; values as those of trustworthiness", nullable=True),
        Column("category_purity", pa.float64(), "share of an item's 10 nearest on the map that have its category; only "
               "items with a category count; null with 10 or fewer of these", nullable=True),
        Column("seconds", pa.float64(), "duration of the fit, of ordinal with default parameters; the same in both "
               "dimensions if one fit gives both; null if not measured", unit="s", nullable=True, volatile=True),
    ),
    key=("method", "dimension", "items"),
    usual=FOLLOWS_SETTINGS,
    invariants=(
        OneOf("method", METHODS),
        Between("dimension", 2, 3),
        Between("items", 1),
        Between("k", 1),
        Between("error_random", 0, 1),
        Between("error_within", 0, 1),
        Between("trustworthiness", 0, 1),
        Between("continuity", 0, 1),
        Between("category_purity", 0, 1),
        Between("seconds", 0),
    ),
    limits=(
        "Compare rows with the same number of items only.",
        "Only the ordinal method is fitted to triplets, which are what all methods are evaluated on.",
        "A method that cannot map the graph has no rows.",
    ),
)  # fmt: skip


class MapMethodsConfig(dg.Config):
    """The number of items for each kind of method, and parameters of the methods."""

    sample: int = Field(
        150,
        ge=10,
        le=5_000,
        description="number of items that all methods map; two methods take quadratic time per step",
    )
    dense_items: int = Field(
        8_000,
        ge=0,
        le=20_000,
        description="maximum number of items that locally linear embedding maps, with a dense matrix of items x "
        "items, and the ordinal embedding is fitted again to measure its time",
    )
    reconstruction_neighbors: int = Field(20, ge=1, description="number of neighbors in locally linear embedding")
    unfolding_neighbors: int = Field(5, ge=1, description="number of neighbors whose distances unfolding preserves")
    seed: int = Field(0, ge=0, description="seed of the fits, of the triplets and of initializations")


@dg.asset(
    **refreshed(
        CONTRACT,
        __name__,
        config=MapMethodsConfig,
        description="Errors, nearest items and fit times of the ordinal embedding and of other methods on the same "
        "neighbours.",
    ),
    pool="numerics",
)
@keeps_settings
def map_methods(
    config: MapMethodsConfig, neighbors: pa.Table, tfidf: pa.RecordBatchReader, vocabulary: pa.Table, item_map: pa.Table
) -> Draft:
    """Fit the methods that the graph's size allows; evaluate them and the published map in the same way."""
    from taproom.maps import map_figures as figures
    from taproom.maps.map_comparison import compare, graph_of, maps_of
    from taproom.maps.map_methods import MethodParameters

    graph = graph_of(neighbors, tfidf, len(vocabulary), item_map)
    found = compare(graph, maps_of(item_map, neighbors["item_id"]), MethodParameters(**config.model_dump()))
    compared = min(row["items"] for row in found.rows)
    measures = {
        f"{measure}_{row['method']}_{row['dimension']}d": row[measure]
        for row in found.rows
        for measure in MEASURES
        if row["items"] == compared and row[measure] is not None
    }
    return Draft(
        pa.Table.from_pylist(found.rows, schema=CONTRACT.schema),
        metadata={"items": len(neighbors), "items_compared": compared, "left_out": found.left_out, **measures},
        figure=figures.map_methods(found.rows),
    )


@dg.asset_check(
    asset="map_methods",
    description="On the same items, no method has a lower mean of both errors than the ordinal embedding.",
)
def ordinal_is_best(map_methods: pa.Table) -> dg.AssetCheckResult:
    """Either error can be lowered at the cost of the other; `item_map` is fitted to both equally, so to their mean."""
    means: dict[str, dict[str, float]] = {}
    for row in map_methods.to_pylist():
        known = [error for error in (row["error_random"], row["error_within"]) if error is not None]
        if known:
            of_graph = means.setdefault(f"{row['items']} items, {row['dimension']}d", {})
            of_graph[row["method"]] = sum(known) / len(known)
    best = {graph: min(of_graph, key=of_graph.__getitem__) for graph, of_graph in means.items()}
    return dg.AssetCheckResult(
        passed=all(means[graph].get("ordinal") == means[graph][method] for graph, method in best.items()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"best": best},
    )
