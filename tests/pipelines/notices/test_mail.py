"""E-mail, against a real SMTP server that also fails."""

import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from pipelines.notices.delivery import Finding, report
from pipelines.notices.mail import Mail, MailServer
from pipelines.notices.target import NotDeliveredError
from taproom.errors import InputError
from tests.pipelines.installation import free_port

SENDER, RECIPIENT = "taproom@example.org", "ann@example.org"


class Mailbox:
    """Keeps the messages that it is given, or refuses them with `answer`."""

    def __init__(self, answer: str = "250 OK") -> None:
        self.answer, self.messages, self.recipients = answer, [], []

    async def handle_DATA(self, server, session, envelope):
        if self.answer == "stall":
            time.sleep(1.5)
            return "250 OK"
        if self.answer.startswith("250"):
            self.messages.append(envelope.content.decode())
            self.recipients.append(envelope.rcpt_tos)
        return self.answer

    async def handle_RCPT(self, server, session, envelope, address, options):
        if "nobody" in address:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@contextmanager
def mail_server(mailbox, **settings):
    controller = Controller(mailbox, hostname="127.0.0.1", port=0, **settings)
    controller.port = free_port()
    controller.start()
    yield controller
    controller.stop()


def server(controller, encryption="none", **login) -> MailServer:
    host = "127.0.0.1" if encryption == "none" else "localhost"
    return MailServer(host, SENDER, controller.port, encryption, **login)


def test_a_notice_is_a_message_of_text(notice):
    mailbox = Mailbox()
    with mail_server(mailbox) as controller:
        Mail(server(controller), [RECIPIENT, "bob@example.org"]).attempt(notice)
    (message,) = mailbox.messages
    assert mailbox.recipients == [[RECIPIENT, "bob@example.org"]]
    for line in (
        f"Subject: [Taproom] {notice.subject}",
        f"From: {SENDER}",
        f"To: {RECIPIENT}, bob@example.org",
        f"Message-ID: <{notice.id}@taproom>",
        "Date: Sat, 28 Nov 2026 12:00:00 +0000",
        "- refresh_text, step topics: no words",
    ):
        assert line in message.splitlines()


@pytest.mark.parametrize(
    ("answer", "is_temporary", "message"),
    [
        ("451 try again", True, "answered with the code 451"),
        ("554 refused", False, "answered with the code 554"),
        pytest.param("stall", True, "did not answer", marks=pytest.mark.slow),
    ],
)
def test_what_is_no_success_is_an_error(notice, impatient, answer, is_temporary, message):
    with mail_server(Mailbox(answer)) as controller, pytest.raises(NotDeliveredError, match=message) as caught:
        Mail(server(controller), [RECIPIENT]).attempt(notice)
    assert caught.value.is_temporary is is_temporary


def test_a_message_that_one_recipient_gets_was_taken_and_one_that_nobody_gets_was_not(notice):
    mailbox = Mailbox()
    with mail_server(mailbox) as controller:
        Mail(server(controller), ["nobody@example.org", RECIPIENT]).attempt(notice)
        assert mailbox.recipients == [[RECIPIENT]]
        with pytest.raises(NotDeliveredError, match="the code 550"):
            Mail(server(controller), ["nobody@example.org"]).attempt(notice)


def test_a_server_that_is_not_there_is_a_temporary_error(notice):
    with pytest.raises(NotDeliveredError, match="Connection refused") as caught:
        Mail(MailServer("127.0.0.1", SENDER, free_port(), "none"), [RECIPIENT]).attempt(notice)
    assert caught.value.is_temporary


def test_a_server_without_starttls_gets_nothing(notice):
    mailbox = Mailbox()
    with mail_server(mailbox) as controller, pytest.raises(NotDeliveredError, match="no STARTTLS"):
        Mail(server(controller, "starttls"), [RECIPIENT]).attempt(notice)
    assert mailbox.messages == []


@pytest.fixture
def certificate(tmp_path, monkeypatch) -> ssl.SSLContext:
    """A certificate of `localhost` that this process trusts."""
    if not shutil.which("openssl"):
        pytest.skip("the command openssl makes the certificate")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(file), "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context


class AcceptsOnePassword:
    def __call__(self, server, session, envelope, mechanism, given):
        return AuthResult(success=given.password == b"correct", handled=False)


def login_required(context) -> dict:
    starttls = {"require_starttls": True, "tls_context": context}
    return {**starttls, "auth_required": True, "authenticator": AcceptsOnePassword()}


def test_a_password_is_sent_after_starttls(notice, certificate):
    mailbox = Mailbox()
    with mail_server(mailbox, **login_required(certificate)) as controller:
        Mail(server(controller, "starttls", user="ann", password="correct"), [RECIPIENT]).attempt(notice)
        assert len(mailbox.messages) == 1
        with pytest.raises(NotDeliveredError, match="the code 535") as caught:
            Mail(server(controller, "starttls", user="ann", password="a wrong one"), [RECIPIENT]).attempt(notice)
    assert not caught.value.is_temporary
    assert "a wrong one" not in str(caught.value)


def test_a_password_that_cannot_be_sent_is_an_error_with_its_reason(notice, certificate, caplog):
    mailbox = Mailbox()
    with mail_server(mailbox, **login_required(certificate)) as controller:
        target = Mail(server(controller, "starttls", user="ann", password="geheimnisträger"), [RECIPIENT])
        progress = report([target], {"run_failed": lambda _, reported: Finding(notice, 1)}, None, {})
    assert progress["mail"]["run_failed"].reported is None
    assert "the mail server localhost: UnicodeEncodeError; to be sent again" in caplog.text
    assert "geheimnis" not in caplog.text


def test_a_connection_may_be_encrypted_from_the_beginning(notice, certificate):
    mailbox = Mailbox()
    with mail_server(mailbox, ssl_context=certificate) as controller:
        Mail(server(controller, "tls"), [RECIPIENT]).attempt(notice)
    assert len(mailbox.messages) == 1


def test_a_certificate_that_is_not_trusted_is_refused(notice, certificate, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    mailbox = Mailbox()
    with mail_server(mailbox, ssl_context=certificate) as controller, pytest.raises(NotDeliveredError, match="CERT"):
        Mail(server(controller, "tls"), [RECIPIENT]).attempt(notice)
    assert mailbox.messages == []


def test_a_password_is_never_sent_without_encryption():
    with pytest.raises(InputError, match="must be encrypted"):
        MailServer("localhost", SENDER, 25, "none", user="ann", password="secret")


def test_a_password_is_not_shown():
    assert "secret" not in repr(MailServer("localhost", SENDER, user="ann", password="secret"))


def test_an_unknown_encryption_is_refused():
    with pytest.raises(InputError, match="one of starttls, tls, none"):
        MailServer("localhost", SENDER, 25, "ssl")
