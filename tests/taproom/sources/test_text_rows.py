"""Rows of CSV and JSON lines: values of many types, rows that are rejected, headers that are refused."""

import gzip
from datetime import UTC, datetime

import pytest

from taproom.errors import SourceError
from taproom.sources.rejected_rows import Reason
from tests.review_reading import as_jsonl, rejections


def test_a_byte_order_mark_is_no_part_of_the_header(read_bytes):
    table, _ = read_bytes(b"\xef\xbb\xbfitem_id,text\r\n1,a\r\n")
    assert table["item_id"].to_pylist() == ["1"]


def test_json_values_of_many_types(read_bytes):
    rows = [
        {"item_id": 1, "text": "a", "overall": 4.5, "time": 1328004672.0, "attributes.on_tap": True},
        {"item_id": 2.0, "text": "b", "overall": "4"},
        {"item_id": None, "text": "c"},
        {"item_id": ["x"], "text": "d"},
        {"item_id": 3, "text": "e", "overall": True},
        {"item_id": 4, "text": "f", "overall": float("nan")},
    ]
    table, reader = read_bytes(as_jsonl(rows), "r.jsonl")
    columns = table.to_pydict()
    assert columns["item_id"] == ["1", "2"]
    assert columns["overall"] == [4.5, 4.0]
    assert columns["time"] == [datetime(2012, 1, 31, 10, 11, 12, tzinfo=UTC), None]
    assert columns["attributes"] == [[("on_tap", "true")], []]
    assert rejections(reader) == [(3, "no_item"), (4, "unreadable"), (5, "bad_score"), (6, "bad_score")]


def test_a_row_s_line_is_where_it_starts(read_bytes):
    content = b'item_id,overall,text\n1,3,"one\ntwo\nthree"\n\n2,bad,"four\nfive"\n3,bad,six\n'
    _, reader = read_bytes(content)
    assert rejections(reader) == [(6, "bad_score"), (8, "bad_score")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"1,a,b,c,d,e", Reason.UNREADABLE),
        (b"1,a", Reason.UNREADABLE),
        (b'1,"a"b,3,2012-01-31', Reason.UNREADABLE),
        (b"1,a\rb,3,2012-01-31", Reason.UNREADABLE),
        (b"1,Fr\xfcli,3,2012-01-31", Reason.WRONG_ENCODING),
        (b"\xff,a,3,2012-01-31", Reason.WRONG_ENCODING),
        (b"1,a\0b,3,2012-01-31", Reason.NUL_BYTE),
        (b"1," + b"a" * 200_000 + b",3,2012-01-31", Reason.TOO_LONG),
        (b"1, ,3,2012-01-31", Reason.EMPTY_TEXT),
        (b" ,a,3,2012-01-31", Reason.NO_ITEM),
        (b"1,a,good,2012-01-31", Reason.BAD_SCORE),
        (b'1,a,"3,5",2012-01-31', Reason.BAD_SCORE),
        (b"1,a,nan,2012-01-31", Reason.BAD_SCORE),
        (b"1,a,-inf,2012-01-31", Reason.BAD_SCORE),
        (b"1,a,3,yesterday", Reason.BAD_TIME),
        (b"1,a,3,2012-02-31", Reason.BAD_TIME),
        (b"1,a,3,1328004672000", Reason.BAD_TIME),
        (b"1,a,3,1e999", Reason.BAD_TIME),
        (b"1,a,3,0001-01-01T00:00+10:00", Reason.BAD_TIME),
    ],
)
def test_a_bad_row_of_csv_is_set_aside_and_the_good_ones_count(read_bytes, row, reason):
    good = b"9,good %d,3,2012-01-31\n"
    header = b"item_id,text,overall,time\n"
    table, reader = read_bytes(header + good % 1 + row + b"\n" + good % 2)
    assert table["text"].to_pylist() == ["good 1", "good 2"]
    assert rejections(reader) == [(3, reason)]
    assert reader.counts[reason] == 1
    assert reader.rejected["detail"][0].as_py()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"item_id": 1, "text": "a"', Reason.UNREADABLE),
        (b'["item_id", "text"]', Reason.UNREADABLE),
        (b"[" * 100_000, Reason.UNREADABLE),
        (b'{"item_id": %s, "text": "a"}' % (b"1" * 5000), Reason.UNREADABLE),
        (b"{}", Reason.EMPTY_TEXT),
        (b'{"item_id": 1, "text": "a\xff"}', Reason.WRONG_ENCODING),
        (b'{"item_id": 1, "text": "\\ud800"}', Reason.WRONG_ENCODING),
        (b'{"item_id": 1, "text": "a\0"}', Reason.NUL_BYTE),
        (b'{"item_id": 1, "text": "a\\u0000"}', Reason.NUL_BYTE),
        (b'{"item_id": 1, "text": "%s"}' % (b"a" * 200_000), Reason.TOO_LONG),
    ],
)
def test_a_bad_row_of_json_lines_is_set_aside_and_the_good_ones_count(read_bytes, row, reason):
    good = b'{"item_id": 1, "text": "good %d"}\n'
    table, reader = read_bytes(good % 1 + b"\n" + row + b"\n" + good % 2, "r.jsonl")
    assert table["text"].to_pylist() == ["good 1", "good 2"]
    assert rejections(reader) == [(3, reason)]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("r.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("r.csv", b"\n\n", "is empty"),
        ("r.csv", b'item_id,"te"xt\n1,a\n', "header on line 1 cannot be read"),
        ("r.csv", b"item_id,text,\xff\n1,a,b\n", "header on line 1 .* say what the encoding is"),
        ("r.csv", b"x" * 200_000, "header on line 1 cannot be read"),
    ],
)
def test_csv_without_a_header_is_refused_by_name(tmp_path, read_bytes, name, content, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        read_bytes(content, name)
    assert str(tmp_path / name) in str(error.value)
