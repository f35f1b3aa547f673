"""What tests of notices share: a receiver, short waits, and an environment without targets."""

import base64
import os
from datetime import UTC, datetime

import pytest

from pipelines.notices import delivery, mail, webhook
from pipelines.notices.notice import Entry, Notice
from tests.pipelines.notices.receivers import receiving
from tests.waiting import PATIENCE

KEY = b"a key of 24 bytes or more"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture(autouse=True)
def no_targets(monkeypatch):
    """The environment names no target of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith(("TAPROOM_OPERATORS_", "TAPROOM_CONSUMERS_", "TAPROOM_SMTP_", "TAPROOM_HEARTBEAT_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Pauses are short; a server that answers is waited for however slow the machine is."""
    for module in (mail, webhook):
        monkeypatch.setattr(module, "ATTEMPT_SECONDS", PATIENCE)
    monkeypatch.setattr(delivery, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", PATIENCE)


@pytest.fixture
def impatient(monkeypatch):
    """A server that does not answer is given up after a second."""
    for module in (mail, webhook):
        monkeypatch.setattr(module, "ATTEMPT_SECONDS", 1.0)


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def notice() -> Notice:
    entries = (
        Entry("run-1", "refresh_text", "refresh_text, step topics: no words", {"run": "http://ui.example/runs/run-1"}),
        Entry("run-2", "tune", "tune: <the run> was killed & gone", facts={"job": "tune"}),
    )
    return Notice("run_failed", "Run failed: refresh_text and 1 more", entries, datetime(2026, 11, 28, 12, tzinfo=UTC))
