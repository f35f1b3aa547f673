"""Notices, sent by the real daemon; `make soak` runs this, `make test` does not."""

import json

import pytest

from tests.pipelines.installation import Installation
from tests.pipelines.notices.conftest import SECRET
from tests.pipelines.notices.receivers import Receiver, receiving
from tests.pipelines.test_daemon import reviews
from tests.waiting import wait_for

pytestmark = pytest.mark.soak

# A sensor is evaluated every minute.


@pytest.fixture(scope="module")
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def installation(tmp_path_factory, receiver):
    installation = Installation(tmp_path_factory.mktemp("installation"))
    installation.environment |= {
        "TAPROOM_OPERATORS_WEBHOOK_URL": receiver.url("/operators"),
        "TAPROOM_OPERATORS_WEBHOOK_FORM": "slack",
        "TAPROOM_CONSUMERS_WEBHOOK_URL": receiver.url("/consumers"),
        "TAPROOM_CONSUMERS_WEBHOOK_SECRET": SECRET,
        "TAPROOM_HEARTBEAT_URL": receiver.url("/ping"),
    }
    installation.start()
    yield installation
    installation.stop()


def received(receiver: Receiver, path: str) -> list[dict]:
    """The notices that were sent to a path."""
    return [json.loads(body) for to, _, body in receiver.requests if to == path]


def test_failures_go_to_operators_and_new_versions_to_consumers(installation, receiver):
    for sensor in ("notify_operators", "notify_consumers"):
        installation.switch_on(sensor)
        wait_for(lambda sensor=sensor: has_cursor(installation, sensor), f"{sensor} was evaluated")
    failed = installation.launch("ingest_text", documents={"source": "files", "path": str(installation.home / "none")})
    assert installation.end(failed) == "FAILURE"
    installation.switch_on("review_inbox")
    bad = installation.drop("bad.csv", reviews(range(4), header="review_id,item_id,score"))
    installation.drop("good.csv", reviews(range(24)))

    def subjects() -> set[str]:
        return {notice["text"] for notice in received(receiver, "/operators")}

    wait_for(lambda: "Run failed: ingest_text" in subjects(), "operators know of the run")
    wait_for(lambda: f"Batch refused: {bad}" in subjects(), "operators know of the batch")
    (of_run,) = [each for each in received(receiver, "/operators") if each["text"] == "Run failed: ingest_text"]
    assert f"/runs/{failed}" in json.dumps(of_run)
    assert str(installation.home) not in json.dumps(of_run)
    entries = wait_for(
        lambda: [
            entry
            for notice in received(receiver, "/consumers")
            for entry in notice["entries"]
            if entry["name"] == "reviews"
        ],
        "consumers know of the new version",
    )
    assert entries[0]["facts"]["rows_added"] == 72
    assert [to for to, _, _ in receiver.requests if to == "/ping"]


def has_cursor(installation: Installation, sensor: str) -> bool:
    """Whether a sensor has been evaluated."""
    with installation.instance as instance:
        states = [state for state in instance.all_instigator_state() if state.name == sensor]
        return any(state.instigator_data and state.instigator_data.cursor for state in states)
