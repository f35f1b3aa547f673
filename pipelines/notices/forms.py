"""A notice as the JSON that a kind of receiver expects. `docs/notices.md` has an example of each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.notices.notice import MOST_ENTRIES, Entry, Notice

SLACK_HEADER_LENGTH, SLACK_TEXT_LENGTH = 150, 3000


def json_form(notice: Notice) -> dict[str, Any]:
    """The notice for programs."""
    entries = notice.entries[:MOST_ENTRIES]
    return {
        "id": notice.id,
        "kind": notice.kind,
        "time": notice.time.isoformat(timespec="seconds"),
        "subject": notice.subject,
        "entries": [
            {"id": entry.id, "name": entry.name, "text": entry.text, "links": entry.links, "facts": entry.facts}
            for entry in entries
        ],
        "entries_left_out": len(notice.entries) - len(entries),
        "links": notice.links,
    }


def slack_form(notice: Notice) -> dict[str, Any]:
    """The notice for an incoming webhook of Slack: a header, and a section for each entry."""
    header = {"type": "plain_text", "text": notice.subject[:SLACK_HEADER_LENGTH]}
    texts = [f"{_slack_escaped(entry.text)} {_slack_links(entry.links)}".strip() for entry in notice.shown]
    texts += [text for text in (notice.more, _slack_links(notice.links)) if text]
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": text[:SLACK_TEXT_LENGTH]}} for text in texts]
    return {"text": _slack_escaped(notice.subject), "blocks": [{"type": "header", "text": header}, *sections]}


def teams_form(notice: Notice) -> dict[str, Any]:
    """The notice for a webhook of Teams Workflows: an Adaptive Card with a paragraph for each entry.

    Rich text is used because it is not read as Markdown, in which names such as `item_map` have a meaning.
    """
    body: list[dict[str, Any]] = [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": notice.subject, "weight": "Bolder"}]},
        *({"type": "RichTextBlock", "inlines": _teams_inlines(entry)} for entry in notice.shown),
    ]
    if notice.more:
        body.append({"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": notice.more}]})
    if notice.links:
        body.append({"type": "RichTextBlock", "inlines": _teams_links(notice.links)})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


FORMS: Mapping[str, Callable[[Notice], dict[str, Any]]] = {
    "json": json_form,
    "slack": slack_form,
    "teams": teams_form,
}


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_links(links: Mapping[str, str]) -> str:
    return " ".join(
        f"<{address}|{label}>" if _is_web(address) else f"{label}: {address}" for label, address in links.items()
    )


def _teams_inlines(entry: Entry) -> Sequence[dict[str, Any]]:
    return [{"type": "TextRun", "text": f"{entry.text} "}, *_teams_links(entry.links)]


def _teams_links(links: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    return [
        {"type": "TextRun", "text": f"{label} ", "selectAction": {"type": "Action.OpenUrl", "url": address}}
        if _is_web(address)
        else {"type": "TextRun", "text": f"{label}: {address} "}
        for label, address in links.items()
    ]


def _is_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))
