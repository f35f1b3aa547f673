"""Protection of the web server against requests that another site makes through a user's browser.

Dagster's web server has no login, and any page that is open in a browser on this machine can send requests to it
(cross-site request forgery). Such requests are recognized by the headers `Origin`, `Referer` and `Sec-Fetch-Site`, or,
if another site's name was made to point to this machine (DNS rebinding), by `Host`. Programs other than browsers send
`Host` only.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS_VARIABLE = "TAPROOM_UI_HOSTS"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """ASGI middleware that refuses requests from other sites and passes on all others.

    Args:
        app: the application that is protected.
        hosts: the names of the server, as in an address bar (`localhost:3000`).
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        """Protect `app`."""
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or one handshake of a websocket."""
        refusal = self._refusal(HTTPConnection(scope)) if scope["type"] in ("http", "websocket") else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, connection: HTTPConnection) -> PlainTextResponse | None:
        host = connection.headers.get("host", "").lower()
        if host not in self._hosts:
            return _refused(
                403,
                f"the request is for {host!r}, and this server is {', '.join(sorted(self._hosts))}. If the name is "
                f"right, add it to {HOSTS_VARIABLE} (names separated by commas) and start the server again.",
            )
        if _is_from_another_site(connection, host):
            return _refused(403, f"the request comes from another site. Only pages of {host} may use this server.")
        if connection.scope["type"] == "websocket":
            return None
        method = connection.scope["method"]
        if method not in _SAFE_METHODS and _media_type(connection) != "application/json":
            # A page may send other types to another site without a preflight request.
            return _refused(415, f"a {method} request must have the content type application/json.")
        if method in _SAFE_METHODS and connection.scope["path"] == "/graphql":
            return _refused(405, "GraphQL must be sent by POST, so that no link can start a run.", Allow="POST")
        return None


def own_hosts(port: int, more: str = "") -> set[str]:
    """The names of a server on `port` of this machine, and those in `more`, which are separated by commas."""
    suffix = "" if port == 80 else f":{port}"
    own = {f"{name}{suffix}" for name in ("localhost", "127.0.0.1", "[::1]")}
    return own | {name.strip() for name in more.split(",") if name.strip()}


def _is_from_another_site(connection: HTTPConnection, host: str) -> bool:
    headers = connection.headers
    if (origin := headers.get("origin")) is not None:
        return urlsplit(origin).netloc.lower() != host
    if _is_link(connection):
        return False
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    return "referer" in headers and urlsplit(headers["referer"]).netloc.lower() != host


def _is_link(connection: HTTPConnection) -> bool:
    """Whether a user followed a link to a page of this server, which the other site can neither frame nor read.

    A GET request changes nothing on this server.
    """
    wanted = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    return connection.scope.get("method") == "GET" and wanted.items() <= dict(connection.headers).items()


def _media_type(connection: HTTPConnection) -> str:
    return connection.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refused(status: int, why: str, **headers: str) -> PlainTextResponse:
    return PlainTextResponse(f"Refused: {why}\n", status, headers)
