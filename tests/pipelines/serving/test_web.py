"""What the web server adds to Dagster's; `test_serving` asks it over the network."""

import pytest
from starlette.requests import Request

from pipelines.serving.web import page
from taproom.warehouse.warehouse import Warehouse


@pytest.fixture
def get(warehouse: Warehouse):
    for path, content in {"_pages/index.html": b"home", "_pages/map/index.html": b"map", "secret.txt": b"no"}.items():
        warehouse.storage.write(path, content)
    return lambda path: page(Request({"type": "http", "path_params": {"path": path}}))


@pytest.mark.parametrize(("path", "content"), [("", b"home"), ("index.html", b"home"), ("map/", b"map")])
def test_pages_are_read_from_the_warehouse(get, path, content):
    answer = get(path)
    assert (answer.status_code, answer.body, answer.media_type) == (200, content, "text/html")


@pytest.mark.parametrize("path", ["../secret.txt", "map/../../secret.txt", "/etc/passwd", "no.html", ".hidden", "a//b"])
def test_nothing_else_is(get, path):
    assert get(path).status_code == 404
