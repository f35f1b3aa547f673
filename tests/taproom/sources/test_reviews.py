"""Reviews read out of files: the same rows from every format, in bounded batches, and files without a review."""

import bz2
import gzip
import tracemalloc
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources import parquet_rows, text_rows
from taproom.sources.rejected_rows import REJECTED_SCHEMA, Reason
from taproom.sources.review_files import ReviewFile
from tests.review_reading import SCHEMA, as_csv, as_jsonl, read, reader_of, rejections

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
GZIPPED = gzip.compress(b"item_id,text\n" + b"".join(b"%d,some text %d\n" % (n, n * n) for n in range(50_000)))


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
    assert reader.rejected.schema.equals(REJECTED_SCHEMA)
    assert reader.rejected.num_rows == 0


def test_left_out_rows_are_counted_and_not_rejected(read_bytes):
    content = b"item_id,kind,text\n1,plot,a\n2,review,b\n3,plot,\n4,trailer,d\n"
    table, reader = read_bytes(content, drop={"kind": ["plot", "trailer"]})
    assert table["item_id"].to_pylist() == ["2"]
    assert (reader.counts["left_out"], reader.rejected.num_rows) == (3, 0)


def test_reading_again_starts_over(tmp_path):
    (tmp_path / "r.csv").write_text("item_id,text\n1,a\n1,a\n")
    reader = reader_of(ReviewFile(tmp_path / "r.csv"))
    first, counts = reader.reader().read_all(), reader.counts
    assert reader.reader().read_all().equals(first)
    assert reader.counts == counts


def test_a_rejected_row_does_not_take_its_id_away_from_a_good_one(read_bytes):
    table, reader = read_bytes(b"review_id,item_id,text\nr,1,\nr,1,b\nr,1,b\n")
    assert table["text"].to_pylist() == ["b"]
    assert rejections(reader) == [(2, "empty_text"), (4, "duplicate")]


@pytest.mark.slow
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
    table, _ = read(ReviewFile(tmp_path / name, encoding="utf-8", max_rejected_share=1))
    assert table["text"][0].as_py() == "good"


# Batches and memory


def test_batches_hold_at_most_so_many_rows(tmp_path):
    (tmp_path / "r.csv").write_text("item_id,text\n" + "".join(f"1,text {n}\n" for n in range(25)))
    reader = reader_of(ReviewFile(tmp_path / "r.csv"), rows_per_batch=10)
    assert [batch.num_rows for batch in reader.reader()] == [10, 10, 5]


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_batches_hold_at_most_so_many_bytes(tmp_path, monkeypatch, name):
    for module in (text_rows, parquet_rows):
        monkeypatch.setattr(module, "BATCH_BYTES", 50_000)
    rows = [{"item_id": "1", "text": f"{n} " + "long " * 2000} for n in range(20)]
    if name == "r.parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name, use_dictionary=False)
    else:
        (tmp_path / name).write_bytes(as_csv(rows) if name == "r.csv" else as_jsonl(rows))
    sizes = [batch.num_rows for batch in reader_of(ReviewFile(tmp_path / name)).reader()]
    assert sum(sizes) == 20
    assert max(sizes) <= 5


@pytest.mark.slow
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
    reader = reader_of(ReviewFile(path))
    batches = [batch.num_rows for batch in reader.reader()]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(batches) == 2002
    assert rejections(reader) == [(3, "too_long")]
    assert peak < 100e6


# Files that are refused


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("r.csv", b"item_id,text\n", "has no rows"),
        ("r.jsonl", b"\n", "has no rows"),
        ("r.csv.gz", GZIPPED[: len(GZIPPED) // 2], r"cut off near line [\d,]{4,}"),
        ("r.csv.gz", GZIPPED[:-8] + b"\0\0\0\0" + GZIPPED[-4:], r"damaged near line [\d,]{4,}"),
        ("r.csv.gz", b"item_id,text\n1,a\n", "is not a .gz file"),
        ("r.csv.bz2", b"item_id,text\n1,a\n", "is not a .bz2 file"),
        ("r.csv.bz2", bz2.compress(b"item_id,text\n1,a\n")[:-4], "cut off"),
        ("r.csv", b"item_id,text\n1,\n,b\n1,\n", "none of its 3 rows.*empty_text 2, no_item 1.*line 2"),
        ("r.jsonl", b"[\n]\n", "none of its 2 rows.*unreadable 2"),
    ],
)
def test_a_file_without_reviews_is_refused_by_name(tmp_path, read_bytes, name, content, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        read_bytes(content, name)
    assert str(tmp_path / name) in str(error.value)


def test_a_missing_column_is_told_before_the_first_batch(tmp_path):
    (tmp_path / "r.csv").write_text("item_id,review\n1,a\n")
    with pytest.raises(SourceError):
        next(iter(reader_of(ReviewFile(tmp_path / "r.csv")).reader()))


def test_the_error_reaches_python_as_it_is_and_arrow_with_its_message(tmp_path):
    (tmp_path / "r.csv.gz").write_bytes(GZIPPED[: len(GZIPPED) // 2])
    reader = reader_of(ReviewFile(tmp_path / "r.csv.gz"))
    with pytest.raises(SourceError, match="cut off"):
        list(reader.reader())
    with pytest.raises(pa.ArrowInvalid, match="cut off"):
        list(pa.RecordBatchReader.from_stream(reader.reader()))


def test_text_in_a_wrong_encoding_is_counted_and_repaired_on_demand(tmp_path):
    path = tmp_path / "beers.csv"
    path.write_text("item_name,text\nFrÃ¼h KÃ¶lsch,sÃ¼ffig\nAlt,malty\n", encoding="utf-8")
    table, reader = read(ReviewFile(path))
    assert table["text"].to_pylist() == ["sÃ¼ffig", "malty"]
    assert reader.mojibake_share == 0.5
    assert any("1 texts were read in a wrong encoding" in note for note in reader.notes)
    repaired, _ = read(ReviewFile(path, repair_mojibake=True))
    assert repaired["text"].to_pylist() == ["süffig", "malty"]
    assert repaired["item_name"].to_pylist() == ["Früh Kölsch", "Alt"]
    assert repaired["review_id"].to_pylist()[1] == table["review_id"].to_pylist()[1]
