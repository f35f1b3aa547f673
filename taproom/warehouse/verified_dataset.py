"""A table version for readers that want some columns or rows, or SQL: Arrow datasets over verified files.

A file is read whole and compared with its SHA-256; only what is wanted of it is decoded. Files of partitions that a
filter excludes are not read. Arrow gets the bytes in buffers of its own and never calls Python: its threads may outlive
the interpreter, which ends a program that has just read a table with an abort.
"""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from taproom.errors import UnknownTableError, did_you_mean
from taproom.warehouse.catalog import open_version
from taproom.warehouse.data_files import DataFile, read_verified
from taproom.warehouse.storage import Storage

_PARQUET = pads.ParquetFileFormat()


class VerifiedVersion:
    """A version of a table, or some of its partitions.

    Attributes:
        schema: the columns, as Arrow has them in the files.
    """

    def __init__(self, storage: Storage, table: str, version: int, partitions: Collection[str] | None = None) -> None:
        """Look up the files, and read the first one for the schema.

        Raises:
            UnknownTableError: there is no such table, version or partition.
            DamagedFileError: the file is gone, or is not what was committed.
        """
        self._storage, self._table = storage, table
        snapshot = open_version(storage, table, version)
        known = {file.partition for file in snapshot.files if file.partition is not None}
        for name in partitions or ():
            if name not in known:
                raise UnknownTableError(
                    f"{table} has no partition {name!r} in version {version}{did_you_mean(name, known)}; "
                    f"it has {len(known)} partitions"
                )
        self._files = [file for file in snapshot.files if partitions is None or file.partition in partitions]
        self._partition_column = snapshot.partition_column
        self._first: dict[DataFile, pa.Buffer] = {}  # kept until it is scanned, so that it is read once
        self.schema = self._exact_schema(snapshot.arrow_schema)

    def read(self, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Table:
        """The rows that are wanted, in order. Raises `DamagedFileError`, and what `projected` raises."""
        schema = self.projected(columns, where)
        with ThreadPoolExecutor() as threads:
            parts = list(threads.map(lambda file: self._rows(file, columns, where), self._files_wanted(where)))
        return pa.concat_tables([schema.empty_table(), *parts])

    def stream(self, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.RecordBatchReader:
        """As `read`, one file after the other."""
        schema = self.projected(columns, where)

        def batches() -> Iterator[pa.RecordBatch]:
            for file in self._files_wanted(where):
                yield from self._rows(file, columns, where).to_batches()

        return pa.RecordBatchReader.from_batches(schema, batches())

    def dataset(self) -> pads.FileSystemDataset:
        """All files, in memory as they are on disk (compressed), to be scanned any number of times."""
        with ThreadPoolExecutor() as threads:
            fragments = list(threads.map(self._fragment, self._files))
        return pads.FileSystemDataset(fragments, self.schema, _PARQUET)

    def projected(self, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Schema:
        """The schema of the wanted columns.

        Raises:
            pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError: `where` cannot be applied to the columns.
        """
        names = None if columns is None else list(columns)
        return pads.dataset(self.schema.empty_table()).scanner(columns=names, filter=where).projected_schema

    def _rows(self, file: DataFile, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Table:
        names = None if columns is None else list(columns)
        return self._fragment(file).to_table(schema=self.schema, columns=names, filter=where)

    def _fragment(self, file: DataFile) -> pads.Fragment:
        content = self._first.pop(file, None) or read_verified(self._storage, self._table, file)
        return _PARQUET.make_fragment(content, partition_expression=self._partition_is(file))

    def _files_wanted(self, where: pc.Expression | None) -> list[DataFile]:
        """The files that may have rows that fulfil `where`, as their partitions say."""
        if where is None or self._partition_column is None:
            return self._files
        nowhere = pafs.LocalFileSystem()  # these fragments are only compared with `where`, not opened
        fragments = [
            _PARQUET.make_fragment(file.path, nowhere, partition_expression=self._partition_is(file))
            for file in self._files
        ]
        every = pads.FileSystemDataset(fragments, self.schema, _PARQUET, nowhere)
        wanted = {fragment.path for fragment in every.get_fragments(filter=where)}
        return [file for file in self._files if file.path in wanted]

    def _partition_is(self, file: DataFile) -> pc.Expression | None:
        column = self._partition_column
        return pc.field(column) == pa.scalar(file.partition, self.schema.field(column).type) if column else None

    def _exact_schema(self, schema: pa.Schema) -> pa.Schema:
        """A file's own schema, which keeps what Delta's types cannot express, plus the partition column."""
        if not self._files:
            return schema
        first = self._files[0]
        self._first[first] = read_verified(self._storage, self._table, first)
        stored = pq.read_schema(pa.BufferReader(self._first[first]))
        return pa.schema([stored.field(field.name) if field.name in stored.names else field for field in schema])
