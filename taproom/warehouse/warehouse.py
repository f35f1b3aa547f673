"""The warehouse: versioned tables in Delta Lake, written by compare-and-swap and verified on every read.

Why a layer over `deltalake`:

- its writers retry a lost race by default, which mixes the rows of two first writes (`compare_and_swap`);
- a flipped byte in a data file would be read as a wrong number (`data_files`);
- a damaged log would be read as other rows (`delta_log`, `log_repair`);
- a table that has not changed must get no new version (`publishing`).

`Warehouse` is the public face of these modules, of `reading`, `history`, `figures` and `sweep`. Nothing here imports
Dagster; `pipelines/io_manager.py` joins the two.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pyarrow as pa

from taproom.warehouse import catalog, figures, history, log_repair, publishing, reading, sweep
from taproom.warehouse.conditional_writes import check_conditional_writes
from taproom.warehouse.contracts import Contract
from taproom.warehouse.data_files import DataFile, read_verified
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.log_repair import CheckReport, RepairReport
from taproom.warehouse.publishing import Origin, Published
from taproom.warehouse.storage import Storage, default_root


class Warehouse:
    """A folder (or an object-store URL) of Delta tables, one folder a table.

    >>> import tempfile
    >>> import pyarrow as pa
    >>> from taproom.warehouse.contracts import Column, Contract
    >>> beers = Contract("beers", "a beer", (Column("beer_id", pa.int64(), "the beer"),), key=("beer_id",))
    >>> warehouse = Warehouse(tempfile.mkdtemp())
    >>> warehouse.publish(beers, beers.table_of(beer_id=[1, 2]), since=None).version
    0
    >>> warehouse.publish(beers, beers.table_of(beer_id=[1, 2, 3]), since=0).version
    1
    >>> warehouse.read("beers")["beer_id"].to_pylist()
    [1, 2, 3]
    >>> warehouse.read("beers", version=0)["beer_id"].to_pylist()
    [1, 2]
    """

    def __init__(self, root: str | os.PathLike | None = None) -> None:
        """Open the warehouse at `root` (by default `default_root()`), without creating anything."""
        self.storage = Storage(str(root or default_root()))
        self.root = self.storage.root

    # Tables and versions

    def uri(self, table: str) -> str:
        """The address of a table, as deltalake, pandas and DuckDB take it."""
        return self.storage.uri(table)

    def tables(self) -> list[str]:
        """Names of the tables that exist, sorted; also of damaged ones.

        Raises:
            StorageError: the storage cannot be reached.
        """
        return sorted(self.heads())

    def head(self, table: str) -> int | None:
        """The newest version of a table, None where there is no such table; a damaged table has one too."""
        return catalog.head(self.storage, table)

    def heads(self) -> dict[str, int]:
        """The newest version of every table. No table is opened, so a damaged one does not matter."""
        return catalog.heads(self.storage)

    def partitions(self, table: str, version: int | None = None) -> list[str]:
        """The partitions of a table version (None: the newest), sorted; empty where there is no table."""
        return reading.partitions(self.storage, table, version)

    def files(self, table: str, version: int | None = None) -> list[DataFile]:
        """The data files of a table version (None: the newest), in row order."""
        return list(catalog.open_version(self.storage, table, version).files)

    # Writing

    def publish(
        self,
        contract: Contract,
        rows: pa.Table | pa.RecordBatchReader,
        *,
        since: int | None,
        partition: str | None = None,
        origin: Origin | None = None,
        always_commit: bool = False,
        references: Mapping[str, int] | None = None,
    ) -> Published:
        """Make `rows` the whole table (or the whole partition) that `contract` describes.

        The contract is checked while the rows are written to files that no reader sees yet; then they are committed in
        one step. Whatever is raised, the table is as it was.

        Args:
            contract: describes the table.
            rows: all rows of the table (of the partition).
            since: the version that the writer knew when it began (None: there was no table).
            partition: the partition that the rows belong to (None: the table has no partitions).
            origin: how the rows came to be, kept with the commit.
            always_commit: commit unchanged rows too, because `origin` has to be kept.
            references: the versions of other tables to check foreign keys against; those to tables that are not among
                them are not checked.

        Raises:
            ContractError: the rows break the contract.
            CollectionError: a single-valued column has another value in the table.
            WriteConflictError: the table (the partition) has changed since version `since`.
            DamagedLogError: the table's log is damaged.
            StorageError: the storage refuses, or a file that was just written is gone.
        """
        return publishing.publish(
            self.storage,
            contract,
            rows,
            since=since,
            partition=partition,
            origin=origin,
            always_commit=always_commit,
            references=references,
        )

    def remove(self, contract: Contract, partition: str, *, since: int, origin: Origin) -> Published:
        """Publish a table without one of its partitions; older versions keep it.

        Whatever is raised, the table is as it was.

        Raises:
            UnknownTableError: version `since` has no such partition.
            WriteConflictError: the partition has changed since.
            StorageError: the storage refuses.
        """
        return publishing.remove(self.storage, contract, partition, since=since, origin=origin)

    # Reading

    def read(
        self,
        table: str,
        version: int | None = None,
        *,
        partitions: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The rows of a table version (None: the newest), every file verified.

        Raises:
            UnknownTableError: there is no such table or version.
            DamagedFileError: a file's bytes are not those that were committed.
        """
        rows = self.stream(table, version, partitions=partitions, columns=columns)
        return pa.Table.from_batches(list(rows), schema=rows.schema)

    def stream(
        self,
        table: str,
        version: int | None = None,
        *,
        partitions: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        paths: Collection[str] | None = None,
    ) -> pa.RecordBatchReader:
        """As `read`, but one file at a time: memory is bounded by the largest file (about 64 MB of rows).

        `paths` are those of the data files to read, as `files` has them (None: all). Raises `UnknownTableError` if the
        version has no such file.
        """
        return reading.stream(self.storage, table, version, partitions=partitions, columns=columns, paths=paths)

    # History

    def history(self, table: str) -> list[dict[str, Any]]:
        """What each version was made from, newest first, without versions that were lost in a repair.

        Keys: version, time (UTC), run_id, partition, rows, content_hash, code_version, inputs (table -> version),
        config, settings (None in commits of older releases).

        Raises:
            UnknownTableError: there is no such table.
            DamagedLogError: a commit is damaged.
        """
        return history.history(self.storage, table)

    def find_run(self, table: str, run_id: str) -> list[dict[str, Any]]:
        """The versions that a run committed, newest first, as `history` describes them."""
        return [commit for commit in self.history(table) if commit["run_id"] == run_id]

    def commit_of(self, table: str, version: int) -> dict[str, Any]:
        """What a version was made from, as `history` describes it.

        Raises:
            UnknownTableError: there is no such version, or a repair has lost it.
            DamagedLogError: its commit is damaged.
        """
        return history.commit_of(self.storage, table, version)

    def newest_commit_of(self, table: str, partition: str | None, version: int) -> dict[str, Any] | None:
        """The newest commit of a partition (None: of the table) up to a version, as `history` describes it.

        None where no commit up to that version is of the partition.
        """
        return history.newest_commit_of(self.storage, table, partition, version)

    # Maintenance

    def pinned_versions(self) -> dict[str, set[int]]:
        """All newest versions and the versions that they were made from, directly or through others.

        A table that continues its previous version (the map) pins that version, but not what that was made from: else
        nothing that ever led to it could be swept.
        """
        return sweep.pinned_versions(self.storage)

    def sweep(self, *, keep_newest: int = 10, keep_younger_than: timedelta = timedelta(days=7)) -> dict[str, list[str]]:
        """Delete data files and figures that no kept version uses; give the paths of the data files by table.

        Kept are all pinned versions, the `keep_newest` newest of each table, and those committed within
        `keep_younger_than`. Files that no commit names are kept for a day at least (`UNCOMMITTED_FILES_ARE_KEPT`),
        since a writer may be about to commit them.

        Raises:
            DamagedLogError: a table's log is damaged, so what it was made from is unknown. Nothing was deleted.
        """
        return sweep.sweep(self.storage, keep_newest=keep_newest, keep_younger_than=keep_younger_than)

    def check(self, table: str) -> CheckReport:
        """Verify every byte of a table's newest version and its log, and list what is wrong without raising it.

        Raises:
            UnknownTableError: there is no such table.
            StorageError: the storage fails.
        """
        return log_repair.check(self._existing_log(table), partial(read_verified, self.storage, table))

    def repair(self, table: str) -> RepairReport:
        """Make the newest version that verifies completely the newest again; see `log_repair.repair`.

        Raises what that raises, and `StorageError` where two writers would not notice each other.
        """
        check_conditional_writes(self.storage)
        return log_repair.repair(self._existing_log(table), partial(read_verified, self.storage, table))

    def _existing_log(self, table: str) -> TableLog:
        catalog.existing_head(self.storage, table)
        return TableLog(self.storage, table)

    # Figures

    def put_figure(self, published: Published, png: bytes, part: str | None = None) -> str:
        """Store the figure of published rows, and store it as the newest one of the table or of a part of it.

        Gives the address of the latter, `_figures/<table>.png` or `_figures/<table>-<part>.png`.

        Raises:
            StorageError: the storage refuses.
        """
        return figures.put_figure(self.storage, published, png, part)

    def figure(self, table: str, content_hash: str) -> bytes | None:
        """The figure (PNG) of the rows with this content hash; None where there is none, or it was swept."""
        return figures.figure(self.storage, table, content_hash)
