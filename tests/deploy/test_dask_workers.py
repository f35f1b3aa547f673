"""Dask's workers as `deploy/` and the guide start them: what their processes begin with, and what they can import."""

import os
import re
import subprocess
import sys
from configparser import RawConfigParser

import pytest
from distributed import Client, LocalCluster

from tests.servers import ROOT

STACK = ROOT / "pipelines" / "serving" / "cluster.conf"
IN_THE_IMAGE = "/opt/taproom/deploy/dask.yaml"


def settings_of_the_stack() -> str:
    """The file that `make stack CLUSTER=2` gives its workers."""
    programs = RawConfigParser()
    programs.read(STACK)
    name, _, value = programs["program:dask_worker"]["environment"].partition("=")
    assert name == "DASK_CONFIG"
    return value.strip('"').replace("%(here)s", str(STACK.parent))


def test_the_image_has_the_settings():
    lines = (ROOT / "deploy" / "Containerfile").read_text()
    assert f"DASK_CONFIG={IN_THE_IMAGE}" in lines
    assert "deploy/dask.yaml ./deploy/" in lines


def taproom_and_environment() -> tuple[str, dict[str, str]]:
    import taproom

    return taproom.__file__, dict(os.environ)


@pytest.mark.slow
def test_a_worker_finds_taproom_keeps_freed_memory_and_has_one_thread_for_matrix_products():
    inherited = {
        name: value for name, value in os.environ.items() if not name.endswith(("THREADS", "THRESHOLD_", "PYTHONPATH"))
    }
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as local, Client(local) as client:
        worker = subprocess.Popen(
            [sys.executable, "-m", "dask", "worker", local.scheduler_address, "--nthreads", "1", "--no-dashboard"],
            env=inherited | {"DASK_CONFIG": settings_of_the_stack()},
            cwd=ROOT,
        )
        try:
            client.wait_for_workers(1, timeout=60)
            ((_, (file, found)),) = client.run(taproom_and_environment).items()
        finally:
            worker.terminate()
            worker.wait(timeout=30)
    assert file == str(ROOT / "taproom" / "__init__.py")
    assert (found["MALLOC_MMAP_THRESHOLD_"], found["MALLOC_TRIM_THRESHOLD_"]) == ("33554432", "268435456")
    assert (found["OMP_NUM_THREADS"], found["OPENBLAS_NUM_THREADS"]) == ("1", "1")


def test_the_guide_starts_workers_that_find_taproom():
    """The command `dask` does not look into the current folder."""
    guide = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert re.findall(r"(\S+ \S+) dask (?:scheduler|worker)", guide) == [".venv/bin/python -m"] * 2
