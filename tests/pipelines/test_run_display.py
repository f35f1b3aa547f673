"""What is shown of chains that are made side by side."""

import io

import pytest

from pipelines import run_display
from pipelines.run_display import Display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO) -> list[str]:
    """The lines without their times."""
    return [line.split("  ", 1)[1] for line in out.getvalue().splitlines()]


@pytest.fixture
def silence(monkeypatch):
    """Chains have said nothing for long enough, always."""
    monkeypatch.setattr(run_display, "SECONDS_OF_SILENCE", -1.0)


def test_a_log_says_what_chains_say_and_where_those_are_that_say_nothing(silence):
    out = io.StringIO()
    display = Display(["text", "images"], out)
    display.begun("text", "starting")
    display.planned("text", ["terms", "topics", "analogies", "word_map", "nearest_words"])
    display.begun("text", "terms")
    display.ended("text", "terms")
    display.begun("text", "topics")
    display.progress("text", "fitting topics: 25%")
    display.line("images", "  images   version 0  60000 rows")
    display.refresh()
    display.refresh()
    display.finished("images", is_made=True)
    display.progress("text", "fitting topics: 50%")
    display.refresh()
    where = "text    1/5  topics (fitting topics: 25%); then analogies, word_map, nearest_words"
    assert shown(out) == [
        "images  images   version 0  60000 rows",
        where,
        "images  waiting for another chain",
        "images  made",
        where.replace("25%", "50%"),
    ]


def test_what_comes_then_is_short_and_a_chain_that_is_over_is_shown_once(silence):
    out = io.StringIO()
    display = Display(["text"], out)
    display.planned("text", [f"step_{number}" for number in range(9)])
    display.begun("text", "step_0")
    display.refresh()
    display.finished("text", is_made=False)
    display.refresh()
    assert shown(out) == ["text  0/9  step_0; then step_1, step_2, step_3 and 5 more", "text  failed"]


def test_a_terminal_has_a_line_for_each_chain_that_is_gone_at_the_end():
    out = Terminal()
    display = Display(["text", "images"], out)
    display.begun("images", "gram")
    display.line("text", "4 rows were left out")
    display.refresh()
    assert "images  gram" in out.getvalue()
    assert "text    4 rows were left out\n" in out.getvalue()
    display.close()
    *_, after = out.getvalue().split("gram")
    assert set(after) <= set("\r\n\x1b[A ")
    assert after.endswith("\r")
