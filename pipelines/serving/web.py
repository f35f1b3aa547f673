"""Dagster's web server behind the guard, with the figures and the pages of the warehouse.

Its port, the socket of the code server, and in a container its address (by default the loopback interface) come from
the environment (`pipelines.serving.environment`).
"""

import io
import mimetypes
import os
import re
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
from pipelines.serving.environment import ADDRESS, ADDRESS_VARIABLE, PORT_VARIABLE, READ_ONLY_VARIABLE
from pipelines.serving.guard import HOSTS_VARIABLE, Guard, own_hosts
from taproom.pages.site import FOLDER
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

WORKSPACE = Path(__file__).with_name("workspace.yaml")
PAGES_ADDRESS = "/pages/{path:path}"
# Names with slashes between them; none is hidden or leads upwards.
_PAGE_PATH = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")
SMALL_PIXELS = 480  # the longer side: about the width of the column of values in Dagster's tables
STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW = 15_000, 3_600, 20  # Dagster's own defaults


def main() -> None:
    """Serve until a signal ends it."""
    port = int(os.environ[PORT_VARIABLE])
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)
        read_only = bool(os.environ.get(READ_ONLY_VARIABLE))
        with workspace_context(instance, WORKSPACE, __version__, read_only) as workspace:
            app = create_app_from_workspace_process_context(workspace)
            # Before Dagster's routes, of which the last matches any address.
            own = [Route(FIGURE_ADDRESS, figure), Route(PAGES_ADDRESS, page), Route("/metrics", metrics_of(instance))]
            app.routes[:0] = own
            app.add_middleware(Guard, hosts=own_hosts(port, os.environ.get(HOSTS_VARIABLE, "")))
            address = os.environ.get(ADDRESS_VARIABLE, ADDRESS)
            uvicorn.run(app, host=address, port=port, log_level="warning", timeout_graceful_shutdown=3)


def figure(request: Request) -> Response:
    """The figure (PNG) of a version of a table; with `?small`, small enough for a page of Dagster's UI."""
    png = Warehouse(default_root()).figure(**request.path_params)
    if png is None:
        return PlainTextResponse("There is no such figure, or it was deleted with its version of the table.\n", 404)
    return Response(_small(png) if "small" in request.query_params else png, media_type="image/png")


def page(request: Request) -> Response:
    """A file of the pages, from the warehouse; for a folder, its index."""
    path = request.path_params["path"]
    path += "index.html" if not path or path.endswith("/") else ""
    content = Warehouse(default_root()).storage.read(f"{FOLDER}/{path}") if _PAGE_PATH.fullmatch(path) else None
    if content is None:
        return PlainTextResponse("There is no such page. The job make_pages writes them.\n", 404)
    return Response(content, media_type=mimetypes.guess_type(path)[0] or "application/octet-stream")


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
