from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.retention import delete_old_runs

KEYS = [dg.AssetKey("whole"), dg.AssetKey("parted")]


@dg.asset
def whole() -> None:
    """A table that is made as a whole."""


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def parted() -> None:
    """A table that is made in parts."""


@dg.asset
def broken() -> None:
    """One that cannot be made."""
    raise ValueError


@pytest.fixture
def home(tmp_path):
    """An instance in a folder, as an operator has it."""
    (tmp_path / "dagster.yaml").write_text("")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def make(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, **more) -> str:
    return dg.materialize([asset], instance=instance, raise_on_error=False, **more).run_id


def runs(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def files(folder: Path, run_id: str) -> list[Path]:
    return [path for path in folder.rglob("*") if run_id in str(path)]


def test_old_runs_go_with_their_logs_but_for_those_that_made_the_newest(home, tmp_path):
    old, failed = make(home, whole), make(home, broken)
    kept = {make(home, whole), make(home, parted, partition_key="a"), make(home, parted, partition_key="b")}
    job = dg.Definitions([whole], jobs=[dg.define_asset_job("make_whole")]).resolve_job_def("make_whole")
    going_on = home.create_run_for_job(job)
    for run_id in (old, failed):
        assert {path.suffix for path in files(tmp_path, run_id)} >= {".db", ".out"}
    now = datetime.now(UTC)
    assert delete_old_runs(home, KEYS, now - timedelta(days=1)) == 0
    assert delete_old_runs(home, KEYS, now + timedelta(seconds=1)) == 2
    assert runs(home) == kept | {going_on.run_id}
    assert not any(files(tmp_path, run_id) for run_id in (old, failed))
    assert home.get_latest_materialization_event(KEYS[0]).run_id in kept
    assert home.get_materialized_partitions(KEYS[1]) == {"a", "b"}
    assert delete_old_runs(home, KEYS, now + timedelta(seconds=1)) == 0
