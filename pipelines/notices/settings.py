"""The targets of notices, from environment variables; `docs/notices.md` lists them.

Addresses and secrets come from the environment alone, so that they are in no file, run configuration or page.
"""

import os
from collections.abc import Iterator

from pipelines.notices.mail import PORTS, Mail, MailServer
from pipelines.notices.target import LogLine, Target
from pipelines.notices.webhook import Webhook, check_address
from taproom.errors import InputError

WARNINGS_VARIABLE = "TAPROOM_NOTICE_WARNINGS"
HEARTBEAT_VARIABLE = "TAPROOM_HEARTBEAT_URL"


def targets(audience: str) -> list[Target]:
    """The log, and the targets that are configured for an audience: `OPERATORS` or `CONSUMERS`.

    Raises:
        InputError: a variable has a value that is not valid, or another variable is needed with it.
    """
    return [LogLine(), *_webhooks(f"TAPROOM_{audience}_WEBHOOK"), *_mail(f"TAPROOM_{audience}_MAIL_TO")]


def warnings_count() -> bool:
    """Whether failed checks are reported whose severity is a warning."""
    return _value(WARNINGS_VARIABLE).lower() in ("yes", "true", "1")


def heartbeat_address() -> str | None:
    """The address that is requested regularly while the daemon runs; None where there is none.

    Raises:
        InputError: it is not valid.
    """
    if not (address := _value(HEARTBEAT_VARIABLE)):
        return None
    check_address(address)
    return address


def _webhooks(prefix: str) -> Iterator[Target]:
    """A webhook for each address in `<prefix>_URL`, which are separated by spaces."""
    form, secret = _value(f"{prefix}_FORM") or "json", _value(f"{prefix}_SECRET")
    for address in dict.fromkeys(_value(f"{prefix}_URL").split()):
        try:
            yield Webhook(address, form, secret)
        except InputError as error:
            raise InputError(f"{prefix}_URL, _FORM or _SECRET: {error}") from None


def _mail(variable: str) -> Iterator[Target]:
    recipients = [address.strip() for address in _value(variable).split(",") if address.strip()]
    if not recipients:
        return
    host, sender = _value("TAPROOM_SMTP_HOST"), _value("TAPROOM_SMTP_FROM")
    if not host or not sender:
        raise InputError(f"{variable} needs TAPROOM_SMTP_HOST and TAPROOM_SMTP_FROM too; set them or unset {variable}")
    encryption = _value("TAPROOM_SMTP_ENCRYPTION") or "starttls"
    port = _value("TAPROOM_SMTP_PORT") or str(PORTS.get(encryption, ""))
    if not port.isdecimal():
        raise InputError(f"TAPROOM_SMTP_PORT must be a number, not {port!r}")
    user, password = _value("TAPROOM_SMTP_USER"), _value("TAPROOM_SMTP_PASSWORD")
    yield Mail(MailServer(host, sender, int(port), encryption, user, password), recipients)


def _value(variable: str) -> str:
    return os.environ.get(variable, "").strip()
