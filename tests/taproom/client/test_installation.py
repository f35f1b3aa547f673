"""The package as a reader installs it: a wheel with its base dependencies, in an environment of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taproom.warehouse.warehouse import Warehouse
from tests.taproom.client.test_reader import BEERS, FIRST, SECOND

REPO = Path(__file__).resolve().parents[3]
MAX_PACKAGES = 10
READ = """
import importlib.util, json, sys
import taproom
from taproom.errors import MissingPackageError, StorageError
reader = taproom.open(sys.argv[1])
try:
    reader.words.nearest("ale")
except MissingPackageError as error:
    missing = str(error)
try:
    taproom.load("beers")
except StorageError as error:
    nameless = str(error)
print(json.dumps({
    "rows": reader.load("beers").to_pydict(),
    "sql": reader.sql("select count(*) as n from beers").to_pylist(),
    "versions": [commit["version"] for commit in reader.history("beers")],
    "snapshot": reader.snapshot().versions,
    "added": reader.diff("beers", 0).rows_added,
    "exported": [table.rows for table in reader.export(sys.argv[2])],
    "installed": [name for name in ("numpy", "scipy", "pandas", "dagster") if importlib.util.find_spec(name)],
    "missing": missing,
    "nameless": nameless,
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an environment that has the wheel."""
    folder = tmp_path_factory.mktemp("installation")
    source = folder / "source"  # the build writes beside what it builds
    shutil.copytree(REPO / "taproom", source / "taproom", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPO / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", folder, source], capture_output=True, text=True, check=False
    )
    if built.returncode:
        pytest.skip(f"the wheel's build needs setuptools from the package registry: {built.stderr[-300:]}")
    (wheel,) = folder.glob("taproom-*.whl")
    # This environment's pip installs into the other, which then needs none; what is imported compiles itself.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    added = subprocess.run(
        [*pip, "--python", folder / "env", "install", "--no-compile", wheel],
        capture_output=True,
        text=True,
        check=False,
    )
    if added.returncode:
        pytest.skip(f"the package registry cannot be reached: {added.stderr[-300:]}")
    return folder / "env" / "bin"


@pytest.mark.slow
def test_a_reader_installs_few_packages_and_reads(installed, tmp_path, monkeypatch):
    monkeypatch.delenv("TAPROOM_WAREHOUSE", raising=False)
    warehouse = Warehouse(tmp_path / "warehouse")
    warehouse.publish(BEERS, FIRST, since=None, partition="a")
    warehouse.publish(BEERS, SECOND, since=0, partition="b")

    def run(*command):
        return subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    listed = json.loads(run(sys.executable, "-m", "pip", "--python", installed.parent, "list", "--format", "json"))
    packages = {package["name"].lower() for package in listed}
    assert len(packages) <= MAX_PACKAGES, packages
    found = json.loads(run(installed / "python", "-c", READ, warehouse.root, tmp_path / "export"))
    assert found["rows"] == warehouse.read("beers").to_pydict()
    assert (found["sql"], found["versions"], found["snapshot"]) == ([{"n": 3}], [1, 0], {"beers": 1})
    assert (found["added"], found["exported"]) == (1, [3])
    assert found["installed"] == []
    assert 'pip install "taproom[models]"' in found["missing"]
    assert "No warehouse was given" in found["nameless"]
    for command in (["tables"], ["show", "beers"], ["head", "beers"], ["verify"]):
        assert "beer" in run(installed / "taproom", *command, "--warehouse", warehouse.root)
