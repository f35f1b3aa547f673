"""The errors that Taproom raises on purpose.

Each message says what was given, what was wanted, and what to do about it. An error that is not one of these is a bug.
"""


class TaproomError(Exception):
    """Anything that Taproom refuses with a reason a person can act on."""


class ContractError(TaproomError):
    """A table does not keep its contract; nothing of it was published."""


class WriteConflictError(TaproomError):
    """Another run changed the table (or the partition) since this step started; nothing was written."""


class DamagedFileError(TaproomError):
    """A data file's bytes are not the bytes that were committed."""


class DamagedLogError(DamagedFileError):
    """A table's log is not what was committed, so nobody knows which files are the table: it has to be repaired."""


class UnknownTableError(TaproomError):
    """The warehouse has no such table, version or partition (or had it, and lost it in a repair)."""


class RunEndedError(TaproomError):
    """The run that a step belongs to has ended; nothing was written."""


class CollectionError(TaproomError):
    """The warehouse holds another collection than the one that was to be written."""


class SourceError(TaproomError):
    """A source could not be fetched, verified, unpacked or read."""


class InputError(TaproomError):
    """The numerics were given data they cannot work on."""


class StorageError(TaproomError):
    """The warehouse's storage could not be reached, or refused (a full disk, no permission, no such bucket)."""
