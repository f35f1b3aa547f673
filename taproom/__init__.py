"""How Taproom's tables are computed and read. Nothing in this package knows of Dagster.

`load` and `history` are the reader's client: they need pyarrow and deltalake, and no orchestrator.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["history", "load"]


def load(table: str, version: int | None = None) -> "pa.Table":
    """Read a table from the warehouse (`$TAPROOM_WAREHOUSE`, by default `data/warehouse`), every byte verified.

    `version` is one of those that `history` lists; None is the newest. Raises `taproom.errors.UnknownTableError` where
    there is no such table or version, and `taproom.errors.DamagedFileError` where a file is not what was committed.
    """
    from taproom.warehouse import Warehouse

    return Warehouse().read(table, version)


def history(table: str) -> list[dict[str, Any]]:
    """What each version of a table was made from (run, inputs and their versions, config), newest first."""
    from taproom.warehouse import Warehouse

    return Warehouse().history(table)
