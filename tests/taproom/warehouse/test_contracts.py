import sys
from functools import cache
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.errors import ContractError
from taproom.warehouse.contracts import (
    Ascending,
    Between,
    Column,
    Contract,
    NotBlank,
    OneOf,
    SameLength,
    SumsTo,
    has_forbidden_null,
)

WEIGHTS = pa.list_(pa.field("item", pa.float64(), nullable=False))
PALE = {"beer": ["ale", "bock"], "score": [4.5, None], "weights": [[0.5], []]}


def beers(**changes):
    columns = (
        Column("beer", pa.string(), "name of the beer"),
        Column("score", pa.float64(), "mean score", unit="points", nullable=True),
        Column("weights", WEIGHTS, "weights of its words"),
    )
    return Contract(**{"table": "beers", "grain": "one beer", "columns": columns, "key": ("beer",)} | changes)


def check(contract, *tables):
    return [batch for batch in contract.checked(batch for table in tables for batch in table.to_batches())]


@cache
def sql():
    """A connection to DuckDB; making one takes longer than a query."""
    return duckdb.connect(config={"threads": 1})


def broken_by_sql(rule, rows):
    """The rows that break a rule by its SQL: bool, shape (rows,)."""
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    sql().register("numbered", pa.table({"row_number": range(rows.num_rows), **columns}))
    found = sql().sql(f"select row_number from numbered where {rule.broken_sql(rows.schema)}").fetchall()
    mask = np.zeros(rows.num_rows, dtype=bool)
    mask[[row for (row,) in found]] = True
    return mask


def broken(rule, **columns):
    """The rows that break a rule, found in the whole, in each slice, and by SQL: they must agree."""
    rows = pa.RecordBatch.from_pydict(columns)
    whole = rule.broken_rows(rows)
    assert whole.dtype == bool
    assert whole.shape == (rows.num_rows,)
    for start in range(rows.num_rows + 1):
        np.testing.assert_array_equal(rule.broken_rows(rows.slice(start)), whole[start:])
        np.testing.assert_array_equal(rule.broken_rows(rows.slice(0, start)), whole[:start])
    np.testing.assert_array_equal(broken_by_sql(rule, rows), whole)
    return np.flatnonzero(whole).tolist()


def null_over(values, mask):
    """A list array whose null rows have entries beneath them, as masks and joins leave them."""
    offsets = np.cumsum([0, *map(len, values)])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array([entry for row in values for entry in row]), mask=pa.array(mask)
    )


def test_rows_that_keep_the_contract_pass_unchanged():
    contract = beers()
    table = contract.table_of(**PALE)
    assert pa.Table.from_batches(check(contract, table)).equals(table)


def test_descriptions_and_units_are_in_the_schema_but_not_required_of_the_rows():
    contract = beers()
    assert contract.schema.field("score").metadata == {b"description": b"mean score", b"unit": b"points"}
    assert contract.schema.field("beer").metadata == {b"description": b"name of the beer"}
    bare = pa.schema([column.remove_metadata() for column in contract.schema])
    assert check(contract, pa.table(list(PALE.values()), schema=bare))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.set(1, pa.field("score", pa.float32())), "score: float was given, double was wanted"),
        (lambda s: s.remove(1), "score: nothing was given, double was wanted"),
        (lambda s: s.append(pa.field("abv", pa.float64())), "abv: not in the contract"),
        (lambda s: pa.schema([s.field(1), s.field(0), s.field(2)]), r"the order \['score', 'beer', 'weights'\]"),
        (lambda s: s.set(0, pa.field("beer", pa.string())), "beer: string was given, string not null was wanted"),
        (
            lambda s: s.set(1, pa.field("score", pa.float64(), nullable=False)),
            "score: double not null was given, double was wanted",
        ),
        (
            lambda s: s.set(2, pa.field("weights", pa.list_(pa.float64()), nullable=False)),
            "weights: list<item: double> not null was given, list<item: double not null> not null was wanted",
        ),
        (lambda s: s.append(s.field(0)), r"the order \['beer', 'score', 'weights', 'beer'\]"),
    ],
    ids=["type", "missing", "extra", "order", "nullable", "not nullable", "nullable entries", "twice"],
)
def test_schema_must_be_exactly_the_contracts(change, message):
    contract = beers(may_be_empty=True)
    with pytest.raises(ContractError, match=f"^beers: the columns are not the contract's. .*{message}"):
        list(contract.checked([pa.RecordBatch.from_pylist([], schema=change(contract.schema))]))


