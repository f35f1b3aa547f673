"""Rows of Parquet files: columns of many types, rows that are rejected, files that are refused."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taproom.errors import SourceError
from taproom.sources.review_files import ReviewFile
from tests.review_reading import read, rejections, values_left_out


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


@pytest.mark.parametrize("type", [pa.string(), pa.binary()])
def test_a_bad_row_of_parquet_is_set_aside_and_the_good_ones_count(tmp_path, type):
    texts = [b"good 1", b"bad \xff", None, b"a" * 200_000, b"nul \0", b"good 2"]
    binary = pa.array(texts, pa.binary())
    text = pa.Array.from_buffers(type, len(texts), binary.buffers())
    pq.write_table(pa.table({"item_id": range(6), "text": text}), tmp_path / "r.parquet")
    table, reader = read(ReviewFile(tmp_path / "r.parquet", max_rejected_share=1))
    assert table["text"].to_pylist() == ["good 1", "good 2"]
    assert rejections(reader) == [(2, "wrong_encoding"), (3, "empty_text"), (4, "too_long"), (5, "nul_byte")]


def test_another_format_called_parquet_is_refused(read_bytes):
    with pytest.raises(SourceError, match=r"r\.parquet cannot be read as Parquet"):
        read_bytes(b"item_id,text\n1,a\n", "r.parquet")


def test_a_cut_off_parquet_file_and_nested_texts_are_refused(tmp_path):
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"item_id": ["1"], "text": [["a", "b"]]}), path)
    with pytest.raises(SourceError, match=r"text holds a list<.*, not one value"):
        read(ReviewFile(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read(ReviewFile(path))


def test_nested_values_of_other_columns_are_left_out(tmp_path):
    table = pa.table({"item_id": ["1", "2"], "text": ["a", "b"], "attributes.style": [{"size": "1 l"}, None]})
    pq.write_table(table, tmp_path / "r.parquet")
    read_table, reader = read(ReviewFile(tmp_path / "r.parquet"))
    assert read_table["attributes"].to_pylist() == [[], []]
    assert values_left_out(reader) == {"not_one_value": 1}


@pytest.mark.parametrize("type", [pa.int64(), pa.float64(), pa.string(), pa.decimal128(20, 1)])
def test_ids_are_written_alike_whatever_their_type(tmp_path, type):
    ids = pa.array([9_780_140_000_001, 9_780_140_000_010, 7])
    pq.write_table(pa.table({"item_id": ids.cast(type), "text": ["a", "b", "c"]}), tmp_path / "r.parquet")
    table, _ = read(ReviewFile(tmp_path / "r.parquet"))
    assert table["item_id"].to_pylist() == ["9780140000001", "9780140000010", "7"]


@pytest.mark.parametrize(("type", "value"), [(pa.float64(), 2.0**60), (pa.float32(), 2.0**25)])
def test_ids_whose_digits_the_type_does_not_hold_are_refused(tmp_path, type, value):
    pq.write_table(pa.table({"item_id": pa.array([value, 7], type), "text": ["a", "b"]}), tmp_path / "r.parquet")
    table, reader = read(ReviewFile(tmp_path / "r.parquet", max_rejected_share=1))
    assert (table["item_id"].to_pylist(), rejections(reader)) == (["7"], [(1, "no_item")])
