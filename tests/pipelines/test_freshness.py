from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.reviews.reviews import BATCHES
from assets.reviews.reviews import CONTRACT as REVIEWS
from assets.reviews.term_counts import CONTRACT as TERM_COUNTS
from assets.table import CONTRACTS
from pipelines import chains
from pipelines.definitions import defs
from pipelines.freshness import fresh_assets, stale_batches
from pipelines.products import Products
from pipelines.reconcile import reconcile
from taproom.errors import InputError
from taproom.warehouse.publishing import Origin
from taproom.warehouse.storage import WAREHOUSE_VARIABLE
from taproom.warehouse.warehouse import Warehouse

CHAIN = ("items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf", "neighbors")
KEYS = [dg.AssetKey(table) for table in CHAIN]
BATCH_COUNT = 101


@pytest.fixture
def fresh(instance, warehouse):
    """Which tables of the chain are fresh, with configuration by op."""

    def tell(**configs: dict) -> set[str]:
        ops = {op: {"config": config} for op, config in configs.items()}
        return {key.to_user_string() for key in fresh_assets(instance, warehouse, defs, KEYS, ops)}

    return tell


@pytest.fixture
def made(write_csv, ingest, make, themed_reviews, made_once):
    def read_and_make():
        ingest(write_csv("a.csv", themed_reviews(items=12)))
        make(*CHAIN)

    made_once(read_and_make)


def test_what_was_made_is_fresh_and_other_settings_are_not(made, make, fresh, warehouse):
    assert fresh() == set(CHAIN)
    assert fresh(neighbors={"k": 3}) == set(CHAIN) - {"neighbors"}
    make("neighbors", neighbors={"k": 3})
    assert fresh(neighbors={"k": 3}) == fresh() == set(CHAIN)
    assert fresh(neighbors={}) == set(CHAIN) - {"neighbors"}


def test_settings_are_kept_until_a_run_has_others(made, make, warehouse):
    def neighbors() -> int:
        return len(warehouse.read("neighbors")["neighbor_ids"][0])

    make("neighbors", neighbors={"k": 3})
    make("neighbors")
    assert neighbors() == 3
    make(*CHAIN)
    assert neighbors() == 3
    assert warehouse.history("neighbors")[0]["settings"] == {"k": 3}
    make("neighbors", neighbors={"k": 4})
    make("neighbors")
    assert neighbors() == 4
    make("neighbors", neighbors={})
    make("neighbors")
    assert neighbors() == 1  # the default: a tenth of the twelve items
    assert warehouse.history("neighbors")[0]["settings"] == {}


def test_settings_that_change_no_row_are_kept_too(made, make, warehouse):
    make("vocabulary", "tfidf", tfidf={"max_words": 1_000})
    hashes = {commit["content_hash"] for commit in warehouse.history("tfidf")}
    assert len(hashes) == 1
    make("vocabulary", "tfidf")
    assert warehouse.history("tfidf")[0]["settings"] == {"max_words": 1_000}
    assert warehouse.history("tfidf")[0]["config"]["max_words"] == 1_000


def test_settings_that_do_not_fit_any_more_are_named(made, make, warehouse, instance):
    table = warehouse.read("neighbors")
    old = Origin(run_id="old", settings={"neighbours": 5})
    warehouse.publish(CONTRACTS["neighbors"], table, since=warehouse.head("neighbors"), origin=old, always_commit=True)
    with pytest.raises(InputError, match=r"neighbors: the settings on record do not fit any more: .*neighbours"):
        make("neighbors")
    assert make("neighbors", neighbors={}).success


