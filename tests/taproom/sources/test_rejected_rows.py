"""Rejected rows: all are counted, the first are kept."""

from taproom.sources import rejected_rows
from taproom.sources.rejected_rows import REJECTED_SCHEMA, Reason, RejectedRows


def test_the_first_are_kept_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(rejected_rows, "MAX_REJECTED_ROWS", 2)
    rejected = RejectedRows()
    rejected.add(4, Reason.BAD_TIME, "time is 'x'", "r4")
    rejected.add(3, Reason.EMPTY_TEXT, "text is blank")
    rejected.add(2, Reason.EMPTY_TEXT, "text is blank")
    assert rejected.counts == {**dict.fromkeys(Reason, 0), "bad_time": 1, "empty_text": 2}
    assert rejected.first.line == 3
    assert rejected.table("batch-1", "r.csv").to_pylist() == [
        {
            "batch": "batch-1",
            "file": "r.csv",
            "line": 3,
            "review_id": None,
            "reason": "empty_text",
            "detail": "text is blank",
        },
        {
            "batch": "batch-1",
            "file": "r.csv",
            "line": 4,
            "review_id": "r4",
            "reason": "bad_time",
            "detail": "time is 'x'",
        },
    ]


def test_without_rejected_rows_the_table_has_its_columns():
    rejected = RejectedRows()
    assert rejected.first is None
    assert rejected.table("batch-1", "r.csv").equals(REJECTED_SCHEMA.empty_table())
