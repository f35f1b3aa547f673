import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from taproom.sources.spool import Spool

SCHEMA = pa.schema({"number": pa.int64(), "text": pa.string()})


@given(sizes=st.lists(st.integers(0, 5), max_size=6), data=st.data())
def test_rows_come_back_in_order_and_by_position(sizes, data):
    spool, count = Spool(SCHEMA), 0
    for size in sizes:
        numbers = list(range(count, count + size))
        spool.add(pa.record_batch({"number": numbers, "text": [f"text {n}" for n in numbers]}, SCHEMA))
        count += size
    assert len(spool) == count
    assert [number for batch in spool for number in batch["number"].to_pylist()] == list(range(count))
    wanted = sorted(data.draw(st.sets(st.integers(0, count - 1)))) if count else []
    assert spool.rows(wanted)["number"].to_pylist() == wanted
    assert spool.rows(wanted, ["text"]).column_names == ["text"]
