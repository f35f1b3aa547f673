"""Dagster's web server behind the guard, on the loopback interface.

Its port and the code server's socket come from the environment.
"""

import os
from pathlib import Path

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from pipelines.serving.environment import ADDRESS, PORT_VARIABLE
from pipelines.serving.guard import HOSTS_VARIABLE, Guard, own_hosts

WORKSPACE = Path(__file__).with_name("workspace.yaml")
STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW = 15_000, 3_600, 20  # Dagster's own defaults


def main() -> None:
    """Serve until a signal ends it."""
    port = int(os.environ[PORT_VARIABLE])
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)
        with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(WORKSPACE)]), version=__version__) as workspace:
            app = create_app_from_workspace_process_context(workspace)
            app.add_middleware(Guard, hosts=own_hosts(port, os.environ.get(HOSTS_VARIABLE, "")))
            uvicorn.run(app, host=ADDRESS, port=port, log_level="warning", timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
