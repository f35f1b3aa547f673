"""Sparse rows in Arrow tables: two list columns a row, which are a CSR matrix's own buffers.

Here belongs the way between tables and matrices. A matrix and its two columns share their memory wherever the types
agree; nothing is computed here.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.counting import Counts, add_counts


def lists_to_csr(
    indices: pa.ChunkedArray | pa.ListArray, values: pa.ChunkedArray | pa.ListArray, columns: int | None = None
) -> sparse.csr_array:
    """The matrix whose row i has `values[i]` in the columns `indices[i]`.

    `columns` is the matrix's width, by default just enough for the largest index. Lists must be without null.
    """
    offsets, flat_indices = _offsets_and_values(indices)
    _, flat_values = _offsets_and_values(values)
    data, places = flat_values.to_numpy(zero_copy_only=False), flat_indices.to_numpy(zero_copy_only=False)
    if columns is None:
        columns = int(places.max()) + 1 if len(places) else 0
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
    """The counts that such lists hold; an item that stands in several rows (batches) has their sum."""
    offsets, flat_words = _offsets_and_values(words)
    _, flat_numbers = _offsets_and_values(numbers)
    encoded = flat_words.dictionary_encode()
    matrix = sparse.csr_array(
        (flat_numbers.to_numpy(zero_copy_only=False), encoded.indices.to_numpy(zero_copy_only=False), offsets),
        shape=(len(offsets) - 1, len(encoded.dictionary)),
    )
    names = encoded.dictionary.to_numpy(zero_copy_only=False)
    return add_counts([Counts(item_ids.to_numpy(zero_copy_only=False), names, matrix)])


def item_counts(term_counts: pa.Table, duplicates: pa.Table, item_ids: pa.ChunkedArray) -> Counts:
    """All batches' counts of the given items, less those of duplicate reviews.

    `term_counts` has the columns item_id, words and counts, a row per batch and item; `duplicates` the same, a row per
    review that must not count.
    """

    def chosen(rows: pa.Table) -> Counts:
        rows = rows.filter(pc.is_in(rows["item_id"], value_set=item_ids))
        return lists_to_counts(rows["item_id"], rows["words"], rows["counts"])

    total = chosen(term_counts)
    return add_counts([total], subtract=[chosen(duplicates)]) if len(duplicates) else total


def _offsets_and_values(lists: pa.ChunkedArray | pa.ListArray) -> tuple[np.ndarray, pa.Array]:
    """Where each list begins in the flat values, from 0, and the flat values; slices are seen as what they are."""
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    if isinstance(whole, pa.ChunkedArray):  # a chunked array without chunks combines to itself
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    offsets = whole.offsets.to_numpy()
    return offsets - offsets[0], whole.flatten()
