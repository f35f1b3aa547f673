"""The exceptions that Taproom raises.

Each message says what was given, what is expected, and what to do about it. Any other exception is a bug.
"""

import difflib
from collections.abc import Iterable


class TaproomError(Exception):
    """Base class of all exceptions that Taproom raises; the message says how to solve the problem."""


class ContractError(TaproomError):
    """A table violates its contract; nothing was published."""


class WriteConflictError(TaproomError):
    """Another run changed the table (or the partition) since this step started; nothing was written."""


class DamagedFileError(TaproomError):
    """The content of a data file differs from what was committed."""


class DamagedLogError(DamagedFileError):
    """A table's log differs from what was committed, so the files of the table are unknown; it has to be repaired."""


class UnknownTableError(TaproomError):
    """The warehouse has no such table, version or partition, or it was removed by a repair."""


class RunEndedError(TaproomError):
    """The run that a step belongs to has ended; nothing was written."""


class CollectionError(TaproomError):
    """The warehouse contains another collection than the one to be written."""


class SourceError(TaproomError):
    """A source could not be fetched, verified, unpacked or read."""


class UnknownColumnError(TaproomError):
    """The table has no such column."""


class MissingPackageError(TaproomError):
    """A package that this function needs is not installed; the message names the extra that installs it."""


class InputError(TaproomError):
    """A computation was given data or parameters that it cannot use."""


class ComputeError(TaproomError):
    """The cluster that a step computes on cannot be used, or has failed; nothing was published."""


class StorageError(TaproomError):
    """The warehouse's storage is not available or returned an error (full disk, no permission, no such bucket)."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A part of a sentence with the names nearest to the one given; empty where none is near.

    >>> did_you_mean("item_mpa", ["items", "item_map", "topics"])
    " (did you mean 'item_map' or 'items'?)"
    """
    near = difflib.get_close_matches(given, list(known), n=3)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
