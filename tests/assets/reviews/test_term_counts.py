from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.reviews import term_counts as module
from assets.reviews.reviews import CONTRACT as REVIEWS
from assets.reviews.term_counts import CONTRACT, TermCountsConfig, term_counts
from taproom.errors import InputError
from taproom.warehouse.scratch import FOLDER
from taproom.words import counting


@pytest.fixture
def outputs(stored):
    def run(texts: list[tuple[str, str]], **config) -> list:
        constants = {"batch": "b1", "collection": "beers", "scores": [], "attributes": []}
        rows = [
            {**constants, "review_id": f"r{number}", "item_id": item, "item_name": item, "text": text}
            for number, (item, text) in enumerate(texts)
        ]
        reviews = stored(REVIEWS, pa.Table.from_pylist(rows, REVIEWS.schema), partition="b1")
        return list(term_counts(dg.build_asset_context(partition_key="b1"), TermCountsConfig(**config), reviews))

    return run


@pytest.fixture
def counted(outputs):
    def count(texts: list[tuple[str, str]], **config) -> list[dict]:
        rows = outputs(texts, **config)[0].value.rows.read_all()
        assert rows.schema.equals(CONTRACT.schema)
        return rows.to_pylist()

    return count


def test_words_are_counted_for_each_item(counted):
    rows = counted([("stout", "Coffee, coffee and smoke"), ("ale", "pine"), ("stout", "more Smoke")])
    assert [(row["batch"], row["item_id"]) for row in rows] == [("b1", "ale"), ("b1", "stout")]
    assert dict(zip(rows[1]["words"], rows[1]["counts"], strict=True)) == {
        "and": 1, "coffee": 2, "more": 1, "smoke": 2,
    }  # fmt: skip


def test_neither_workers_nor_what_is_written_at_once_matter(counted, monkeypatch):
    texts = [(f"item {number % 50}", f"pine {'hop' * (number % 9)} {number}") for number in range(300)]
    whole = counted(texts, workers=1)
    monkeypatch.setattr(counting, "BLOCK_CHARACTERS", 100)
    monkeypatch.setattr(module, "ITEMS_AT_ONCE", 7)
    assert counted(texts, workers=2) == whole


def test_the_token_pattern_says_what_a_word_is(counted):
    (row,) = counted([("ale", "x1 y22 z")], token_pattern=r"[a-z]\d+")
    assert row["words"] == ["x1", "y22"]
    assert row["token_pattern"] == r"[a-z]\d+"


def test_a_token_pattern_that_is_none_is_refused():
    with pytest.raises(InputError, match="not a regular expression"):
        TermCountsConfig(token_pattern="(")


def test_a_batch_without_a_word_gives_no_rows(write_csv, ingest, warehouse):
    assert ingest(write_csv("signs.csv", [{"review_id": "a", "item_id": "ale", "text": "!!! ..."}])).success
    assert len(warehouse.read("reviews")) == 1
    assert len(warehouse.read("term_counts")) == 0


def test_a_new_batch_leaves_the_rows_of_the_others(write_csv, ingest, warehouse, themed_reviews):
    ingest(write_csv("june.csv", themed_reviews(items=4)))
    files = warehouse.files("term_counts")
    ingest(write_csv("july.csv", [{"review_id": "new", "item_id": "item 000", "text": "pine"}]))
    assert set(files) < set(warehouse.files("term_counts"))
    (row,) = [row for row in warehouse.read("term_counts").to_pylist() if row["batch"].startswith("july")]
    assert (row["item_id"], row["words"], row["counts"]) == ("item 000", ["pine"], [1])


def test_a_cluster_makes_the_same_table(write_csv, ingest, warehouse, themed_reviews, monkeypatch, dask_cluster):
    for limit in ("BYTES_PER_BATCH", "BYTES_PER_FILE"):
        monkeypatch.setattr(f"taproom.warehouse.data_files.{limit}", 4_000)
    reviews = write_csv("june.csv", themed_reviews())
    ingest(reviews)
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    (made,) = ingest(reviews).asset_materializations_for_node("term_counts")
    (usage,) = made.metadata["cluster"].value
    assert usage["blocks"] == len(warehouse.files("reviews")) > 2
    assert len({commit["content_hash"] for commit in warehouse.history("term_counts")}) == 1
    assert not [path for path in Path(warehouse.root, FOLDER).rglob("*") if path.is_file()]


@pytest.mark.parametrize(("pattern", "passed"), [("[a-z]+", True), ("[0-9]+", False)])
def test_a_pattern_that_finds_few_words_is_warned_of(outputs, pattern, passed):
    texts = [("ale", "pine citrus resin and malt 7"), ("stout", "one two three four five 8")]
    _, check, _ = outputs(texts, token_pattern=pattern)
    assert (check.passed, check.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert check.metadata["median_words"].value == (5 if passed else 1)


@pytest.mark.parametrize(("word", "passed"), [("pine", True), ("ពាក្យខ្មែរ" * 4, False)])
def test_words_that_are_whole_sentences_are_warned_of(outputs, word, passed):
    *_, check = outputs([("ale", f"{word} resin")], token_pattern=r"(?u)\S+")
    assert (check.check_name, check.passed) == ("few_long_words", passed)
    assert check.metadata["long_share"].value == (0 if passed else 0.5)
