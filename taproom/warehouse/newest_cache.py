"""A cache of what was loaded from the newest version of a table; it loads again once there is a newer version.

With it the models of a warehouse handle (`taproom.open`) load once and answer many times.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

from taproom.warehouse.warehouse import Warehouse

Loaded = TypeVar("Loaded")


class NewestCache(Generic[Loaded]):
    """The result of `load` for the newest version of `table` in a warehouse.

    `load` takes the warehouse and the table's version (None where there is no such table, which it has to refuse).
    `version_of` gives the version to load of a table; by default the newest.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        table: str,
        load: Callable[[Warehouse, int | None], Loaded],
        version_of: Callable[[str], int | None] | None = None,
    ) -> None:
        """Nothing is loaded before the first `get`."""
        self._warehouse = warehouse
        self._table = table
        self._load = load
        self._version_of = version_of or warehouse.head
        self._lock = Lock()
        self._kept: tuple[dict[str, Any] | None, Loaded] | None = None

    def get(self) -> Loaded:
        """What `load` gave, or gives now if there is another version.

        Raises what `load` raises.
        """
        version = self._version_of(self._table)
        # The commit, not only the version: a warehouse that was deleted and made again starts at version 0 again.
        commit = self._warehouse.commit_of(self._table, version) if version is not None else None
        with self._lock:
            if self._kept is None or self._kept[0] != commit:
                self._kept = None  # two at a time may not fit in memory
                self._kept = commit, self._load(self._warehouse, version)
            return self._kept[1]