def test_every_wrong_column_is_named_at_once():
    contract = beers()
    given = pa.RecordBatch.from_pydict({"beer": [1], "abv": [5.0]})
    with pytest.raises(ContractError) as error:
        list(contract.checked([given]))
    for part in ("beer: int64 was given", "score: nothing", "weights: nothing", "abv: not in the contract"):
        assert part in str(error.value)


def test_null_where_none_is_wanted_is_refused_by_name():
    contract = beers()
    with pytest.raises(ContractError, match=r"^beers: beer has nulls"):
        check(contract, contract.table_of(**PALE | {"beer": ["ale", None]}))
    with pytest.raises(ContractError, match=r"^beers: weights has nulls"):
        check(contract, contract.table_of(**PALE | {"weights": [None, []]}))


def test_null_among_the_entries_of_a_list_is_refused():
    contract = beers()
    weights = pa.array([[0.5], [0.5, None]], pa.list_(pa.float64())).cast(WEIGHTS)
    with pytest.raises(ContractError, match=r"^beers: weights has nulls"):
        check(contract, contract.table_of(**PALE | {"weights": weights}))


def test_lists_sum_to_the_total_or_are_null():
    shares = Column("shares", pa.list_(pa.float64()), "shares", nullable=True)
    contract = Contract("mixtures", "a mixture", (shares,), key=("shares",), invariants=(SumsTo("shares", 1),))
    (rule,) = contract.invariants
    lists = [[0.25, 0.75], None, [0.5], []]
    assert rule.broken_rows(pa.record_batch([pa.array(lists, shares.type)], ["shares"])).tolist() == [
        False, False, True, True,
    ]  # fmt: skip


NOT_NULL = pa.field("item", pa.int64(), nullable=False)
STRUCT = pa.struct([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.int64())])
MAP = pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False))


@pytest.mark.parametrize(
    ("kind", "fine", "bad"),
    [
        (pa.list_(NOT_NULL), [[1], [], None], [[1], [2, None]]),
        (pa.list_(pa.int64()), [[None], None], None),
        (pa.list_(pa.list_(NOT_NULL)), [[[1], None], None], [[[1]], [[2], [None]]]),
        (STRUCT, [{"a": 1, "b": None}, None], [{"a": 1, "b": 1}, {"a": None, "b": 1}]),
        (MAP, [[("x", 1)], [], None], [[("x", 1)], [("x", 1), ("y", None)]]),
        (pa.map_(pa.string(), pa.int64()), [[("x", None)]], None),
        (pa.map_(pa.string(), pa.list_(NOT_NULL)), [[("x", [1]), ("y", None)]], [[("x", [None])]]),
        (pa.list_(STRUCT), [[{"a": 1, "b": None}, None], None], [[{"a": None, "b": 2}]]),
    ],
    ids=str,
)
def test_nulls_are_found_at_any_depth(kind, fine, bad):
    field = pa.field("column", kind)
    assert not has_forbidden_null(field, pa.array(fine, kind))
    if bad is not None:
        values = pa.array(bad, kind)
        assert has_forbidden_null(field, values)
        assert has_forbidden_null(field, values[-1:])
        assert not has_forbidden_null(field, values[:-1])
    forbidding = field.with_nullable(False)
    assert has_forbidden_null(forbidding, pa.array([*fine, None], kind))


