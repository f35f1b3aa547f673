"""The fields of a review: blank values, items, times, and ids made of the content."""

import re
from datetime import UTC, datetime

import pytest

from tests.review_reading import as_jsonl, rejections


def test_item_id_and_item_name_stand_in_for_each_other(read_bytes):
    table, reader = read_bytes(b"item_id,item_name,text\n1,,a\n,Ale,b\n2,Bock,c\n, ,d\n")
    assert table.select(["item_id", "item_name"]).to_pydict() == {
        "item_id": ["1", "Ale", "2"],
        "item_name": ["1", "Ale", "Bock"],
    }
    assert rejections(reader) == [(5, "no_item")]


def test_white_space_around_values_goes(read_bytes):
    table, _ = read_bytes(b'item_id,category,overall,text\n 1 ,  , 4 ," Good \n"\n')
    (row,) = table.to_pylist()
    assert (row["item_id"], row["category"], row["overall"], row["text"]) == ("1", None, 4.0, "Good")


def test_an_empty_value_is_a_missing_one_beside_missing_ones_too(read_bytes):
    rows = [{"item_id": 1, "text": "a", "category": ""}, {"item_id": 2, "text": ""}, {"item_id": 3, "text": None}]
    table, reader = read_bytes(as_jsonl(rows), "r.jsonl")
    assert table["category"].to_pylist() == [None]
    assert rejections(reader) == [(2, "empty_text"), (3, "empty_text")]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2012-01-31", datetime(2012, 1, 31, tzinfo=UTC)),
        ("20120131", datetime(2012, 1, 31, tzinfo=UTC)),
        ("2012-01-31T10:11:12", datetime(2012, 1, 31, 10, 11, 12, tzinfo=UTC)),
        ("2012-01-31 10:11:12.5Z", datetime(2012, 1, 31, 10, 11, 12, 500_000, tzinfo=UTC)),
        ("2012-01-31T10:11:12+02:00", datetime(2012, 1, 31, 8, 11, 12, tzinfo=UTC)),
        ("1328004672", datetime(2012, 1, 31, 10, 11, 12, tzinfo=UTC)),
        ("1328004672.25", datetime(2012, 1, 31, 10, 11, 12, 250_000, tzinfo=UTC)),
        ("-1", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", None),
    ],
)
def test_times(read_bytes, given, wanted):
    table, _ = read_bytes(f"item_id,text,time\n1,a,{given}\n".encode())
    assert table["time"].to_pylist() == [wanted]


def test_a_row_without_an_id_gets_one_from_its_content(read_bytes):
    content = (
        b"item_id,reviewer_id,time,text\n1,u,2012-01-31,a\n1,u,2012-01-31T00:00Z,a\n1,u,,a\n1,v,,a\n2,v,,a\n2,v,,b\n"
    )
    table, reader = read_bytes(content)
    ids = table["review_id"].to_pylist()
    assert all(re.fullmatch("[0-9a-f]{16}", review_id) for review_id in ids)
    assert len(set(ids)) == 5
    assert reader.rejected.to_pylist() == [
        {
            "batch": "batch-1",
            "file": "reviews.csv",
            "line": 3,
            "review_id": ids[0],
            "reason": "duplicate_review_id",
            "detail": "first seen on line 2",
        }
    ]
    assert read_bytes(content)[0]["review_id"].to_pylist() == ids


def test_the_parts_of_an_id_do_not_run_into_each_other(read_bytes):
    table, _ = read_bytes(b"item_id,reviewer_id,text\n1,2,3\n12,,3\n1,23,3\n1,,23\n")
    assert len(set(table["review_id"].to_pylist())) == 4
