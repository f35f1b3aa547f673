"""`deploy/dask.yaml`: what the processes of Dask's workers begin with."""

import os
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


@pytest.mark.slow
def test_a_worker_keeps_freed_memory_and_has_one_thread_for_matrix_products():
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as local, Client(local) as client:
        command = ("worker", local.scheduler_address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard")
        given = {name: value for name, value in os.environ.items() if not name.endswith(("_NUM_THREADS", "THRESHOLD_"))}
        worker = subprocess.Popen(
            [sys.executable, "-m", "dask", *command], env=given | {"DASK_CONFIG": settings_of_the_stack()}
        )
        try:
            client.wait_for_workers(1, timeout=60)
            ((_, found),) = client.run(lambda: dict(os.environ)).items()
        finally:
            worker.terminate()
            worker.wait(timeout=30)
    assert (found["MALLOC_MMAP_THRESHOLD_"], found["MALLOC_TRIM_THRESHOLD_"]) == ("33554432", "268435456")
    assert (found["OMP_NUM_THREADS"], found["OPENBLAS_NUM_THREADS"]) == ("1", "1")
