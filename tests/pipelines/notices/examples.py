"""The notices that docs/notices.md shows."""

from datetime import UTC, datetime
from pathlib import Path

from pipelines.notices.consumers import CONSUMER_KINDS, RowChanges, entry_of
from pipelines.notices.notice import Entry, Notice, subject_of

NOTICES = Path(__file__).resolve().parents[3] / "docs" / "notices.md"
TIME = datetime(2026, 11, 28, 12, 0, 5, tzinfo=UTC)


def new_version() -> Notice:
    (kind,) = CONSUMER_KINDS
    entry = entry_of("item_map", 7, range(8, 9), {8: RowChanges(12, 0, 340)})
    return Notice(kind, subject_of("New version", [entry]), (entry,), TIME)


def run_failed() -> Notice:
    run_id = "0d1c9bd6-3d6e-4f0c-9a43-5a9f4b1f6b3e"
    text = "refresh_text, step documents: there is no folder …/corpus"
    entry = Entry(run_id, "refresh_text", text, {"run": f"https://taproom.example/runs/{run_id}"})
    links = {"runbook": "https://docs.example/runbook.md#run-failed"}
    return Notice("run_failed", subject_of("Run failed", [entry]), (entry,), TIME, links)
