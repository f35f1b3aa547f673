"""A cache of what was loaded from the newest version of a table; it loads again once there is a newer version.

With it `taproom.place` and similar functions load once and answer many times.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

from taproom.warehouse.warehouse import Warehouse

Loaded = TypeVar("Loaded")


class NewestCache(Generic[Loaded]):
    """The result of `load` for the newest version of `table` in the default warehouse.

    `load` takes the warehouse and the table's version (None where there is no such table, which it has to refuse).
    """

    def __init__(self, table: str, load: Callable[[Warehouse, int | None], Loaded]) -> None:
        """Nothing is loaded before the first `get`."""
        self._table = table
        self._load = load
        self._lock = Lock()
        self._kept: tuple[tuple[str, dict[str, Any] | None], Loaded] | None = None

    def get(self) -> Loaded:
        """What `load` gave, or gives now if there is a newer version or another default warehouse.

        Raises what `load` raises.
        """
        warehouse = Warehouse()
        head = warehouse.head(self._table)
        # The commit, not only the version: a warehouse that was deleted and made again starts at version 0 again.
        commit = warehouse.commit_of(self._table, head) if head is not None else None
        with self._lock:
            if self._kept is None or self._kept[0] != (warehouse.root, commit):
                self._kept = None  # two at a time may not fit in memory
                self._kept = (warehouse.root, commit), self._load(warehouse, head)
            return self._kept[1]
