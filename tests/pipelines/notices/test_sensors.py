"""The two sensors, evaluated as the daemon does, with a real server as target."""

import json

import dagster as dg
import pytest

from pipelines.definitions import defs
from taproom.errors import InputError
from tests.pipelines.notices.conftest import SECRET

ALE = {"review_id": "r1", "item_id": "ale", "text": "pine resin"}


class Evaluations:
    """Evaluates a sensor again and again, each time with the cursor of the one before."""

    def __init__(self, name: str, instance: dg.DagsterInstance) -> None:
        (self._sensor,) = [sensor for sensor in defs.sensors if sensor.name == name]
        self._instance, self.cursor = instance, None

    def evaluate(self) -> str:
        """Evaluate it once, and give the line that the UI shows."""
        with dg.build_sensor_context(self._instance, cursor=self.cursor) as context:
            result = self._sensor.evaluate_tick(context)
        self.cursor = result.cursor
        return result.skip_message


@pytest.mark.parametrize("name", ["notify_operators", "notify_consumers"])
def test_both_are_off_until_somebody_switches_them_on(name):
    (sensor,) = [sensor for sensor in defs.sensors if sensor.name == name]
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.minimum_interval_seconds == 60


def test_operators_are_notified_of_a_run_that_fails_and_the_watcher_that_the_daemon_runs(
    receiver, instance, warehouse, monkeypatch, tmp_path
):
    monkeypatch.setenv("TAPROOM_OPERATORS_WEBHOOK_URL", receiver.url("/slack/token"))
    monkeypatch.setenv("TAPROOM_OPERATORS_WEBHOOK_FORM", "slack")
    sensor = Evaluations("notify_operators", instance)
    sensor.evaluate()
    assert receiver.requests == []
    run = instance.create_run_for_job(defs.resolve_job_def("make_pages"))
    instance.report_run_failed(run, "Its process is gone.")
    receiver.answers = [404]
    assert sensor.evaluate().startswith("to be sent again: run_failed to webhook ")
    assert sensor.evaluate() == "nothing is left to be sent"
    sensor.evaluate()
    assert [notice["text"] for notice in receiver.notices] == ["Run failed: make_pages"] * 2  # the first was refused
    assert run.run_id in json.dumps(receiver.notices[1])
    assert "token" not in sensor.cursor
    monkeypatch.setenv("TAPROOM_HEARTBEAT_URL", receiver.url("/ping"))
    before = json.loads(sensor.cursor)
    sensor.evaluate()
    after = json.loads(sensor.cursor)
    assert before["heartbeat"] < after["heartbeat"]
    assert before["targets"] == after["targets"]


def test_consumers_get_a_signed_message_of_a_new_version(receiver, instance, monkeypatch, write_csv, ingest):
    monkeypatch.setenv("TAPROOM_CONSUMERS_WEBHOOK_URL", receiver.url())
    monkeypatch.setenv("TAPROOM_CONSUMERS_WEBHOOK_SECRET", SECRET)
    sensor = Evaluations("notify_consumers", instance)
    sensor.evaluate()
    ingest(write_csv("a.csv", [ALE]))
    sensor.evaluate()
    sensor.evaluate()
    ((_, headers, _),) = receiver.requests
    (notice,) = receiver.notices
    assert headers["webhook-id"] == notice["id"]
    assert {entry["name"] for entry in notice["entries"]} == {"reviews", "term_counts"}


def test_a_target_that_is_added_later_is_reported_from_then_on(receiver, instance, monkeypatch, write_csv, ingest):
    sensor = Evaluations("notify_consumers", instance)
    sensor.evaluate()
    ingest(write_csv("a.csv", [ALE]))
    monkeypatch.setenv("TAPROOM_CONSUMERS_WEBHOOK_URL", receiver.url())
    monkeypatch.setenv("TAPROOM_CONSUMERS_WEBHOOK_FORM", "teams")
    sensor.evaluate()
    assert receiver.requests == []


def test_a_setting_that_is_not_valid_fails_the_evaluation(instance, warehouse, monkeypatch):
    monkeypatch.setenv("TAPROOM_CONSUMERS_WEBHOOK_URL", "ftp://host/token")
    with pytest.raises(InputError, match="TAPROOM_CONSUMERS_WEBHOOK_URL") as caught:
        Evaluations("notify_consumers", instance).evaluate()
    assert "ftp://host/token" not in str(caught.value)
