"""Reading the rows of a table version: file by file, each verified before its rows are given."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from taproom.errors import UnknownTableError
from taproom.warehouse.catalog import head, open_version
from taproom.warehouse.data_files import BYTES_PER_BATCH, DataFile, read_verified
from taproom.warehouse.storage import Storage

MOST_ROWS = 2**16  # of a batch


def stream(
    storage: Storage,
    table: str,
    version: int | None = None,
    *,
    partitions: Iterable[str] | None = None,
    columns: Sequence[str] | None = None,
    paths: Collection[str] | None = None,
    skipped: Collection[DataFile] = (),
    most_rows: int = MOST_ROWS,
) -> pa.RecordBatchReader:
    """The rows of a table version, one file at a time, without those of `skipped` files; see `Warehouse.stream`."""
    snapshot = open_version(storage, table, version)
    if missing := set(paths or ()) - {file.path for file in snapshot.files}:
        raise UnknownTableError(f"{table} has no data file {min(missing)!r} in version {snapshot.version}")
    wanted = None if partitions is None else set(partitions)
    files = [file for file in snapshot.files if wanted is None or file.partition in wanted]
    files = [file for file in files if (paths is None or file.path in paths) and file not in skipped]
    ahead = [read_verified(storage, table, file) for file in files[:1]]
    schema = _exact_schema(ahead[0], snapshot.arrow_schema) if ahead else snapshot.arrow_schema
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for file in files:
            # What was read for the schema is not read again, and no two files are in memory at a time.
            content = ahead.pop() if ahead else read_verified(storage, table, file)
            parquet = pq.ParquetFile(pa.BufferReader(content))
            yield from _batches(parquet, schema, snapshot.partition_column, file, most_rows)
            del content, parquet

    return pa.RecordBatchReader.from_batches(schema, batches())


def first_rows(storage: Storage, table: str, count: int, version: int | None = None) -> pa.Table:
    """The first rows of a table version, at most `count`; no others are decoded. Raises as `stream` does."""
    rows = stream(storage, table, version, most_rows=max(count, 1))
    found, missing = [], count
    for batch in rows:
        found.append(batch.slice(0, missing))
        missing -= len(found[-1])
        if not missing:
            break
    return pa.Table.from_batches(found, schema=rows.schema)


def partitions(storage: Storage, table: str, version: int | None = None) -> list[str]:
    """The partitions of a table version, sorted; see `Warehouse.partitions`."""
    if version is None and head(storage, table) is None:
        return []
    files = open_version(storage, table, version).files
    return sorted({file.partition for file in files if file.partition is not None})


def _exact_schema(content: pa.Buffer, schema: pa.Schema) -> pa.Schema:
    """A file's own Arrow schema, which keeps what Delta's types cannot express, plus the partition column."""
    stored = pq.read_schema(pa.BufferReader(content))
    return pa.schema([stored.field(wanted.name) if wanted.name in stored.names else wanted for wanted in schema])


def _batches(
    parquet: pq.ParquetFile, schema: pa.Schema, partition_column: str | None, file: DataFile, most_rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a file, about `BYTES_PER_BATCH` and at most `most_rows` at a time."""
    stored = [name for name in schema.names if name in parquet.schema_arrow.names]
    # Columns that were added to the table after the file are null; the partition is only in the log.
    constants: dict[str, str | None] = {name: None for name in schema.names if name not in stored}
    if partition_column in constants:
        constants[partition_column] = file.partition
    rows = min(most_rows, _rows_per_batch(parquet.metadata, stored))
    for batch in parquet.iter_batches(rows, columns=stored):
        yield _with_constants(batch, schema, constants)


def _rows_per_batch(metadata: pq.FileMetaData, columns: Collection[str]) -> int:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)
    return max(1, min(MOST_ROWS, metadata.num_rows * BYTES_PER_BATCH // max(size, 1)))


def _with_constants(batch: pa.RecordBatch, schema: pa.Schema, constants: Mapping[str, str | None]) -> pa.RecordBatch:
    """A batch with the columns that its file does not have, each of one value."""
    values = [
        pa.repeat(pa.scalar(constants[name], schema.field(name).type), batch.num_rows)
        if name in constants
        else batch.column(name)
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(values, schema=schema)
