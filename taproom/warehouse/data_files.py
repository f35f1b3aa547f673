"""The Parquet files of a table: written in blocks, verified whenever they are read.

Here belongs what concerns the bytes of one file. Which files are a version of a table is in the log (`delta_log`).

A file is called `<position>-<sha256>-<random>.parquet`: its position in the table's row order, the hash of its bytes,
and a random part, so that two writers never use the same name. Partition columns are not in the files: Delta keeps them
in the log.
"""

import hashlib
import io
import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from taproom.errors import DamagedFileError
from taproom.warehouse.column_ranges import ByteRange, byte_ranges, chunks_of
from taproom.warehouse.storage import Storage

if TYPE_CHECKING:  # reading needs no contract, so no NumPy
    from taproom.warehouse.contracts import Contract

BYTES_PER_FILE = 64 * 2**20
BYTES_PER_BATCH = 16 * 2**20

_PAGE_HEADER = 64  # bytes; zeros there are no header of a page

_FILE_NAME = re.compile(r"(?P<position>\d{5})-(?P<sha256>[0-9a-f]{64})-[0-9a-f]{8}\.parquet$")


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table version; `path` is relative to the table's folder.

    `ranges` are known only of a file that was just written; later they are in the commit.

    >>> file = DataFile(f"00002-{'ab' * 32}-01234567.parquet", size_bytes=512, rows=3, partition=None)
    >>> file.position, file.sha256[:4]
    (2, 'abab')
    """

    path: str
    size_bytes: int
    rows: int
    partition: str | None
    ranges: tuple[ByteRange, ...] = field(default=(), compare=False, repr=False)

    @property
    def position(self) -> int:
        """Position of the file's rows in the row order of the table (or partition)."""
        return int(self._name["position"])

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes when they were committed."""
        return self._name["sha256"]

    @property
    def _name(self) -> re.Match[str]:
        if not (match := _FILE_NAME.search(self.path)):
            raise DamagedFileError(
                f"{self.path} was not written by Taproom: its name has no SHA-256, so its bytes cannot be verified. "
                "Write tables through Taproom, or keep this one outside its warehouse."
            )
        return match


def bounded_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut large batches into slices of about `BYTES_PER_BATCH`, so that checking and writing take bounded memory."""
    for batch in batches:
        rows = max(1, batch.num_rows * BYTES_PER_BATCH // max(batch.nbytes, 1))
        for first in range(0, batch.num_rows, rows):
            yield batch.slice(first, rows)


def write_files(
    storage: Storage,
    contract: "Contract",
    batches: Iterable[pa.RecordBatch],
    partition: str | None,
    reusable: Sequence[DataFile],
) -> list[DataFile]:
    """Write batches to Parquet files of about `BYTES_PER_FILE`; no reader sees them before they are committed.

    A file of `reusable` that has the same position and the same bytes is used instead of a new one.

    Raises:
        StorageError: the storage cannot be written to.
    """
    by_content = {(file.position, file.sha256): file for file in reusable}
    write = partial(_write_file, storage, contract, partition, by_content)
    # By `map`, since the variables of a loop would keep a file's rows and bytes while the next ones are collected.
    return list(map(write, count(), _blocks(batches)))


def _write_file(
    storage: Storage,
    contract: "Contract",
    partition: str | None,
    by_content: Mapping[tuple[int, str], DataFile],
    position: int,
    block: pa.Table,
) -> DataFile:
    columns = [name for name in contract.schema.names if name != contract.partition]
    # Rows may come with other descriptions or names of list entries, which Parquet would write into its bytes.
    content = _parquet_bytes(block.cast(contract.schema).select(columns))
    sha256 = hashlib.sha256(content).hexdigest()
    file = by_content.get((position, sha256))
    if file is None or not is_intact(storage, contract.table, file):
        folder = f"{contract.partition}={partition}/" if partition else ""
        path = f"{folder}{position:05d}-{sha256}-{uuid.uuid4().hex[:8]}.parquet"
        with storage.write_errors(contract.table):
            storage.write(f"{contract.table}/{path}", content)
        file = DataFile(path, len(content), block.num_rows, partition)
    return replace(file, ranges=byte_ranges(content))


def read_verified(storage: Storage, table: str, file: DataFile) -> pa.Buffer:
    """The bytes of a data file.

    Raises:
        DamagedFileError: the file is gone, or its SHA-256 is not the one in its name.
        StorageError: the storage cannot be read.
    """
    content = storage.read_buffer(f"{table}/{file.path}")
    if content is None:
        raise _gone(storage, table, file)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _damaged(storage, table, file, file.sha256)
    return content


def read_columns(
    storage: Storage, table: str, file: DataFile, ranges: Sequence[ByteRange], columns: Collection[str]
) -> pa.Buffer:
    """A data file of which only the footer and the chunks of some columns were read, and verified.

    The other chunks are not to be decoded. They begin with zeros, so decoding one is an error.

    Args:
        storage: the warehouse.
        table: the table's name.
        file: the data file.
        ranges: its byte ranges, as its commit has them.
        columns: names of columns; those that are not in the file count for nothing.

    Raises:
        DamagedFileError: the file is gone, or the SHA-256 of a part that was read is not the commit's.
        StorageError: the storage cannot be read.
    """
    parts = list(pairwise([*(part.start for part in ranges), file.size_bytes]))
    content = _unreadable(file.size_bytes, parts)

    def fill(positions: Sequence[int]) -> None:
        if not storage.read_into(f"{table}/{file.path}", content, [parts[each] for each in positions]):
            raise _gone(storage, table, file)
        for each in positions:
            start, end = parts[each]
            if hashlib.sha256(content[start:end]).hexdigest() != ranges[each].sha256:
                raise _damaged(storage, table, file, ranges[each].sha256)

    fill([len(parts) - 1])
    if chunks := chunks_of(pq.read_metadata(pa.BufferReader(content)), columns):
        fill(chunks)
    return content


def is_intact(storage: Storage, table: str, file: DataFile) -> bool:
    """Whether a data file exists and has the bytes that were committed."""
    try:
        read_verified(storage, table, file)
    except DamagedFileError:
        return False
    return True


def paths(files: Iterable[DataFile]) -> set[str]:
    """The paths of files, relative to the table's folder."""
    return {file.path for file in files}


def _unreadable(size: int, parts: Iterable[tuple[int, int]]) -> pa.Buffer:
    """A buffer with zeros at the start of each part (start, end), so that a part that was not filled is not decoded.

    What is zero is not written: then memory is taken only for what is read.
    """
    content = pa.allocate_buffer(size)
    writable = memoryview(content).cast("B")
    for start, end in parts:
        begin = slice(start, min(end, start + _PAGE_HEADER))
        if any(writable[begin]):
            writable[begin] = bytes(begin.stop - start)
    return content


def _gone(storage: Storage, table: str, file: DataFile) -> DamagedFileError:
    return DamagedFileError(
        f"{table}: {storage.uri(table)}/{file.path} is gone. Either it was vacuumed with the old version it belonged "
        "to (read a newer one), or it was deleted by hand (materialize the table again)."
    )


def _damaged(storage: Storage, table: str, file: DataFile, sha256: str) -> DamagedFileError:
    return DamagedFileError(
        f"{table}: the bytes of {storage.uri(table)}/{file.path} are not those that were committed (SHA-256 "
        f"{sha256[:12]}... was wanted). Materialize the table again, or read an earlier version."
    )


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join batches to tables of about `BYTES_PER_FILE`, so that a stream becomes files of a bounded size.

    Chunks are combined because Parquet's pages follow them: the same rows must give the same bytes.
    """
    block: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        block.append(batch)
        size += batch.nbytes
        if size >= BYTES_PER_FILE:
            yield _taken(block)
            size = 0
    if any(batch.num_rows for batch in block):
        yield _taken(block)


def _taken(block: list[pa.RecordBatch]) -> pa.Table:
    """The rows of the batches, which the list no longer has: so they are not in memory twice while they are written."""
    rows = pa.Table.from_batches(block).combine_chunks()
    block.clear()
    return rows


def _parquet_bytes(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()
