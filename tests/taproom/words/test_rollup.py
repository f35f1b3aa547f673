from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.reviews.items import DUPLICATE_REVIEWS, ITEMS, REVIEW_BATCHES
from assets.reviews.reviews import CONTRACT as REVIEWS
from assets.reviews.term_counts import CONTRACT as TERM_COUNTS
from taproom.errors import InputError
from taproom.warehouse.content_hash import content_hash
from taproom.words.rollup import ReviewRollup, batch_hashes, token_patterns


def batch_of(batch: str, *rows: dict) -> pa.RecordBatch:
    plain = {
        "collection": "beers",
        "item_id": "ale",
        "item_name": "Ale",
        "text": "pine",
        "scores": [],
        "attributes": [],
    }
    return pa.RecordBatch.from_pylist([{"batch": batch, **plain, **row} for row in rows], schema=REVIEWS.schema)


def rolled_up(*batches: pa.RecordBatch, pattern: str = r"\w+") -> ReviewRollup:
    rollup = ReviewRollup({batch["batch"][0].as_py(): pattern for batch in batches if len(batch)})
    for batch in batches:
        rollup.add(batch)
    return rollup


def test_names_and_categories_are_those_of_most_reviews():
    rollup = rolled_up(
        batch_of(
            "b1",
            {"review_id": "1", "item_name": "Ale", "category": None, "overall": 1.0},
            {"review_id": "2", "item_name": "Pale Ale", "category": None, "overall": None},
            {"review_id": "3", "item_name": "Pale Ale", "category": "IPA", "overall": 4.0},
            {"review_id": "4", "item_id": "tie", "item_name": "B"},
            {"review_id": "5", "item_id": "tie", "item_name": "A"},
        )
    )
    assert rollup.items(ITEMS.schema).to_pylist() == [
        {"item_id": "ale", "item_name": "Pale Ale", "category": "IPA", "spellings": ["Pale Ale", "Ale"],
         "reviews": 3, "mean_overall": 2.5},
        {"item_id": "tie", "item_name": "A", "category": None, "spellings": ["A", "B"], "reviews": 2,
         "mean_overall": None},
    ]  # fmt: skip


def test_a_review_that_an_earlier_batch_has_counts_there_alone():
    rollup = rolled_up(
        batch_of("b1", {"review_id": "1", "text": "Hop pine hop"}),
        batch_of("b2", {"review_id": "1", "text": "Hop pine hop"}, {"review_id": "2"}),
        batch_of("b3", {"review_id": "1", "text": "Hop pine hop"}, {"review_id": "2", "item_id": "stout"}),
    )
    duplicates = rollup.duplicates(DUPLICATE_REVIEWS.schema).to_pylist()
    assert duplicates[0] == {
        "batch": "b2", "review_id": "1", "reason": "duplicate", "kept_in": "b1", "item_id": "ale",
        "words": ["hop", "pine"], "counts": [2, 1],
    }  # fmt: skip
    assert [row["kept_in"] for row in duplicates] == ["b1", "b1"]
    batches = rollup.batches({"b1": "h1", "b2": "h2"}, REVIEW_BATCHES.schema).to_pylist()
    assert [tuple(row.values()) for row in batches] == [
        ("b1", 1, 0, 0, "h1"), ("b2", 1, 1, 0, "h2"), ("b3", 1, 1, 0, "")
    ]  # fmt: skip


OLD, NEW = "a gud beer of malt and hops", "a good beer of malt and hops"


@pytest.mark.parametrize(
    ("batches", "arrivals", "uncounted"),
    [
        ([OLD, NEW], None, {"b0": "b1"}),
        ([OLD, NEW], {"b0": 7, "b1": 3}, {"b1": "b0"}),
        ([OLD, NEW, OLD], {"b0": 1, "b1": 2, "b2": 3}, {"b1": "b0", "b2": "b0"}),
        ([OLD, OLD, NEW], {"b0": 1, "b1": 2, "b2": 3}, {"b0": "b2", "b1": "b2"}),
        ([OLD, "coffee and smoke"], None, {}),
    ],
)
def test_the_newest_version_counts_and_other_texts_are_other_reviews(batches, arrivals, uncounted):
    rows = [batch_of(f"b{place}", {"review_id": "1", "text": text}) for place, text in enumerate(batches)]
    rollup = ReviewRollup({}, arrivals)
    for row in rows:
        rollup.add(row)
    found = rollup.duplicates(DUPLICATE_REVIEWS.schema).to_pylist()
    assert {row["batch"]: row["kept_in"] for row in found} == uncounted
    assert rollup.items(ITEMS.schema)["reviews"].to_pylist() == [len(batches) - len(uncounted)]


def test_a_duplicate_without_words_or_whose_words_were_never_counted_has_none_to_take_away():
    rollup = ReviewRollup({"b1": r"\w+", "b2": r"\w+"})
    for batch, text in (("b1", "pine"), ("b3", "pine")):
        rollup.add(batch_of(batch, {"review_id": "1", "text": text}))
    assert rollup.duplicates(DUPLICATE_REVIEWS.schema)["words"].to_pylist() == [[]]


def test_batches_out_of_order_are_refused():
    with pytest.raises(InputError, match="'b1' was added after 'b2'"):
        rolled_up(batch_of("b2", {"review_id": "1"}), batch_of("b1", {"review_id": "2"}))


@pytest.mark.slow
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=6), min_size=1, max_size=4))
def test_every_review_counts_once_however_the_batches_are_cut(drawn):
    batches = [
        (
            f"b{place}",
            [{"review_id": review, "item_id": item, "item_name": item} for review, item in dict(rows).items()],
        )
        for place, rows in enumerate(drawn)
    ]
    if not any(rows for _, rows in batches):
        return
    whole = rolled_up(*(batch_of(name, *rows) for name, rows in batches))
    pieces = rolled_up(*(batch_of(name, row) for name, rows in batches for row in rows))
    first = {review for _, rows in batches for review in {(row["review_id"], row["item_id"]) for row in rows}}
    items = whole.items(ITEMS.schema)
    assert dict(zip(items["item_id"].to_pylist(), items["reviews"].to_pylist(), strict=True)) == Counter(
        item for _, item in first
    )
    assert pieces.items(ITEMS.schema).equals(items)
    duplicates = whole.duplicates(DUPLICATE_REVIEWS.schema)
    assert pieces.duplicates(DUPLICATE_REVIEWS.schema).equals(duplicates)
    assert len(duplicates) + len(first) == sum(len(rows) for _, rows in batches)


def counted(*rows: tuple[str, str, str]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"batch": batch, "item_id": "ale", "token_pattern": pattern, "words": [word], "counts": [1]}
            for batch, pattern, word in rows
        ],
        schema=TERM_COUNTS.schema,
    )


def test_each_batch_has_its_token_pattern_and_hash():
    table = counted(("b1", r"\w+", "pine"), ("b1", r"\w+", "hop"), ("b2", r"[a-z]+", "pine"))
    assert token_patterns(table) == {"b1": r"\w+", "b2": "[a-z]+"}
    hashes = batch_hashes(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert hashes == {"b1": content_hash(table.slice(0, 2)), "b2": content_hash(table.slice(2))}
    changed = batch_hashes(counted(("b1", r"\w+", "pine"), ("b1", r"\w+", "hop"), ("b2", r"[a-z]+", "smoke")))
    assert (changed["b1"] == hashes["b1"], changed["b2"] == hashes["b2"]) == (True, False)


def test_no_words_have_neither():
    nothing = TERM_COUNTS.schema.empty_table()
    assert token_patterns(nothing) == {}
    assert batch_hashes(nothing) == {}
