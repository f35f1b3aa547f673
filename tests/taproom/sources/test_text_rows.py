"""Rows of CSV and JSON lines: values of many types, rows that are rejected, headers that are refused."""

import gzip
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taproom.errors import SourceError
from taproom.sources.rejected_rows import Reason
from taproom.sources.review_files import ReviewFile
from tests.review_reading import as_csv, as_jsonl, read, rejections, values_left_out


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
        {"item_id": 9780140000001.0, "text": "g", "category": {"a": 1}, "overall": []},
        {"item_id": 2.0**60, "text": "h"},
    ]
    table, reader = read_bytes(as_jsonl(rows), "r.jsonl")
    columns = table.to_pydict()
    assert columns["item_id"] == ["1", "2", "3", "4", "9780140000001"]
    assert columns["overall"] == [4.5, 4.0, None, None, None]
    assert columns["time"] == [datetime(2012, 1, 31, 10, 11, 12, tzinfo=UTC), None, None, None, None]
    assert columns["attributes"] == [[("on_tap", "true")], [], [], [], []]
    assert rejections(reader) == [(3, "no_item"), (4, "unreadable"), (8, "no_item")]
    assert values_left_out(reader) == {"bad_score": 1, "not_one_value": 1}


def test_a_row_s_line_is_where_it_starts(read_bytes):
    content = b'item_id,overall,text\n1,3,"one\ntwo\nthree"\n\n,3,"four\nfive"\n,3,six\n'
    _, reader = read_bytes(content)
    assert rejections(reader) == [(6, "no_item"), (8, "no_item")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"1,a,b,c,d,e", Reason.UNREADABLE),
        (b"1,a", Reason.UNREADABLE),
        (b'1,"a"b,3,2012-01-31', Reason.UNREADABLE),
        (b"1,a\rb,3,2012-01-31", Reason.UNREADABLE),
        (b"1,Fr\x81li,3,2012-01-31", Reason.WRONG_ENCODING),
        (b"\xff,a,3,2012-01-31", Reason.WRONG_ENCODING),
        (b"1,a\0b,3,2012-01-31", Reason.NUL_BYTE),
        (b"1," + b"a" * 200_000 + b",3,2012-01-31", Reason.TOO_LONG),
        (b"1, ,3,2012-01-31", Reason.EMPTY_TEXT),
        (b" ,a,3,2012-01-31", Reason.NO_ITEM),
    ],
)
def test_a_bad_row_of_csv_is_set_aside_and_the_good_ones_count(read_bytes, row, reason):
    good = b"9,good %d,3,2012-01-31\n"
    header = b"item_id,text,overall,time\n"
    table, reader = read_bytes(header + good % 1 + row + b"\n" + good % 2, quoting="quoted")
    assert table["text"].to_pylist() == ["good 1", "good 2"]
    assert rejections(reader) == [(3, reason)]
    assert reader.counts[reason] == 1
    assert reader.rejected["detail"][0].as_py()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"item_id": 1, "text": "a"', Reason.UNREADABLE),
        (b'{"item_id": [1], "text": "a"}', Reason.UNREADABLE),
        (b'{"item_id": 1, "text": {"a": "b"}}', Reason.UNREADABLE),
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
    ("score", "time", "reason"),
    [
        ("good", "2012-01-31", "bad_score"),
        ("-inf", "2012-01-31", "bad_score"),
        ("21/20", "2012-01-31", "bad_score"),
        ("3", "yesterday", "bad_time"),
        ("3", "2012-02-31", "bad_time"),
        ("3", "1e999", "bad_time"),
        ("3", "86400", "bad_time"),
        ("3", "0001-01-01T00:00+10:00", "bad_time"),
        ("3", "05/06/2012", "ambiguous_time"),
        ("3", "2012-01-31\0", "value_with_nul_byte"),
    ],
)
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_a_bad_value_is_left_out_and_counted_and_its_row_counts(tmp_path, name, score, time, reason):
    rows = [{"item_id": "1", "text": "a", "overall": "4", "time": "2012"}]
    rows.append({"item_id": "1", "text": "b", "overall": score, "time": time})
    path = tmp_path / name
    if name == "r.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_bytes(as_csv(rows) if name == "r.csv" else as_jsonl(rows))
    table, reader = read(ReviewFile(path))
    (_, row) = table.to_pylist()
    assert (row["overall"] is None, row["time"] is None) == (reason == "bad_score", reason != "bad_score")
    assert values_left_out(reader) == {reason: 1}
    assert reader.rejected.num_rows == 0
    assert any(reason in note for note in reader.notes)


@pytest.mark.parametrize("missing", ["NaN", "NA", "N/A", "NULL", "null", "None", "-", ""])
def test_missing_numbers_and_times_are_null_and_no_fault(read_bytes, missing):
    table, reader = read_bytes(f"item_id,text,overall,time,category\n1,a,{missing},{missing},NaN\n2,NaN,1,,\n".encode())
    assert table.select(["overall", "time", "category"]).to_pylist() == [
        {"overall": None, "time": None, "category": None}
    ]
    assert values_left_out(reader) == {}
    assert rejections(reader) == [(3, "empty_text")]


