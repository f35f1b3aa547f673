import re
from datetime import date
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from taproom.errors import ContractError
from taproom.warehouse.content_hash import ContentHash, content_hash

DAYS = st.dates(date(1970, 1, 1), date(2100, 1, 1))
COLUMNS = {
    "count": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "score": (pa.float64(), st.floats(allow_nan=False)),
    "fresh": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=4)),
    "pixels": (pa.binary(), st.binary(max_size=4)),
    "time": (pa.timestamp("us", tz="UTC"), st.integers(-(2**53), 2**53)),
    "day": (pa.date32(), DAYS),
    "words": (pa.list_(pa.string()), st.lists(st.none() | st.text(max_size=2), max_size=3)),
    "ranks": (pa.list_(pa.list_(pa.int16())), st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=2)),
    "scores": (
        pa.map_(pa.string(), pa.float64()),
        st.dictionaries(st.text(max_size=2), st.none() | st.floats(0, 5), max_size=3).map(
            lambda pairs: [*pairs.items()]
        ),
    ),
    "place": (
        pa.struct([("town", pa.string()), ("at", pa.list_(pa.int8()))]),
        st.fixed_dictionaries({"town": st.none() | st.text(max_size=2), "at": st.lists(st.integers(0, 9), max_size=2)}),
    ),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | value for name, (_, value) in COLUMNS.items()}), max_size=6)


def table_of(rows, schema=SCHEMA):
    return pa.Table.from_pylist(rows, schema=schema)


def said_by(values):
    return repr(values.to_pylist())  # unlike ==, tells -0.0 from 0.0


def hash_of(values, kind=None):
    return content_hash(pa.table({"x": values if isinstance(values, pa.Array) else pa.array(values, kind)}))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(ROWS, st.lists(st.integers(0, 6), max_size=4))
def test_hash_does_not_depend_on_where_batches_are_cut(rows, cuts):
    table = table_of(rows)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [table.slice(start, stop - start) for start, stop in pairwise(edges)]
    whole = ContentHash(SCHEMA)
    for part in parts:
        for batch in part.to_batches() or [pa.RecordBatch.from_pylist([], schema=SCHEMA)]:
            whole.update(batch)
    assert whole.hexdigest() == content_hash(table)
    assert whole.rows == len(rows)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(ROWS, ROWS, ROWS)
def test_hash_does_not_depend_on_the_buffers_of_a_slice(before, rows, after):
    alone, within = table_of(rows), table_of(before + rows + after).slice(len(before), len(rows))
    assert content_hash(within) == content_hash(alone)
    assert content_hash(within.combine_chunks()) == content_hash(alone)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(ROWS, ROWS)
def test_tables_have_the_same_hash_exactly_if_their_rows_are_equal(first, second):
    first, second = table_of(first), table_of(second)
    assert (content_hash(first) == content_hash(second)) == (said_by(first) == said_by(second))


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(sorted(COLUMNS)))
def test_one_changed_value_changes_the_hash(data, name):
    kind, value = COLUMNS[name]
    values = data.draw(st.lists(st.none() | value, min_size=1, max_size=5))
    row = data.draw(st.integers(0, len(values) - 1))
    changed = [*values[:row], data.draw(st.none() | value), *values[row + 1 :]]
    assume(said_by(pa.array(changed, kind)) != said_by(pa.array(values, kind)))
    assert hash_of(changed, kind) != hash_of(values, kind)


WORDS = pa.list_(pa.string())
SCORES = pa.map_(pa.string(), pa.int64())


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (pa.int64(), [1, 2], [2, 1]),
        (pa.int64(), [1, 2], [1, 2, 0]),
        (pa.int64(), [0, None], [None, 0]),
        (pa.bool_(), [False], [None]),
        (pa.string(), ["ab", "c"], ["a", "bc"]),
        (pa.string(), [""], [None]),
        (pa.binary(), [b"\0"], [b""]),
        (pa.float64(), [1.0], [1.0000000000000002]),
        (pa.timestamp("us"), [0], [None]),
        (pa.timestamp("us"), [1], [2]),
        (WORDS, [["a", "b"], []], [["a"], ["b"]]),
        (WORDS, [[]], [None]),
        (WORDS, [[None]], [[]]),
        (WORDS, [["ab"]], [["a", "b"]]),
        (SCORES, [[("a", 1)], [("b", 2)]], [[("a", 1), ("b", 2)], []]),
        (SCORES, [[("a", 1), ("b", 2)]], [[("b", 2), ("a", 1)]]),
        (SCORES, [[("a", 1)]], [[("a", None)]]),
        (SCORES, [[]], [None]),
        (SCORES, [[("a", 1)]], [[("b", 1)]]),
    ],
    ids=str,
)
def test_order_nulls_and_boundaries_count(kind, first, second):
    assert hash_of(first, kind) != hash_of(second, kind)


