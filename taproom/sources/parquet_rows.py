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
from taproom.sources.packed import check_footer, checked_batches
from taproom.sources.rejected_rows import Reason, RejectRow
from taproom.sources.review_rows import BATCH_BYTES, MAX_RECORD_BYTES, ChooseColumns, Rows


def parquet_rows(path: Path, rows_per_batch: int, choose: ChooseColumns, reject: RejectRow) -> Iterator[Rows]:
    """Read a Parquet file in batches of at most `rows_per_batch` rows and about `BATCH_BYTES` bytes.

    Args:
        path: the file.
        rows_per_batch: at least 1.
        choose: is called once, with the names of the file's columns, before the first batch.
        reject: is called for each row that is too long.

    Yields:
        The chosen columns, values str or None; bytes that are not UTF-8 are surrogates.

    Raises `SourceError`, from within the iteration, where the file cannot be read as Parquet or a chosen column is
    nested.
    """
    read = 0
    try:
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as parquet:
            check_footer(path, parquet.metadata)
            columns = choose(parquet.schema_arrow.names)
            _check_not_nested(path, parquet.schema_arrow, columns)
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


def _check_not_nested(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    types = {name: schema.field(name).type for name in columns}
    nested = [f"{name!r} ({type})" for name, type in types.items() if pa.types.is_nested(type)]
    if nested:
        raise SourceError(f"{path}: column {', '.join(nested)} holds more than one value a row. Wanted: one.")


def _as_strings(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.cast(column, options=pc.CastOptions(pa.large_string(), allow_invalid_utf8=True))


def _rows(lines: Sequence[int], columns: Mapping[str, pa.Array], reject: RejectRow) -> Rows:
    sizes = sum(pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False) for column in columns.values())
    for position in np.flatnonzero(sizes > MAX_RECORD_BYTES).tolist():
        reject(lines[position], Reason.TOO_LONG, f"is longer than {MAX_RECORD_BYTES:,} bytes")
    fits = sizes <= MAX_RECORD_BYTES
    return Rows(
        list(compress(lines, fits)),
        {name: _python_strings(column.filter(pa.array(fits))) for name, column in columns.items()},
    )


def _python_strings(column: pa.Array) -> list[str | None]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
        return [value and value.decode("utf-8", "surrogateescape") for value in values]
