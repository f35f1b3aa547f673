import time

import pytest

from pipelines.notices.heartbeat import SECONDS_BETWEEN, beat
from taproom.errors import InputError
from tests.waiting import wait_for


@pytest.mark.slow
def test_the_address_is_requested_every_few_minutes(receiver, monkeypatch):
    monkeypatch.setenv("TAPROOM_HEARTBEAT_URL", receiver.url("/ping/token"))
    first = beat(0.0)
    assert first == pytest.approx(time.time(), abs=60)
    assert beat(first) == first
    assert beat(first - SECONDS_BETWEEN) > first
    wait_for(lambda: len(receiver.requests) == 2, "the address was requested twice")
    assert {(path, body) for path, _, body in receiver.requests} == {("/ping/token", b"")}


@pytest.mark.slow
def test_a_request_that_fails_is_logged_without_the_address(receiver, monkeypatch, caplog):
    receiver.answers = [404]
    monkeypatch.setenv("TAPROOM_HEARTBEAT_URL", receiver.url("/ping/token"))
    beat(0.0)
    wait_for(lambda: "the watcher at http://127.0.0.1" in caplog.text, "the failure was logged")
    assert "token" not in caplog.text


def test_without_an_address_nothing_happens_and_a_wrong_one_is_refused(monkeypatch):
    assert beat(7.0) == 7.0
    monkeypatch.setenv("TAPROOM_HEARTBEAT_URL", "ping")
    with pytest.raises(InputError, match="must begin with http"):
        beat(0.0)
