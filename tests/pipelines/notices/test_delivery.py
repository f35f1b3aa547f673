"""Delivery at least once, against real servers that fail at times."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipelines.notices import delivery
from pipelines.notices.delivery import Finding, Progress, report
from pipelines.notices.notice import Entry, Notice
from pipelines.notices.target import LogLine, NotDeliveredError, Target
from pipelines.notices.webhook import Webhook
from tests.pipelines.notices.receivers import receiving

KIND, NOW = "counted", datetime(2026, 11, 28, 12, tzinfo=UTC)


def counted(records: list[str], reported: int | None) -> Finding:
    """A kind of notice whose records are a list, of which `reported` have been reported."""
    new = records[reported or 0 :]
    entries = tuple(Entry(each, each, each) for each in new)
    notice = Notice(KIND, f"{len(new)} new", entries, NOW) if new else None
    return Finding(notice, len(records))


class Reporter:
    """Tells targets what is in `records`, evaluation after evaluation."""

    def __init__(self, *targets: Target) -> None:
        self.targets, self.records, self.progress = targets, [], {}

    def report(self, *new: str) -> None:
        self.records += new
        self.progress = report(self.targets, {KIND: counted}, self.records, self.progress)

    def progress_of(self, target: Target) -> Progress:
        return self.progress[target.id][KIND]


def reported(receiver) -> list[list[str]]:
    """The ids of the entries in each request."""
    return [[entry["id"] for entry in body["entries"]] for body in receiver.notices]


@pytest.fixture
def webhook(receiver) -> Webhook:
    return Webhook(receiver.url(), "json", "whsec_" + "A" * 32)


def test_what_is_new_is_reported_once(receiver, webhook):
    reporter = Reporter(webhook)
    reporter.report("a", "b")
    reporter.report()
    reporter.report("c")
    assert reported(receiver) == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    "answers", [[500, 503], ["close", "garbage"], pytest.param(["stall", 429], marks=pytest.mark.slow)], ids=str
)
def test_an_attempt_is_repeated_after_a_pause(receiver, webhook, impatient, answers):
    receiver.answers = list(answers)
    reporter = Reporter(webhook)
    reporter.report("a")
    assert reported(receiver) == [["a"]] * 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    assert reporter.progress_of(webhook) == Progress(1)


def test_what_is_refused_is_not_repeated_before_the_next_evaluation(receiver, webhook, caplog):
    receiver.answers = [404, 404]
    reporter = Reporter(webhook)
    reporter.report("a")
    assert len(receiver.requests) == 1
    assert reporter.progress_of(webhook).reported is None
    since = reporter.progress_of(webhook).failing_since
    assert since is not None
    reporter.report("b")
    assert reporter.progress_of(webhook).failing_since == since
    reporter.report()
    assert reported(receiver) == [["a"], ["a", "b"], ["a", "b"]]
    assert reporter.progress_of(webhook) == Progress(2)
    assert "answered with the status 404; to be sent again: 1 new" in caplog.text
    assert "/hook" not in caplog.text


def test_attempts_end_after_a_few(receiver, webhook):
    receiver.answers = [500] * 10
    Reporter(webhook).report("a")
    assert len(receiver.requests) == delivery.ATTEMPTS


def test_the_next_attempt_is_when_the_target_wants_it(receiver, webhook):
    receiver.answers = [(429, {"Retry-After": "0"}), (503, {"Retry-After": "1000000"})]
    reporter = Reporter(webhook)
    reporter.report("a")
    assert len(receiver.requests) == 2
    wait = reporter.progress_of(webhook).not_before - time.time()
    assert wait == pytest.approx(delivery.LONGEST_WAIT_SECONDS, abs=60)
    reporter.report("b")
    assert len(receiver.requests) == 2
    assert reporter.progress_of(webhook).reported is None
    reporter.progress[webhook.id][KIND] = replace(reporter.progress_of(webhook), not_before=time.time())
    reporter.report()
    assert reported(receiver)[-1] == ["a", "b"]


@pytest.mark.slow
def test_a_target_that_is_down_holds_up_neither_the_others_nor_the_sensor(webhook, receiver, monkeypatch):
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 3.0)
    with receiving() as stalling:
        stalling.answers = ["stall"]
        down = Webhook(stalling.url(), "slack")
        reporter = Reporter(down, webhook)
        start = time.monotonic()
        reporter.report("a")
        assert time.monotonic() - start < 60  # one answer would take 15 minutes
        assert reported(receiver) == [["a"]]
        assert reporter.progress_of(down).reported is None


class Hanging(Target):
    """A target that a connection never gets free of, as one that sends a byte now and then."""

    id = name = "hanging"
    attempts = 0

    def attempt(self, notice: Notice) -> None:
        self.attempts += 1
        time.sleep(1.0)


def test_a_target_that_hangs_gets_no_second_thread(monkeypatch):
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 0.1)
    reporter = Reporter(target := Hanging())
    reporter.report("a")
    reporter.report("b")
    assert target.attempts == 1
    assert reporter.progress_of(target).reported is None


class Refusing(Target):
    id = name = "refusing"

    def attempt(self, notice: Notice) -> None:
        raise NotDeliveredError("refused", is_temporary=False)


def test_after_a_day_a_notice_is_given_up_and_the_log_says_so(caplog):
    reporter = Reporter(target := Refusing())
    reporter.report("a")
    known = reporter.progress_of(target)
    reporter.progress[target.id][KIND] = replace(known, failing_since=known.failing_since - 25 * 3600)
    reporter.report()
    assert reporter.progress_of(target) == Progress(1)
    assert "refused; given up: 1 new" in caplog.text


def test_the_log_has_every_notice(caplog):
    with caplog.at_level(logging.WARNING):
        Reporter(LogLine()).report("a")
    assert "1 new\n- a" in caplog.text
