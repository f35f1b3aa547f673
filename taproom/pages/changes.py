"""What changed in the newest version of each table, for the page "Changes" and the pages of tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from taproom.errors import DamagedFileError, TaproomError, UnknownTableError
from taproom.pages.tables import TableDescription, TableState
from taproom.warehouse.catalog import open_version
from taproom.warehouse.data_files import DataFile
from taproom.warehouse.delta_log import Snapshot
from taproom.warehouse.difference import MAX_COMPARED_BYTES, MAX_COMPARED_ROWS, diff
from taproom.warehouse.difference_report import Difference
from taproom.warehouse.warehouse import Warehouse

FIRST_ROWS = 5  # of each kind
# Of all tables together. 30 MB take about a second.
MAX_BYTES = 150 * 2**20


@dataclass(frozen=True)
class TableChange:
    """The newest version of a table (`new`) and the one before it (`old`).

    Attributes:
        old, new: the versions.
        rows_before, rows_after: their rows; `rows_before` is None if the old version cannot be read.
        new_time: when the new one was committed.
        volatile: columns that are not compared, because they may differ between two runs on the same inputs.
        difference: the comparison; None if the old version cannot be read, too much would have to be read, or the
            versions cannot be compared.
        is_comparable: whether they can: not if the old version has other keys, for instance.
    """

    old: int
    new: int
    rows_before: int | None
    rows_after: int
    new_time: datetime
    volatile: tuple[str, ...] = ()
    difference: Difference | None = None
    is_comparable: bool = True

    @property
    def bar(self) -> Iterator[tuple[str, float, float]]:
        """The rows by kind as parts of a bar of length 1, each with its start and its length."""
        if self.difference is None:
            return
        found = self.difference
        start, total = 0.0, max(self.rows_after + found.rows_gone, 1)
        kinds = {
            "same": self.rows_after - found.rows_added - found.rows_changed,
            "changed": found.rows_changed,
            "added": found.rows_added,
            "gone": found.rows_gone,
        }
        for kind, rows in kinds.items():
            yield kind, start, rows / total
            start += rows / total


def changes_of(
    warehouse: Warehouse, tables: Sequence[TableDescription], states: Mapping[str, TableState]
) -> dict[str, TableChange]:
    """What changed in the newest version of each table that has a version before it, by name, the newest first.

    Files with equal bytes in both versions are not read. Versions are not compared if more than `MAX_COMPARED_ROWS`
    rows or `MAX_COMPARED_BYTES` of one of them would be read. The newest tables are compared first, until `MAX_BYTES`.
    """
    made_again = [table for table in tables if table.name in states and len(states[table.name].commits) > 1]
    newest = sorted(made_again, key=lambda table: (states[table.name].commits[0]["time"], table.name), reverse=True)
    changes: dict[str, TableChange] = {}
    left = MAX_BYTES
    for table in newest:
        changes[table.name], size = _change(warehouse, table, states[table.name], left)
        left -= size
    return changes


def _change(
    warehouse: Warehouse, table: TableDescription, state: TableState, most_bytes: int
) -> tuple[TableChange, int]:
    """The change of a table, and the bytes that were read for it: at most `most_bytes`."""
    new, old = state.commits[:2]
    unread = TableChange(old["version"], new["version"], None, state.rows, new["time"])
    counted = unread
    try:
        before, after = (open_version(warehouse.storage, table.name, each["version"]) for each in (old, new))
        counted = replace(unread, rows_before=sum(file.rows for file in before.files))
        size = _bytes_to_read(before, after)
        if size is None or size > most_bytes:
            return counted, 0
        volatile = table.contract.volatile & {*before.arrow_schema.names, *after.arrow_schema.names}
        difference = diff(
            warehouse.storage,
            table.name,
            unread.old,
            unread.new,
            key=table.contract.row_key,
            ignore=volatile,
            first=FIRST_ROWS,
        )
    except (DamagedFileError, UnknownTableError):
        return unread, 0
    except TaproomError:
        return replace(counted, is_comparable=False), 0
    return replace(counted, volatile=tuple(sorted(volatile)), difference=difference), size


def _bytes_to_read(old: Snapshot, new: Snapshot) -> int | None:
    """The bytes of the files that are in only one of two versions; None if one of them has more than are compared.

    If the columns differ, equal files are read too.
    """
    places = [{(file.partition, file.sha256) for file in side.files} for side in (old, new)]
    both = places[0] & places[1] if old.arrow_schema.equals(new.arrow_schema) else set()
    sides = [[file for file in side.files if (file.partition, file.sha256) not in both] for side in (old, new)]
    return sum(map(_size, sides)) if all(_is_small(files) for files in sides) else None


def _is_small(files: Collection[DataFile]) -> bool:
    return sum(file.rows for file in files) <= MAX_COMPARED_ROWS and _size(files) <= MAX_COMPARED_BYTES


def _size(files: Collection[DataFile]) -> int:
    return sum(file.size_bytes for file in files)
