"""The state of `make stack`: its folder, and the environment that its processes and their clients share.

The folder is `$TAPROOM_STACK`, by default `data/stack`. The first start writes `stack.env` there, readable by its owner
alone, with random passwords and free ports. Later starts use the same, and a shell can read it, too.
"""

import os
import random
import secrets
import shlex
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.serving.environment import ADDRESS
from taproom.errors import TaproomError

STACK_VARIABLE = "TAPROOM_STACK"
REPO = Path(__file__).resolve().parents[2]
DEFAULT_STACK = REPO / "data" / "stack"
SETTINGS = REPO / "deploy" / "dagster.yaml"
BUCKET = "taproom"
# PostgreSQL, the S3 server with its parts, and Dask's scheduler. Below the ports that Linux gives to outgoing
# connections.
PORTS = 10
FIRST_PORTS = range(20_000, 30_000, PORTS)


def stack_folder() -> Path:
    """The folder of the stack's state: `$TAPROOM_STACK`, by default `data/stack`."""
    return Path(os.environ.get(STACK_VARIABLE) or DEFAULT_STACK).resolve()


def stack_environment(folder: Path) -> dict[str, str]:
    """The variables of the stack in `folder`; the first call makes its passwords and chooses its ports.

    Raises:
        TaproomError: a line of `stack.env` is not NAME=VALUE, or a quotation mark in it has no pair.
    """
    file = _settings_file(folder)
    if not file.exists():
        _make_folder(folder)
        content = "".join(f"{name}={shlex.quote(value)}\n" for name, value in _new_environment(folder).items())
        temporary = file.with_suffix(".part")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
            output.write(content)
        temporary.rename(file)
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(_variable(line, file) for line in lines)


def stack_exists(folder: Path) -> bool:
    """Whether a stack was ever started in `folder`."""
    return _settings_file(folder).exists()


def store_port() -> int:
    """The port of the S3 server; the ports of its parts follow it."""
    return urlsplit(os.environ["AWS_ENDPOINT_URL"]).port or 0


def cluster_environment(folder: Path, workers: int) -> dict[str, str]:
    """The variables for a Dask cluster of so many workers beside the stack in `folder`; none for 0 of them."""
    if not workers:
        return {"TAPROOM_STACK_INCLUDES": ""}
    port = str(int(os.environ["PGPORT"]) + PORTS - 1)
    return {
        "TAPROOM_STACK_INCLUDES": "cluster.conf",
        "TAPROOM_STACK_SCHEDULER_PORT": port,
        "TAPROOM_STACK_SCRATCH": str(folder / "dask"),
        "TAPROOM_STACK_WORKERS": str(workers),
        "TAPROOM_CLUSTER": f"tcp://{ADDRESS}:{port}",
    }


def check_ports_are_free() -> None:
    """Check the ports of the stack, since its servers would fail again and again.

    Raises:
        TaproomError: another program uses one.
    """
    first = int(os.environ["PGPORT"])
    if taken := [port for port in range(first, first + PORTS) if not is_free(port)]:
        raise TaproomError(
            f"port {taken[0]} of {ADDRESS} is in use. End the program that uses it, or change the ports in "
            f"{_settings_file(stack_folder())}: PGPORT is the first of {PORTS} consecutive free ports, the port in "
            "AWS_ENDPOINT_URL the second."
        )


def _settings_file(folder: Path) -> Path:
    return folder / "stack.env"


def _variable(line: str, file: Path) -> tuple[str, str]:
    """The name and the value in a line."""
    name, is_given, value = line.partition("=")
    with suppress(ValueError):  # of a quotation mark without its pair
        if is_given:
            return name, "".join(shlex.split(value))
    raise TaproomError(f"{file}: {name!r} is not NAME=VALUE, as a shell reads it. Correct the line, or delete it.")


def _make_folder(folder: Path) -> None:
    home = folder / "dagster_home"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").is_symlink():
        (home / "dagster.yaml").symlink_to(SETTINGS)


def _new_environment(folder: Path) -> dict[str, str]:
    first = _free_ports()
    return {
        "DAGSTER_HOME": str(folder / "dagster_home"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "TAPROOM_WAREHOUSE": f"s3://{BUCKET}/warehouse",
        "PGHOST": ADDRESS,
        "PGPORT": str(first),
        "PGUSER": "taproom",
        "PGPASSWORD": secrets.token_urlsafe(24),
        "PGDATABASE": "dagster",
        "AWS_ENDPOINT_URL": f"http://{ADDRESS}:{first + 1}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
    }


def _free_ports() -> int:
    """The first of `PORTS` ports in a row that no program uses."""
    for first in random.sample(FIRST_PORTS, len(FIRST_PORTS)):
        if all(is_free(port) for port in range(first, first + PORTS)):
            return first
    raise TaproomError(f"No {PORTS} ports in a row are free from {FIRST_PORTS[0]} on. End programs that use them.")


def is_free(port: int) -> bool:
    """Whether a server could listen on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True
