"""`make pages`: write the pages of the warehouse. `make open`: serve them on the loopback interface.

python -m pipelines.pages            writes <warehouse>/_pages/
python -m pipelines.pages --open     serves them, and prints the address; --port chooses another port
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg

from pipelines.definitions import defs
from pipelines.failures import failed_steps
from pipelines.pages_asset import MAKE_PAGES
from pipelines.products import QUIET
from taproom.errors import TaproomError
from taproom.pages.site import FOLDER
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

ADDRESS, PORT = "127.0.0.1", 3080


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or serve the pages and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.pages", description=__doc__.split("\n\n")[0])
    parser.add_argument("--open", action="store_true", help="serve the pages on the loopback interface")
    parser.add_argument("--port", type=int, default=PORT, help="port to serve them on")
    options = parser.parse_args(arguments)
    try:
        warehouse = Warehouse(default_root())
        if options.open:
            serve(warehouse, options.port)
            return 0
        with dg.DagsterInstance.get() as instance:
            failures = print_pages(instance)
    except TaproomError as error:
        failures = {"pages": error}
    for reason in failures.values():
        print(f"Failed: pages: {reason}", file=sys.stderr)
    return 1 if failures else 0


def print_pages(instance: dg.DagsterInstance) -> dict[str, TaproomError]:
    """Make the asset `pages`, as `make run` does at its end, and print the address; return the error if it failed.

    It is made by its job, not by a call of `write_pages`, so that Dagster has its record like that of a table.
    """
    job = defs.resolve_job_def(MAKE_PAGES.name)
    result = job.execute_in_process(run_config=QUIET, instance=instance, raise_on_error=False)
    if not result.success:
        return {"pages": TaproomError(failed_steps(result))}
    (made,) = result.get_asset_materialization_events()
    print(f"Pages:   {made.materialization.metadata['address'].value}   (or: make open)", flush=True)
    return {}


def serve(warehouse: Warehouse, port: int) -> None:
    """Serve the pages until the process is interrupted.

    Raises:
        TaproomError: there are no pages, the warehouse is not a local folder, or the port is taken.
    """
    folder = Path(warehouse.root, FOLDER)
    if not warehouse.storage.is_local:
        raise TaproomError(
            f"{warehouse.root} is not a local folder, and make open serves only those. Copy its folder {FOLDER} to "
            "this machine and open index.html in it."
        )
    if not (folder / "index.html").is_file():
        raise TaproomError(f"{folder} has no pages. Write them with `make pages`.")
    try:
        server = ThreadingHTTPServer((ADDRESS, port), partial(_QuietHandler, directory=str(folder)))
    except OSError as error:
        raise TaproomError(
            f"port {port} cannot be used ({error.strerror}). Choose another: make open OPEN_PORT=3081"
        ) from error
    with server:
        print(f"http://{ADDRESS}:{server.server_port}/   (end with Ctrl+C)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


class _QuietHandler(SimpleHTTPRequestHandler):
    """Files of the pages; requests are not logged."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
