"""A version of a table, described in a few bytes: what a worker on another machine reads its rows from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from taproom.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class TableVersion:
    """A version of a table in a warehouse, or some of its partitions, data files and columns.

    Attributes:
        root: folder or address of the warehouse, which every reader must be able to reach.
        table: its name.
        version: its version; None for a table that has not been made and may be empty.
        partitions: those to read, None for all.
        columns: those to read, None for all.
        schema: of the rows, where there is no version.
        committed_at: when the version was committed. A warehouse that was deleted and made again has the same root and
            the same versions at other times, so workers do not mistake what they have kept of the old one for the new.
        paths: the data files to read, None for all. Their names have the SHA-256 of their bytes.
    """

    root: str
    table: str
    version: int | None
    partitions: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    schema: pa.Schema | None = None
    committed_at: datetime | None = None
    paths: tuple[str, ...] | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The parameters that the version was made with; none where there is no version, or it records none."""
        if self.version is None:
            return {}
        return Warehouse(self.root).commit_of(self.table, self.version)["config"] or {}

    def stream(self) -> pa.RecordBatchReader:
        """The rows, one file at a time, each verified by its hash.

        Raises:
            UnknownTableError: the warehouse has no such version or data file.
            DamagedFileError: a file's bytes are not those that were committed.
            StorageError: the storage fails.
        """
        if self.version is None:
            assert self.schema is not None
            return self.schema.empty_table().to_reader()
        return Warehouse(self.root).stream(
            self.table, self.version, partitions=self.partitions, columns=self.columns, paths=self.paths
        )

    def read(self) -> pa.Table:
        """The rows as a table; raises what `stream` does."""
        return self.stream().read_all()

    def by_file(self) -> list["TableVersion"]:
        """The same rows in several descriptions, one for each data file (about 64 MB in memory), in the rows' order.

        Raises:
            UnknownTableError: the warehouse has no such version.
            StorageError: the storage fails.
        """
        if self.version is None:
            return []
        files = Warehouse(self.root).files(self.table, self.version)
        paths = [file.path for file in files if self.partitions is None or file.partition in self.partitions]
        return [replace(self, paths=(path,)) for path in paths if self.paths is None or path in self.paths]