@pytest.mark.parametrize("count", [0, 12_000])
def test_a_key_counts_wherever_it_comes_first(tmp_path, count):
    rows = [{"item_id": 1, "text": f"text {row}"} for row in range(count)]
    rows.append({"item_id": 2, "text": "late", "overall": 4, "time": "2012", "scores.aroma": 3})
    (tmp_path / "r.jsonl").write_bytes(as_jsonl(rows))
    table, _ = read(ReviewFile(tmp_path / "r.jsonl"))
    last = table.slice(count).to_pylist()[0]
    assert (last["overall"], last["time"].year, last["scores"]) == (4, 2012, [("aroma", 3)])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_delimiters_and_line_ends_are_recognised(read_bytes, delimiter, end):
    rows = [[b"Item ID ", b"TEXT", b"overall"], [b"1", b"good; very, good", b"4,5"], [b"2", b'"quoted"', b"3"]]
    rows = [delimiter.join(b'"%s"' % value if delimiter in value else value for value in row) for row in rows]
    table, reader = read_bytes(end.join(rows) + end, columns={"item_id": "item id"})
    assert table["overall"].to_pylist() == [4.5, 3.0]
    assert table["text"].to_pylist()[0] == "good; very, good"
    assert reader.form["delimiter"] == delimiter.decode()


def test_a_delimiter_that_the_file_names_is_no_row(read_bytes):
    table, reader = read_bytes(b"sep=;\nitem_id;text\n1;a\n")
    assert (table["text"].to_pylist(), rejections(reader)) == (["a"], [])


def test_tsv_without_quoting_keeps_every_row(read_bytes):
    quotes = {0: ('"', ""), 5: ("", '"')}
    rows = [f"{n}\t{f'text {n}'.join(quotes.get(n % 9, ('', '')))}" for n in range(100)]
    table, reader = read_bytes("\n".join(["item_id\ttext", *rows]).encode(), "r.tsv")
    assert (table.num_rows, reader.form["quoting"]) == (100, "none")
    assert table["text"][0].as_py() == '"text 0'


@pytest.mark.parametrize("name", ["r.csv", "r.tsv"])
def test_a_quote_that_swallows_rows_is_noticed(read_bytes, name):
    lines = ["item_id,overall,text", '0,1,"a, b"', '1,2,"stray', "2,3,good", "3,4,good", '4,5,"quoted"', "5,1,end"]
    content = "\n".join(line.replace(",", "\t", 2) if name == "r.tsv" else line for line in lines)
    table, reader = read_bytes(content.encode(), name, quoting="quoted")
    assert table["item_id"].to_pylist() == ["0", "2", "3", "4", "5"]
    assert rejections(reader) == [(3, "unreadable")]


def test_backslashes_before_quotes_are_recognised(read_bytes):
    table, reader = read_bytes(b'item_id,text\n1,"he said \\"good, very\\" twice"\n2,"plain"\n')
    assert table["text"].to_pylist() == ['he said "good, very" twice', "plain"]
    assert reader.form["quoting"] == "escaped"


def test_a_header_in_the_middle_is_no_row(read_bytes):
    content = b"\xef\xbb\xbfitem_id,text\n1,a\n"
    table, reader = read_bytes(content + content.replace(b"1,a", b"2,b"))
    assert table["item_id"].to_pylist() == ["1", "2"]
    assert rejections(reader) == [(3, "repeated_header")]
    assert reader.rejected_share == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.json", b'[{"item_id": 1, "text": "a"},\n {"text": "b", "item_id": 2, "overall": 4}]'),
        ("r.json", b'{"item_id": 1, "text": "a"}\n{"text": "b", "item_id": 2, "overall": 4}\n'),
        ("r.json", b"{'item_id': 1, 'text': 'a', 'x': None}\n{'text': 'b', 'item_id': 2, 'overall': 4}\n"),
        ("r.jsonl", b'[\n  {\n "item_id": 1,\n "text": "a"\n },\n {"text": "b", "item_id": 2, "overall": 4}\n]\n'),
        ("r.txt", b'{"item_id": 1, "text": "a"}\n{"text": "b", "item_id": 2, "overall": 4}\n'),
        ("r.txt", b"item_id|text|overall\n1|a|\n2|b|4\n"),
    ],
)
def test_objects_are_recognised_whatever_the_file_is_called(read_bytes, name, content):
    table, _ = read_bytes(content, name)
    assert table.select(["item_id", "text", "overall"]).to_pydict() == {
        "item_id": ["1", "2"],
        "text": ["a", "b"],
        "overall": [None, 4.0],
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'[{"item_id": 1, "text": "a"}, {"item_id"', "line 1 it is cut off"),
        (b'[{"item_id": 1, "text": "a"}\n', "is cut off"),
        (b'[{"item_id": 1, "item_id": 2}]', "has the field 'item_id' twice"),
    ],
)
def test_a_damaged_array_is_refused(read_bytes, content, complaint):
    with pytest.raises(SourceError, match=complaint):
        read_bytes(content, "r.json")


def test_a_bad_element_of_an_array_is_set_aside(read_bytes):
    content = b'[{"item_id": 1, "text": "a"},\n 5,\n {"item_id": 1, "text": "%s"}]' % (b"a" * 200_000)
    table, reader = read_bytes(content, "r.json")
    assert (table.num_rows, rejections(reader)) == (1, [(2, "unreadable"), (3, "too_long")])


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("r.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("r.csv", b"\n\n", "is empty"),
        ("r.csv", b'item_id,"te"xt\n1,a\n', "no column for text"),
        ("r.csv", b"item_id,text,\xff\n1,a,b\n", "header on line 1 .* say what the encoding is"),
        ("r.csv", b"x" * 200_000, "header on line 1 cannot be read"),
    ],
)
def test_csv_without_a_header_is_refused_by_name(tmp_path, read_bytes, name, content, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        read_bytes(content, name)
    assert str(tmp_path / name) in str(error.value)
