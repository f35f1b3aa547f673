"""`deploy/slurm_cluster.py`, as far as it can be checked without SLURM and dask-jobqueue, which no lock file has."""

import shlex
import sys

import pytest

from deploy.slurm_cluster import arguments, cluster_options, main
from tests.servers import ROOT


def options(*given: str) -> dict:
    return cluster_options(arguments().parse_args(given))


def test_workers_have_one_thread_and_start_in_the_repo_with_dasks_settings():
    found = options("--memory", "2GiB", "--interface", "ib0")
    assert found["cores"] == found["processes"] == 1
    assert (found["memory"], found["interface"], found["queue"]) == ("2GiB", "ib0", None)
    enter, settings = found["job_script_prologue"]
    assert shlex.split(enter) == ["cd", str(ROOT)]
    assert (ROOT / settings.removeprefix('export DASK_CONFIG="$PWD/').removesuffix('"')).exists()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["slurm_cluster.py"])
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(SystemExit, match="dask-jobqueue is missing"):
        main()


def test_the_script_of_a_job():
    """Where dask-jobqueue is installed."""
    jobqueue = pytest.importorskip("dask_jobqueue")
    with jobqueue.SLURMCluster(**options("--partition", "long", "--port", "0", "--interface", "lo")) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=1\n#SBATCH --mem=8G\n" in script
    assert f"cd {ROOT}\nexport DASK_CONFIG=" in script
    assert "-m distributed.cli.dask_worker tcp://127.0.0.1:" in script
    assert "--nthreads 1" in script
