"""Verifying every byte of every version of a table that is kept.

`log_repair.check` looks at the newest version, and at the log of all; here belongs the content of the older ones. A
version that was swept is not kept; one that another table was made from is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from taproom.errors import DamagedFileError
from taproom.warehouse.catalog import existing_head, open_version
from taproom.warehouse.data_files import DataFile, read_verified
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.log_repair import check
from taproom.warehouse.storage import Storage
from taproom.warehouse.sweep import pinned_versions


@dataclass(frozen=True)
class VerificationReport:
    """What was verified of a table, and what is wrong."""

    table: str
    versions: int
    files: int
    size_bytes: int
    problems: tuple[str, ...]


def verify(root: str, table: str) -> VerificationReport:
    """Verify the log of a table, and each file of the versions that are kept, once.

    Raises:
        UnknownTableError: there is no such table.
        DamagedLogError: the log of another table is damaged.
        StorageError: the storage fails.
    """
    storage = Storage(root)
    existing_head(storage, table)
    found = check(TableLog(storage, table), partial(read_verified, storage, table))
    problems = list(found.problems)
    files: dict[str, DataFile] = {}
    for version in found.readable:
        files.update({file.path: file for file in open_version(storage, table, version).files})
    if not problems:  # with a damaged log it is unknown what is pinned
        gone = sorted(pinned_versions(storage)[table] - set(found.readable))
        problems += [f"{table}: version {version}, which another table was made from, is gone" for version in gone]
    problems += [problem for problem in _damage(storage, table, files.values()) if problem not in problems]
    size = sum(file.size_bytes for file in files.values())
    return VerificationReport(table, len(found.readable), len(files), size, tuple(problems))


def _damage(storage: Storage, table: str, files: Iterable[DataFile]) -> Iterator[str]:
    for file in files:
        try:
            read_verified(storage, table, file)
        except DamagedFileError as error:
            yield str(error)
