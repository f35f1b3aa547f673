from dataclasses import replace

from pipelines.notices.forms import json_form, slack_form, teams_form
from pipelines.notices.notice import MOST_ENTRIES, Entry


def many(notice, count):
    return replace(notice, entries=tuple(Entry(str(number), "tune", f"tune {number}") for number in range(count)))


def test_programs_get_all_entries_up_to_a_limit(notice):
    form = json_form(notice)
    assert (form["id"], form["kind"], form["time"]) == (notice.id, "run_failed", "2026-11-28T12:00:00+00:00")
    assert [entry["id"] for entry in form["entries"]] == ["run-1", "run-2"]
    assert form["entries_left_out"] == 0
    form = json_form(many(notice, MOST_ENTRIES + 7))
    assert (len(form["entries"]), form["entries_left_out"]) == (MOST_ENTRIES, 7)


def test_slack_gets_a_section_for_each_entry_with_its_links_and_escaped_text(notice):
    form = slack_form(replace(notice, links={"runbook": "docs/runbook.md#run-failed"}))
    assert form["text"] == notice.subject
    header, *sections = form["blocks"]
    assert header["text"] == {"type": "plain_text", "text": notice.subject}
    assert [section["text"]["text"] for section in sections] == [
        "refresh_text, step topics: no words <http://ui.example/runs/run-1|run>",
        "tune: &lt;the run&gt; was killed &amp; gone",
        "runbook: docs/runbook.md#run-failed",
    ]


def test_slack_is_sent_no_more_than_it_takes(notice):
    form = slack_form(replace(many(notice, 200), subject="x" * 500))
    assert len(form["blocks"]) == 12
    assert len(form["blocks"][0]["text"]["text"]) == 150
    assert form["blocks"][-1]["text"]["text"] == "and 190 more"


def test_teams_gets_a_card_with_a_paragraph_for_each_entry(notice):
    ((attachment),) = teams_form(replace(notice, links={"runbook": "docs/runbook.md"}))["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    paragraphs = ["".join(inline["text"] for inline in block["inlines"]).strip() for block in card["body"]]
    assert paragraphs == [
        notice.subject,
        "refresh_text, step topics: no words run",
        "tune: <the run> was killed & gone",
        "runbook: docs/runbook.md",
    ]
    (link,) = [inline for inline in card["body"][1]["inlines"] if "selectAction" in inline]
    assert link["selectAction"] == {"type": "Action.OpenUrl", "url": "http://ui.example/runs/run-1"}
    (*_, last) = teams_form(many(notice, 12))["attachments"][0]["content"]["body"]
    assert last["inlines"][0]["text"] == "and 2 more"
