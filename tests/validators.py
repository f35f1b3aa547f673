"""Runs scripts with the validators of others; `make .venv/validators/ready` makes the environment that they need."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PYTHON = Path(sys.prefix) / "validators" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="the validators are missing: `make .venv/validators/ready`"),
]


def run(script: str, *arguments: object, folder: Path | None = None) -> Any:
    """What the script prints last, as JSON. It has no way into the network."""
    no_network = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [PYTHON, "-c", script, *map(str, arguments)],
        cwd=folder,
        env=os.environ | no_network,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
