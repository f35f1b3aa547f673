"""Computing and reading Taproom's tables. This package does not import Dagster.

`open` gives a handle of a warehouse: its tables, SQL over them, snapshots, and its models. Reading needs only pyarrow,
deltalake and DuckDB; the models need the extra `models`, which has the numerical packages.

The other functions are shortcuts for the default warehouse, `$TAPROOM_WAREHOUSE` (in the repo by default
`data/warehouse`).
"""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from datetime import date, datetime
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from taproom.client.reader import WarehouseReader
    from taproom.client.snapshots import Snapshot
    from taproom.maps.out_of_sample import Placement
    from taproom.text.text_lookup import TopicMixture

__all__ = ["analogy", "call", "classify", "features", "history", "load", "nearest", "open", "place", "topics_of"]


def open(
    root: "str | os.PathLike | None" = None,
    *,
    snapshot: "Snapshot | str | os.PathLike | None" = None,
    at: "str | date | datetime | None" = None,
) -> "WarehouseReader":
    """Open a warehouse to read from it.

    Args:
        root: a folder or an object store's URL; None for the default warehouse.
        snapshot: what `WarehouseReader.snapshot` gave, or the path of its lock file: these versions are read instead of
            the newest.
        at: a time (ISO 8601, UTC unless it has a zone; a date is the end of that day): the versions of that time are
            read.

    Raises:
        StorageError: no root was given, `$TAPROOM_WAREHOUSE` is not set, and this is not the repo.
        InputError: there is no such lock file, it is no time, or both a snapshot and a time were given.
    """
    from taproom.client.reader import open_reader

    return open_reader(root, snapshot, at)


def load(table: str, version: int | None = None, **wanted: Any) -> "pa.Table":
    """Read a table from the default warehouse and verify its files; see `WarehouseReader.load`.

    Args:
        table: name of the table.
        version: a version that `history` lists; None for the newest.
        **wanted: `columns`, `where` and `partitions`.

    Raises:
        UnknownTableError: there is no such table or version.
        DamagedFileError: a file differs from what was committed.
    """
    return _default().load(table, version, **wanted)


def history(table: str) -> list[dict[str, Any]]:
    """The provenance of each version of a table (run, inputs and their versions, config), newest first.

    Args:
        table: name of the table.

    Raises:
        UnknownTableError: there is no such table.
    """
    return _default().history(table)


def place(text: str) -> "Placement":
    """Find the items nearest to a text, and its position on the newest map; see `MapModels.place`.

    The first call loads the map and the tables it was made from, at their recorded versions. Later calls only check
    whether there is a newer map or `$TAPROOM_WAREHOUSE` has changed.
    """
    return _default().map.place(text)


def call(events: "str | Path | pa.Table | pd.DataFrame | Mapping[str, Any]", plate: str | None = None) -> "pa.Table":
    """Predict the class of each event (of a table or an FCS file) with the newest models; see `CellModels.call`."""
    return _default().cells.call(events, plate)


def classify(images: "str | Path | np.ndarray | pa.Table") -> "pa.Table":
    """Predict the class of images with the newest classifier; see `ImageModels.classify`."""
    return _default().images.classify(images)


def topics_of(text: str, weighting: str = "tfidf") -> "TopicMixture":
    """Deprecated: use `taproom.open().topics.of`."""
    _warn("topics_of", "topics.of")
    return _default().topics.of(text, weighting)


def nearest(word: str, k: int = 10) -> list[tuple[str, float]]:
    """Deprecated: use `taproom.open().words.nearest`."""
    _warn("nearest", "words.nearest")
    return _default().words.nearest(word, k)


def analogy(a: str, b: str, c: str, k: int = 5) -> list[tuple[str, float]]:
    """Deprecated: use `taproom.open().words.analogy`."""
    _warn("analogy", "words.analogy")
    return _default().words.analogy(a, b, c, k)


def features(images: "str | Path | np.ndarray | pa.Table") -> "np.ndarray":
    """Deprecated: use `taproom.open().images.features`."""
    _warn("features", "images.features")
    return _default().images.features(images)


def _default() -> "WarehouseReader":
    from taproom.client.reader import default_reader

    return default_reader()


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"taproom.{old} will be removed in the next release; use taproom.open().{new}",
        DeprecationWarning,
        stacklevel=3,
    )
