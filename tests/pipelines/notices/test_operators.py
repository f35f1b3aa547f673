"""What is wrong, found in the records of real runs."""

from datetime import timedelta

import dagster as dg
import pytest

from assets.automation import READS_BATCHES
from pipelines import disk_space
from pipelines.definitions import defs
from pipelines.inbox import READ_BY
from pipelines.notices.operators import (
    OPERATOR_KINDS,
    changed_champions,
    failed_checks,
    failed_runs,
    little_space,
    overdue_tables,
    refused_batches,
)
from pipelines.notices.records import Records
from pipelines.reconcile import reconcile
from taproom.errors import SourceError


@pytest.fixture
def records(instance, warehouse):
    """The records as they are when this is called."""

    def read(definitions: dg.Definitions = defs) -> Records:
        return Records(instance, warehouse, definitions)

    return read


@dg.op
def pour():
    raise SourceError("the keg in /srv/cellar/keg.csv is empty")


@dg.job
def serve():
    pour()


@dg.asset
def beer():
    raise SourceError("no hops in '/srv/cellar/hops.csv'")


def run(instance, **tags: str) -> str:
    return serve.execute_in_process(instance=instance, raise_on_error=False, tags=tags).run_id


def test_a_run_that_failed_is_reported_once_with_its_first_failure(records, instance):
    run(instance)
    reported = failed_runs(records(), None).reported
    failed = run(instance)
    finding = failed_runs(records(), reported)
    (entry,) = finding.notice.entries
    assert finding.notice.subject == "Run failed: serve"
    assert finding.notice.links == {"runbook": "docs/runbook.md#run-failed"}
    assert entry.id == failed
    assert entry.text == "serve, step pour: the keg in …/keg.csv is empty"
    assert entry.links == {"run": f"http://127.0.0.1:3000/runs/{failed}"}
    assert entry.facts == {"job": "serve", "step": "pour", "reason": "the keg in …/keg.csv is empty", "run_id": failed}
    assert failed_runs(records(), finding.reported).notice is None
    assert failed_runs(records(), reported).notice.id == finding.notice.id


def test_retries_that_fail_are_left_out_and_the_first_failure_says_that_it_is_retried(records, instance):
    first = run(instance, **{"dagster/will_retry": "true"})
    run(instance, **{"dagster/retry_number": "1", "dagster/parent_run_id": first, "dagster/root_run_id": first})
    run(instance, **{"dagster/retry_number": "2", "dagster/parent_run_id": first, "dagster/root_run_id": first})
    (entry,) = failed_runs(records(), 0).notice.entries
    assert entry.id == first
    assert entry.text.endswith("is empty (it is tried again)")


def test_runs_of_assets_without_a_job_and_runs_whose_process_is_gone_are_reported(records, instance):
    job = dg.Definitions([beer]).resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=instance, asset_selection=[beer.key], raise_on_error=False)
    killed = instance.create_run_for_job(serve)
    instance.report_run_failed(killed, "Its process is gone: it was killed.")
    asset, job = failed_runs(records(), 0).notice.entries
    assert asset.name == "beer"
    assert asset.text == "beer, step beer: no hops in '…/hops.csv'"
    assert (job.name, job.facts["step"]) == ("serve", None)
    assert "its process is gone" in job.text.lower()


def test_a_batch_that_was_refused_is_reported_instead_of_the_run_that_should_have_read_it(records, instance):
    reader = run(instance, **READS_BATCHES)
    refused = run(instance, **{READ_BY: reader, "dagster/partition": "ales.csv-12345678"})
    alone = run(instance, **READS_BATCHES)
    assert [entry.id for entry in failed_runs(records(), 0).notice.entries] == [alone]
    finding = refused_batches(records(), 0)
    (entry,) = finding.notice.entries
    assert finding.notice.subject == "Batch refused: ales.csv-12345678"
    assert (entry.id, entry.facts["batch"]) == (refused, "ales.csv-12345678")
    assert entry.text == "ales.csv-12345678: the keg in …/keg.csv is empty"


