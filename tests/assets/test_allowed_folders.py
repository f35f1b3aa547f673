"""What a run configuration names as `path` lies in the allowed folders, whichever table reads it."""

import dagster as dg
import pytest

from pipelines.chains import CHAINS, Chain
from pipelines.definitions import defs
from pipelines.jobs import INGEST
from taproom.errors import SourceError
from taproom.sources.allowed_folders import FOLDERS_VARIABLE
from taproom.sources.inbox import file_key, file_sha256

SOURCES = {
    "reviews": {"source": "table"},
    "events": {"source": "table"},
    "documents": {"source": "files"},
    "images": {"source": "files"},
    "digits": {},
}


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.name)
def test_a_path_outside_is_refused_by_make_run_and_in_a_run(chain: Chain, warehouse, instance, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / "inbox"))
    secret = tmp_path / "secret.csv"
    secret.write_text("item_id,text\na,b\n")
    config = {**SOURCES[chain.read], "path": str(secret)}
    refusal = rf"^{chain.read}: '{secret}' may not be read here. Allowed are paths in {tmp_path}/inbox\."
    with pytest.raises(SourceError, match=refusal):
        chain.reads(config)

    key = None
    if chain.batches:
        key = file_key(secret.name, file_sha256(secret))
        instance.add_dynamic_partitions(chain.batches.partitions.name, [key])
    job = defs.resolve_job_def(INGEST[chain.name].name)
    with pytest.raises((SourceError, dg.DagsterExecutionStepExecutionError), match=refusal):
        job.execute_in_process({"ops": {chain.read: {"config": config}}}, instance, partition_key=key)
    assert warehouse.tables() == []