def test_names_types_and_the_order_of_columns_count():
    one, two = pa.array([1, 2]), pa.array([1, 2])
    hashes = {
        content_hash(pa.table(columns))
        for columns in (
            {"x": one, "y": two},
            {"y": one, "x": two},
            {"x": one, "z": two},
            {"x": one},
            {"x": one, "y": two.cast(pa.uint64())},
            {"x": one[:0], "y": two[:0]},
            {"x": one[:0]},
        )
    }
    assert len(hashes) == 7


def test_descriptions_do_not_count():
    plain = pa.schema([pa.field("x", pa.int64())])
    described = pa.schema([pa.field("x", pa.int64(), metadata={"description": "a number"})])
    rows = [{"x": 1}]
    assert content_hash(table_of(rows, plain)) == content_hash(table_of(rows, described))


def test_volatile_columns_are_left_out():
    slow, fast = (pa.table({"x": [1, 2], "seconds": seconds}) for seconds in ([9.0, 8.0], [1.0, 2.0]))
    volatile = frozenset({"seconds"})
    assert content_hash(slow, volatile) == content_hash(fast, volatile)
    assert content_hash(slow) != content_hash(fast)
    assert content_hash(slow, volatile) == content_hash(slow.drop_columns("seconds"))
    assert content_hash(slow, volatile) != content_hash(slow.slice(1), volatile)


def masked(values, kind):
    """`values` with the second of three made null by the validity bitmap alone: its bytes stay where they are."""
    plain = pa.array(values, kind)
    bits = pa.array([True, False, True]).buffers()[1]
    children = [plain.keys, plain.items] if pa.types.is_map(kind) else [plain.values] if pa.types.is_list(kind) else []
    if pa.types.is_map(kind):
        children = [pa.StructArray.from_arrays(children, fields=[kind.key_field, kind.item_field])]
    own = plain.buffers()[1 : 2 if children else 3]
    result = pa.Array.from_buffers(kind, 3, [bits, *own], children=children)
    result.validate(full=True)
    return result


@pytest.mark.parametrize(
    ("kind", "values", "others"),
    [
        (pa.int64(), [1, 7, 3], [1, 8, 3]),
        (pa.float32(), [1, 7, 3], [1, float("nan"), 3]),
        (pa.bool_(), [True, True, False], [True, False, False]),
        (pa.timestamp("us"), [1, 7, 3], [1, 8, 3]),
        (pa.date32(), [1, 7, 3], [1, 8, 3]),
        (pa.string(), ["a", "xyz", "c"], ["a", "q", "c"]),
        (pa.binary(), [b"a", b"xyz", b"c"], [b"a", b"", b"c"]),
        (WORDS, [["a"], ["x", "y"], ["c"]], [["a"], ["q"], ["c"]]),
        (SCORES, [[("a", 1)], [("x", 1), ("y", 2)], [("c", 3)]], [[("a", 1)], [], [("c", 3)]]),
    ],
    ids=str,
)
def test_values_under_a_null_do_not_count(kind, values, others):
    first, second = masked(values, kind), masked(others, kind)
    clean = pa.array([values[0], None, values[2]], kind)
    assert first.to_pylist() == clean.to_pylist()
    assert hash_of(first) == hash_of(second) == hash_of(clean)
    assert hash_of(first[1:]) == hash_of(clean[1:])


@pytest.mark.parametrize("kind", [pa.time32("s"), pa.decimal128(5), pa.large_string(), pa.duration("s")], ids=str)
def test_a_type_without_defined_bytes_is_refused(kind):
    with pytest.raises(ContractError, match=re.escape(f"x is of type {kind}, which has no content hash")):
        hash_of([None], kind)
