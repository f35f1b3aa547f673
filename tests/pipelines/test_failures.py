"""Why tables were not made, from runs that failed."""

import dagster as dg
import pytest

from pipelines.definitions import defs
from pipelines.failures import failure_of, last_failures
from pipelines.records import newest_materializations
from pipelines.table_descriptions import described_tables
from taproom.errors import SourceError

KEYS = [dg.AssetKey(table) for table in ("documents", "terms", "bag_of_words")]


def fail_to_read(make, folder) -> None:
    """Have a run fail because there is no such folder."""
    with pytest.raises(SourceError):
        make("documents", "terms", "bag_of_words", documents={"source": "files", "path": str(folder)})


def failures(instance):
    return last_failures(instance, newest_materializations(instance, KEYS))


def test_a_failed_run_is_the_failure_of_all_that_it_should_have_made(themes, make, instance, warehouse):
    assert failures(instance) == {}
    heads = warehouse.heads()
    fail_to_read(make, themes / "nowhere")
    found = failures(instance)
    assert found.keys() == set(KEYS)
    (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    assert {failure.run_id for failure in found.values()} == {run.run_id}
    assert failure_of(instance, run.run_id) == found[KEYS[0]]
    assert "nowhere" in found[KEYS[0]].reason
    assert "taproom.errors" not in found[KEYS[0]].reason
    assert {(failure.step, failure.reason) for failure in found.values()} == {("documents", found[KEYS[0]].reason)}
    assert warehouse.heads() == heads
    (documents,) = [table for table in described_tables(instance, warehouse, defs) if table.name == "documents"]
    assert documents.failure == found[KEYS[0]]


def test_the_newest_failure_counts_until_the_table_is_made(themes, make, instance):
    fail_to_read(make, themes / "first")
    fail_to_read(make, themes / "second")
    assert "second" in failures(instance)[KEYS[0]].reason
    make("documents", documents={"source": "files", "path": str(themes)})
    assert failures(instance).keys() == set(KEYS[1:])


def test_a_run_whose_process_is_gone_has_failed_to_make_its_tables(themes, instance):
    job = defs.resolve_job_def("refresh_text")
    run = instance.create_run_for_job(job, asset_selection=frozenset(KEYS[:1]))
    instance.report_run_failed(run, "Its process is gone: it was killed.")
    assert "its process is gone" in " ".join(each.reason.lower() for each in failures(instance).values())
