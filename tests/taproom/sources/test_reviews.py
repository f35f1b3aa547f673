"""Reviews read out of files: what comes through, what is set aside and why, and what is refused as a whole."""

import bz2
import csv
import gzip
import io
import json
import re
import tracemalloc
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources import reviews
from taproom.sources.reviews import Reason, ReviewFile, ReviewReader, rotten_tomatoes

SCHEMA = pa.schema(
    [
        pa.field("batch", pa.string(), nullable=False),
        pa.field("collection", pa.string(), nullable=False),
        pa.field("review_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("item_name", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("reviewer_id", pa.string()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("overall", pa.float64()),
        pa.field("scores", pa.map_(pa.string(), pa.float64()), nullable=False),
        pa.field("attributes", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)

ROWS = [
    {
        "review_id": "r1",
        "item_id": "7",
        "item_name": "Two Hearted Ale",
        "category": "IPA",
        "reviewer_id": "12",
        "time": "2009-01-18",
        "overall": "15",
        "scores.aroma": "8",
        "scores.taste": "7.5",
        "attributes.brewer": "Bell's",
        "text": 'Light to medium yellow, "frothy".\nMalty, hoppy',
    },
    {
        "review_id": "r2",
        "item_id": "8",
        "item_name": "Früli",
        "category": None,
        "reviewer_id": None,
        "time": None,
        "overall": None,
        "scores.aroma": None,
        "scores.taste": "3",
        "attributes.brewer": None,
        "text": "Strawberries, 草莓 🍓",
    },
]


def as_csv(rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read(file, **options):
    reader = ReviewReader(file, "batch-1", "beers", SCHEMA, **options)
    table = reader.reader().read_all()
    table.validate(full=True)
    counts = reader.counts
    assert counts["rows_kept"] == table.num_rows
    assert sum(counts[reason] for reason in Reason) == counts["rows_read"] - counts["rows_kept"] - counts["left_out"]
    return table, reader


def read_bytes(tmp_path, content, name="reviews.csv", **options):
    (tmp_path / name).write_bytes(content)
    return read(ReviewFile(tmp_path / name, **options))


def rejections(reader):
    return [(row["line"], row["reason"]) for row in reader.rejected.to_pylist()]


# What comes through


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("r.csv", as_csv),
        ("r.CSV", as_csv),
        ("r.tsv", lambda rows: as_csv(rows, "\t")),
        ("r.csv.gz", lambda rows: gzip.compress(as_csv(rows), mtime=0)),
        ("r.csv.bz2", lambda rows: bz2.compress(as_csv(rows))),
        ("r.jsonl", as_jsonl),
        ("r.ndjson.gz", lambda rows: gzip.compress(as_jsonl(rows), mtime=0)),
        ("r.jsonl.bz2", lambda rows: bz2.compress(as_jsonl(rows))),
        ("r.parquet", None),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path, name, encode):
    path = tmp_path / name
    if encode:
        path.write_bytes(encode(ROWS))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    table, reader = read(ReviewFile(path))
    assert table.schema.equals(SCHEMA)
    assert table.to_pylist() == [
        {
            "batch": "batch-1",
            "collection": "beers",
            "review_id": "r1",
            "item_id": "7",
            "item_name": "Two Hearted Ale",
            "category": "IPA",
            "reviewer_id": "12",
            "time": datetime(2009, 1, 18, tzinfo=UTC),
            "overall": 15.0,
            "scores": [("aroma", 8.0), ("taste", 7.5)],
            "attributes": [("brewer", "Bell's")],
            "text": 'Light to medium yellow, "frothy".\nMalty, hoppy',
        },
        {
            "batch": "batch-1",
            "collection": "beers",
            "review_id": "r2",
            "item_id": "8",
            "item_name": "Früli",
            "category": None,
            "reviewer_id": None,
            "time": None,
            "overall": None,
            "scores": [("taste", 3.0)],
            "attributes": [],
            "text": "Strawberries, 草莓 🍓",
        },
    ]
    assert reader.counts == {"rows_read": 2, "rows_kept": 2, "left_out": 0, **dict.fromkeys(Reason, 0)}
    assert reader.rejected.schema.equals(reviews.REJECTED_SCHEMA)
    assert reader.rejected.num_rows == 0


def test_a_mapping_chooses_columns_and_others_are_ignored(tmp_path):
    content = b"beer,stars,note,junk\nFruli,4,Sweet,\xff\n"
    mapping = {"item_name": "beer", "scores.stars": "stars", "attributes.stars": "stars", "text": "note"}
    table, _ = read_bytes(tmp_path, content, columns=mapping)
    (row,) = table.to_pylist()
    assert (row["item_id"], row["item_name"], row["text"]) == ("Fruli", "Fruli", "Sweet")
    assert (row["scores"], row["attributes"]) == ([("stars", 4.0)], [("stars", "4")])


def test_unknown_columns_are_ignored_without_a_mapping(tmp_path):
    table, _ = read_bytes(tmp_path, b"text,item_id,weather\nGood,1,rain\n")
    assert table.num_rows == 1


def test_item_id_and_item_name_stand_in_for_each_other(tmp_path):
    table, reader = read_bytes(tmp_path, b"item_id,item_name,text\n1,,a\n,Ale,b\n2,Bock,c\n, ,d\n")
    assert table.select(["item_id", "item_name"]).to_pydict() == {
        "item_id": ["1", "Ale", "2"],
        "item_name": ["1", "Ale", "Bock"],
    }
    assert rejections(reader) == [(5, "no_item")]


def test_white_space_around_values_goes(tmp_path):
    table, _ = read_bytes(tmp_path, b'item_id,category,overall,text\n 1 ,  , 4 ," Good \n"\n')
    (row,) = table.to_pylist()
    assert (row["item_id"], row["category"], row["overall"], row["text"]) == ("1", None, 4.0, "Good")


def test_an_empty_value_is_a_missing_one_beside_missing_ones_too(tmp_path):
    rows = [{"item_id": 1, "text": "a", "category": ""}, {"item_id": 2, "text": ""}, {"item_id": 3, "text": None}]
    table, reader = read_bytes(tmp_path, as_jsonl(rows), "r.jsonl")
    assert table["category"].to_pylist() == [None]
    assert rejections(reader) == [(2, "empty_text"), (3, "empty_text")]


def test_the_format_can_be_given(tmp_path):
    table, _ = read_bytes(tmp_path, gzip.compress(b"item_id,text\n1,a\n", mtime=0), "dump.txt.gz", format="csv")
    assert table.num_rows == 1


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    table, _ = read_bytes(tmp_path, b"\xef\xbb\xbfitem_id,text\r\n1,a\r\n")
    assert table["item_id"].to_pylist() == ["1"]


def test_another_encoding(tmp_path):
    table, _ = read_bytes(tmp_path, "item_id,text\n1,Früli\n".encode("latin-1"), encoding="latin-1")
    assert table["text"].to_pylist() == ["Früli"]


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
def test_times(tmp_path, given, wanted):
    table, _ = read_bytes(tmp_path, f"item_id,text,time\n1,a,{given}\n".encode())
    assert table["time"].to_pylist() == [wanted]


def test_parquet_columns_of_many_types(tmp_path):
    table = pa.table(
        {
            "item_id": pa.array([1, 2], pa.int32()),
            "category": pa.array(["IPA", "Bock"]).dictionary_encode(),
            "reviewer_id": pa.array([10.0, None], pa.float64()),
            "overall": pa.array([4.8, None], pa.float32()),
            "time": pa.array([datetime(2012, 1, 31, 10), None], pa.timestamp("ns")),
            "attributes.abv": pa.array([4.7, 5], pa.float32()),
            "attributes.brewed": pa.array([date(2012, 1, 1), None]),
            "text": pa.array(["a", "b"], pa.large_string()),
            "tags": pa.array([["x"], []]),
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    read_table, _ = read(ReviewFile(tmp_path / "r.parquet"))
    columns = read_table.to_pydict()
    assert columns["item_id"] == ["1", "2"]
    assert columns["category"] == ["IPA", "Bock"]
    assert columns["reviewer_id"] == ["10", None]
    assert columns["overall"] == [4.8, None]
    assert columns["time"] == [datetime(2012, 1, 31, 10, tzinfo=UTC), None]
    assert columns["attributes"] == [[("abv", "4.7"), ("brewed", "2012-01-01")], [("abv", "5")]]


def test_json_values_of_many_types(tmp_path):
    rows = [
        {"item_id": 1, "text": "a", "overall": 4.5, "time": 1328004672.0, "attributes.on_tap": True},
        {"item_id": 2.0, "text": "b", "overall": "4"},
        {"item_id": None, "text": "c"},
        {"item_id": ["x"], "text": "d"},
        {"item_id": 3, "text": "e", "overall": True},
        {"item_id": 4, "text": "f", "overall": float("nan")},
    ]
    table, reader = read_bytes(tmp_path, as_jsonl(rows), "r.jsonl")
    columns = table.to_pydict()
    assert columns["item_id"] == ["1", "2"]
    assert columns["overall"] == [4.5, 4.0]
    assert columns["time"] == [datetime(2012, 1, 31, 10, 11, 12, tzinfo=UTC), None]
    assert columns["attributes"] == [[("on_tap", "true")], []]
    assert rejections(reader) == [(3, "no_item"), (4, "unreadable"), (5, "bad_score"), (6, "bad_score")]


def test_rotten_tomatoes_without_plots_and_with_titles(tmp_path):
    path = tmp_path / "rotten_tomatoes_corpus_full.csv.bz2"
    path.write_bytes(
        bz2.compress(
            b"category,text,movie_name,has_plot_and_reviews\n"
            b"plot,A boy.,about_a_boy,True\n"
            b"fresh,Sweet.,about_a_boy,True\n"
            b'rotten,"Too long, too loud.",cooler_the,False\n'
            b"fresh,Charming.,pok%e9mon_the_4th_movie,False\n"
        )
    )
    table, reader = read(rotten_tomatoes(path))
    assert table.select(["item_id", "item_name", "category"]).to_pylist() == [
        {"item_id": "about_a_boy", "item_name": "About A Boy", "category": "fresh"},
        {"item_id": "cooler_the", "item_name": "The Cooler", "category": "rotten"},
        {"item_id": "pok%e9mon_the_4th_movie", "item_name": "Pokémon The 4th Movie", "category": "fresh"},
    ]
    assert reader.counts["left_out"] == 1
    assert reader.rejected.num_rows == 0


# Batches and memory


def test_batches_hold_at_most_so_many_rows(tmp_path):
    (tmp_path / "r.csv").write_text("item_id,text\n" + "".join(f"1,text {n}\n" for n in range(25)))
    reader = ReviewReader(ReviewFile(tmp_path / "r.csv"), "b", "c", SCHEMA, rows_per_batch=10)
    assert [batch.num_rows for batch in reader.reader()] == [10, 10, 5]


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_batches_hold_at_most_so_many_bytes(tmp_path, monkeypatch, name):
    monkeypatch.setattr(reviews, "BATCH_BYTES", 50_000)
    rows = [{"item_id": "1", "text": f"{n} " + "long " * 2000} for n in range(20)]
    if name == "r.parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name, use_dictionary=False)
    else:
        (tmp_path / name).write_bytes(as_csv(rows) if name == "r.csv" else as_jsonl(rows))
    sizes = [batch.num_rows for batch in ReviewReader(ReviewFile(tmp_path / name), "b", "c", SCHEMA).reader()]
    assert sum(sizes) == 20
    assert max(sizes) <= 5


def test_memory_stays_bounded_over_long_lines_and_long_texts(tmp_path):
    # 100 MB in one line, then 100 MB in two thousand rows, of which a batch holds a sixth.
    path = tmp_path / "r.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"item_id,text\n1,before\n2,")
        for _ in range(100):
            file.write(b"z" * 1_000_000)
        file.write(b"\n3,after\n")
        for n in range(2000):
            file.write(b"4,%d " % n + b"word " * 10_000 + b"\n")
    tracemalloc.start()
    reader = ReviewReader(ReviewFile(path), "b", "c", SCHEMA)
    batches = [batch.num_rows for batch in reader.reader()]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(batches) == 2002
    assert rejections(reader) == [(3, "too_long")]
    assert peak < 100e6


# Ids and duplicates


def test_a_row_without_an_id_gets_one_from_its_content(tmp_path):
    content = (
        b"item_id,reviewer_id,time,text\n1,u,2012-01-31,a\n1,u,2012-01-31T00:00Z,a\n1,u,,a\n1,v,,a\n2,v,,a\n2,v,,b\n"
    )
    table, reader = read_bytes(tmp_path, content)
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
    assert read_bytes(tmp_path, content)[0]["review_id"].to_pylist() == ids


def test_the_parts_of_an_id_do_not_run_into_each_other(tmp_path):
    table, _ = read_bytes(tmp_path, b"item_id,reviewer_id,text\n1,2,3\n12,,3\n1,23,3\n1,,23\n")
    assert len(set(table["review_id"].to_pylist())) == 4


def test_a_rejected_row_does_not_take_its_id_away_from_a_good_one(tmp_path):
    table, reader = read_bytes(tmp_path, b"review_id,item_id,overall,text\nr,1,bad,a\nr,1,3,b\nr,1,4,c\n")
    assert table["text"].to_pylist() == ["b"]
    assert rejections(reader) == [(2, "bad_score"), (4, "duplicate_review_id")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.integers(0, 60), min_size=1, max_size=200), rows_per_batch=st.integers(1, 50))
def test_the_first_of_an_id_wins_whatever_the_batches(tmp_path, ids, rows_per_batch):
    path = tmp_path / "r.csv"
    path.write_text("review_id,item_id,text\n" + "".join(f"{n},1,text {row}\n" for row, n in enumerate(ids)))
    table, reader = read(ReviewFile(path), rows_per_batch=rows_per_batch)
    assert table["review_id"].to_pylist() == [str(n) for n in dict.fromkeys(ids)]
    repeats = [(row + 2, f"first seen on line {ids.index(n) + 2}") for row, n in enumerate(ids) if n in ids[:row]]
    assert [(row["line"], row["detail"]) for row in reader.rejected.to_pylist()] == repeats


# Rows that are set aside


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
def test_a_bad_row_of_csv_is_set_aside_and_the_good_ones_count(tmp_path, row, reason):
    good = b"9,good %d,3,2012-01-31\n"
    header = b"item_id,text,overall,time\n"
    table, reader = read_bytes(tmp_path, header + good % 1 + row + b"\n" + good % 2)
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
def test_a_bad_row_of_json_lines_is_set_aside_and_the_good_ones_count(tmp_path, row, reason):
    good = b'{"item_id": 1, "text": "good %d"}\n'
    table, reader = read_bytes(tmp_path, good % 1 + b"\n" + row + b"\n" + good % 2, "r.jsonl")
    assert table["text"].to_pylist() == ["good 1", "good 2"]
    assert rejections(reader) == [(3, reason)]


@pytest.mark.parametrize("type", [pa.string(), pa.binary()])
def test_a_bad_row_of_parquet_is_set_aside_and_the_good_ones_count(tmp_path, type):
    texts = [b"good 1", b"bad \xff", None, b"a" * 200_000, b"nul \0", b"good 2"]
    binary = pa.array(texts, pa.binary())
    text = pa.Array.from_buffers(type, len(texts), binary.buffers())
    pq.write_table(pa.table({"item_id": range(6), "text": text}), tmp_path / "r.parquet")
    table, reader = read(ReviewFile(tmp_path / "r.parquet"))
    assert table["text"].to_pylist() == ["good 1", "good 2"]
    assert rejections(reader) == [(2, "wrong_encoding"), (3, "empty_text"), (4, "too_long"), (5, "nul_byte")]


def test_a_row_s_line_is_where_it_starts(tmp_path):
    content = b'item_id,overall,text\n1,3,"one\ntwo\nthree"\n\n2,bad,"four\nfive"\n3,bad,six\n'
    _, reader = read_bytes(tmp_path, content)
    assert rejections(reader) == [(6, "bad_score"), (8, "bad_score")]


def test_a_stray_quote_costs_its_own_row_only(tmp_path):
    good = "".join(f'{n},text {n},"quoted, {n}"\n' for n in range(100))
    content = "item_id,text,category\n" + good + '100,"stray,x\n' + good.replace("text", "more") + '101,z,"stray\n'
    table, reader = read_bytes(tmp_path, content.encode())
    assert table.num_rows == 200
    assert rejections(reader) == [(102, "unreadable"), (203, "unreadable")]


def test_a_stray_quote_that_nothing_closes_costs_its_own_row_only(tmp_path):
    good = "".join(f"{n},text {n}\n" for n in range(20_000))
    table, reader = read_bytes(tmp_path, ('item_id,text\n0,"stray\n' + good).encode())
    assert table.num_rows == 20_000
    assert rejections(reader) == [(2, "too_long")]


def test_a_long_line_inside_quotes_does_not_hide_the_rows_around_it(tmp_path):
    content = b'item_id,text\n1,a\n2,"stray\n3,b\n' + b"z" * 200_000 + b"\n4,c\n"
    table, reader = read_bytes(tmp_path, content)
    assert table["text"].to_pylist() == ["a", "b", "c"]
    assert rejections(reader) == [(3, "too_long"), (5, "too_long")]


def test_a_file_full_of_quotes_is_read_in_linear_time(tmp_path):
    content = b"item_id,text\n1,first\n" + b'x","\n' * 200_000 + b'"\n2,last\n'
    table, reader = read_bytes(tmp_path, content)
    assert "first" in table["text"].to_pylist()
    assert any("are lost" in row["detail"] for row in reader.rejected.to_pylist())


def test_the_first_rejections_are_kept_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(reviews, "MAX_REJECTED_ROWS", 3)
    _, reader = read_bytes(tmp_path, b"item_id,text\n1,a\n" + b"1,\n" * 10)
    assert rejections(reader) == [(3, "empty_text"), (4, "empty_text"), (5, "empty_text")]
    assert reader.counts["empty_text"] == 10


def test_left_out_rows_are_counted_and_not_rejected(tmp_path):
    content = b"item_id,kind,text\n1,plot,a\n2,review,b\n3,plot,\n4,trailer,d\n"
    table, reader = read_bytes(tmp_path, content, drop={"kind": ["plot", "trailer"]})
    assert table["item_id"].to_pylist() == ["2"]
    assert (reader.counts["left_out"], reader.rejected.num_rows) == (3, 0)


def test_reading_again_starts_over(tmp_path):
    (tmp_path / "r.csv").write_text("item_id,text\n1,a\n1,a\n")
    reader = ReviewReader(ReviewFile(tmp_path / "r.csv"), "b", "c", SCHEMA)
    first, counts = reader.reader().read_all(), reader.counts
    assert reader.reader().read_all().equals(first)
    assert reader.counts == counts


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.lists(
        st.one_of(
            st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"1,2,3\n", b'"a\nb"']), st.binary(max_size=9)
        )
    ).map(b"".join),
    name=st.sampled_from(["r.csv", "r.tsv", "r.jsonl", "r.csv.gz"]),
)
def test_whatever_the_bytes_good_rows_come_through_and_all_others_are_counted(tmp_path, content, name):
    first = b'{"item_id": 1, "text": "good"}' if name == "r.jsonl" else b"item_id,text,overall\n0,good,1"
    content = first.replace(b",", b"\t" if name == "r.tsv" else b",") + b"\n" + content
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    table, _ = read(ReviewFile(tmp_path / name))
    assert table["text"][0].as_py() == "good"


# Files that are refused


GZIPPED = gzip.compress(b"item_id,text\n" + b"".join(b"%d,some text %d\n" % (n, n * n) for n in range(50_000)))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("r.csv", b"", "is empty"),
        ("r.parquet", b"", "is empty"),
        ("r.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("r.csv", b"\n\n", "is empty"),
        ("r.csv", b"item_id,text\n", "has no rows"),
        ("r.jsonl", b"\n", "has no rows"),
        ("r.csv", b"item_id,review\n1,a\n", "no column for text.*'item_id', 'review'"),
        ("r.csv", b"beer,text\n1,a\n", "no column for item_id or item_name.*'beer', 'text'"),
        ("r.jsonl", b'{"item_id": 1}\n', "no column for text.*'item_id'"),
        ("r.csv", b"item_id,text,text\n1,a,b\n", "more than one column 'text'"),
        ("r.csv", b'item_id,"te"xt\n1,a\n', "header on line 1 cannot be read"),
        ("r.csv", b"item_id,text,\xff\n1,a,b\n", "header on line 1 .* say what the encoding is"),
        ("r.csv", b"x" * 200_000, "header on line 1 cannot be read"),
        ("r.csv.gz", GZIPPED[: len(GZIPPED) // 2], r"cut off near line [\d,]{4,}"),
        ("r.csv.gz", GZIPPED[:-8] + b"\0\0\0\0" + GZIPPED[-4:], r"damaged near line [\d,]{4,}"),
        ("r.csv.gz", b"item_id,text\n1,a\n", "is not a .gz file"),
        ("r.csv.bz2", b"item_id,text\n1,a\n", "is not a .bz2 file"),
        ("r.csv.bz2", bz2.compress(b"item_id,text\n1,a\n")[:-4], "cut off"),
        ("r.parquet", b"item_id,text\n1,a\n", "cannot be read as Parquet"),
        ("r.xlsx", b"PK", "suffix of 'r.xlsx'.*Wanted: .csv"),
        ("r.parquet.gz", b"PAR1", "suffix of 'r.parquet.gz'"),
        ("r", b"item_id,text\n", "suffix of 'r'"),
        ("r.csv", b"item_id,text\n1,\n,b\n1,\n", "none of its 3 rows.*empty_text 2, no_item 1.*line 2"),
        ("r.jsonl", b"[\n]\n", "none of its 2 rows.*unreadable 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path, name, content, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        read_bytes(tmp_path, content, name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"columns": {"text": "text", "item_id": "beer"}}, "no column 'beer'.*'item_id', 'text'"),
        ({"columns": {"text": "text"}}, "no column for item_id or item_name"),
        ({"columns": {"text": "text", "stars": "x"}}, "names 'stars'.*Wanted: review_id"),
        ({"columns": {"text": "text", "scores.": "x"}}, r"names 'scores\.'"),
        ({"drop": {"kind": ["plot"]}}, "no column 'kind'"),
        ({"drop": {"text": ["a"]}}, "none of its 1 rows.*left_out 1"),
        ({"encoding": "klingon"}, "no encoding is called 'klingon'"),
        ({"encoding": "utf-16"}, "utf-16 cannot be read line by line"),
        ({"format": "xml"}, "format 'xml'"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(tmp_path, options, complaint):
    with pytest.raises(SourceError, match=complaint):
        read_bytes(tmp_path, b"item_id,text\n1,a\n", **options)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SourceError, match="is not there, or no regular file"):
            ReviewReader(ReviewFile(path, format="csv"), "b", "c", SCHEMA)


def test_a_cut_off_parquet_file_and_a_nested_column_are_refused(tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"item_id": ["1"], "text": [["a", "b"]]}), path)
    with pytest.raises(SourceError, match=r"'text' \(list.*Wanted: one"):
        read(ReviewFile(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read(ReviewFile(path))


def test_a_missing_column_is_told_before_the_first_batch(tmp_path):
    (tmp_path / "r.csv").write_text("item_id,review\n1,a\n")
    with pytest.raises(SourceError):
        next(iter(ReviewReader(ReviewFile(tmp_path / "r.csv"), "b", "c", SCHEMA).reader()))


def test_the_error_reaches_python_as_it_is_and_arrow_with_its_message(tmp_path):
    (tmp_path / "r.csv.gz").write_bytes(GZIPPED[: len(GZIPPED) // 2])
    reader = ReviewReader(ReviewFile(tmp_path / "r.csv.gz"), "b", "c", SCHEMA)
    with pytest.raises(SourceError, match="cut off"):
        list(reader.reader())
    with pytest.raises(pa.ArrowInvalid, match="cut off"):
        list(pa.RecordBatchReader.from_stream(reader.reader()))
