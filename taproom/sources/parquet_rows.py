"""Rows of a Parquet file, every value as the string that CSV would hold.

Here belongs what is special to Parquet: columns of many types, bytes that are not UTF-8 in columns of strings, and how
many rows fit into a batch. What values mean belongs to `taproom.sources.review_fields`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taproom.errors import SourceError
from taproom.sources.field_values import EXACT_BELOW
from taproom.sources.packed import check_footer, checked_batches
from taproom.sources.rejected_rows import Reason, RejectRow
from taproom.sources.review_rows import BATCH_BYTES, MAX_RECORD_BYTES, ChooseColumns, NestedValue, Rows

# Of float32.
_EXACT_BELOW_IN_SINGLE = 2**24


def parquet_rows(path: Path, rows_per_batch: int, choose: ChooseColumns, reject: RejectRow) -> Iterator[Rows]:
    """Read a Parquet file in batches of at most `rows_per_batch` rows and about `BATCH_BYTES` bytes.

    Args:
        path: the file.
        rows_per_batch: at least 1.
        choose: is called once, with the names of the file's columns, and True, before the first batch.
        reject: is called for each row that is too long.

    Yields:
        The chosen columns, values str or None; bytes that are not UTF-8 are surrogates.

    Raises `SourceError`, from within the iteration, where the file cannot be read as Parquet.
    """
    read = 0
    try:
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as parquet:
            check_footer(path, parquet.metadata)
            columns = choose(parquet.schema_arrow.names, True)
            for batch in checked_batches(path, _batches(parquet, columns, rows_per_batch)):
                lines = range(read + 1, read + batch.num_rows + 1)
                read += batch.num_rows
                yield _rows(lines, {name: _as_strings(batch.column(name)) for name in columns}, reject)
    except (pa.ArrowException, OSError) as error:
        where = f"beyond row {read:,}" if read else "as Parquet"
        complaint, _, _ = str(error).partition("\n")
        raise SourceError(
            f"{path} cannot be read {where} ({complaint}). Fetch or copy it again, or say which format it has."
        ) from None


def _batches(parquet: pq.ParquetFile, columns: Sequence[str], rows_per_batch: int) -> Iterator[pa.RecordBatch]:
    """The columns in batches of at most so many rows, fewer where the rows of a group are long."""
    for group in range(parquet.num_row_groups):
        size = parquet.metadata.row_group(group)
        fitting = BATCH_BYTES * size.num_rows // max(size.total_byte_size, 1)
        yield from parquet.iter_batches(max(1, min(rows_per_batch, fitting)), row_groups=[group], columns=columns)


def _as_strings(column: pa.Array) -> pa.Array:
    type = column.type
    if pa.types.is_dictionary(type):
        return _as_strings(column.dictionary_decode())
    if pa.types.is_nested(type):
        return column
    texts = pc.cast(column, options=pc.CastOptions(pa.large_string(), allow_invalid_utf8=True))
    return _whole_numbers(column, texts) if pa.types.is_floating(type) else texts


def _whole_numbers(column: pa.Array, texts: pa.Array) -> pa.Array:
    """Whole numbers as all other types write them; those that may have lost digits with an exponent, by which
    `whole_id` knows them."""
    largest = EXACT_BELOW if pa.types.is_float64(column.type) else _EXACT_BELOW_IN_SINGLE
    values = column.cast(pa.float64())
    is_whole = pc.and_(pc.equal(pc.floor(values), values), pc.is_finite(values))
    is_exact = pc.and_(is_whole, pc.less(pc.abs(values), largest))
    whole = pc.if_else(is_exact, values, 0).cast(pa.int64()).cast(pa.large_string())
    texts = pc.if_else(pc.fill_null(is_exact, False), whole, texts)
    lost = pc.fill_null(pc.and_not(is_whole, is_exact), False)
    if not pc.any(lost).as_py():
        return texts
    with_exponents = [None if value is None else f"{value:.1f}e+00" for value in values.to_pylist()]
    return pc.if_else(lost, pa.array(with_exponents, pa.large_string()), texts)


def _rows(lines: Sequence[int], columns: Mapping[str, pa.Array], reject: RejectRow) -> Rows:
    sizes = np.sum([_sizes(column) for column in columns.values()], axis=0)
    for position in np.flatnonzero(sizes > MAX_RECORD_BYTES).tolist():
        reject(lines[position], Reason.TOO_LONG, f"is longer than {MAX_RECORD_BYTES:,} bytes")
    fits = sizes <= MAX_RECORD_BYTES
    return Rows(
        list(compress(lines, fits)),
        {name: _python_strings(column.filter(pa.array(fits))) for name, column in columns.items()},
    )


def _sizes(column: pa.Array) -> np.ndarray:
    """The bytes of each value; of nested ones, which are not read, none."""
    if pa.types.is_nested(column.type):
        return np.zeros(len(column), np.int64)
    return pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False)


def _python_strings(column: pa.Array) -> list[str | None]:
    if pa.types.is_nested(column.type):
        return [NestedValue(f"a {column.type}") if valid else None for valid in column.is_valid().to_pylist()]
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
        return [value and value.decode("utf-8", "surrogateescape") for value in values]
