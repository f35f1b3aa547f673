"""Servers on this machine that receive notices, and that fail as servers do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import serving


class Receiver(ThreadingHTTPServer):
    """A web server that answers its requests in order as `answers` says, and then with 200.

    An answer is a status, a status with headers, or one of `stall`, `close` and `garbage`.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Any] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    @property
    def notices(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        return [json.loads(body) for _, _, body in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, body))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        match answer:
            case "stall":
                self.rfile.read(1)  # until the client closes the connection
            case "close":
                pass
            case "garbage":
                self.wfile.write(b"\x00\xffnot HTTP\r\n\r\n")
            case _:
                status, more = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.end_headers()
        self.close_connection = True

    do_GET = do_POST

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that is served until the end."""
    with serving(Receiver()) as receiver:
        yield receiver
