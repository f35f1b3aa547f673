"""What is loaded from the newest version of a table, kept until there is a newer one.

Here belongs what lets `taproom.place` and its like load once and answer many times.
"""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

from taproom.errors import InputError
from taproom.warehouse.warehouse import Warehouse

Loaded = TypeVar("Loaded")


def recorded_inputs(commit: Mapping[str, Any], table: str, wanted: Sequence[str]) -> dict[str, int]:
    """The versions that a version of `table` was made from, by its commit, which must tell those of `wanted`.

    Raises:
        InputError: it does not.
    """
    if missing := [name for name in wanted if name not in commit["inputs"]]:
        raise InputError(
            f"Version {commit['version']} of {table} does not say which version of {', '.join(missing)} it was made "
            f"from, so nothing new can be asked of it. Make {table}, and what it is made from, again (`make run`)."
        )
    return commit["inputs"]


class Newest(Generic[Loaded]):
    """A loader's result for the newest version of `table` in the default warehouse.

    `load` takes the warehouse and the table's version (None where there is no such table, which it is to refuse).
    """

    def __init__(self, table: str, load: Callable[[Warehouse, int | None], Loaded]) -> None:
        """Nothing is loaded yet."""
        self._table = table
        self._load = load
        self._lock = Lock()
        self._loaded: Loaded | None = None
        self._of: tuple[str, dict[str, Any] | None] | None = None

    def get(self) -> Loaded:
        """What was loaded, or is now, if there is a newer version or another warehouse.

        Raises what the loader raises.
        """
        warehouse = Warehouse()
        head = warehouse.head(self._table)
        # Not only its version: a warehouse that was deleted and made again begins with version 0 again.
        commit = warehouse.commit_of(self._table, head) if head is not None else None
        with self._lock:
            if self._of != (warehouse.root, commit):
                self._loaded = self._of = None  # two at a time may not fit in memory
                self._loaded, self._of = self._load(warehouse, head), (warehouse.root, commit)
            return self._loaded
