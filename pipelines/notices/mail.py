"""E-mail: a notice as a text message, by SMTP."""

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage

from pipelines.notices.notice import Notice
from pipelines.notices.target import ATTEMPT_SECONDS, NotDeliveredError, Target
from taproom.errors import InputError

# The usual port of each encryption.
PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True)
class MailServer:
    """An SMTP server.

    Attributes:
        host: its name.
        sender: the address that messages are from.
        port: its port.
        encryption: `starttls`, `tls` (from the first byte on) or `none`.
        user: empty where no login is needed.
        password: the user's password.

    Raises:
        InputError: the encryption is none of these, or a password would be sent without encryption.
    """

    host: str
    sender: str
    port: int = PORTS["starttls"]
    encryption: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check the encryption."""
        if self.encryption not in PORTS:
            raise InputError(f"the encryption of SMTP must be one of {', '.join(PORTS)}, not {self.encryption!r}")
        if self.user and self.encryption == "none":
            raise InputError("SMTP with a user must be encrypted (starttls or tls), since the password is sent")

    @contextmanager
    def connected(self) -> Iterator[smtplib.SMTP]:
        """A connection, encrypted and logged in as configured."""
        with self._connect() as connection:
            if self.encryption == "starttls":
                connection.starttls(context=ssl.create_default_context())
            if self.user:
                connection.login(self.user, self.password)
            yield connection

    def _connect(self) -> smtplib.SMTP:
        if self.encryption == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=ATTEMPT_SECONDS, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=ATTEMPT_SECONDS)


class Mail(Target):
    """Addresses that notices are mailed to, in one message for all."""

    def __init__(self, server: MailServer, recipients: Sequence[str]) -> None:
        """Nothing is sent yet."""
        self._server, self._recipients = server, tuple(recipients)
        self.id, self.name = "mail", f"the mail server {server.host}"

    def attempt(self, notice: Notice) -> None:
        """Mail a notice; it was taken if the server has accepted the message for one recipient at least."""
        try:
            with self._server.connected() as connection:
                connection.send_message(self._message(notice))
        except smtplib.SMTPRecipientsRefused as error:
            raise self._refused(max(code for code, _ in error.recipients.values())) from None
        except smtplib.SMTPResponseException as error:
            raise self._refused(error.smtp_code) from None
        except smtplib.SMTPNotSupportedError:
            raise NotDeliveredError(f"{self.name} offers no STARTTLS or no login", is_temporary=False) from None
        except (OSError, smtplib.SMTPException) as error:  # the first includes errors of TLS and time limits
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NotDeliveredError(f"{self.name} did not answer: {reason}", is_temporary=True) from None

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = f"[Taproom] {' '.join(notice.subject.split())}"
        message["From"], message["To"] = self._server.sender, ", ".join(self._recipients)
        message["Date"] = notice.time
        message["Message-ID"] = f"<{notice.id}@taproom>"  # so that a mail program recognizes a repeat
        message["Auto-Submitted"] = "auto-generated"  # so that no vacation reply comes
        message.set_content(notice.text + "\n")
        return message

    def _refused(self, code: int) -> NotDeliveredError:
        return NotDeliveredError(f"{self.name} answered with the code {code}", is_temporary=400 <= code < 500)
