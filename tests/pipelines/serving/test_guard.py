"""The rules of the guard, before a server that says yes to everything; `test_serving.py` has Dagster's behind it."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from pipelines.serving.guard import Guard, own_hosts

OWN = "http://localhost:3000"
JSON = {"Content-Type": "application/json"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


async def _yes(_: Request) -> PlainTextResponse:
    return PlainTextResponse("yes")


async def _accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("yes")


@pytest.fixture(scope="module")
def listening() -> Iterator[socket.socket]:
    """The socket of a guarded server that believes to be on port 3000."""
    routes = [Route("/{path:path}", _yes, methods=["GET", "POST", "PUT"]), WebSocketRoute("/graphql", _accept)]
    app = Starlette(routes=routes)
    app.add_middleware(Guard, hosts=own_hosts(3000, "taproom.example, "))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        yield listening
        server.should_exit = True
        thread.join()


@pytest.fixture
def ask(listening) -> Callable[..., requests.Response]:
    """Asks the server for a path, as localhost:3000 unless the headers have another name."""

    def request(method: str, path: str, headers: dict[str, str]) -> requests.Response:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{path}"
        return requests.request(method, url, headers={"Host": "localhost:3000", **headers}, timeout=10)

    return request


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": OWN},
        {"Referer": f"{OWN}/runs"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Host": "127.0.0.1:3000", "Origin": "http://127.0.0.1:3000"},
        {"Host": "[::1]:3000"},
        {"Host": "Taproom.example", "Origin": "https://taproom.example"},
    ],
)
def test_programs_and_own_pages_are_answered(ask, headers):
    assert ask("GET", "/runs", headers).text == "yes"
    assert ask("POST", "/graphql", {**headers, **JSON}).text == "yes"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://evil.example", "Referer": f"{OWN}/"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:8888"},
        {"Origin": "http://localhost:3000.evil.example"},
        {"Origin": "http://127.0.0.1:3000"},  # not what this request asks for
        {"Referer": "http://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {**LINK, "Sec-Fetch-Dest": "iframe"},
        {**LINK, "Origin": "http://evil.example"},
    ],
)
def test_pages_of_other_sites_are_refused(ask, headers):
    for answer in (
        ask("GET", "/runs", headers),
        ask("POST", "/graphql", {**headers, **JSON}),
        ask("PUT", "/graphql", {**headers, **JSON}),
    ):
        assert answer.status_code == 403
        assert "Only pages of localhost:3000" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "localhost", "127.0.0.1:8080", ""])
def test_other_names_than_its_own_are_refused(ask, host):
    answer = ask("GET", "/", {"Host": host})
    assert answer.status_code == 403
    assert "TAPROOM_UI_HOSTS" in answer.text


def test_a_link_on_another_site_may_be_followed_but_does_nothing(ask):
    assert ask("GET", "/runs", {**LINK, "Referer": "http://chat.example/"}).text == "yes"
    assert ask("POST", "/graphql", {**LINK, **JSON}).status_code == 403
    assert ask("GET", "/graphql?query={version}", LINK).status_code == 405


def test_graphql_is_answered_by_post_alone(ask):
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = ask(method, "/graphql?query=mutation%20%7Bshutdown%7D", {})
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
)
def test_what_pages_may_send_without_asking_is_refused(ask, media_type):
    answer = ask("POST", "/report_asset_materialization/items", {"Content-Type": media_type})
    assert answer.status_code == 415
    assert "application/json" in answer.text


def test_a_parameter_of_the_media_type_is_of_no_account(ask):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert ask("POST", "/graphql", headers).text == "yes"


def test_websockets_are_guarded_too(listening):
    def receive(host: str, origin: str) -> str:
        opened = socket.create_connection(listening.getsockname())
        with opened, connect(f"ws://{host}/graphql", sock=opened, origin=origin) as websocket:
            return websocket.recv(timeout=10)

    assert receive("localhost:3000", OWN) == "yes"
    for host, origin in (("localhost:3000", "http://evil.example"), ("evil.example", "http://evil.example")):
        with pytest.raises(InvalidStatus) as refused:
            receive(host, origin)
        assert refused.value.response.status_code == 403
        assert b"Refused: " in refused.value.response.body


def test_the_port_of_a_name_is_left_out_where_browsers_do():
    assert own_hosts(80) == {"localhost", "127.0.0.1", "[::1]"}
    assert own_hosts(3000, "a.example,b.example:8080") >= {"localhost:3000", "a.example", "b.example:8080"}
