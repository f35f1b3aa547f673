import dagster as dg
import psycopg2
import pytest

from pipelines.definitions import defs
from pipelines.retries import ASKS_TAG, MOST_TAG, RETRIES, is_of_a_store, retry_if_a_store_was_away
from taproom.errors import ContractError, StorageError


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr("pipelines.retries.FIRST_WAIT_SECONDS", 0)


def failed(error: Exception, instance: dg.DagsterInstance) -> dg.DagsterRun:
    @dg.asset
    def ales():
        raise error

    job = dg.Definitions([ales.with_hooks({retry_if_a_store_was_away})]).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    return instance.get_run_by_id(result.run_id)


def test_a_run_that_a_store_has_stopped_asks_dagster_for_a_retry(home):
    with dg.DagsterInstance.get() as instance:
        tags = failed(StorageError("the server answered 500"), instance).tags
    assert tags.items() >= {ASKS_TAG: "true", MOST_TAG: str(RETRIES), "dagster/will_retry": "true"}.items()


def test_a_run_whose_table_was_refused_does_not(home):
    with dg.DagsterInstance.get() as instance:
        tags = failed(ContractError("a key is there twice"), instance).tags
    assert (ASKS_TAG in tags, tags["dagster/will_retry"]) == (False, "false")


def test_every_asset_and_the_jobs_of_the_unattended_have_the_hook():
    assets = [each for each in defs.assets if isinstance(each, dg.AssetsDefinition)]
    assert assets
    assert all(retry_if_a_store_was_away in each.hook_defs for each in assets)
    for job in ("ingest_reviews_batches", "ingest_assays_batches", "maintain_warehouse"):
        assert retry_if_a_store_was_away in defs.resolve_job_def(job).hook_defs


def test_an_error_is_a_stores_whatever_was_raised_from_it():
    with pytest.raises(psycopg2.OperationalError) as error:
        psycopg2.connect(host="127.0.0.1", port=1, connect_timeout=1)
    outer = RuntimeError("the step failed")
    outer.__cause__ = error.value
    assert is_of_a_store(error.value)
    assert is_of_a_store(outer)
    assert not is_of_a_store(RuntimeError("the step failed"))
    assert not is_of_a_store(None)
