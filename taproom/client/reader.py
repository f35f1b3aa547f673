"""The warehouse handle for readers, which `taproom.open` gives."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from taproom.client import descriptions, snapshots
from taproom.client.descriptions import History, TableDescription, TableList
from taproom.client.snapshots import Snapshot
from taproom.errors import InputError, MissingPackageError, UnknownColumnError, did_you_mean
from taproom.warehouse import catalog
from taproom.warehouse.history import history
from taproom.warehouse.storage import Storage, default_root

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.compute as pc

    from taproom.client.models import CellModels, ImageModels, MapModels, TopicModels, WordModels
    from taproom.warehouse.data_package import ExportedTable
    from taproom.warehouse.difference import Changes
    from taproom.warehouse.difference_report import Difference
    from taproom.warehouse.verified_dataset import VerifiedVersion

# How Arrow refuses an expression with an unknown column.
_NO_SUCH_FIELD = re.compile(r"No match for FieldRef\.Name\((?P<name>.*?)\) in ")


class WarehouseReader:
    """A warehouse to read from: its newest versions, or those of a snapshot.

    A handle holds no files open, and threads may share it. Whatever is read is compared with its SHA-256 first.

    Attributes:
        root: folder or URL of the warehouse.
        pinned: the snapshot that the handle reads; None: the newest versions.
    """

    def __init__(self, root: str | os.PathLike | None = None, pinned: Snapshot | None = None) -> None:
        """Open the warehouse at `root` (by default `default_root()`), without reading from it."""
        self._storage = Storage(str(root or default_root()))
        self.root = self._storage.root
        self.pinned = pinned

    # Tables

    def tables(self) -> TableList:
        """The tables, each with its version and what one row is, sorted by name.

        Raises:
            StorageError: the storage cannot be reached.
            DamagedLogError: a table's log is damaged.
        """
        return descriptions.list_tables(self._storage, self._versions())

    def describe(self, table: str) -> TableDescription:
        """Grain, columns with their meaning and unit, key, rules, versions, what it was made from and is used for.

        Args:
            table: name of the table.

        Raises:
            UnknownTableError: there is no such table.
            DamagedLogError: a table's log is damaged.
        """
        return descriptions.describe_table(self._storage, table, self.version(table), self._versions())

    def history(self, table: str) -> History:
        """The provenance of each version of a table (run, inputs and their versions, config), newest first.

        A handle that reads a snapshot lists no versions after the snapshot's.

        Raises:
            UnknownTableError: there is no such table.
            DamagedLogError: a commit is damaged.
        """
        newest = self.version(table)
        return History(commit for commit in history(self._storage, table) if commit["version"] <= newest)

    def version(self, table: str) -> int:
        """The version of a table that is read if no other is asked for.

        Raises:
            UnknownTableError: there is no such table, or the warehouse is not the one of the snapshot.
        """
        if self.pinned is None:
            return catalog.existing_head(self._storage, table)
        return self.pinned.version_of(self._storage, table)

    # Rows

    def load(
        self,
        table: str,
        version: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: "pc.Expression | None" = None,
        partitions: Collection[str] | None = None,
    ) -> pa.Table:
        """Read a table. Of a file larger than 1 MB only the wanted columns are read; other rows are not decoded.

        Args:
            table: name of the table.
            version: a version that `history` lists; None for the handle's.
            columns: names of the columns; None for all.
            where: which rows, such as `pyarrow.compute.field("distance") < 0.5`; None for all. It may use columns that
                are not among `columns`.
            partitions: names of the partitions; None for all.

        Raises:
            UnknownTableError: there is no such table, version or partition.
            UnknownColumnError: there is no such column.
            InputError: `where` is not an expression, or cannot be applied to the columns' types; `columns` or
                `partitions` is a single name instead of several, or there is no column in it.
            DamagedFileError: a file differs from what was committed, or is gone.
        """
        found = self._opened(table, version, partitions, some_columns=columns is not None)
        with _checked(table, found.schema, columns, where):
            return found.read(columns, where)

    def scan(
        self,
        table: str,
        version: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        where: "pc.Expression | None" = None,
        partitions: Collection[str] | None = None,
    ) -> pa.RecordBatchReader:
        """As `load`, but in batches of rows, file by file: memory is bounded by the largest (about 64 MB of rows)."""
        found = self._opened(table, version, partitions, some_columns=columns is not None)
        with _checked(table, found.schema, columns, where):
            return found.stream(columns, where)

    def to_pandas(self, table: str, version: int | None = None, **wanted: Any) -> "pd.DataFrame":
        """As `load`, with the same arguments, as a pandas DataFrame. Raises `MissingPackageError` without pandas."""
        rows = self.load(table, version, **wanted)
        try:
            return rows.to_pandas()
        except ModuleNotFoundError as error:
            raise MissingPackageError("to_pandas needs pandas. Install it: pip install pandas") from error

    def sql(self, query: str, versions: Mapping[str, int] | None = None) -> pa.Table:
        """The rows that a query gives (DuckDB's SQL). Only the tables that it names are read.

        Args:
            query: one SELECT statement. Tables are called by their names; `"items@3"`, in double quotes, is version 3.
            versions: versions of tables that the query names without one.

        Raises:
            UnknownTableError: there is no such table or version.
            InputError: the query does not only read, or DuckDB refuses it; the message says why.
            DamagedFileError: a file differs from what was committed, or is gone.
        """
        from taproom.client.queries import query_tables

        for name in versions or ():
            self.version(name)  # raises for a misspelt name, which would count for nothing
        return query_tables(query, versions or {}, lambda *table: self._opened(*table).dataset())

    # What changed, and copies

    def diff(
        self,
        table: str,
        old: int,
        new: int | None = None,
        *,
        key: Sequence[str] | None = None,
        ignore: Collection[str] = (),
        rtol: float = 0.0,
        atol: float = 0.0,
    ) -> "Difference":
        """Compare two versions of a table: columns and rows that were added, are gone or changed.

        Args:
            table: name of the table.
            old: the version to compare with.
            new: the version to compare; None for the handle's.
            key: columns that identify a row; by default those of the table's contract.
            ignore: columns that are not compared.
            rtol: relative tolerance of floating-point numbers.
            atol: absolute tolerance of floating-point numbers.

        Raises:
            UnknownTableError: there is no such table or version.
            InputError: the key is not known or not unique, or a column or number is not possible.
            DamagedFileError: a file differs from what was committed.
        """
        from taproom.warehouse.difference import diff

        _check_several("key", key)
        new = self.version(table) if new is None else new
        return diff(self._storage, table, old, new, key=key, ignore=ignore, rtol=rtol, atol=atol)

    def changes(self, table: str, since_version: int, *, key: Sequence[str] | None = None) -> "Changes":
        """The rows added or changed, and the keys gone, since a version that a consumer has; raises as `diff` does."""
        from taproom.warehouse.difference import changes

        _check_several("key", key)
        return changes(self._storage, table, since_version, self.version(table), key=key)

    def export(
        self,
        folder: str | os.PathLike,
        tables: Iterable[str] | Mapping[str, int | None] | None = None,
        *,
        format: Literal["parquet", "csv"] = "parquet",
    ) -> "list[ExportedTable]":
        """Write tables to a new folder, with a Data Package 2.0 and Croissant metadata.

        Args:
            folder: the folder to make. It may exist if it is empty.
            tables: names of tables, or versions by name (None: the handle's); all tables by default.
            format: "parquet" or "csv".

        Raises:
            InputError: there is no such format, there is no table, or the folder is not empty.
            UnknownTableError: there is no such table or version.
            DamagedFileError: a file differs from what was committed.
            StorageError: the folder cannot be written to, for example because the disk is full. Nothing is left of it.
        """
        from taproom.warehouse.export import export

        _check_several("tables", tables)
        wanted = tables if isinstance(tables, Mapping) else dict.fromkeys(tables or self._versions())
        versions = {name: self.version(name) if version is None else version for name, version in wanted.items()}
        return export(self._storage, folder, versions, format=format)

    # Snapshots

    def snapshot(self) -> Snapshot:
        """The versions of all tables that belong together; tables that were used in several versions are named in it.

        Raises:
            DamagedLogError: a log is damaged.
        """
        return snapshots.snapshot_of(self._storage, self._versions())

    # Models

    @cached_property
    def map(self) -> "MapModels":
        """The map of items: `place` and `neighbors`."""
        from taproom.client.models import MapModels

        return MapModels(self)

    @cached_property
    def words(self) -> "WordModels":
        """The word vectors: `nearest` and `analogy`."""
        from taproom.client.models import WordModels

        return WordModels(self)

    @cached_property
    def topics(self) -> "TopicModels":
        """The topics: `of` a text."""
        from taproom.client.models import TopicModels

        return TopicModels(self)

    @cached_property
    def cells(self) -> "CellModels":
        """The class mixtures: `call`."""
        from taproom.client.models import CellModels

        return CellModels(self)

    @cached_property
    def images(self) -> "ImageModels":
        """The classifier of images: `classify` and `features`."""
        from taproom.client.models import ImageModels

        return ImageModels(self)

    def __repr__(self) -> str:
        return f"taproom.open({self.root!r})"

    def _versions(self) -> dict[str, int]:
        return catalog.heads(self._storage) if self.pinned is None else self.pinned.versions

    def _opened(
        self,
        table: str,
        version: int | None = None,
        partitions: Collection[str] | None = None,
        *,
        some_columns: bool = False,
    ) -> "VerifiedVersion":
        from taproom.warehouse.verified_dataset import VerifiedVersion

        _check_several("partitions", partitions)
        version = self.version(table) if version is None else version
        return VerifiedVersion(self._storage, table, version, partitions, some_columns=some_columns)


@contextmanager
def _checked(
    table: str, schema: pa.Schema, columns: Sequence[str] | None, where: "pc.Expression | None"
) -> Iterator[None]:
    """Check which columns and rows are wanted; raises as `WarehouseReader.load` does."""
    import pyarrow.compute as pc

    _check_several("columns", columns)
    if columns is not None and not columns:
        raise InputError(f"{table}: columns = {columns!r} names no column. Wanted: at least one, or None for all.")
    for name in columns or ():
        if name not in schema.names:
            raise _unknown_column(table, name, schema.names)
    if where is not None and not isinstance(where, pc.Expression):
        raise InputError(
            f"where = {where!r} is no expression. Wanted: a pyarrow expression such as "
            'pyarrow.compute.field("distance") < 0.5; `sql` takes conditions as text.'
        )
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        if match := _NO_SUCH_FIELD.match(str(error)):
            raise _unknown_column(table, match["name"], schema.names) from error
        raise InputError(f"{table}: where = {where} cannot be applied. {error}") from error


def _check_several(argument: str, names: Iterable[str] | None) -> None:
    """Refuse a single name, which would be taken for names of one letter each."""
    if isinstance(names, str):
        raise InputError(f"{argument} = {names!r} is a text. Wanted: a list, such as {argument}=[{names!r}].")


def open_reader(
    root: str | os.PathLike | None = None,
    snapshot: Snapshot | str | os.PathLike | None = None,
    at: str | date | datetime | None = None,
) -> WarehouseReader:
    """See `taproom.open`."""
    if snapshot is not None and at is not None:
        raise InputError("A snapshot and a time were given; wanted: one of them.")
    root = root or default_root()
    if at is not None:
        snapshot = snapshots.snapshot_at(Storage(str(root)), at)
    elif snapshot is not None and not isinstance(snapshot, Snapshot):
        snapshot = Snapshot.read(Path(snapshot))
    return WarehouseReader(root, snapshot)


_default: WarehouseReader | None = None
_lock = Lock()


def default_reader() -> WarehouseReader:
    """The handle of the default warehouse; the same one until `$TAPROOM_WAREHOUSE` changes, so that models are kept."""
    global _default
    wanted = WarehouseReader()
    with _lock:
        if _default is None or _default.root != wanted.root:
            _default = wanted
        return _default


def _unknown_column(table: str, name: str, known: Sequence[str]) -> UnknownColumnError:
    return UnknownColumnError(
        f"{table} has no column {name!r}{did_you_mean(str(name), known)}; it has: {', '.join(known)}"
    )
