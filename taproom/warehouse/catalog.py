"""Which tables there are, and which versions each of them has.

Newest versions are found by the names of log entries, so a damaged table has one too, and is listed.
"""

import operator
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow.fs as pafs

from taproom.errors import InputError, UnknownTableError, did_you_mean
from taproom.warehouse.delta_log import Snapshot, TableLog
from taproom.warehouse.storage import Storage

_TABLE_NAME = re.compile(r"\w[\w.-]*")

# An answer of an object store takes some hundredths of a second, and each table needs three.
REQUESTS_AT_ONCE = 16


def head(storage: Storage, table: str) -> int | None:
    """The newest version of a table; None where there is no such table. A path is no table's name."""
    return TableLog(storage, table).newest() if _TABLE_NAME.fullmatch(str(table)) else None


def heads(storage: Storage) -> dict[str, int]:
    """The newest version of every table, sorted by name. No table is opened, so a damaged one does not matter."""
    folders = [info.base_name for info in storage.listing() if info.type == pafs.FileType.Directory]
    with ThreadPoolExecutor(1 if storage.is_local else REQUESTS_AT_ONCE) as pool:
        versions = pool.map(partial(head, storage), sorted(folders))
    return {table: version for table, version in zip(sorted(folders), versions, strict=True) if version is not None}


def existing_head(storage: Storage, table: str) -> int:
    """The newest version of a table.

    Raises:
        UnknownTableError: there is no such table.
    """
    if (newest := head(storage, table)) is None:
        known = heads(storage)
        near = did_you_mean(str(table), known)
        names = ", ".join(known) or "none yet: `make run` makes them"
        raise UnknownTableError(f"{storage.root} has no table {table!r}{near}; it has: {names}")
    return newest


def open_version(storage: Storage, table: str, version: int | None = None, *, even_if_lost: bool = False) -> Snapshot:
    """A version of a table (None: the newest), verified against its commit.

    `even_if_lost` opens a version that a repair could not restore; it has no files.

    Raises:
        UnknownTableError: there is no such table or version, or a repair has lost it.
        InputError: the version is no whole number.
        DamagedLogError: the table's log is damaged.
    """
    newest = existing_head(storage, table)
    try:
        number = newest if version is None else operator.index(version)
    except TypeError as error:
        raise InputError(f"{table}: version {version!r} was given. Wanted: a number from 0 to {newest}.") from error
    if not 0 <= number <= newest:
        raise UnknownTableError(f"{table} has versions 0 to {newest}; version {number} was wanted")
    return TableLog(storage, table).snapshot(number, even_if_lost)
