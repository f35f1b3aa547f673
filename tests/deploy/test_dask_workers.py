"""Dask's workers as `deploy/` and the guide start them: what their processes begin with, and what they can import."""

import os
import re
import shlex
import subprocess
import sys
from configparser import RawConfigParser
from importlib import import_module
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from deploy import slurm_cluster
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


def commands_of_the_guide() -> list[list[str]]:
    """What the guide on clusters has after `.venv/bin/python`, as a shell splits it."""
    guide = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").replace("\\\n", "")
    return [shlex.split(line) for line in re.findall(r"^\.venv/bin/python (.*)$", guide, flags=re.MULTILINE)]


def test_the_commands_of_the_guide_have_options_that_dask_knows(tmp_path, monkeypatch):
    """With `python -m`: the command `dask` does not look for Taproom in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("hosts").write_text("127.0.0.1\n")
    given = {command[2]: command[3:] for command in commands_of_the_guide() if command[:2] == ["-m", "dask"]}
    assert given.keys() == {"scheduler", "worker", "ssh"}
    for name, arguments in given.items():
        import_module(f"distributed.cli.dask_{name}").main.make_context(name, [*arguments])
    start = given["ssh"][given["ssh"].index("--remote-python") + 1]
    assert [(ROOT / file).exists() for file in re.findall(r"DASK_CONFIG=(\S+)", start)] == [True]


def test_the_command_of_the_guide_for_slurm_has_options_that_the_script_knows():
    (given,) = [command[1:] for command in commands_of_the_guide() if command[0] == "deploy/slurm_cluster.py"]
    assert slurm_cluster.arguments().parse_args(given).workers == 64
