import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.errors import ContractError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.foreign_keys import ForeignKey, checked_references

WORD = ForeignKey(("word",), "words", ("word",))
NEAREST = ForeignKey(("nearest",), "words", ("word",))
PLACE = ForeignKey(("shelf", "place"), "places", ("shelf", "number"))
SCHEMA = pa.schema(
    {"word": pa.string(), "nearest": pa.list_(pa.string()), "shelf": pa.string(), "place": pa.int32(), "n": pa.int64()}
)
WORDS = pa.table({"word": ["ale", "bock"]})
PLACES = pa.table({"shelf": ["a", "a", "b"], "number": pa.array([0, 1, 0], pa.int32())})


def rows_of(*rows):
    names = ("word", "nearest", "shelf", "place")
    return pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=SCHEMA)


def missing(reference, rows, keys):
    return reference.missing(reference.references(rows), keys)


def test_references_without_a_row_are_found():
    rows = rows_of(
        ("ale", ["bock", "ale"], "a", 1), ("stout", ["ale", "stout", "porter"], "b", 1), (None, None, None, 7)
    )
    assert missing(WORD, rows, WORDS).to_pylist() == [{"row number": 1, "word": "stout"}]
    assert missing(NEAREST, rows, WORDS)["row number"].to_pylist() == [1, 1]
    assert missing(PLACE, rows, PLACES).to_pylist() == [{"row number": 1, "shelf": "b", "number": 1}]
    assert missing(WORD, rows, WORDS.slice(0, 0))["row number"].to_pylist() == [0, 1]
    assert missing(WORD, rows.slice(0, 0), WORDS).num_rows == 0
    assert missing(WORD, rows.slice(1), WORDS)["row number"].to_pylist() == [0]


TEXT = st.none() | st.sampled_from(["ale", "bock", "stout"])


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            TEXT,
            st.none() | st.lists(TEXT, max_size=3),
            st.none() | st.sampled_from("ab"),
            st.none() | st.integers(0, 2),
        ),
        max_size=6,
    )
)
def test_the_query_counts_the_same_references(rows):
    batch = rows_of(*rows)
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, table in {"words": WORDS, "places": PLACES, "shelves": pa.Table.from_batches([batch])}.items():
            connection.register(name, table)
        for reference, keys in ((WORD, WORDS), (NEAREST, WORDS), (PLACE, PLACES)):
            counted = connection.sql(reference.query("shelves", SCHEMA)).fetchall()
            assert counted == [(missing(reference, batch, keys).num_rows,)]


@pytest.mark.parametrize("keys", [WORDS, WORDS.slice(0, 0), pa.table({"word": [str(n) for n in range(9)] + ["ale"]})])
def test_a_broken_reference_is_named_with_count_row_and_version(keys):
    good, bad = rows_of(("ale", [], "a", 0)), rows_of((None, [], "a", 0), ("stout", [], "a", 0), ("gose", [], "a", 0))
    first = [good] if keys.num_rows else []
    with pytest.raises(ContractError) as error:
        list(checked_references("shelves", WORD, keys, 4, [*first, bad, *first]))
    assert str(error.value) == (
        "shelves: 2 references break the rule 'word refers to word of words', version 4; the first is in row "
        f"{1 + len(first)}, {{'word': 'stout'}}. Make shelves again from tables that belong together"
    )


def test_references_are_checked_however_the_rows_are_cut():
    rows = rows_of(*[("ale", [], "a", 0)] * 5)
    for size in (1, 2, 5):
        batches = [rows.slice(start, size) for start in range(0, 5, size)]
        assert list(checked_references("shelves", WORD, WORDS, 0, batches)) == batches
    assert list(checked_references("shelves", WORD, WORDS, 0, [])) == []


def test_a_foreign_key_has_as_many_columns_as_the_key():
    with pytest.raises(ContractError, match=r"shelf refers to shelf, number of places.* has 1 columns, 2 were wanted"):
        ForeignKey(("shelf",), "places", ("shelf", "number"))


def test_a_contract_lists_its_foreign_keys_among_its_rules_and_has_their_columns():
    columns = (Column("word", pa.string(), "the word"),)
    assert "word refers to word of words" in Contract("ales", "an ale", columns, ("word",), foreign_keys=(WORD,)).rules
    with pytest.raises(ContractError, match=r"refers to \['nearest'\]"):
        Contract("ales", "an ale", columns, ("word",), foreign_keys=(NEAREST,))
