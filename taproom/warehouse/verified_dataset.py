"""A table version for readers that want some columns or rows, or SQL: Arrow datasets over verified files.

If some columns of a larger file are wanted, its footer and their chunks are read, each compared with the SHA-256 that
the file's commit has; else the file is read whole and compared with the SHA-256 in its name. Files of partitions that a
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

from taproom.errors import DamagedLogError, UnknownTableError, did_you_mean
from taproom.warehouse.catalog import open_version
from taproom.warehouse.column_ranges import ByteRange
from taproom.warehouse.data_files import DataFile, read_columns, read_verified
from taproom.warehouse.delta_log import Snapshot, TableLog
from taproom.warehouse.storage import Storage

# A smaller file is read whole, in one request to an object store; a footer and a chunk take several.
SMALLEST_DIVIDED_FILE = 2**20

_PARQUET = pads.ParquetFileFormat()


class VerifiedVersion:
    """A version of a table, or some of its partitions.

    Attributes:
        schema: the columns, as Arrow has them in the files.
    """

    def __init__(
        self,
        storage: Storage,
        table: str,
        version: int,
        partitions: Collection[str] | None = None,
        *,
        some_columns: bool = False,
    ) -> None:
        """Look up the files, and read the first one for the schema; of a larger one, if `some_columns`, its footer.

        With `some_columns`, `read` and `stream` read only the columns that they are asked for.

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
        self._ranges = _recorded_ranges(storage, table, snapshot, self._files) if some_columns else {}
        self._first: dict[DataFile, pa.Buffer] = {}  # kept until it is scanned, so that it is read once
        self.schema = self._exact_schema(snapshot.arrow_schema)

    def read(self, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Table:
        """The rows that are wanted, in order. Raises `DamagedFileError`, and what `projected` raises."""
        schema = self.projected(columns, where)
        read = self._columns_read(columns, where)
        with ThreadPoolExecutor() as threads:
            parts = list(threads.map(lambda file: self._rows(file, columns, where, read), self._files_wanted(where)))
        return pa.concat_tables([schema.empty_table(), *parts])

    def stream(self, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.RecordBatchReader:
        """As `read`, one file after the other."""
        schema = self.projected(columns, where)
        read = self._columns_read(columns, where)

        def batches() -> Iterator[pa.RecordBatch]:
            for file in self._files_wanted(where):
                yield from self._rows(file, columns, where, read).to_batches()

        return pa.RecordBatchReader.from_batches(schema, batches())

    def dataset(self) -> pads.FileSystemDataset:
        """All files, in memory as they are on disk (compressed), to be scanned any number of times."""
        with ThreadPoolExecutor() as threads:
            fragments = list(threads.map(self._fragment, self._files))
        return pads.FileSystemDataset(fragments, self.schema, _PARQUET)

    def projected(self, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Schema:
        """The schema of the wanted columns.

        Raises:
            pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, pyarrow.ArrowTypeError: `where` cannot be applied to
                the columns.
        """
        names = None if columns is None else list(columns)
        # of no rows: only then Arrow says that a condition gives no booleans
        return pads.dataset(self.schema.empty_table()).to_table(names, filter=where, use_threads=False).schema

    def _columns_read(self, columns: Sequence[str] | None, where: pc.Expression | None) -> set[str] | None:
        """The columns that are wanted and those that `where` uses; None for all."""
        if columns is None:
            return None
        used = set() if where is None else {name for name in self.schema.names if self._needs(where, name)}
        return {*columns, *used}

    def _needs(self, where: pc.Expression, name: str) -> bool:
        """Whether an expression uses a column: without the column it cannot be applied. Arrow does not list them."""
        others = self.schema.remove(self.schema.get_field_index(name))
        try:
            pads.dataset(others.empty_table()).scanner(filter=where)
        except pa.ArrowInvalid:
            return True
        return False

    def _rows(
        self, file: DataFile, columns: Sequence[str] | None, where: pc.Expression | None, read: Collection[str] | None
    ) -> pa.Table:
        names = None if columns is None else list(columns)
        return self._fragment(file, read).to_table(schema=self.schema, columns=names, filter=where)

    def _fragment(self, file: DataFile, read: Collection[str] | None = None) -> pads.Fragment:
        return _PARQUET.make_fragment(self._content(file, read), partition_expression=self._partition_is(file))

    def _content(self, file: DataFile, read: Collection[str] | None) -> pa.Buffer:
        ranges = self._ranges.get(file.path)
        if read is not None and ranges:
            return read_columns(self._storage, self._table, file, ranges, read)
        return self._first.pop(file, None) or read_verified(self._storage, self._table, file)

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
        content = self._content(first, ())
        if first.path not in self._ranges:
            self._first[first] = content
        stored = pq.read_schema(pa.BufferReader(content))
        return pa.schema([stored.field(field.name) if field.name in stored.names else field for field in schema])


def _recorded_ranges(
    storage: Storage, table: str, snapshot: Snapshot, files: Sequence[DataFile]
) -> dict[str, list[ByteRange]]:
    """The byte ranges of the larger files, by path; without files that an older release has written.

    A commit has those of the files that it wrote, so of a table in partitions several commits are read.
    """
    wanted = {file.path for file in files if file.size_bytes >= SMALLEST_DIVIDED_FILE}
    found: dict[str, list[ByteRange]] = {}
    entry = snapshot.entry
    while wanted - found.keys() and (recorded := entry.metadata.get("ranges")) is not None:
        found |= {path: [ByteRange(*each) for each in recorded[path]] for path in wanted & recorded.keys()}
        if entry.version == 0:
            break
        try:
            entry = TableLog(storage, table).entry(entry.version - 1)
        except DamagedLogError:  # the files of earlier commits are read whole
            break
    return found
