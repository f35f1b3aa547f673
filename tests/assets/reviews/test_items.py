import dagster as dg
import pyarrow as pa
import pytest

from assets.reviews.items import (
    REVIEW_BATCHES,
    few_duplicates,
    items_with_reviews,
    names_differ_not_only_in_case,
    one_token_pattern,
)

JUNE = [
    {"review_id": "r1", "item_id": "ale", "category": "IPA", "overall": 4, "text": "citrus pine pine"},
    {"review_id": "r2", "item_id": "ale", "category": "IPA", "overall": 2, "text": "resin"},
    {"review_id": "r3", "item_id": "stout", "category": "Stout", "text": "coffee smoke"},
]
JULY = [JUNE[0], {"review_id": "r4", "item_id": "stout", "category": "Stout", "overall": 3, "text": "coffee coffee"}]
CORRECTED = [{**JUNE[0], "category": "Porter", "overall": 5, "text": "citrus pine fine"}]
ROLLUP = ("items", "review_batches", "duplicate_reviews")


@pytest.mark.parametrize("order", [("a_june.csv", "b_july.csv"), ("b_july.csv", "a_june.csv")])
def test_of_a_review_in_two_batches_the_one_with_the_first_key_counts(write_csv, ingest, make, warehouse, order):
    rows = {"a_june.csv": JUNE, "b_july.csv": JULY}
    for name in order:
        ingest(write_csv(name, rows[name]))
    make(*ROLLUP)
    june, july = warehouse.partitions("reviews")
    assert warehouse.read("duplicate_reviews").to_pylist() == [
        {
            "batch": july, "review_id": "r1", "reason": "duplicate", "kept_in": june, "item_id": "ale",
            "words": ["citrus", "pine"], "counts": [1, 2],
        }
    ]  # fmt: skip
    assert warehouse.read("items").drop_columns(["spellings"]).to_pylist() == [
        {"item_id": "ale", "item_name": "ale", "category": "IPA", "reviews": 2, "mean_overall": 3.0},
        {"item_id": "stout", "item_name": "stout", "category": "Stout", "reviews": 2, "mean_overall": 3.0},
    ]
    batches = warehouse.read("review_batches").to_pylist()
    counts = [(row["batch"], row["reviews"], row["duplicates"], row["replaced"]) for row in batches]
    assert counts == [(june, 3, 0, 0), (july, 1, 1, 0)]


@pytest.mark.parametrize("names", [("a_first.csv", "b_corrected.csv"), ("b_first.csv", "a_corrected.csv")])
def test_a_correction_that_arrives_later_counts_whatever_its_key(write_csv, ingest, make, warehouse, names):
    first, corrected = names
    ingest(write_csv(first, JUNE))
    ingest(write_csv(corrected, CORRECTED))
    result = make(*ROLLUP)
    (row,) = warehouse.read("duplicate_reviews").to_pylist()
    assert (row["batch"].split(".")[0], row["reason"]) == (first.split(".")[0], "replaced")
    ale = warehouse.read("items").to_pylist()[0]
    assert (ale["reviews"], ale["mean_overall"]) == (2, 3.5)
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert (checks["few_duplicates"], checks["few_replaced"]) == (True, False)
    ingest(write_csv(first, JUNE))
    make(*ROLLUP)
    assert warehouse.read("items").to_pylist()[0] == ale


def test_ids_that_start_anew_in_each_batch_are_other_reviews(write_csv, ingest, make, warehouse):
    for name, text in (("june.csv", "citrus pine and resin"), ("july.csv", "coffee with some smoke")):
        ingest(write_csv(name, [{"review_id": "1", "item_id": "ale", "text": text}]))
    make(*ROLLUP)
    assert len(warehouse.read("duplicate_reviews")) == 0
    assert warehouse.read("items")["reviews"].to_pylist() == [2]


def test_items_with_a_review_or_two_each_are_warned_of(write_csv, ingest, make, warehouse):
    ingest(write_csv("a_june.csv", JUNE))
    make("items", "review_batches", "duplicate_reviews")
    items = warehouse.read("items")
    assert not items_with_reviews(items).passed
    many = items.set_column(items.schema.get_field_index("reviews"), "reviews", [[5, 1]])
    assert items_with_reviews(many).passed


def test_names_that_differ_only_in_case_are_other_items_and_reported(write_csv, ingest, make, warehouse):
    ingest(write_csv("a_june.csv", [{"item_id": name, "text": name} for name in ("Pale Ale", "pale ale", "stout")]))
    result = make(*ROLLUP)
    assert warehouse.read("items")["item_id"].to_pylist() == ["Pale Ale", "pale ale", "stout"]
    told = "2 names differ from another item's only in upper and lower case, such as 'Pale Ale' and 'pale ale'"
    (made,) = result.asset_materializations_for_node("items")[:1]
    assert made.metadata["notes"].value == [told]
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["names_differ_not_only_in_case"].passed
    assert checks["names_differ_not_only_in_case"].description == told
    assert names_differ_not_only_in_case(warehouse.read("items").slice(1)).passed


@pytest.mark.parametrize(("patterns", "passed"), [([], True), (["a", "a"], True), (["a", "b"], False)])
def test_batches_counted_by_different_patterns_are_warned_of(patterns, passed):
    counted = pa.table({"token_pattern": pa.array(patterns, pa.string())})
    assert one_token_pattern(REVIEW_BATCHES.schema.empty_table(), counted).passed is passed


def test_the_rollup_is_checked_for_one_token_pattern_over_all_batches(ingest, make, write_csv, themed_reviews):
    rows = themed_reviews(items=4)
    ingest(write_csv("a.csv", rows[:6]), words={"token_pattern": "[a-z]+"})
    ingest(write_csv("b.csv", rows[6:]), words={"token_pattern": "[a-z0-9]+"})
    result = make("items", "review_batches", "duplicate_reviews")
    (check,) = [found for found in result.get_asset_check_evaluations() if found.check_name == "one_token_pattern"]
    assert not check.passed
    assert len(check.metadata["token_patterns"].value) == 2


@pytest.mark.parametrize(("duplicates", "passed"), [([0, 0], True), ([0, 4], True), ([0, 5], False), ([], True)])
def test_batches_that_copy_each_other_are_warned_of(duplicates, passed):
    rows = [
        {"batch": str(place), "reviews": 2, "duplicates": count, "replaced": 0}
        for place, count in enumerate(duplicates)
    ]
    batches = pa.Table.from_pylist([{**row, "words_hash": ""} for row in rows], REVIEW_BATCHES.schema)
    result = few_duplicates(batches)
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert result.metadata["duplicate_share"].value == sum(duplicates) / max(sum(duplicates) + 2 * len(rows), 1)
