from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from taproom.errors import InputError
from taproom.words.counting import add_counts, count_words
from taproom.words.sparse import (
    bytes_to_counts,
    counts_to_bytes,
    counts_to_lists,
    csr_to_lists,
    item_counts,
    lists_to_csr,
    matrix_to_lists,
    weighted_items,
)

COLUMNS = 6
INDICES, WEIGHTS = pa.list_(pa.int32()), pa.list_(pa.float64())
ROWS = st.lists(st.dictionaries(st.integers(0, COLUMNS - 1), st.floats(-9, 9, width=32), max_size=COLUMNS), max_size=8)


@st.composite
def cut_columns(draw):
    """Sparse rows as two list columns, each made of slices of longer arrays, and the same rows dense."""
    rows = draw(ROWS)
    index_lists = [sorted(row) for row in rows]
    value_lists = [[row[column] for column in sorted(row)] for row in rows]
    dense = np.zeros((len(rows), COLUMNS))
    for number, row in enumerate(rows):
        dense[number, list(row)] = list(row.values())
    cuts = [0, *sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3))), len(rows)]
    return chunked(index_lists, cuts, INDICES), chunked(value_lists, cuts, WEIGHTS), dense


def chunked(lists, cuts, kind):
    padded = [pa.array([[5, 5], *lists[first:last], [5]], kind) for first, last in pairwise(cuts)]
    return pa.chunked_array([array.slice(1, len(array) - 2) for array in padded], kind)


@given(cut_columns())
def test_lists_become_the_rows_of_a_matrix(columns):
    indices, values, dense = columns
    matrix = lists_to_csr(indices, values, COLUMNS)
    np.testing.assert_array_equal(matrix.toarray(), dense)
    np.testing.assert_array_equal(np.diff(matrix.indptr), [len(row) for row in indices.to_pylist()])


@given(cut_columns())
def test_a_matrix_goes_to_lists_and_back(columns):
    matrix = lists_to_csr(*columns[:2], COLUMNS)
    indices, values = csr_to_lists(matrix)
    assert (indices.type, values.type) == (INDICES, WEIGHTS)
    assert indices.to_pylist() == columns[0].to_pylist()
    assert values.to_pylist() == columns[1].to_pylist()


def test_one_piece_is_not_copied():
    indices, values = pa.chunked_array([pa.array([[0, 2], [], [1]], INDICES)]), pa.array([[1, 2], [], [3]], WEIGHTS)
    matrix = lists_to_csr(indices, values, 3)
    assert np.shares_memory(matrix.data, values.values.to_numpy())
    assert np.shares_memory(matrix.indices, indices.chunk(0).values.to_numpy())
    back_indices, back_values = csr_to_lists(matrix)
    assert np.shares_memory(matrix.data, back_values.values.to_numpy())
    assert np.shares_memory(matrix.indices, back_indices.values.to_numpy())


def test_the_width_is_that_of_the_largest_index_unless_given():
    indices, values = pa.array([[0, 4], []], INDICES), pa.array([[1, 2], []], WEIGHTS)
    assert lists_to_csr(indices, values).shape == (2, 5)
    assert lists_to_csr(indices, values, 9).shape == (2, 9)
    assert lists_to_csr(pa.chunked_array([], INDICES), pa.chunked_array([], WEIGHTS)).shape == (0, 0)


@pytest.mark.parametrize(
    ("indices", "values", "said"),
    [
        ([[0], [3]], [[1.0], [1.0]], "from 0 to 3"),
        ([[-1]], [[1.0]], "from -1 to -1"),
        ([[0], [1]], [[1.0, 2.0], []], "differ"),
        ([[0]], [[1.0], []], "differ"),
        ([[0], None], [[1.0], None], "null"),
        ([[0]], [[None]], "null"),
    ],
)
def test_lists_that_are_no_matrix_are_refused(indices, values, said):
    with pytest.raises(InputError, match=said):
        lists_to_csr(pa.array(indices, INDICES), pa.array(values, WEIGHTS), 3)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.text(alphabet="xyé ", max_size=12)), max_size=12), st.integers(0, 4)
)
def test_counts_go_to_lists_and_back(reviews, cut):
    counts = count_words([item for item, _ in reviews], [text for _, text in reviews])
    item_ids, words, numbers = counts_to_lists(counts)
    assert (words.type, numbers.type) == (pa.list_(pa.string()), pa.list_(pa.int32()))
    assert words.to_pylist() == [sorted(row) for row in words.to_pylist()]
    table = pa.table({"item_id": item_ids, "words": words, "counts": numbers})
    pieces = pa.concat_tables([table.slice(cut), table.slice(0, cut)])
    back = item_counts(pieces.to_batches(), table.slice(0, 0), pieces["item_id"])
    assert back.item_ids.tolist() == counts.item_ids.tolist()
    assert back.words.tolist() == counts.words.tolist()
    np.testing.assert_array_equal(back.counts.toarray(), counts.counts.toarray())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(alphabet="xyé ", max_size=12)), max_size=12))
