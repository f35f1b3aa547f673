"""The fields of a review: blank values, items, times, and ids made of the content."""

import re
from datetime import UTC, datetime

import pytest

from tests.review_reading import as_jsonl, rejections, values_left_out


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
        ("2012", datetime(2012, 1, 1, tzinfo=UTC)),
        ("201203", datetime(2012, 3, 1, tzinfo=UTC)),
        ("20120131.0", datetime(2012, 1, 31, tzinfo=UTC)),
        ("43831", datetime(2020, 1, 1, tzinfo=UTC)),
        ("1328004672000", datetime(2012, 1, 31, 10, 11, 12, tzinfo=UTC)),
        ("18/01/2009", datetime(2009, 1, 18, tzinfo=UTC)),
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
            "reason": "duplicate",
            "detail": "the same as on line 2",
        }
    ]
    assert read_bytes(content)[0]["review_id"].to_pylist() == ids


def test_the_parts_of_an_id_do_not_run_into_each_other(read_bytes):
    table, _ = read_bytes(b"item_id,reviewer_id,text\n1,2,3\n12,,3\n1,23,3\n1,,23\n")
    assert len(set(table["review_id"].to_pylist())) == 4


def test_without_a_reviewer_the_scores_tell_short_texts_apart(read_bytes):
    table, reader = read_bytes(b"item_id,overall,text\n1,2,very good\n1,4,very good\n1,4,very good\n2,4,very good\n")
    assert table["overall"].to_pylist() == [2, 4, 4]
    assert rejections(reader) == [(4, "duplicate")]


def test_dates_are_read_in_the_stated_order(read_bytes):
    content = b"item_id,text,time\n1,a,05/06/2009\n"
    for order, month in (("dmy", 6), ("mdy", 5)):
        table, _ = read_bytes(content, date_order=order)
        assert table["time"][0].as_py().month == month
    _, reader = read_bytes(content)
    assert "set `date_order`" in reader.notes[0]


def test_scores_keep_their_scale(read_bytes):
    table, reader = read_bytes("item_id,text,overall,scores.aroma\n1,a,15/20,4 stars\n1,b,4/5,★★★☆☆\n".encode())
    assert table["overall"].to_pylist() == [15, 4]
    assert reader.score_scales == {"overall": [5, 20], "scores.aroma": [5]}
    assert reader.notes == ["overall is written on several scales (5, 20); its values are not comparable"]


def test_ids_are_written_alike_whatever_their_type(read_bytes):
    table, reader = read_bytes(b"review_id,item_id,text\n1.0,9780140000001.0,a\n2,9.78014E+12,b\n3.14159E+11,7,c\n")
    assert table["item_id"].to_pylist() == ["9780140000001", "7"]
    assert table["review_id"][0].as_py() == "1"
    assert rejections(reader) == [(3, "no_item")]
    assert values_left_out(reader) == {"rounded_id": 1}


def test_names_that_look_the_same_are_one_item(read_bytes):
    names = ["Café été", "Cafe\u0301 e\u0301te\u0301", "Café  été", "café été"]
    table, _ = read_bytes(("item_name,text\n" + "".join(f"{name},a {name}\n" for name in names)).encode())
    assert table["item_id"].to_pylist() == ["Café été"] * 3 + ["café été"]
    assert table["item_name"].to_pylist() == names


def test_html_is_taken_out_of_texts_and_names(read_bytes):
    content = b"item_id,item_name,text\n1,Hook &amp; Ladder,it&#39;s <b>so</b> good<br />&amp;lt; fine <3\n2,b,<br />\n"
    table, reader = read_bytes(content)
    assert table.select(["item_name", "text"]).to_pylist() == [
        {"item_name": "Hook & Ladder", "text": "it's so good &lt; fine <3"}
    ]
    assert rejections(reader) == [(3, "empty_text")]
    table, _ = read_bytes(content, html="keep")
    assert table["text"][1].as_py() == "<br />"
