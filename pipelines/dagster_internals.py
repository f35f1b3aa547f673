"""The parts of Dagster that are used although they are not public.

They are imported here alone, so that an upgrade shows at once what it broke: `tests/pipelines` pins staleness
(`test_dagster_behaviour.py`), a run's own file (`test_retention.py`) and the web server (`serving/`). Version 1.13 has
no public way to ask whether an asset is stale, to remove a run's own database file, or to put middleware before the web
server.
"""

from dagster._core.definitions.data_version import (  # noqa: PLC2701
    CODE_VERSION_TAG,
    CachingStaleStatusResolver,
    StaleStatus,
)
from dagster._core.loader import LoadingContext  # noqa: PLC2701
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage  # noqa: PLC2701
from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: PLC2701
from dagster._core.workspace.load_target import WorkspaceFileTarget  # noqa: PLC2701

__all__ = [
    "CODE_VERSION_TAG",
    "CachingStaleStatusResolver",
    "LoadingContext",
    "SqliteEventLogStorage",
    "StaleStatus",
    "WorkspaceFileTarget",
    "WorkspaceProcessContext",
]
