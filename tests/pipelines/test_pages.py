"""The commands of the pages."""

import socket
import threading
import urllib.request

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.pages import ADDRESS, main, print_pages, serve
from pipelines.pages_asset import make_pages
from taproom.errors import TaproomError
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import publish_map


def test_pages_are_written_beside_the_tables(instance, warehouse, capsys):
    publish_map(warehouse)
    assert print_pages(instance) == {}
    assert f"{warehouse.root}/_pages/index.html" in capsys.readouterr().out
    assert instance.get_latest_materialization_event(dg.AssetKey("pages"))
    assert warehouse.storage.read("_pages/map.html")


def test_a_library_that_cannot_be_fetched_is_a_failure_of_the_pages_alone(instance, warehouse, monkeypatch):
    monkeypatch.setenv("TAPROOM_SOURCE_DECK_GL", "/no/such/file")
    failures = print_pages(instance)
    assert "deck_gl" in str(failures["pages"])


def test_pages_are_served_on_the_loopback_interface(instance, warehouse, capsys):
    make_pages(instance, warehouse, defs)
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    threading.Thread(target=serve, args=(warehouse, port), daemon=True).start()
    while f"http://{ADDRESS}:{port}/" not in capsys.readouterr().out:
        pass
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}/") as answer:
        assert b"<h1>Taproom</h1>" in answer.read()


def test_a_port_that_is_taken_is_an_error(instance, warehouse):
    make_pages(instance, warehouse, defs)
    with socket.create_server((ADDRESS, 0)) as taken, pytest.raises(TaproomError, match="OPEN_PORT="):
        serve(warehouse, taken.getsockname()[1])


def test_without_pages_there_is_nothing_to_serve(warehouse, capsys):
    assert main(["--open"]) == 1
    assert "make pages" in capsys.readouterr().err


def test_only_a_local_folder_is_served():
    with pytest.raises(TaproomError, match="not a local folder"):
        serve(Warehouse("s3://bucket/beers"), 0)
