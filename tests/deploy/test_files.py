"""The files of `deploy/`: each is checked by the tool of its kind, and names only variables that something reads."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tests.servers import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DAGSTER_CHART, DASK_CHART = (
    yaml.safe_load((DEPLOY / "kubernetes" / f"{name}-values.yaml").read_text()) for name in ("dagster", "dask")
)
(CODE_LOCATION,) = DAGSTER_CHART["dagster-user-deployments"]["deployments"]
# Variables of the images, of Python and of libraries, which no file of the repo reads.
OF_OTHERS = {
    "DAGSTER_DISABLE_TELEMETRY", "DASK_CONFIG", "NUMBA_CACHE_DIR", "POSTGRES_DB", "POSTGRES_PASSWORD",
    "POSTGRES_USER", "PYTHONPATH", "PYTHONUNBUFFERED",
}  # fmt: skip


def run(*command: str | Path, **more) -> str:
    """What a tool says; it has to be content."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name: str) -> str:
    """A program that is installed beside Python, or on the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or name


def test_yaml():
    files = [*DEPLOY.glob("*.yaml"), *DEPLOY.glob("kubernetes/*.yaml")]
    assert run(tool("yamllint"), "--strict", "--config-file", DEPLOY / ".yamllint", *files) == ""


def test_the_containerfile():
    assert run(tool("hadolint"), DEPLOY / "Containerfile") == ""
    copied = re.findall(r"^COPY (.*) \S+$", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE)
    assert [name for line in copied for name in line.split() if not (ROOT / name).exists()] == []


def test_the_image_for_kubernetes_has_the_release_of_dagsters_other_packages():
    (release,) = re.findall(r"dagster-k8s==(\S+)", (DEPLOY / "Containerfile").read_text())
    assert release == version("dagster-postgres")


def test_the_services_are_whole():
    services, volumes, networks = COMPOSE["services"], COMPOSE["volumes"], COMPOSE["networks"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= services.keys(), name
        assert set(service["networks"]) <= networks.keys(), name
        named = {volume.partition(":")[0] for volume in service["volumes"]}
        assert {volume for volume in named if not volume.startswith(".")} <= volumes.keys(), name
    assert {name for name, service in services.items() if "ports" in service} == {"proxy"}


def test_all_pods_have_one_image():
    assert DASK_CHART["scheduler"]["image"] == DASK_CHART["worker"]["image"] == CODE_LOCATION["image"]
    # The images of the daemon and the web server are the chart's own, of its version.
    assert f"--version {version('dagster')} " in (ROOT / "docs" / "deployment.md").read_text()


def test_workers_on_kubernetes_have_one_thread_and_the_address_that_runs_use():
    resources = DASK_CHART["worker"]["resources"]
    assert resources["limits"] == resources["requests"]
    assert resources["limits"]["cpu"] == "1"  # the chart makes this the number of threads
    variables = {each["name"]: each["value"] for each in CODE_LOCATION["env"]}
    assert variables["TAPROOM_CLUSTER"] == "tcp://dask-scheduler:8786"
    assert CODE_LOCATION["includeConfigInLaunchedRuns"] == {"enabled": True}


def test_compose_takes_the_file(tmp_path):
    """Where the plugin of docker is installed."""
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    filled_in = tmp_path / "env"
    filled_in.write_text(re.sub("=$", "=secret", (DEPLOY / ".env.example").read_text(), flags=re.MULTILINE))
    of_all_profiles = ("--profile", "*")
    compose = ("docker", "compose", "--env-file", filled_in, "--file", DEPLOY / "compose.yaml", *of_all_profiles)
    resolved = json.loads(run(*compose, "config", "--format", "json"))
    assert resolved["services"].keys() == COMPOSE["services"].keys()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_units(tmp_path):
    units = [*DEPLOY.glob("systemd/*.service"), *DEPLOY.glob("systemd/*.timer")]
    for unit in units:
        text = unit.read_text().replace("/opt/taproom/.venv/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text.replace("/opt/taproom", str(ROOT)))
    assert run("systemd-analyze", "verify", *(tmp_path / unit.name for unit in units)) == ""


def test_every_variable_is_read_by_something():
    read = "".join(path.read_text() for folder in ("assets", "pipelines", "taproom") for path in code(ROOT / folder))
    read += (DEPLOY / "dagster.yaml").read_text() + (DEPLOY / "Caddyfile").read_text()
    known = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b", read)) | OF_OTHERS
    assert {name: sorted(names - known) for name, names in variables().items() if names - known} == {}


def test_the_example_has_every_variable_of_the_services_and_no_secret():
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / ".env.example").read_text(), flags=re.MULTILINE))
    used = re.findall(r"\$\{(\w+)(.*?)\}", (DEPLOY / "compose.yaml").read_text())
    assert given.keys() == {name for name, _ in used}
    # Compose refuses to start while one of the others is empty.
    assert {(name, how) for name, how in used if how != ":?"} == {("TAPROOM_CLUSTER", ":-")}
    secret = {name for name in given if re.search("PASSWORD|KEY", name)}
    assert {name for name in secret if given[name]} == set()


@pytest.mark.parametrize("name", [".env", "notices.env"])
def test_files_with_passwords_are_neither_committed_nor_copied_into_the_image(name):
    assert run("git", "check-ignore", f"deploy/{name}", cwd=ROOT)
    assert f"**/{name}" in (ROOT / ".dockerignore").read_text().splitlines()


def code(folder: Path) -> list[Path]:
    return [path for suffix in ("py", "conf", "yaml") for path in folder.rglob(f"*.{suffix}")]


def variables() -> dict[str, set[str]]:
    """The variables that each file sets."""
    units = {unit.name: re.findall(r"(?<=[= ])([A-Z_]+)=", unit.read_text()) for unit in DEPLOY.glob("systemd/*")}
    return {
        "compose.yaml": {name for service in COMPOSE["services"].values() for name in service["environment"]},
        ".env.example": set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), flags=re.MULTILINE)),
        "dagster-values.yaml": {each["name"] for each in CODE_LOCATION["env"]},
        "dask-values.yaml": {each["name"] for each in DASK_CHART["worker"]["env"]},
        "Containerfile": set(re.findall(r"([A-Z_]+)=", (DEPLOY / "Containerfile").read_text())),
        **{name: set(names) for name, names in units.items()},
    }
