"""Rejected rows: all are counted, the first are kept."""

from taproom.sources import rejected_rows
from taproom.sources.rejected_rows import REJECTED_SCHEMA, LeftOutValues, Reason, RejectedRows, ValueReason


def test_the_first_are_kept_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(rejected_rows, "MAX_REJECTED_ROWS", 2)
    rejected = RejectedRows()
    rejected.add(4, Reason.DUPLICATE, "the same as on line 1", "r4")
    rejected.add(3, Reason.EMPTY_TEXT, "text is blank")
    rejected.add(2, Reason.EMPTY_TEXT, "text is blank")
    assert rejected.counts == {**dict.fromkeys(Reason, 0), "duplicate": 1, "empty_text": 2}
    assert [row.line for row in rejected.first] == [3, 4]
    assert rejected.bad_rows == 2
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
            "reason": "duplicate",
            "detail": "the same as on line 1",
        },
    ]


def test_without_rejected_rows_the_table_has_its_columns():
    rejected = RejectedRows()
    assert rejected.first == []
    assert rejected.table("batch-1", "r.csv").equals(REJECTED_SCHEMA.empty_table())


def test_values_are_counted_and_the_first_of_each_reason_is_told():
    values = LeftOutValues()
    values.add(4, ValueReason.BAD_TIME, "time is 'x'")
    values.add(5, ValueReason.BAD_TIME, "time is 'y'")
    assert values.counts == {**dict.fromkeys(ValueReason, 0), "bad_time": 2}
    assert values.notes == ["2 values were left out as bad_time (line 4: time is 'x')"]
