"""The command of the pages, and what it knows of the tables."""

import socket
import threading
import urllib.request

import dagster as dg
import pytest

from assets.table import CONTRACTS
from pipelines.definitions import defs
from pipelines.pages import ADDRESS, described_tables, main, make_pages, print_pages, serve
from taproom.errors import TaproomError
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import publish_map


def test_every_table_is_described_with_its_chain_and_inputs(instance, warehouse):
    tables = {table.name: table for table in described_tables(instance, warehouse)}
    assert tables.keys() == CONTRACTS.keys()
    assert tables["item_map"].chain == "reviews"
    assert tables["item_map"].inputs == ("champions", "items", "neighbors", "tfidf", "vocabulary")
    assert tables["reviews"].inputs == ()
    assert all(table.description for table in tables.values())
    assert all(table.remarks == () for table in tables.values())


def remarks_of(instance, warehouse) -> dict[str, tuple[str, ...]]:
    return {table.name: table.remarks for table in described_tables(instance, warehouse) if table.remarks}


def test_stale_tables_are_remarked(themes, make, instance, warehouse):
    assert remarks_of(instance, warehouse) == {}
    make("documents", documents={"source": "files", "path": str(themes), "unit": "line"})
    assert remarks_of(instance, warehouse)["terms"] == ("stale: its inputs or its code have changed since it was made",)


def test_checks_that_failed_last_are_remarked(themes, instance, warehouse):
    key = next(key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key.path == ["documents"])
    for passed in (False, True, False):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=passed)
        )
        wanted = {} if passed else {"documents": (f"the check {key.name} did not pass (error)",)}
        assert remarks_of(instance, warehouse) == wanted


def test_pages_are_written_beside_the_tables(instance, warehouse, capsys):
    publish_map(warehouse)
    assert print_pages(instance, warehouse) == {}
    assert f"{warehouse.root}/_pages/index.html" in capsys.readouterr().out
    assert warehouse.storage.read("_pages/map.html")


def test_a_library_that_cannot_be_fetched_is_a_failure_of_the_pages_alone(instance, warehouse, monkeypatch):
    monkeypatch.setenv("TAPROOM_SOURCE_DECK_GL", "/no/such/file")
    failures = print_pages(instance, warehouse)
    assert "deck_gl" in str(failures["pages"])


def test_pages_are_served_on_the_loopback_interface(instance, warehouse, capsys):
    make_pages(instance, warehouse)
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    threading.Thread(target=serve, args=(warehouse, port), daemon=True).start()
    while f"http://{ADDRESS}:{port}/" not in capsys.readouterr().out:
        pass
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}/") as answer:
        assert b"<h1>Taproom</h1>" in answer.read()


def test_a_port_that_is_taken_is_an_error(instance, warehouse):
    make_pages(instance, warehouse)
    with socket.create_server((ADDRESS, 0)) as taken, pytest.raises(TaproomError, match="OPEN_PORT="):
        serve(warehouse, taken.getsockname()[1])


def test_without_pages_there_is_nothing_to_serve(warehouse, capsys):
    assert main(["--open"]) == 1
    assert "make pages" in capsys.readouterr().err


def test_only_a_local_folder_is_served():
    with pytest.raises(TaproomError, match="not a local folder"):
        serve(Warehouse("s3://bucket/beers"), 0)
