"""Runs that failed because a store was away are tried again, as are those whose process was killed.

Dagster's daemon starts a failed run again from the step that failed (`run_retries` in dagster.yaml). If a step raised
an error, it does so only for runs with a tag that asks for it, because a table that was refused would be refused again.
The hook here sets the tag if the error was a store's: a server that is restarted answers again within a minute.
"""

import time
from collections.abc import Iterator

import dagster as dg

from taproom.errors import StorageError

# The number of a retry; what asks for a retry after an error of a step; and for how many.
RETRY_TAG = "dagster/retry_number"
ASKS_TAG, MOST_TAG = "dagster/retry_on_asset_or_op_failure", "dagster/max_retries"
# Before the first retry of a run, seconds in which the server may be started again; twice as many before each other.
FIRST_WAIT_SECONDS = 5
RETRIES = 5
# Of psycopg2 and SQLAlchemy, which not every installation has, and of dagster-postgres after five tries to connect.
_DATABASE_ERRORS = {"OperationalError", "DagsterPostgresException"}


@dg.failure_hook
def retry_if_a_store_was_away(context: dg.HookContext) -> None:
    """If the step failed because of a store, wait for some seconds, then ask for a retry of the run."""
    if is_of_a_store(context.op_exception):
        retry = int(_tags(context.instance, context.run_id).get(RETRY_TAG, 0))
        time.sleep(FIRST_WAIT_SECONDS * 2**retry)
        context.instance.add_run_tags(context.run_id, {ASKS_TAG: "true", MOST_TAG: str(RETRIES)})


def asks_for_retry(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a failed run was stopped by a store."""
    return ASKS_TAG in _tags(instance, run_id)


def is_of_a_store(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that a store cannot be used."""
    return any(isinstance(each, StorageError) or type(each).__name__ in _DATABASE_ERRORS for each in _causes(error))


def _tags(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    run = instance.get_run_by_id(run_id)
    return dict(run.tags) if run else {}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, then what each was raised from or while handling."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