def test_nulls_under_a_null_do_not_count():
    hidden = pa.StructArray.from_arrays(
        [pa.array([1, None]), pa.array([1, 2])], fields=list(STRUCT), mask=pa.array([False, True])
    )
    assert not has_forbidden_null(pa.field("column", STRUCT), hidden)
    masked = null_over([[1], [None]], [False, True]).cast(pa.list_(NOT_NULL))
    assert not has_forbidden_null(pa.field("column", pa.list_(NOT_NULL)), masked)


def test_between_wants_finite_numbers_within_its_bounds():
    numbers = [0.0, 1.0, -0.1, 1.1, float("nan"), float("inf"), None]
    assert broken(Between("x", 0, 1), x=numbers) == [2, 3, 4, 5]
    assert broken(Between("x"), x=numbers) == [4, 5]
    assert str(Between("x", 0, 1)) == "x is finite, at least 0, at most 1"


def test_between_takes_whole_numbers_with_nulls():
    assert broken(Between("x", 1), x=pa.array([1, None, 0, 2**62], pa.int64())) == [2]
    assert broken(Between("x", high=200), x=pa.array([0, 255, None, 200], pa.uint8())) == [1]


def test_between_looks_at_every_entry_of_a_list():
    rows = pa.array([[0.5], [], None, [0.1, 2.0, 3.0], [None, 1.0], [float("nan")]])
    assert broken(Between("x", 0, 1), x=rows) == [3, 5]
    assert broken(Between("x", 0, 1), x=null_over([[1], [9, 9], [9], []], [False, True, False, False])) == [2]


def test_not_blank_wants_a_character_that_is_no_white_space():
    assert broken(NotBlank("x"), x=["ale", "", " \t\n", "\u00a0\u2003", " a ", None]) == [1, 2, 3]
    assert broken(NotBlank("x"), x=[["ale"], ["ale", " "], [], None, [None], [""]]) == [1, 5]


def test_one_of_knows_its_words_and_leaves_null_to_the_column():
    assert broken(OneOf("x", ("train", "test")), x=["train", "tests", "", "test", None]) == [1, 2]
    assert broken(OneOf("x", ("train", "test")), x=pa.array([None, None], pa.string())) == []


def test_same_length_compares_row_by_row():
    words = [["a"], [], None, ["a", "b"], ["a"], None]
    counts = [[1], [], [1], [1], None, None]
    assert broken(SameLength("x", "y"), x=words, y=counts) == [2, 3, 4]


@pytest.mark.parametrize(("ties", "bad"), [(False, [2, 6, 8]), (True, [2, 8])])
def test_ascending_compares_within_a_row_only(ties, bad):
    rows = [[5, 9], [], [3, 1], [1], None, [0, 1, 2], [1, 1], [], [1, 3, 2]]
    assert broken(Ascending("x", ties=ties), x=pa.array(rows, pa.list_(pa.int32()))) == bad


def test_ascending_takes_text_nulls_and_rows_without_entries():
    assert broken(Ascending("x"), x=[["ale", "bock"], ["bock", "ale"], []]) == [1]
    assert broken(Ascending("x"), x=[[1, None, 2], [None], [1, 2]]) == [0]
    assert broken(Ascending("x"), x=pa.array([[], None, []], pa.list_(pa.int32()))) == []
    assert broken(Ascending("x"), x=null_over([[1, 2], [2, 1], [7]], [False, True, False])) == []


