import dagster as dg
import pyarrow as pa
import pytest

from assets.reviews import term_counts as module
from assets.reviews.term_counts import CONTRACT, TermCountsConfig, term_counts
from taproom.errors import InputError
from taproom.words import counting


def counted(texts: list[tuple[str, str]], **config) -> list[dict]:
    table = pa.table({"item_id": [item for item, _ in texts], "text": [text for _, text in texts]})
    context = dg.build_asset_context(partition_key="b1")
    output, *_ = term_counts(context, TermCountsConfig(**config), table.to_reader())
    rows = output.value.rows.read_all()
    assert rows.schema.equals(CONTRACT.schema)
    return rows.to_pylist()


def test_words_are_counted_for_each_item():
    rows = counted([("stout", "Coffee, coffee and smoke"), ("ale", "pine"), ("stout", "more Smoke")])
    assert [(row["batch"], row["item_id"]) for row in rows] == [("b1", "ale"), ("b1", "stout")]
    assert dict(zip(rows[1]["words"], rows[1]["counts"], strict=True)) == {
        "and": 1, "coffee": 2, "more": 1, "smoke": 2,
    }  # fmt: skip


def test_neither_workers_nor_what_is_written_at_once_matter(monkeypatch):
    texts = [(f"item {number % 50}", f"pine {'hop' * (number % 9)} {number}") for number in range(300)]
    whole = counted(texts, workers=1)
    monkeypatch.setattr(counting, "BLOCK_CHARACTERS", 100)
    monkeypatch.setattr(module, "ITEMS_AT_ONCE", 7)
    assert counted(texts, workers=2) == whole


def test_the_token_pattern_says_what_a_word_is():
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


@pytest.mark.parametrize(("pattern", "passed"), [("[a-z]+", True), ("[0-9]+", False)])
def test_a_pattern_that_finds_few_words_is_warned_of(pattern, passed):
    table = pa.table(
        {"item_id": ["ale", "stout"], "text": ["pine citrus resin and malt 7", "one two three four five 8"]}
    )
    config = TermCountsConfig(token_pattern=pattern)
    _, check, _ = term_counts(dg.build_asset_context(partition_key="b1"), config, table.to_reader())
    assert (check.passed, check.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert check.metadata["median_words"].value == (5 if passed else 1)


@pytest.mark.parametrize(("word", "passed"), [("pine", True), ("ពាក្យខ្មែរ" * 4, False)])
def test_words_that_are_whole_sentences_are_warned_of(word, passed):
    table = pa.table({"item_id": ["ale"], "text": [f"{word} resin"]})
    config = TermCountsConfig(token_pattern=r"(?u)\S+")
    *_, check = term_counts(dg.build_asset_context(partition_key="b1"), config, table.to_reader())
    assert (check.check_name, check.passed) == ("few_long_words", passed)
    assert check.metadata["long_share"].value == (0 if passed else 0.5)
