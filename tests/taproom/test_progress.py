import io
import sys
import time

import pytest

from taproom.progress import progress, silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch) -> io.StringIO:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def run() -> None:
    for _ in progress(range(3), doing="resting", unit="nap"):
        time.sleep(0.8)


def test_work_of_some_seconds_shows_how_far_it_is(shown):
    run()
    assert "resting" in shown.getvalue()


def test_work_within_other_work_is_silent(shown):
    with silent():
        run()
    assert shown.getvalue() == ""
    run()
    assert "resting" in shown.getvalue()
