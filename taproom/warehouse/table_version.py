"""A version of a table, described in a few bytes: what a worker on another machine reads its rows from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from taproom.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class TableVersion:
    """A version of a table in a warehouse, or some of its partitions and columns.

    Attributes:
        root: folder or address of the warehouse, which every reader must be able to reach.
        table: its name.
        version: its version; None for a table that has not been made and may be empty.
        partitions: those to read, None for all.
        columns: those to read, None for all.
        schema: of the rows, where there is no version.
        committed_at: when the version was committed. A warehouse that was deleted and made again has the same root and
            the same versions at other times, so workers do not mistake what they have kept of the old one for the new.
    """

    root: str
    table: str
    version: int | None
    partitions: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    schema: pa.Schema | None = None
    committed_at: datetime | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """The parameters that the version was made with; none where there is no version, or it records none."""
        if self.version is None:
            return {}
        return Warehouse(self.root).commit_of(self.table, self.version)["config"] or {}

    def stream(self) -> pa.RecordBatchReader:
        """The rows, one file at a time, each verified by its hash.

        Raises:
            UnknownTableError: the warehouse has no such version.
            DamagedFileError: a file's bytes are not those that were committed.
            StorageError: the storage fails.
        """
        if self.version is None:
            assert self.schema is not None
            return self.schema.empty_table().to_reader()
        return Warehouse(self.root).stream(self.table, self.version, partitions=self.partitions, columns=self.columns)

    def read(self) -> pa.Table:
        """The rows as a table; raises what `stream` does."""
        return self.stream().read_all()