@given(st.lists(st.none() | st.lists(st.integers(-3, 3), max_size=4), max_size=8), st.booleans())
def test_rules_on_lists_agree_with_plain_python(rows, ties):
    batch = pa.RecordBatch.from_arrays([pa.array(rows, pa.list_(pa.int32()))], names=["x"])

    def falls(row):
        return any(a > b or (a == b and not ties) for a, b in pairwise(row))

    for start in (0, len(rows) // 2):
        part = [row or [] for row in rows[start:]]
        fall, out = Ascending("x", ties).broken_rows(batch[start:]), Between("x", -2, 2).broken_rows(batch[start:])
        assert fall.tolist() == [falls(row) for row in part]
        assert out.tolist() == [any(abs(entry) > 2 for entry in row) for row in part]


NUMBERS = st.none() | st.sampled_from([float("nan"), float("inf"), -float("inf")]) | st.floats(-2, 2)
WORDS = st.none() | st.text(alphabet="ab' \t\u00a0\u2003\x1c\u200b", max_size=3)
RULES = {
    "number": (NUMBERS, pa.float64(), [Between("x"), Between("x", 0, 1), Between("x", low=-1), Between("x", high=0.1)]),
    "whole number": (
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
        pa.int64(),
        [Between("x", 0), Between("x", -1, 1)],
    ),
    "numbers": (
        st.none() | st.lists(NUMBERS, max_size=4),
        pa.list_(pa.float64()),
        [Between("x", 0, 1), Ascending("x"), Ascending("x", ties=True), SumsTo("x", 1), SumsTo("x", 0)],
    ),
    "single precision": (
        st.none() | st.lists(st.none() | st.floats(-1, 1, width=32), max_size=4),
        pa.list_(pa.float32()),
        [Between("x", -0.1, 0.1), Ascending("x"), SumsTo("x", 1)],
    ),
    "whole numbers": (
        st.none() | st.lists(st.none() | st.integers(-2, 2), max_size=4),
        pa.list_(pa.int32()),
        [Between("x", 0, 1), Ascending("x"), Ascending("x", ties=True), SumsTo("x", 2)],
    ),
    "text": (WORDS, pa.string(), [NotBlank("x"), OneOf("x", ("a", "b", "a'"))]),
    "texts": (st.none() | st.lists(WORDS, max_size=3), pa.list_(pa.string()), [NotBlank("x"), Ascending("x")]),
}


@pytest.mark.parametrize("kind", RULES)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_the_sql_of_a_rule_finds_the_same_rows(kind, data):
    values, kind, rules = RULES[kind]
    rows = pa.record_batch({"x": pa.array(data.draw(st.lists(values, max_size=6)), kind)})
    for rule in rules:
        np.testing.assert_array_equal(broken_by_sql(rule, rows), rule.broken_rows(rows), err_msg=str(rule))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.none() | st.lists(st.integers(0, 1), max_size=3)] * 2), max_size=6))
def test_the_sql_of_equal_lengths_finds_the_same_rows(pairs):
    columns = [pa.array([pair[side] for pair in pairs], pa.list_(pa.int32())) for side in (0, 1)]
    rows = pa.record_batch(columns, names=["x", "y"])
    rule = SameLength("x", "y")
    np.testing.assert_array_equal(broken_by_sql(rule, rows), rule.broken_rows(rows))


def test_a_bound_is_compared_in_double_precision_by_sql_too():
    rows = pa.record_batch({"x": pa.array([0.1, -0.1, 0.09], pa.float32())})  # 0.1 in single precision is more than 0.1
    rule = Between("x", -0.1, 0.1)
    assert broken_by_sql(rule, rows).tolist() == rule.broken_rows(rows).tolist() == [True, True, False]


@pytest.mark.slow
def test_white_space_is_the_same_for_arrow_and_duckdb():
    characters = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    rows = pa.record_batch({"x": characters})
    np.testing.assert_array_equal(broken_by_sql(NotBlank("x"), rows), NotBlank("x").broken_rows(rows))


def test_queries_count_the_rows_that_break_each_rule():
    contract = beers(invariants=(Between("score", 1, 5), Ascending("weights")))
    rows = contract.table_of(beer=["x", "y", "z"], score=[2, 6, 7], weights=[[], [2, 1], []])
    sql().register("beers", rows)
    assert {rule: sql().sql(query).fetchall() for rule, query in contract.queries.items()} == {
        "score is finite, at least 1, at most 5": [(2,)],
        "weights is in strictly ascending order within a row": [(1,)],
    }


