"""New versions of tables, found in what real runs have recorded."""

from datetime import UTC, datetime, timedelta

import pytest

from assets.reviews.reviews import CONTRACT as REVIEWS
from pipelines.definitions import defs
from pipelines.notices import consumers
from pipelines.notices.consumers import new_versions
from pipelines.notices.records import Records
from taproom.warehouse.publishing import Origin

ALE = {"review_id": "r1", "item_id": "ale", "text": "pine resin"}
STOUT = {"review_id": "r2", "item_id": "stout", "text": "coffee smoke"}


@pytest.fixture
def look(instance, warehouse):
    """Looks for new versions since `reported`; `later` than now."""

    def run(reported, later: timedelta = timedelta(0)):
        records = Records(instance, warehouse, defs)
        records.time += later
        return new_versions(records, reported)

    return run


def facts(finding) -> dict[str, dict]:
    return {entry.facts["table"]: dict(entry.facts) for entry in finding.notice.entries}


def test_versions_with_other_rows_are_reported_with_what_has_changed(write_csv, ingest, look):
    assert look(None).notice is None
    reported = look({}).reported
    assert reported == {}
    ingest(write_csv("a.csv", [ALE, STOUT]))
    first = look(reported)
    assert facts(first)["reviews"] == {
        "table": "reviews", "old_version": None, "new_version": 0, "contract_version": "1.0.0",
        "rows_added": 2, "rows_gone": 0, "rows_changed": 0,
    }  # fmt: skip
    assert first.notice.subject == "New version: reviews and 1 more"  # the table of rejected reviews has no rows
    reported = first.reported
    assert reported == {"rejected_reviews": 0, "reviews": 0, "term_counts": 0}
    assert look(reported).notice is None

    ingest(write_csv("a.csv", [ALE, STOUT]))  # the same rows again
    assert look(reported).notice is None

    ingest(write_csv("b.csv", [{**ALE, "review_id": "r3"}]))
    ingest(write_csv("c.csv", [{**ALE, "review_id": "r4"}, {**ALE, "review_id": "r5"}]))
    second = look(reported)
    assert facts(second)["reviews"] == {
        "table": "reviews", "old_version": 0, "new_version": 2, "contract_version": "1.0.0",
        "rows_added": 3, "rows_gone": 0, "rows_changed": 0,
    }  # fmt: skip
    (reviews,) = [entry for entry in second.notice.entries if entry.name == "reviews"]
    assert reviews.id == "reviews@2"
    assert reviews.text == "reviews has version 2, after version 0; rows: 3 added, 0 gone, 0 changed"
    assert reviews.links == {"table": "http://127.0.0.1:3000/assets/reviews"}
    assert look(reported).notice.id == second.notice.id


def test_settings_that_change_no_row_are_no_news(write_csv, ingest, look, warehouse):
    path = write_csv("a.csv", [ALE, STOUT])
    ingest(path)
    reported = look(None).reported
    ingest(path, max_rejected_share=0.2)
    assert warehouse.head("reviews") > reported["reviews"]
    finding = look(reported)
    assert finding.notice is None
    assert finding.reported == warehouse.heads()


def test_a_version_without_a_record_is_reported_some_minutes_later(write_csv, ingest, look, warehouse):
    ingest(write_csv("a.csv", [ALE]))
    ingest(write_csv("b.csv", [STOUT]))
    reported = look(None).reported
    (batch, _) = warehouse.partitions("reviews")
    warehouse.remove(REVIEWS, batch, since=reported["reviews"], origin=Origin(run_id="removal"))
    young = look(reported)
    assert young.notice is None
    assert young.reported == reported
    later = look(reported, later=timedelta(minutes=6))
    assert facts(later)["reviews"]["rows_gone"] is None
    assert later.notice.entries[0].text == "reviews has version 2, after version 1"


def test_a_newest_version_may_be_recorded_later_however_old_those_before_it_are(
    write_csv, ingest, look, warehouse, monkeypatch
):
    ingest(write_csv("a.csv", [ALE]))
    reported = look(None).reported
    ingest(write_csv("b.csv", [STOUT]))
    (batch, _) = warehouse.partitions("reviews")
    warehouse.remove(REVIEWS, batch, since=1, origin=Origin(run_id="removal"))
    before, newest = (warehouse.commit_of("reviews", version)["time"] for version in (1, 2))
    monkeypatch.setattr(consumers, "RECORDED_WITHIN", datetime.now(UTC) - before - (newest - before) / 2)
    assert look(reported).reported["reviews"] == 0
    assert look(reported, later=timedelta(minutes=6)).reported["reviews"] == 2


def test_tables_are_looked_up_once_for_all_targets(warehouse, instance):
    records = Records(instance, warehouse, defs)
    assert new_versions(records, None).reported is new_versions(records, None).reported


def test_a_warehouse_that_was_lost_and_made_again_is_news(write_csv, ingest, look):
    ingest(write_csv("a.csv", [ALE]))
    finding = look({"reviews": 7, "rejected_reviews": 0, "term_counts": 0})
    assert facts(finding).keys() == {"reviews"}
    assert finding.reported["reviews"] == 0


def test_the_page_of_a_table_is_the_link_where_the_pages_are_served(write_csv, ingest, look, monkeypatch):
    monkeypatch.setenv("TAPROOM_PAGES_URL", "https://taproom.example/pages/")
    ingest(write_csv("a.csv", [ALE]))
    assert look({}).notice.entries[0].links == {"table": "https://taproom.example/pages/tables/reviews.html"}
