"""What the web server refuses: requests that a page of another site makes through the browser of someone who is here.

Dagster's web server has no login and answers whoever reaches it, and a browser reaches it for any page that is open in
it. Such requests are known by their headers (`Origin`, `Referer`, `Sec-Fetch-Site`), or, where a foreign name was made
to point to this machine (DNS rebinding), by the name that they ask for (`Host`). Of these, programs send `Host` alone.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS_VARIABLE = "TAPROOM_UI_HOSTS"
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """ASGI middleware that answers what another site asks for with a refusal, and passes on everything else.

    `hosts` are the names that the server may be asked for, as an address bar has them (`localhost:3000`).
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        """Stand before `app`."""
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or one handshake of a websocket."""
        refusal = self._refusal(HTTPConnection(scope)) if scope["type"] in ("http", "websocket") else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, asked: HTTPConnection) -> PlainTextResponse | None:
        host = asked.headers.get("host", "").lower()
        if host not in self._hosts:
            return _refused(
                403,
                f"this server is {', '.join(sorted(self._hosts))}, and was asked for {host!r}. If that is its name, "
                f"add it to {HOSTS_VARIABLE} (names separated by commas) and start it again.",
            )
        if _is_from_another_site(asked, host):
            return _refused(403, f"it comes from a page that is not on {host}, and no other site may use this server.")
        if asked.scope["type"] == "websocket":
            return None
        method = asked.scope["method"]
        if method not in _SAFE_METHODS and _media_type(asked) != "application/json":
            # The other types are those that pages may send to foreign servers without asking these first.
            return _refused(415, f"a {method} must have the content type application/json.")
        if method in _SAFE_METHODS and asked.scope["path"] == "/graphql":
            return _refused(405, "GraphQL is answered by POST alone: a link must not start a run.", Allow="POST")
        return None


def own_hosts(port: int, more: str = "") -> set[str]:
    """The names of a server on this machine's `port`, and those that `more` lists, separated by commas."""
    suffix = "" if port == 80 else f":{port}"
    own = {f"{name}{suffix}" for name in ("localhost", "127.0.0.1", "[::1]")}
    return own | {name.strip() for name in more.split(",") if name.strip()}


def _is_from_another_site(asked: HTTPConnection, host: str) -> bool:
    headers = asked.headers
    if (origin := headers.get("origin")) is not None:
        return urlsplit(origin).netloc.lower() != host
    if _is_link(asked):
        return False
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    return "referer" in headers and urlsplit(headers["referer"]).netloc.lower() != host


def _is_link(asked: HTTPConnection) -> bool:
    """Whether someone followed a link to a page of this server, which the other site then neither shows nor sees.

    A GET changes nothing here.
    """
    wanted = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    return asked.scope.get("method") == "GET" and wanted.items() <= dict(asked.headers).items()


def _media_type(asked: HTTPConnection) -> str:
    return asked.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refused(status: int, why: str, **headers: str) -> PlainTextResponse:
    return PlainTextResponse(f"Refused: {why}\n", status, headers)