class Checked:
    """An asset called like a table, with a check that passes or fails as it is reported."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance, self.passes, self.severity = instance, True, dg.AssetCheckSeverity.ERROR

        @dg.asset(freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48)))
        def items() -> None:
            pass

        @dg.asset_check(asset=items, description="Each item has a name.")
        def have_names() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=self.passes, severity=self.severity)

        self.definitions = dg.Definitions([items], asset_checks=[have_names])

    def make(self, passes: bool, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR) -> str:
        self.passes, self.severity = passes, severity
        return (
            self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=self._instance).run_id
        )


@pytest.fixture
def checked(instance) -> Checked:
    return Checked(instance)


def test_a_check_is_reported_when_it_fails_first_and_when_it_passes_again(checked, records):
    checked.make(passes=True)
    assert failed_checks(records(checked.definitions), None).notice is None
    failed = checked.make(passes=False)
    first = failed_checks(records(checked.definitions), {})
    (entry,) = first.notice.entries
    assert first.notice.subject == "Check failed: items: have_names"
    assert entry.text == "items: have_names failed. Wanted: Each item has a name."
    assert entry.links["run"].endswith(failed)
    assert entry.facts["state"] == "begun"
    checked.make(passes=False)
    assert failed_checks(records(checked.definitions), first.reported).notice is None
    checked.make(passes=True)
    second = failed_checks(records(checked.definitions), first.reported)
    assert second.notice.subject == "Check passes again: items: have_names"
    assert second.notice.entries[0].facts == {"state": "over"}
    assert second.reported == {}


def test_warnings_are_reported_if_that_is_set(checked, records, monkeypatch):
    checked.make(passes=False, severity=dg.AssetCheckSeverity.WARN)
    assert failed_checks(records(checked.definitions), {}).notice is None
    monkeypatch.setenv("TAPROOM_NOTICE_WARNINGS", "yes")
    assert failed_checks(records(checked.definitions), {}).notice.entries[0].facts["severity"] == "WARN"


def test_a_check_that_is_being_run_is_not_over(checked, records, instance):
    checked.make(passes=False)
    reported = failed_checks(records(checked.definitions), {}).reported
    instance.create_run_for_job(checked.definitions.resolve_implicit_global_asset_job_def())
    finding = failed_checks(records(checked.definitions), reported)
    assert (finding.notice, finding.reported) == (None, reported)


def test_a_table_is_reported_when_it_is_overdue_and_when_it_was_made_again(checked, records):
    def look(reported, hours: float):
        now = records(checked.definitions)
        now.time += timedelta(hours=hours)
        return overdue_tables(now, reported)

    checked.make(passes=True)
    assert look({}, hours=47).notice is None
    first = look({}, hours=49)
    (entry,) = first.notice.entries
    assert first.notice.subject == "Overdue: items"
    assert entry.text.startswith("items was last made at ")
    assert entry.text.endswith(" UTC; its limit is 48 hours")
    assert look(first.reported, hours=50).notice is None
    over = look(first.reported, hours=47)
    assert over.notice.subject == "Not overdue any more: items"
    assert over.reported == {}


def test_little_disk_space_is_reported_once_and_when_it_is_over(warehouse, records, monkeypatch, write_csv, ingest):
    ingest(write_csv("a.csv", [{"review_id": "r1", "item_id": "ale", "text": "pine"}]))
    assert little_space(records(), {}).notice is None
    monkeypatch.setattr(disk_space, "LEAST_FREE_BYTES", 2**60)
    first = little_space(records(), {})
    (entry,) = first.notice.entries
    assert entry.text.startswith("The disk of the warehouse has ")
    assert warehouse.root not in entry.text
    assert little_space(records(), first.reported).notice is None
    monkeypatch.undo()
    assert little_space(records(), first.reported).notice.subject == "Enough disk space again: the warehouse"


def test_a_new_champion_is_reported_and_the_first_one_is_not(records, crown, instance, warehouse):
    def record() -> None:
        list(reconcile(instance, warehouse, defs))

    before = changed_champions(records(), None)
    assert (before.notice, before.reported) == (None, {})
    crown("topics", topics=10)
    record()
    first = changed_champions(records(), before.reported)
    (entry,) = first.notice.entries
    assert first.notice.subject == "Champion changed: topics"
    assert entry.text == "topics has another champion"
    assert changed_champions(records(), first.reported).notice is None
    crown("topics", topics=20)
    record()
    assert changed_champions(records(), first.reported).notice.entries[0].facts["study"] == "topics"


def test_of_a_champion_that_a_search_found_the_reason_is_reported(records, instance, warehouse, crown):
    crown("topics", topics=10)
    key = dg.AssetKey(["champions", "topics_champions"])
    metadata = {"content_hash": "another hash", "verdict": "crowned", "why": "better by 0.02"}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))
    (entry,) = changed_champions(records(), {key.to_user_string(): "a hash"}).notice.entries
    assert entry.text == "topics has another champion (crowned: better by 0.02)"
    metadata = {"content_hash": "the defaults", "verdict": "first", "why": "before any search"}
    instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))
    assert changed_champions(records(), {}).notice is None


def test_each_kind_has_an_entry_in_the_runbook(request):
    runbook = (request.config.rootpath / "docs" / "runbook.md").read_text(encoding="utf-8")
    headings = {line.removeprefix("### ") for line in runbook.splitlines() if line.startswith("### ")}
    assert {kind.replace("_", "-") for kind in OPERATOR_KINDS} <= {name.lower().replace(" ", "-") for name in headings}
