"""The commands of the pages."""

import os
import shutil
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

from assets.reviews.item_map import ITEM_MAP
from pipelines.definitions import defs
from pipelines.pages import ADDRESS, main, print_pages, serve
from pipelines.pages_asset import make_pages
from taproom.errors import TaproomError
from taproom.pages import site
from taproom.pages.site import build_pages
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import publish_map
from tests.waiting import wait_for


def test_pages_are_written_beside_the_tables(instance, warehouse, capsys):
    publish_map(warehouse)
    assert print_pages(instance) == {}
    assert f"{warehouse.root}/_pages/index.html" in capsys.readouterr().out
    assert instance.get_latest_materialization_event(dg.AssetKey("pages"))
    assert warehouse.storage.read("_pages/map.html")


@pytest.fixture
def make_again(home, warehouse, monkeypatch):
    """Does what `make pages` does, and gives the pages and whether they were built for it."""
    built = []

    def build(*given):
        built.append(given)
        return build_pages(*given)

    monkeypatch.setattr(site, "build_pages", build)

    def run():
        built.clear()
        assert main([]) == 0
        folder = Path(warehouse.root, "_pages")
        pages = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        return {name: (path.read_bytes(), path.stat().st_mtime_ns) for name, path in pages.items()}, bool(built)

    return run


def test_pages_are_left_alone_until_something_has_changed(make_again, warehouse, monkeypatch, tmp_path, subtests):
    publish_map(warehouse)
    first, _ = make_again()
    folder = Path(warehouse.root, "_pages")

    with subtests.test("nothing has changed"):
        assert make_again() == (first, False)

    def contents(pages):
        return {name: content for name, (content, _) in pages.items()}

    def edit():
        (folder / "map.html").write_bytes(b"edited")

    def lose():
        (folder / "data" / "map.js").unlink()

    def damage():
        path = folder / "index.html"
        content, times = bytearray(path.read_bytes()), path.stat()
        content[100] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def add():
        (folder / "of_an_earlier_version.html").write_bytes(b"")

    for spoil in (edit, lose, damage, add):
        with subtests.test(spoil.__name__):
            spoil()
            pages, built = make_again()
            assert built
            assert contents(pages) == contents(first)

    with subtests.test("another template"):
        changed = tmp_path / "pages"
        shutil.copytree(site.SOURCE, changed)
        (changed / "styles" / "pages.css").write_text("body { margin: 0 }\n")
        with monkeypatch.context() as context:
            context.setattr(site, "SOURCE", changed)
            assert make_again()[0]["styles/pages.css"][0] == b"body { margin: 0 }\n"
        assert contents(make_again()[0]) == contents(first)

    with subtests.test("the address where they are served"):
        with monkeypatch.context() as context:
            context.setenv("TAPROOM_PAGES_URL", "https://example.org/pages")
            assert b"https://example.org/pages" in make_again()[0]["feed.xml"][0]
        assert contents(make_again()[0]) == contents(first)

    with subtests.test("a table"):
        rows = warehouse.read("item_map").slice(1)
        warehouse.publish(ITEM_MAP, rows, since=warehouse.head("item_map"))
        pages, built = make_again()
        assert built
        assert contents(pages)["data/map.js"] != contents(first)["data/map.js"]

    with subtests.test("a table that was damaged"):
        for data in Path(warehouse.root, "item_map").glob("*.parquet"):
            data.write_bytes(data.read_bytes()[:-1] + b"!")
        assert b"Damaged" in contents(make_again()[0])["map.html"]


def test_a_library_that_cannot_be_fetched_is_a_failure_of_the_pages_alone(instance, warehouse, monkeypatch):
    monkeypatch.setenv("TAPROOM_SOURCE_DECK_GL", "/no/such/file")
    failures = print_pages(instance)
    assert "deck_gl" in str(failures["pages"])


def test_pages_are_served_on_the_loopback_interface(instance, warehouse, capsys):
    make_pages(instance, warehouse, defs)
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    address = f"http://{ADDRESS}:{port}/"
    threading.Thread(target=serve, args=(warehouse, port), daemon=True).start()

    def page():
        with suppress(urllib.error.URLError), urllib.request.urlopen(address) as answer:
            return answer.read()

    assert b"<h1>Taproom</h1>" in wait_for(page, "the pages are served", every=0.05)
    # Read once, at the end: what is printed while it is read can be lost.
    assert address in capsys.readouterr().out


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