def test_what_makes_a_table_stale(made, instance, warehouse, tmp_path, monkeypatch, subtests):
    def any_fresh() -> bool:
        return bool(fresh_assets(instance, Warehouse(), defs, KEYS, {}))

    with subtests.test("each batch is fresh by itself"):
        (batch,) = warehouse.partitions("reviews")
        ops = {"reviews": {"config": {"source": "table", "path": "elsewhere"}}}
        keys = {dg.AssetKey("reviews"), dg.AssetKey("term_counts")}
        assert fresh_assets(instance, warehouse, defs, keys, ops, batch) == {dg.AssetKey("term_counts")}
        assert not fresh_assets(instance, warehouse, defs, keys, ops, "another batch")

    with subtests.test("another code version"):
        changed = dg.Definitions(
            [
                each.map_asset_specs(lambda spec: spec.replace_attributes(code_version="another"))
                if dg.AssetKey("neighbors") in each.keys
                else each
                for each in defs.get_repository_def().assets_defs_by_key.values()
            ],
            resources=defs.resources,
        )
        assert fresh_assets(instance, warehouse, changed, KEYS, {}) == {*KEYS} - {dg.AssetKey("neighbors")}

    with subtests.test("another warehouse"), monkeypatch.context() as elsewhere:
        assert any_fresh()
        elsewhere.setenv(WAREHOUSE_VARIABLE, str(tmp_path / "another"))
        assert not any_fresh()

    with subtests.test("a warehouse that was deleted"):
        Path(warehouse.root).rename(tmp_path / "away")
        assert not any_fresh()


def test_batches_are_stale_when_other_code_read_them_or_nothing_did(write_csv, ingest, warehouse, instance):
    ingest(write_csv("a.csv", [{"review_id": "r1", "item_id": "ale", "text": "pine"}]), collection="beers")
    keys = [dg.AssetKey(table) for table in ("reviews", "term_counts")]
    assert stale_batches(instance, warehouse, defs, keys) == []
    publish_batch(warehouse, "another", "ale", "resin")
    assert stale_batches(instance, warehouse, defs, keys) == ["another"]
    tags = {"dagster/code_version": "old"}
    (batch,) = set(warehouse.partitions("reviews")) - {"another"}
    instance.report_runless_asset_event(dg.AssetMaterialization("term_counts", partition=batch, tags=tags))
    assert stale_batches(instance, warehouse, defs, keys) == sorted(["another", batch])


def publish_batch(warehouse: Warehouse, batch: str, item: str, word: str) -> None:
    """What ingesting a batch of one review commits, without the run."""
    review = {
        "batch": batch, "collection": "beers", "review_id": f"{batch} 1", "item_id": item, "item_name": item,
        "text": f"{word} pine", "scores": [], "attributes": [],
    }  # fmt: skip
    words = {
        "batch": batch,
        "item_id": item,
        "token_pattern": r"\w+",
        "words": sorted([word, "pine"]),
        "counts": [1, 1],
    }
    for contract, row in ((REVIEWS, review), (TERM_COUNTS, words)):
        code_version = defs.resolve_asset_graph().get(dg.AssetKey(contract.table)).code_version
        warehouse.publish(
            contract,
            pa.Table.from_pylist([row], schema=contract.schema),
            since=warehouse.head(contract.table),
            partition=batch,
            origin=Origin(run_id="elsewhere", code_version=code_version),
        )


def test_among_more_than_a_hundred_batches_a_changed_one_is_noticed(make, fresh, instance, warehouse):
    names = [f"b{number:03d}" for number in range(BATCH_COUNT)]
    instance.add_dynamic_partitions(BATCHES.name, names)
    for number, name in enumerate(names):
        publish_batch(warehouse, name, f"item {number % 30}", f"word{number % 7}")
    assert list(reconcile(instance, warehouse, defs))
    make(*CHAIN[:-1])
    assert fresh() == set(CHAIN[:-1])
    products = Products(instance, warehouse, defs, {})
    assert not products._batches_changed(chains.REVIEWS.batches)
    evaluated = dg.evaluate_automation_conditions(defs, instance)

    publish_batch(warehouse, "b050", "item 20", "word6")
    assert list(reconcile(instance, warehouse, defs))
    assert products._batches_changed(chains.REVIEWS.batches)
    later = datetime.now(UTC) + timedelta(minutes=2)
    asked = dg.evaluate_automation_conditions(defs, instance, cursor=evaluated.cursor, evaluation_time=later)
    assert asked.get_num_requested(dg.AssetKey("review_batches")) == 1

    before = warehouse.read("review_batches").to_pylist()
    make("items", "review_batches", "duplicate_reviews")
    after = warehouse.read("review_batches").to_pylist()
    assert [new["batch"] for old, new in zip(before, after, strict=True) if old != new] == ["b050"]
    assert "vocabulary" not in fresh()
    make("vocabulary", "tfidf")
    assert fresh() == set(CHAIN[:-1])
