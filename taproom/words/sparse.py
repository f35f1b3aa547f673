"""Sparse rows in Arrow tables: two list columns a row, which are a CSR matrix's own buffers.

Here belongs the way between tables and matrices. A matrix and its two columns share their memory wherever the types
agree; nothing is computed here.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.errors import InputError
from taproom.words.counting import Counts, add_counts

ROWS_AT_ONCE = 2_000


def lists_to_csr(
    indices: pa.ChunkedArray | pa.ListArray, values: pa.ChunkedArray | pa.ListArray, columns: int | None = None
) -> sparse.csr_array:
    """The matrix whose row i has `values[i]` in the columns `indices[i]`.

    The matrix is read-only where it shares the memory of the lists, which is wherever they are in one piece.

    Args:
        indices: (rows,) lists of int32, ascending.
        values: (rows,) lists of numbers, as long as those of `indices`.
        columns: the matrix's width, by default just enough for the largest index.

    Raises:
        InputError: a null, lists that differ in length, or an index beyond the matrix.
    """
    offsets, places, data = _offsets_and_values(indices, values)
    places, data = places.to_numpy(), data.to_numpy()
    needed = int(places.max()) + 1 if len(places) else 0
    columns = needed if columns is None else columns
    if len(places) and (places.min() < 0 or needed > columns):
        raise InputError(
            f"The column numbers go from {places.min()} to {places.max()}, but the matrix has the columns 0 to "
            f"{columns - 1}. Read the lists together with the vocabulary that they were made with."
        )
    return sparse.csr_array((data, places, offsets), shape=(len(offsets) - 1, columns))


def csr_to_lists(matrix: sparse.csr_array) -> tuple[pa.ListArray, pa.ListArray]:
    """A matrix's rows as lists of int32 column numbers and lists of values."""
    offsets = pa.array(matrix.indptr, pa.int32())
    places = pa.array(matrix.indices.astype(np.int32, copy=False))
    return pa.ListArray.from_arrays(offsets, places), pa.ListArray.from_arrays(offsets, pa.array(matrix.data))


def matrix_to_lists(values: pa.Array, width: int) -> pa.ListArray:
    """Consecutive runs of `width` values as the lists of a list column."""
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(values) + 1, width), pa.int32()), values)


def counts_to_lists(counts: Counts) -> tuple[pa.Array, pa.ListArray, pa.ListArray]:
    """Item ids, and for each item its words and their counts (int32) as lists, words ascending."""
    matrix = counts.counts
    offsets = pa.array(matrix.indptr, pa.int32())
    words = pa.array(counts.words, pa.string()).take(pa.array(matrix.indices))
    numbers = pa.array(matrix.data).cast(pa.int32())
    item_ids = pa.array(counts.item_ids, pa.string())
    return item_ids, pa.ListArray.from_arrays(offsets, words), pa.ListArray.from_arrays(offsets, numbers)


def lists_to_counts(item_ids: pa.ChunkedArray, words: pa.ChunkedArray, numbers: pa.ChunkedArray) -> Counts:
    """The counts that such lists hold; an item that stands in several rows (batches) has their sum.

    Raises:
        InputError: a null, lists that differ in length, or another number of item ids.
    """
    return add_counts([_unsummed(item_ids, words, numbers)])


def _unsummed(item_ids: pa.ChunkedArray, words: pa.ChunkedArray, numbers: pa.ChunkedArray) -> Counts:
    """The counts of each row by itself: not in canonical form yet, which adding them up brings about."""
    offsets, flat_words, flat_numbers = _offsets_and_values(words, numbers)
    if len(item_ids) != len(words) or item_ids.null_count:
        raise InputError(f"There are {len(item_ids)} item ids for {len(words)} lists. Give one, not null, for each.")
    encoded = flat_words.dictionary_encode()
    matrix = sparse.csr_array(
        (flat_numbers.to_numpy(), encoded.indices.to_numpy(), offsets),
        shape=(len(offsets) - 1, len(encoded.dictionary)),
    )
    names = encoded.dictionary.to_numpy(zero_copy_only=False)
    return Counts(item_ids.to_numpy(zero_copy_only=False), names, matrix)


def item_counts(term_counts: Iterable[pa.RecordBatch], duplicates: pa.Table, item_ids: pa.ChunkedArray) -> Counts:
    """All batches' counts of the given items, less those of duplicate reviews.

    `term_counts` streams the columns item_id, words and counts, a row per batch and item: written out, the words take
    several times the room of their counts. `duplicates` has the same columns, a row per review that must not count.
    """

    def chosen(rows: pa.RecordBatch | pa.Table) -> Counts:
        rows = rows.filter(pc.is_in(rows["item_id"], value_set=item_ids))
        return _unsummed(rows["item_id"], rows["words"], rows["counts"])

    pieces = (
        batch.slice(first, ROWS_AT_ONCE) for batch in term_counts for first in range(0, batch.num_rows, ROWS_AT_ONCE)
    )
    return add_counts(map(chosen, pieces), subtract=[chosen(duplicates)] if len(duplicates) else [])


def weighted_items(tfidf: Iterable[pa.RecordBatch], words: int) -> tuple[pa.StringArray, sparse.csr_array]:
    """The items of the table `tfidf` that have a weight, and their weights (items, words); of a stream, so that the
    rows need not be held beside the matrix.
    """
    has_weight = [batch.filter(pc.greater(pc.list_value_length(batch["weights"]), 0)) for batch in tfidf]
    rows = pa.Table.from_batches(has_weight)
    return rows["item_id"].combine_chunks(), lists_to_csr(rows["term_ids"], rows["weights"], words)


def _offsets_and_values(
    lists: pa.ChunkedArray | pa.ListArray, others: pa.ChunkedArray | pa.ListArray
) -> tuple[np.ndarray, pa.Array, pa.Array]:
    """Where each list begins in the flat values, from 0, and the flat values of both columns."""
    offsets, values = _flat(lists)
    other_offsets, other_values = _flat(others)
    if not np.array_equal(offsets, other_offsets):
        raise InputError(
            f"The two list columns differ: {len(lists)} lists of {len(values)} values against {len(others)} of "
            f"{len(other_values)}, or lists of other lengths. Take both from one table."
        )
    return offsets, values, other_values


def _flat(lists: pa.ChunkedArray | pa.ListArray) -> tuple[np.ndarray, pa.Array]:
    chunks = lists.chunks if isinstance(lists, pa.ChunkedArray) else [lists]
    # Concatenating copies, even one chunk.
    whole = chunks[0] if len(chunks) == 1 else pa.concat_arrays([pa.array([], lists.type), *chunks])
    values = whole.flatten()
    if whole.null_count or values.null_count:
        raise InputError("A list column holds nulls, which no matrix can. Drop these rows, or write empty lists.")
    offsets = whole.offsets.to_numpy()
    return offsets - offsets[0], values
