"""Dagster's web server behind the guard, on the loopback interface.

Its port and the socket of the code server come from the environment (`pipelines.serving.environment`).
"""

import io
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import dagster as dg
import uvicorn
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from PIL import Image
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipelines.dagster_internals import workspace_context
from pipelines.io_manager import FIGURE_ADDRESS
from pipelines.metrics import registry
from pipelines.serving.environment import ADDRESS, PORT_VARIABLE
from pipelines.serving.guard import HOSTS_VARIABLE, Guard, own_hosts
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

WORKSPACE = Path(__file__).with_name("workspace.yaml")
SMALL_PIXELS = 480  # the longer side: about the width of the column of values in Dagster's tables
STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW = 15_000, 3_600, 20  # Dagster's own defaults


def main() -> None:
    """Serve until a signal ends it."""
    port = int(os.environ[PORT_VARIABLE])
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)
        with workspace_context(instance, WORKSPACE, __version__) as workspace:
            app = create_app_from_workspace_process_context(workspace)
            own = [Route(FIGURE_ADDRESS, figure), Route("/metrics", metrics_of(instance))]
            app.routes[:0] = own  # Dagster's last route matches any address
            app.add_middleware(Guard, hosts=own_hosts(port, os.environ.get(HOSTS_VARIABLE, "")))
            uvicorn.run(app, host=ADDRESS, port=port, log_level="warning", timeout_graceful_shutdown=3)


def figure(request: Request) -> Response:
    """The figure (PNG) of a version of a table; with `?small`, small enough for a page of Dagster's UI."""
    png = Warehouse(default_root()).figure(**request.path_params)
    if png is None:
        return PlainTextResponse("There is no such figure, or it was deleted with its version of the table.\n", 404)
    return Response(_small(png) if "small" in request.query_params else png, media_type="image/png")


def metrics_of(instance: dg.DagsterInstance) -> Callable[[Request], Response]:
    """The endpoint that Prometheus asks. The first request loads the definitions, which takes some seconds."""

    @cache
    def state() -> CollectorRegistry:
        from pipelines.definitions import defs

        return registry(instance, Warehouse(default_root()), defs)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(state()), media_type=CONTENT_TYPE_LATEST)

    return metrics


def _small(png: bytes) -> bytes:
    image, small = Image.open(io.BytesIO(png)), io.BytesIO()
    image.thumbnail((SMALL_PIXELS, SMALL_PIXELS))
    image.save(small, "PNG")
    return small.getvalue()


if __name__ == "__main__":
    main()
