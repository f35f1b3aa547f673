"""`make pages`: write the pages of the warehouse. `make open`: serve them on the loopback interface.

python -m pipelines.pages            writes <warehouse>/_pages/
python -m pipelines.pages --open     serves them, and prints the address; --port chooses another port
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg

from assets.table import CONTRACTS, table_and_part
from pipelines.definitions import defs
from pipelines.freshness import is_fresh
from taproom.errors import TaproomError
from taproom.pages.site import FOLDER, write_pages
from taproom.pages.tables import TableDescription
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
            failures = print_pages(instance, warehouse)
    except TaproomError as error:
        failures = {"pages": error}
    for reason in failures.values():
        print(f"Failed: pages: {reason}", file=sys.stderr)
    return 1 if failures else 0


def print_pages(instance: dg.DagsterInstance, warehouse: Warehouse) -> dict[str, TaproomError]:
    """Write the pages at the end of `make run` and print where they are; return the error if they failed."""
    try:
        print(f"Pages:   {make_pages(instance, warehouse)}   (or: make open)", flush=True)
    except TaproomError as error:
        return {"pages": error}
    return {}


def make_pages(instance: dg.DagsterInstance, warehouse: Warehouse) -> str:
    """Write the pages of all tables; return the address of the first one.

    Raises:
        SourceError: a library of the pages cannot be fetched.
        StorageError: the warehouse cannot be read or written.
    """
    return write_pages(warehouse, described_tables(instance, warehouse))


def described_tables(instance: dg.DagsterInstance, warehouse: Warehouse) -> list[TableDescription]:
    """Every table that assets make, with what Dagster's records say is wrong with it."""
    graph = defs.resolve_asset_graph()
    keys: dict[str, list[dg.AssetKey]] = {}
    for key in graph.materializable_asset_keys:
        keys.setdefault(table_and_part(key)[0], []).append(key)
    return [
        TableDescription(
            contract=CONTRACTS[table],
            chain=graph.get(assets[0]).group_name,
            description=graph.get(assets[0]).description or "",
            inputs=tuple(sorted({table_and_part(each)[0] for key in assets for each in graph.get(key).parent_keys})),
            remarks=tuple(remark for key in sorted(assets) for remark in _remarks(instance, warehouse, key)),
        )
        for table, assets in keys.items()
    ]


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


def _remarks(instance: dg.DagsterInstance, warehouse: Warehouse, key: dg.AssetKey) -> Iterator[str]:
    """Checks that failed when they were last run, and whether the table is stale; nothing of one that was not made."""
    table, _ = table_and_part(key)
    if warehouse.head(table) is None:
        return
    graph = defs.resolve_asset_graph()
    for check in sorted(graph.get(key).check_keys):
        record = instance.get_latest_asset_check_evaluation_record(check)
        evaluation = record.event.asset_check_evaluation if record and record.event else None
        if evaluation and not evaluation.passed:
            yield f"the check {check.name} did not pass ({evaluation.severity.value.lower()})"
    # Of tables of batches, each batch is fresh or not, and `make run` reads what is not.
    if not graph.get(key).is_partitioned and not is_fresh(instance, warehouse, defs, key, {}):
        yield "stale: its inputs or its code have changed since it was made"


if __name__ == "__main__":
    sys.exit(main())
