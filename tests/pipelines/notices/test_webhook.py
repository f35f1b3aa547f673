"""Webhooks, against a real server that also fails."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipelines.notices.target import NotDeliveredError
from pipelines.notices.webhook import Webhook, signed_headers
from taproom.errors import InputError
from tests.pipelines.installation import free_port
from tests.pipelines.notices.conftest import KEY, SECRET
from tests.pipelines.notices.examples import NOTICES
from tests.test_docs import snippets
from tests.waiting import wait_for


def test_a_notice_is_posted_as_json_that_is_signed(receiver, notice):
    Webhook(receiver.url("/hook?token=1"), "json", SECRET).attempt(notice)
    ((path, headers, body),) = receiver.requests
    assert path == "/hook?token=1"
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["subject"] == notice.subject
    assert headers["webhook-id"] == notice.id


@pytest.fixture(scope="module")
def verify():
    """The function that the guide shows to receivers."""
    (code,) = snippets(NOTICES, "python")
    namespace = {}
    exec(compile(code, str(NOTICES), "exec"), namespace)
    return namespace["verify"]


def test_a_receiver_verifies_the_signature_with_the_code_of_the_guide(receiver, notice, verify):
    Webhook(receiver.url(), "json", SECRET).attempt(notice)
    ((_, headers, body),) = receiver.requests
    verify(headers, body, SECRET)
    with pytest.raises(ValueError, match="does not match"):
        verify(headers, body + b" ", SECRET)
    with pytest.raises(ValueError, match="does not match"):
        verify({**headers, "webhook-id": "another"}, body, SECRET)
    old = signed_headers(KEY, notice.id, int(time.time()) - 600, body)
    with pytest.raises(ValueError, match="too old"):
        verify(old, body, SECRET)


def test_the_signature_is_the_one_of_the_specification():
    # https://github.com/standard-webhooks/standard-webhooks, the example of its libraries
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("form", ["slack", "teams"])
def test_forms_of_others_are_not_signed(receiver, notice, form):
    Webhook(receiver.url(), form).attempt(notice)
    ((_, headers, _),) = receiver.requests
    assert not [name for name in headers if name.startswith("webhook-")]


@pytest.mark.parametrize(
    ("answer", "is_temporary", "message"),
    [
        (500, True, "status 500"),
        (404, False, "status 404"),
        (429, True, "status 429"),
        ((302, {"Location": "/elsewhere"}), False, "status 302"),
        pytest.param("stall", True, "nothing came for", marks=pytest.mark.slow),
        ("close", True, "did not answer"),
        ("garbage", True, "did not answer: BadStatusLine"),
    ],
    ids=str,
)
def test_what_is_no_success_is_an_error_without_the_address(receiver, notice, impatient, answer, is_temporary, message):
    receiver.answers = [answer]
    with pytest.raises(NotDeliveredError, match=message) as caught:
        Webhook(receiver.url("/secret-token"), "slack").attempt(notice)
    assert caught.value.is_temporary is is_temporary
    assert "secret-token" not in str(caught.value)
    assert caught.value.__cause__ is None
    wait_for(lambda: receiver.requests, "the server has read the request", every=0.01)
    assert len(receiver.requests) == 1


def test_a_connection_that_is_refused_is_a_temporary_error(notice):
    with pytest.raises(NotDeliveredError, match="Connection refused") as caught:
        Webhook(f"http://127.0.0.1:{free_port()}/secret-token", "slack").attempt(notice)
    assert caught.value.is_temporary


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("in an hour", 3600),
        ("soon", None),
        (None, None),
    ],
)
def test_the_header_retry_after_is_read(receiver, notice, header, seconds):
    if header == "in an hour":  # as a date
        header = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    receiver.answers = [(429, {"Retry-After": header} if header else {})]
    with pytest.raises(NotDeliveredError) as caught:
        Webhook(receiver.url(), "slack").attempt(notice)
    assert caught.value.wait_seconds == (seconds if seconds is None else pytest.approx(seconds, abs=60))


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/token",
        "file:///etc/passwd",
        "https:///token",
        "https://me:token@host/",
        "http://host:token/",
        "https://host/töken",
        "token",
    ],
)
def test_addresses_that_are_not_valid_are_refused_and_not_shown(address):
    with pytest.raises(InputError, match="must begin with http") as caught:
        Webhook(address, "slack")
    assert "token" not in str(caught.value).replace("hold a token", "")


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_?", base64.b64encode(KEY).decode()])
def test_the_form_for_programs_needs_a_secret(secret):
    with pytest.raises(InputError, match="whsec_ and the base64 of at least 24 bytes"):
        Webhook("https://host/", "json", secret)


def test_an_unknown_form_is_refused():
    with pytest.raises(InputError, match="the forms are json, slack, teams"):
        Webhook("https://host/", "xml")
