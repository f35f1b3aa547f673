"""Whatever happens to a good file, each of its rows is read, rejected and counted, or the file is refused by name."""

import bz2
import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources.review_files import ReviewFile
from tests.damaged_content import bounded_memory, damaged, many_examples
from tests.review_reading import as_csv, as_jsonl, read

ROWS = [
    {
        "review_id": f"r{number}",
        "item_id": str(number % 4),
        "overall": f"{number % 5}/5",
        "time": f"2012-01-{number + 1:02d}",
        "text": f'text {number}, with a "word",\nand a line. Früli',
    }
    for number in range(20)
]
BEERS = "".join(f"beer/name: Ale\nreview/overall: 3\nreview/text: text {number}\n\n" for number in range(20))


def _as_parquet(rows):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def _as_array(rows):
    return b"[" + b",".join(as_jsonl(rows).splitlines()) + b"]"


GOOD = {
    "r.csv": as_csv(ROWS),
    "r.tsv": as_csv(ROWS, "\t"),
    "r.csv.gz": gzip.compress(as_csv(ROWS), mtime=0),
    "r.csv.bz2": bz2.compress(as_csv(ROWS)),
    "utf16.csv": as_csv(ROWS).decode().encode("utf-16"),
    "r.jsonl": as_jsonl(ROWS),
    "dicts.json": b"".join(repr(row).encode() + b"\n" for row in ROWS),
    "r.json": _as_array(ROWS),
    "r.txt": BEERS.encode(),
    "r.parquet": _as_parquet(ROWS),
    "r.csv.zst": pa.Codec("zstd").compress(as_csv(ROWS), asbytes=True),
}


def outcome(file):
    """What reading the file gives, or why it is refused."""
    try:
        return read(file)
    except SourceError as error:
        return error


@many_examples(300)
@given(damaged(GOOD), st.sampled_from([0.1, 1.0]))
def test_a_damaged_file_gives_rows_and_counts_or_a_named_error(tmp_path, file, max_rejected_share):
    name, content = file
    path = tmp_path / name
    path.write_bytes(content)
    with bounded_memory():
        read_or_refused = outcome(ReviewFile(path, max_rejected_share=max_rejected_share))
    if isinstance(read_or_refused, SourceError):
        assert str(path) in str(read_or_refused)
        return
    table, reader = read_or_refused
    assert reader.rejected_share <= max_rejected_share
    assert len(set(table["review_id"].to_pylist())) == table.num_rows
    assert None not in table["text"].to_pylist()


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_gives_all_rows(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name])
    table, reader = read(ReviewFile(tmp_path / name))
    expected = [f"text {number}" for number in range(20)] if name == "r.txt" else [row["text"] for row in ROWS]
    assert (table["text"].to_pylist(), reader.rejected.num_rows) == (expected, 0)
