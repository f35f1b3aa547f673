import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.reviews.item_map import ITEM_MAP
from assets.reviews.map_methods import CONTRACT, METHODS, MapMethodsConfig, map_methods, ordinal_is_best
from assets.reviews.neighbors import CONTRACT as NEIGHBORS
from assets.reviews.tfidf import TFIDF
from pipelines.definitions import defs
from taproom.errors import InputError
from taproom.maps import map_methods as numerics
from taproom.maps.neighbors import nearest
from taproom.words.sparse import lists_to_csr

CHAIN = (
    "items",
    "review_batches",
    "duplicate_reviews",
    "vocabulary",
    "tfidf",
    "neighbors",
    "item_map",
    "map_errors",
    "map_moves",
)
TERMS = 30


def inputs(items, k, pieces=1):
    """Tables of random items, as the asset takes them; items of different pieces share no word."""
    numbers = np.random.default_rng(0)
    item_ids = [f"item {item:03d}" for item in range(items)]
    term_ids = [np.arange(TERMS, dtype=np.int32) + TERMS * (item % pieces) for item in range(items)]
    tfidf = TFIDF.table_of(
        item_id=item_ids, words=[TERMS] * items, term_ids=term_ids, weights=list(numbers.random((items, TERMS)))
    )
    indices, distances = nearest(lists_to_csr(tfidf["term_ids"], tfidf["weights"]), k)
    neighbors = NEIGHBORS.table_of(
        item_id=item_ids, neighbor_ids=np.array(item_ids)[indices].tolist(), distances=distances.tolist()
    )
    x, y, z = numbers.normal(size=(3, 2 * items))
    item_map = ITEM_MAP.table_of(
        dimension=pa.array([2] * items + [3] * items, pa.int32()), item_id=2 * item_ids, item_name=2 * item_ids,
        category=[None] * (2 * items), x=x, y=y, z=[None] * items + list(z[items:]),
    )  # fmt: skip
    return neighbors, tfidf.to_reader(), pa.table({"term_id": range(TERMS * pieces)}), item_map


def table_of(rows):
    """Rows of (method, dimension, items, error_random, error_within)."""
    method, dimension, items, error_random, error_within = zip(*rows, strict=True)
    unknown = pa.nulls(len(rows), pa.float64())
    return CONTRACT.table_of(
        method=method, dimension=dimension, items=items, k=[3] * len(rows), error_random=error_random,
        error_within=error_within, trustworthiness=unknown, continuity=unknown, category_purity=unknown,
        seconds=[1.0] * len(rows),
    )  # fmt: skip


def test_methods_are_compared_on_the_whole_and_on_a_sample(ingest, make, themed_reviews, write_csv, warehouse):
    ingest(write_csv("ales.csv", themed_reviews()))
    config = {"neighbors": {"k": 12}, "item_map": {"updates_per_item": 50}, "map_methods": {"sample": 30}}
    result = make(*CHAIN, "map_methods", **config)
    table = warehouse.read("map_methods").to_pandas()
    assert set(table.method) == set(METHODS)
    assert set(table["items"]) == {30, 40}
    assert set(table.dimension) == {2, 3}
    assert set(table.query("items == 40").method) == {"ordinal", "kernel_pca", "locally_linear"}
    told = result.asset_materializations_for_node("map_methods")[0].metadata
    assert told["figure"].value.startswith("[![map_methods](/figures/map_methods/")
    assert told["items_compared"].value == 30
    assert {name for name in METHODS if f"error_random_{name}_2d" in told} == set(METHODS)
    assert {name for name in METHODS if f"trustworthiness_{name}_2d" in told} == set(METHODS)
    for measure in ("trustworthiness", "continuity", "category_purity"):
        assert table[measure].between(0, 1).all()
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    graphs = {f"{items} items, {dimension}d" for items in (30, 40) for dimension in (2, 3)}
    assert set(checks["ordinal_is_best"].metadata["best"].value) == graphs

    errors = warehouse.read("map_errors").to_pandas().query("split == 'held_out'")
    ours = table.query("method == 'ordinal' and items == 40").set_index("dimension")
    for kind in ("random", "within"):
        published = errors.query(f"kind == '{kind}'").set_index("dimension").error
        assert (published - ours[f"error_{kind}"]).abs().max() < 0.02

    make("map_methods", map_methods={"sample": 30})
    make("map_methods", map_methods={"sample": 20})
    first, again, other = (warehouse.commit_of("map_methods", version)["content_hash"] for version in range(3))
    assert first == again != other
    assert warehouse.commit_of("map_methods", 0)["inputs"] == {
        "item_map": 0,
        "neighbors": 0,
        "tfidf": 0,
        "vocabulary": 0,
    }


