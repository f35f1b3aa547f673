"""`deploy/dagster.yaml`: the settings of the checkout, with the records in PostgreSQL."""

import shutil

import dagster as dg
import pytest
import yaml

from pipelines.definitions import defs
from tests.servers import ROOT, running_postgres, stack_in_a_folder


def test_it_is_the_checkouts_file_and_the_storage():
    ours, deployed = (yaml.safe_load((ROOT / name).read_text()) for name in ("dagster.yaml", "deploy/dagster.yaml"))
    assert deployed.pop("storage").keys() == {"postgres"}
    assert deployed == ours


@pytest.mark.slow
def test_runs_and_events_are_kept_in_postgresql(tmp_path, warehouse, corpus_folder):
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home)
    ops = {"documents": {"config": {"source": "files", "path": str(corpus_folder)}}}
    with stack_in_a_folder() as environment, running_postgres(environment):
        with dg.DagsterInstance.from_config(str(home)) as instance:
            job = defs.resolve_job_def("ingest_text")
            run_id = job.execute_in_process({"ops": ops}, instance=instance).run_id
            instance.daemon_cursor_storage.set_cursor_values({"inbox": "looks"})
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.SUCCESS
            assert instance.daemon_cursor_storage.get_cursor_values({"inbox"}) == {"inbox": "looks"}
            assert instance.get_latest_materialization_event(dg.AssetKey("documents")).run_id == run_id
    assert not list(home.rglob("*.db"))
    assert environment["PGPASSWORD"] not in instance.info_str()
