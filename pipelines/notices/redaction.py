"""Secrets and local paths, which must not be in a notice or in an error about a target."""

import os
import re
from urllib.parse import urlsplit

from taproom.pages.tables import first_line

_SECRETS = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|ACCESS_KEY|_KEY$")
_SECRET_ADDRESSES = re.compile(r"(WEBHOOK|HEARTBEAT)_URL$")
_SHORTEST_SECRET = 6  # shorter values occur in text by chance


def redacted(message: str) -> str:
    """The first line of a message without local paths, and without secrets that environment variables hold."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        message = message.replace(secret, "***")
    return first_line(message)


def host_of(address: str) -> str:
    """Scheme, host and port of an address; the rest may hold a token.

    >>> host_of("https://hooks.example/services/T0/B0/secret?key=1")
    'https://hooks.example'
    """
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def _secrets() -> set[str]:
    secrets = set()
    for name, value in os.environ.items():
        if _SECRET_ADDRESSES.search(name):
            for address in value.split():
                path = address.removeprefix(host_of(address)).strip("/")
                secrets |= {path, path.rpartition("/")[2]}
        elif _SECRETS.search(name):
            secrets.add(value)
    return {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