def test_counts_go_to_bytes_and_back(reviews):
    counts = count_words([item for item, _ in reviews], [text for _, text in reviews])
    back = bytes_to_counts(counts_to_bytes(counts))
    assert back.item_ids.tolist() == counts.item_ids.tolist()
    assert back.words.tolist() == counts.words.tolist()
    np.testing.assert_array_equal(back.counts.toarray(), counts.counts.toarray())


def test_rows_of_one_item_are_added():
    rows = pa.table({"item_id": ["ale", "ale"], "words": [["hops", "malt"], ["hops"]], "counts": [[1, 2], [4]]})
    counts = item_counts(rows.to_batches(), rows.slice(0, 0), rows["item_id"])
    assert counts.words.tolist() == ["hops", "malt"]
    assert counts.counts.toarray().tolist() == [[5, 2]]


def test_item_ids_must_not_be_null():
    rows = pa.table({"item_id": pa.array([None], pa.string()), "words": [["hops"]], "counts": [[1]]})
    with pytest.raises(InputError, match="1 of 1 rows have no item id"):
        item_counts(rows.to_batches(), rows.slice(0, 0), rows["item_id"])


def test_counts_of_chosen_items_leave_duplicates_out():
    def table(counts):
        item_ids, words, numbers = counts_to_lists(counts)
        return pa.table({"item_id": item_ids, "words": words, "counts": numbers})

    first, second = count_words(["ale", "bock"], ["hops malt", "sweet"]), count_words(["ale"], ["hops roast"])
    term_counts = pa.concat_tables([table(first), table(second)])
    chosen = item_counts(term_counts.to_batches(), table(second), pa.chunked_array([["ale"]]))
    assert chosen.item_ids.tolist() == ["ale"]
    assert chosen.words.tolist() == ["hops", "malt"]
    everything = item_counts(term_counts.to_batches(), table(second).slice(0, 0), pa.chunked_array([["ale", "bock"]]))
    np.testing.assert_array_equal(everything.counts.toarray(), add_counts([first, second]).counts.toarray())


def test_words_of_items_that_are_not_chosen_are_left_out_also_of_a_dictionary():
    words = pa.array([["hops", "malt"], ["sweet"]])
    encoded = pa.ListArray.from_arrays(words.offsets, words.values.dictionary_encode())
    for column in (words, encoded):
        rows = pa.table({"item_id": ["ale", "bock"], "words": column, "counts": [[1, 2], [3]]})
        chosen = item_counts(rows.to_batches(), rows.slice(0, 0), pa.chunked_array([["ale"]]))
        assert chosen.words.tolist() == ["hops", "malt"]
        assert chosen.counts.toarray().tolist() == [[1, 2]]


def test_a_dense_matrix_becomes_lists_of_one_width():
    assert matrix_to_lists(pa.array([1, 2, 3, 4]), 2).to_pylist() == [[1, 2], [3, 4]]


def test_wide_offsets_of_large_lists_are_understood():
    indices = pa.array([[0], [1, 2]], pa.large_list(pa.int32()))
    values = pa.array([[1.0], [2.0, 3.0]], pa.large_list(pa.float64()))
    wanted = sparse.csr_array([[1.0, 0, 0], [0, 2, 3]])
    np.testing.assert_array_equal(lists_to_csr(indices, values, 3).toarray(), wanted.toarray())


def test_items_without_a_weight_are_left_out_of_the_matrix():
    rows = pa.table(
        {
            "item_id": ["ale", "bock", "cider"],
            "term_ids": pa.array([[0, 2], [], [1]], pa.list_(pa.int32())),
            "weights": pa.array([[0.5, 0.25], [], [1.0]], pa.list_(pa.float64())),
        }
    )
    item_ids, weights = weighted_items(rows.to_batches(max_chunksize=2), words=4)
    assert item_ids.to_pylist() == ["ale", "cider"]
    assert weights.toarray().tolist() == [[0.5, 0, 0.25, 0], [0, 1, 0, 0]]