def test_a_broken_rule_names_table_rule_first_row_and_key_across_batches():
    contract = beers(invariants=(Between("score", 1, 5),))
    good = contract.table_of(**PALE)
    bad = contract.table_of(beer=["x", "y", "z"], score=[2, 6, 7], weights=[[], [], []])
    with pytest.raises(ContractError) as error:
        check(contract, good, bad)
    assert str(error.value) == (
        "beers: 2 rows break the rule 'score is finite, at least 1, at most 5'; the first is row 3, {'beer': 'y'}"
    )


def test_batches_before_the_broken_one_were_passed_on():
    contract = beers()
    good, bad = (contract.table_of(**PALE | {"beer": names}).to_batches()[0] for names in (["a", "b"], ["c", None]))
    stream = contract.checked([good, bad])
    assert next(stream).equals(good)
    with pytest.raises(ContractError, match="beer has nulls"):
        next(stream)


def test_keys_must_be_unique_across_batches():
    contract = beers()
    table = contract.table_of(**PALE)
    again = contract.table_of(**PALE | {"beer": ["stout", "ale"]})
    with pytest.raises(
        ContractError, match=r"beers: 1 keys stand more than once, for example {'beer': 'ale'}; beer must"
    ):
        check(contract, table, again)


def test_a_key_of_two_columns_is_unique_as_a_pair():
    columns = (Column("beer", pa.string(), "name"), Column("year", pa.int32(), "vintage"))
    contract = beers(columns=columns, key=("beer", "year"))
    assert check(contract, contract.table_of(beer=["a", "a", "b"], year=[1, 2, 1]))
    with pytest.raises(ContractError, match=r"{'beer': 'a', 'year': 1}; beer, year must be unique"):
        check(contract, contract.table_of(beer=["a", "b", "a"], year=[1, 1, 1]))


def test_a_single_valued_column_has_one_value_across_batches():
    columns = (Column("beer", pa.string(), "name"), Column("collection", pa.string(), "where it is from"))
    contract = beers(columns=columns, single_valued=("collection",))
    first = contract.table_of(beer=["a", "b"], collection=["tomatoes", "tomatoes"])
    assert check(contract, first)
    other = contract.table_of(beer=["c"], collection=["beers"])
    with pytest.raises(
        ContractError, match=r"beers: collection has the values \['tomatoes', 'beers'\], one was wanted"
    ):
        check(contract, first, other)


def test_no_rows_are_refused_unless_the_contract_allows_them():
    contract = beers(invariants=(Between("score"), Ascending("weights")))
    for tables in ([], [contract.schema.empty_table()]):
        with pytest.raises(ContractError, match="beers: no rows were given, at least one was wanted"):
            check(contract, *tables)
    lenient = beers(invariants=(Between("score"), Ascending("weights")), may_be_empty=True)
    assert check(lenient) == []
    empty = pa.RecordBatch.from_pylist([], schema=lenient.schema)
    assert list(lenient.checked([empty])) == [empty]
    assert len(list(contract.checked([empty, *contract.table_of(**PALE).to_batches(), empty]))) == 3


@pytest.mark.parametrize("spoken_of", [{"key": ("brewer",)}, {"partition": "brewer"}, {"single_valued": ("brewer",)}])
def test_a_contract_refers_only_to_its_own_columns(spoken_of):
    with pytest.raises(ContractError, match=r"the contract of beers refers to \['brewer'\]"):
        beers(**spoken_of)


def test_volatile_columns_are_known_by_name():
    columns = (Column("beer", pa.string(), "name"), Column("seconds", pa.float64(), "time", volatile=True))
    assert beers(columns=columns).volatile == {"seconds"}
