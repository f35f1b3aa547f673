"""Reading the rows of a table version: file by file, each verified before its rows are given."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from taproom.errors import UnknownTableError
from taproom.warehouse.catalog import head, open_version
from taproom.warehouse.data_files import DataFile, read_verified
from taproom.warehouse.storage import Storage


def stream(
    storage: Storage,
    table: str,
    version: int | None = None,
    *,
    partitions: Iterable[str] | None = None,
    columns: Sequence[str] | None = None,
    paths: Collection[str] | None = None,
    skipped: Collection[DataFile] = (),
) -> pa.RecordBatchReader:
    """The rows of a table version, one file at a time, without those of `skipped` files; see `Warehouse.stream`."""
    snapshot = open_version(storage, table, version)
    if missing := set(paths or ()) - {file.path for file in snapshot.files}:
        raise UnknownTableError(f"{table} has no data file {min(missing)!r} in version {snapshot.version}")
    wanted = None if partitions is None else set(partitions)
    files = [file for file in snapshot.files if wanted is None or file.partition in wanted]
    files = [file for file in files if (paths is None or file.path in paths) and file not in skipped]
    contents: Iterator[pa.Buffer] = (read_verified(storage, table, file) for file in files)
    schema = snapshot.arrow_schema
    if files:
        first = next(contents)
        schema = _exact_schema(first, schema)
        contents = chain([first], contents)  # so that each file is read and verified once
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for file, content in zip(files, contents, strict=True):
            parquet = pq.ParquetFile(pa.BufferReader(content))
            stored = [name for name in schema.names if name in parquet.schema_arrow.names]
            # Columns that were added to the table after the file are null; the partition is only in the log.
            constants: dict[str, str | None] = {name: None for name in schema.names if name not in stored}
            if snapshot.partition_column in constants:
                constants[snapshot.partition_column] = file.partition
            for batch in parquet.iter_batches(columns=stored):
                yield _with_constants(batch, schema, constants)

    return pa.RecordBatchReader.from_batches(schema, batches())


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


def _with_constants(batch: pa.RecordBatch, schema: pa.Schema, constants: Mapping[str, str | None]) -> pa.RecordBatch:
    """A batch with the columns that its file does not have, each of one value."""
    values = [
        pa.repeat(pa.scalar(constants[name], schema.field(name).type), batch.num_rows)
        if name in constants
        else batch.column(name)
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(values, schema=schema)