@pytest.mark.slow
def test_a_graph_in_pieces_is_compared_without_the_methods_that_need_one():
    draft = map_methods(MapMethodsConfig(), *inputs(items=30, k=3, pieces=2))
    left_out = draft.final_metadata()["left_out"]
    assert set(left_out) == {"locally_linear, 30 items", "maximum_variance_unfolding, 30 items"}
    assert all("2 pieces" in reason for reason in left_out.values())
    assert set(draft.rows["method"].to_pylist()) == {"ordinal", "kernel_pca", "nonmetric_mds"}
    list(CONTRACT.checked(draft.rows.to_batches()))


@pytest.mark.slow
def test_the_fewest_items_that_have_a_map_are_compared():
    draft = map_methods(MapMethodsConfig(), *inputs(items=5, k=1))
    table = draft.rows.to_pandas()
    assert "ordinal" in set(table.method)
    assert set(table["items"]) == {5}
    assert table.error_within.isna().all()
    assert table[["trustworthiness", "continuity", "category_purity"]].isna().all(axis=None)
    assert draft.final_figure().startswith(b"\x89PNG")
    list(CONTRACT.checked(draft.rows.to_batches()))


def test_a_map_without_some_items_is_refused():
    neighbors, tfidf, vocabulary, item_map = inputs(items=20, k=5)
    with pytest.raises(InputError, match="1 of 20 items"):
        map_methods(MapMethodsConfig(), neighbors, tfidf, vocabulary, item_map.slice(1))


def test_another_method_with_lower_errors_is_warned_of():
    ours, theirs = ("ordinal", 2, 10, 0.2, 0.4), ("kernel_pca", 2, 10, 0.1, 0.45)
    result = ordinal_is_best(table_of([ours, theirs]))
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.metadata["best"].value == {"10 items, 2d": "kernel_pca"}


@pytest.mark.parametrize(
    "theirs",
    [
        ("kernel_pca", 2, 10, 0.19, 0.42),
        ("kernel_pca", 2, 10, 0.2, 0.4),
        ("kernel_pca", 3, 10, 0.1, 0.1),
        ("kernel_pca", 2, 9, 0.1, 0.1),
    ],
    ids=["one error bought with the other", "equal", "other dimension", "other items"],
)
def test_ours_is_best_where_nothing_on_the_same_items_has_a_lower_mean(theirs):
    rows = [("ordinal", 2, 10, 0.2, 0.4), theirs]
    rows += [("ordinal", *theirs[1:3], 0.05, 0.05)] if theirs[1:3] != (2, 10) else []
    assert ordinal_is_best(table_of(rows)).passed


def test_errors_that_are_unknown_are_no_reason_to_warn():
    assert ordinal_is_best(table_of([("ordinal", 2, 5, 0.2, None), ("kernel_pca", 2, 5, 0.3, None)])).passed
    assert ordinal_is_best(table_of([("ordinal", 2, 5, None, None)])).passed


def test_the_contract_names_the_methods_that_there_are():
    assert set(METHODS) == set(numerics.METHODS)


def test_it_shares_the_pool_of_heavy_steps():
    assert defs.resolve_asset_graph().get(dg.AssetKey("map_methods")).assets_def.op.pool == "numerics"
