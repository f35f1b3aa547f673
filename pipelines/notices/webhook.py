"""A webhook: a notice is posted to an address, as JSON.

The JSON for programs is signed as Standard Webhooks specifies (https://www.standardwebhooks.com, version 1): the header
`webhook-signature` is `v1,` and the base64 of the HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>`. The key is
the base64 after `whsec_` in the secret, decoded. Slack and Teams do not check signatures; their addresses are secret.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from pipelines.notices.forms import FORMS
from pipelines.notices.notice import Notice
from pipelines.notices.redaction import host_of
from pipelines.notices.target import ATTEMPT_SECONDS, NotDeliveredError, Target
from taproom.errors import InputError

SECRET_PREFIX = "whsec_"
SHORTEST_KEY = 24  # bytes, as the specification asks
TOO_MANY_REQUESTS = 429


class Webhook(Target):
    """An address that notices are posted to.

    Args:
        address: http or https.
        form: one of `FORMS`.
        secret: what the form `json` is signed with: `whsec_` and the base64 of at least 24 bytes. Others are not
            signed.

    Raises:
        InputError: the address, the form or the secret is not valid.
    """

    def __init__(self, address: str, form: str = "json", secret: str = "") -> None:
        """Check the arguments; nothing is sent yet."""
        check_address(address)
        if form not in FORMS:
            raise InputError(f"a webhook has no form {form!r}; the forms are {', '.join(FORMS)}")
        self._address, self._form = address, form
        self._key = _key(secret) if form == "json" else None
        self.id = f"webhook {hashlib.sha256(address.encode()).hexdigest()[:12]}"
        self.name = f"the webhook at {host_of(address)}"

    def attempt(self, notice: Notice) -> None:
        """Post a notice; a status of 200 to 299 means that it was taken."""
        body = json.dumps(FORMS[self._form](notice)).encode()
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers |= signed_headers(self._key, notice.id, int(time.time()), body)
        request(self._address, self.name, body, headers)


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a signed message; `timestamp` is in seconds since 1970."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def check_address(address: str) -> None:
    """Check that an address can be sent to.

    Raises:
        InputError: it is not http or https, names no host, holds a user's name, or has characters that are not ASCII.
    """
    try:
        parts = urlsplit(address)
        is_sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        is_sound = is_sound and address.isprintable() and address.isascii()
    except ValueError:  # of a port that is no number
        is_sound = False
    if not is_sound or parts.username is not None:
        raise InputError(
            "the address of a webhook or a heartbeat must begin with http:// or https:// and a host, without a user's "
            "name or a password, and have only ASCII characters. (It is not shown, because it may hold a token.)"
        )


def request(address: str, name: str, body: bytes | None, headers: Mapping[str, str]) -> None:
    """Post a body to an address, or get the address where the body is None. Redirects are not followed.

    Raises:
        NotDeliveredError: there was no answer, or one with another status than 200 to 299; `name` is in the message.
    """
    sent = urllib.request.Request(address, body, {"User-Agent": "taproom", **headers})
    try:
        with _OPENER.open(sent, timeout=ATTEMPT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(name, error.code, error.headers.get("Retry-After")) from None
    except (OSError, http.client.HTTPException) as error:
        # Not chained: the messages of some errors hold the address.
        raise NotDeliveredError(f"{name} did not answer: {_reason(error)}", is_temporary=True) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Make a redirect an error: the notice would go to an address that nobody has configured."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def _refused(name: str, status: int, retry_after: str | None) -> NotDeliveredError:
    is_temporary = status >= 500 or status == TOO_MANY_REQUESTS
    return NotDeliveredError(
        f"{name} answered with the status {status}", is_temporary=is_temporary, wait_seconds=_seconds(retry_after)
    )


def _seconds(retry_after: str | None) -> float | None:
    """A header `Retry-After`, which is a number of seconds or a date, as seconds from now; None where it is neither."""
    with suppress(TypeError, ValueError):
        if retry_after is not None and retry_after.strip().isdecimal():
            return float(retry_after)
        return max(0.0, (parsedate_to_datetime(str(retry_after)) - datetime.now(UTC)).total_seconds())
    return None


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"nothing came for {ATTEMPT_SECONDS:.0f} s"
    return getattr(cause, "strerror", None) or type(cause).__name__


def _key(secret: str) -> bytes:
    with suppress(binascii.Error):
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        if secret.startswith(SECRET_PREFIX) and len(key) >= SHORTEST_KEY:
            return key
    raise InputError(
        f"the secret of a webhook of the form json must be {SECRET_PREFIX} and the base64 of at least {SHORTEST_KEY} "
        "bytes; docs/notices.md has a command that makes one. (The value is not shown.)"
    )
