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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from taproom.errors import DamagedFileError
from taproom.warehouse.storage import Storage

if TYPE_CHECKING:  # reading needs no contract, so no NumPy
    from taproom.warehouse.contracts import Contract

BYTES_PER_FILE = 64 * 2**20

_FILE_NAME = re.compile(r"(?P<position>\d{5})-(?P<sha256>[0-9a-f]{64})-[0-9a-f]{8}\.parquet$")


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table version; `path` is relative to the table's folder.

    >>> file = DataFile(f"00002-{'ab' * 32}-01234567.parquet", size_bytes=512, rows=3, partition=None)
    >>> file.position, file.sha256[:4]
    (2, 'abab')
    """

    path: str
    size_bytes: int
    rows: int
    partition: str | None

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
    columns = [name for name in contract.schema.names if name != contract.partition]
    files = []
    for position, block in enumerate(_blocks(batches)):
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
        files.append(file)
    return files


def read_verified(storage: Storage, table: str, file: DataFile) -> pa.Buffer:
    """The bytes of a data file.

    Raises:
        DamagedFileError: the file is gone, or its SHA-256 is not the one in its name.
        StorageError: the storage cannot be read.
    """
    path = f"{storage.uri(table)}/{file.path}"
    content = storage.read_buffer(f"{table}/{file.path}")
    if content is None:
        raise DamagedFileError(
            f"{table}: {path} is gone. Either it was vacuumed with the old version it belonged to (read a newer "
            "one), or it was deleted by hand (materialize the table again)."
        )
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DamagedFileError(
            f"{table}: the bytes of {path} are not those that were committed (SHA-256 {file.sha256[:12]}... was "
            "wanted). Materialize the table again, or read an earlier version."
        )
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
            yield pa.Table.from_batches(block).combine_chunks()
            block, size = [], 0
    if any(batch.num_rows for batch in block):
        yield pa.Table.from_batches(block).combine_chunks()


def _parquet_bytes(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()
