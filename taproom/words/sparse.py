"""Conversion between sparse matrices and Arrow tables, which store a CSR matrix as two list columns.

Only conversion belongs here. A matrix and its two columns share memory wherever their types agree.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.errors import InputError
from taproom.warehouse.table_version import TableVersion
from taproom.words.counting import Counts, add_counts

ROWS_AT_ONCE = 2_000


def lists_to_csr(
    indices: pa.ChunkedArray | pa.ListArray, values: pa.ChunkedArray | pa.ListArray, columns: int | None = None
) -> sparse.csr_array:
    """The matrix whose row i has `values[i]` in the columns `indices[i]`.

    If the lists are in one chunk, the matrix shares their memory and is read-only.

    Args:
        indices: (rows,) lists of int32, ascending.
        values: (rows,) lists of numbers, of the same lengths as those of `indices`.
        columns: number of columns, by default the largest index + 1.

    Raises:
        InputError: a null, lists of different lengths, or an index out of range.

    >>> lists_to_csr(pa.array([[0, 2], []]), pa.array([[0.5, 0.1], []])).toarray()
    array([[0.5, 0. , 0.1],
           [0. , 0. , 0. ]])
    """
    offsets, flat_indices, flat_values = _offsets_and_values(indices, values)
    found, data = flat_indices.to_numpy(), flat_values.to_numpy()
    needed = int(found.max()) + 1 if len(found) else 0
    columns = needed if columns is None else columns
    if len(found) and (found.min() < 0 or needed > columns):
        raise InputError(
            f"The column indices go from {found.min()} to {found.max()}, but the matrix has the columns 0 to "
            f"{columns - 1}. Read the lists together with the vocabulary that they were made with."
        )
    return sparse.csr_array((data, found, offsets), shape=(len(offsets) - 1, columns))


def csr_to_lists(matrix: sparse.csr_array) -> tuple[pa.ListArray, pa.ListArray]:
    """The rows of a matrix as lists of column indices (int32) and lists of values; the inverse of `lists_to_csr`."""
    offsets = pa.array(matrix.indptr, pa.int32())
    indices = pa.array(matrix.indices.astype(np.int32, copy=False))
    return pa.ListArray.from_arrays(offsets, indices), pa.ListArray.from_arrays(offsets, pa.array(matrix.data))


def matrix_to_lists(values: pa.Array, width: int) -> pa.ListArray:
    """A dense matrix, given as its flat values row by row, as lists of `width` values.

    >>> matrix_to_lists(pa.array([1, 2, 3, 4]), 2).to_pylist()
    [[1, 2], [3, 4]]
    """
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(values) + 1, width), pa.int32()), values)


def counts_to_lists(counts: Counts) -> tuple[pa.Array, pa.ListArray, pa.ListArray]:
    """Item ids, and for each item the lists of its words, ascending, and of their counts (int32)."""
    matrix = counts.counts
    offsets = pa.array(matrix.indptr, pa.int32())
    words = pa.array(counts.words, pa.string()).take(pa.array(matrix.indices))
    numbers = pa.array(matrix.data).cast(pa.int32())
    item_ids = pa.array(counts.item_ids, pa.string())
    return item_ids, pa.ListArray.from_arrays(offsets, words), pa.ListArray.from_arrays(offsets, numbers)


def counts_to_bytes(counts: Counts) -> bytes:
    """The counts as an Arrow stream, compressed: what `counts_to_lists` gives, but with each word written once."""
    matrix = counts.counts
    offsets = pa.array(matrix.indptr, pa.int32())
    numbers = pa.array(matrix.indices.astype(np.int32, copy=False))
    words = pa.DictionaryArray.from_arrays(numbers, pa.array(counts.words, pa.large_string()))
    rows = pa.record_batch(
        {
            "item_id": pa.array(counts.item_ids, pa.large_string()),
            "words": pa.ListArray.from_arrays(offsets, words),
            "counts": pa.ListArray.from_arrays(offsets, pa.array(matrix.data).cast(pa.int32())),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(rows)
    return sink.getvalue().to_pybytes()


def bytes_to_counts(content: bytes | pa.Buffer) -> Counts:
    """The inverse of `counts_to_bytes`, with int32 counts."""
    rows = pa.ipc.open_stream(content).read_all()
    return _unsummed(rows["item_id"], rows["words"], rows["counts"])


def _unsummed(item_ids: pa.ChunkedArray, words: pa.ChunkedArray, numbers: pa.ChunkedArray) -> Counts:
    """Counts with a row for each list; `add_counts` brings them into the canonical form of `Counts`."""
    offsets, flat_words, flat_numbers = _offsets_and_values(words, numbers)
    if item_ids.null_count:
        raise InputError(f"{item_ids.null_count} of {len(item_ids)} rows have no item id. Give each of them one.")
    encoded = flat_words.dictionary_encode()
    matrix = sparse.csr_array(
        (flat_numbers.to_numpy(), encoded.indices.to_numpy(), offsets),
        shape=(len(offsets) - 1, len(encoded.dictionary)),
    )
    names = encoded.dictionary.to_numpy(zero_copy_only=False)
    return Counts(item_ids.to_numpy(zero_copy_only=False), names, matrix)


def item_counts(term_counts: Iterable[pa.RecordBatch], duplicates: pa.Table, item_ids: pa.ChunkedArray) -> Counts:
    """The counts of the given items over all batches, minus those of duplicate reviews.

    Args:
        term_counts: a stream of the columns item_id, words and counts, with a row per batch and item. It is a stream
            because lists of words take several times the memory of the counts.
        duplicates: the same columns, with a row per review to subtract.
        item_ids: the items to count.

    Raises:
        InputError: a null, lists of different lengths, or as `add_counts` does.
    """

    def chosen(rows: pa.RecordBatch | pa.Table) -> Counts:
        rows = rows.filter(pc.is_in(rows["item_id"], value_set=item_ids))
        return _unsummed(rows["item_id"], rows["words"], rows["counts"])

    pieces = (
        batch.slice(first, ROWS_AT_ONCE) for batch in term_counts for first in range(0, batch.num_rows, ROWS_AT_ONCE)
    )
    return add_counts(map(chosen, pieces), subtract=[chosen(duplicates)] if len(duplicates) else [])


def weighted_items(tfidf: Iterable[pa.RecordBatch], words: int) -> tuple[pa.StringArray, sparse.csr_array]:
    """The items of the table `tfidf` that have a weight, and their weights.

    Args:
        tfidf: a stream of the table's rows.
        words: number of words in the vocabulary.

    Returns:
        item_ids: (items,) str.
        weights: (items, words) CSR of float64.
    """
    has_weight = [batch.filter(pc.greater(pc.list_value_length(batch["weights"]), 0)) for batch in tfidf]
    rows = pa.Table.from_batches(has_weight)
    return rows["item_id"].combine_chunks(), lists_to_csr(rows["term_ids"], rows["weights"], words)


def stored_weights(tfidf: TableVersion, words: int) -> sparse.csr_array:
    """The weights of `weighted_items`, read from a version of the table; a worker of a cluster makes them so."""
    return weighted_items(tfidf.stream(), words)[1]


def _offsets_and_values(
    lists: pa.ChunkedArray | pa.ListArray, others: pa.ChunkedArray | pa.ListArray
) -> tuple[np.ndarray, pa.Array, pa.Array]:
    """The offsets of the lists, from 0, and the flat values of both columns."""
    offsets, values = _flat(lists)
    other_offsets, other_values = _flat(others)
    if not np.array_equal(offsets, other_offsets):
        raise InputError(
            f"The two list columns have different lengths: {len(lists)} lists of {len(values)} values in total and "
            f"{len(others)} of {len(other_values)}. Take both from one table."
        )
    return offsets, values, other_values


def _flat(lists: pa.ChunkedArray | pa.ListArray) -> tuple[np.ndarray, pa.Array]:
    chunks = lists.chunks if isinstance(lists, pa.ChunkedArray) else [lists]
    # concat_arrays copies even a single chunk.
    whole = chunks[0] if len(chunks) == 1 else pa.concat_arrays([pa.array([], lists.type), *chunks])
    values = whole.flatten()
    if whole.null_count or values.null_count:
        raise InputError(
            "A list column has nulls, which a matrix cannot represent. Drop these rows, or write empty lists."
        )
    offsets = whole.offsets.to_numpy()
    return offsets - offsets[0], values
