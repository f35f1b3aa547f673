import hashlib
import io
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taproom.warehouse.column_ranges import byte_ranges, chunks_of

ROWS = pa.table(
    {
        "number": range(100),
        "word": ["ale", "bock"] * 50,
        "words": [["malt"], []] * 50,
        "counts": pa.array([{"malt": 1}, {}] * 50, pa.map_(pa.string(), pa.int64())),
        "nothing": pa.nulls(100, pa.float64()),
    }
)


def parquet_bytes(**options):
    sink = io.BytesIO()
    pq.write_table(ROWS, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("options", [{}, {"row_group_size": 30}, {"use_dictionary": False}, {"compression": "zstd"}])
def test_ranges_are_the_whole_file_behind_the_magic_number(options):
    content = parquet_bytes(**options)
    ranges = byte_ranges(content)
    parts = [content[start:end] for start, end in pairwise([*(part.start for part in ranges), len(content)])]
    assert content == b"PAR1" + b"".join(parts)
    assert all(parts)
    assert [part.sha256 for part in ranges] == [hashlib.sha256(part).hexdigest() for part in parts]
    metadata = pq.read_metadata(io.BytesIO(content))
    assert len(ranges) == metadata.num_row_groups * metadata.num_columns + 1


def test_nested_columns_have_several_chunks_in_each_row_group():
    metadata = pq.read_metadata(io.BytesIO(parquet_bytes(row_group_size=50)))
    assert chunks_of(metadata, ["word"]) == [1, 7]
    assert chunks_of(metadata, {"counts", "number"}) == [0, 3, 4, 6, 9, 10]
    assert chunks_of(metadata, ["absent"]) == []
