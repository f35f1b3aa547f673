"""The audit of the locked packages, with pip-audit itself and a database of one vulnerability on this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests import validators
from tests.serving import serving

ROOT = Path(__file__).resolve().parents[1]
LOCK = f"ale-malt==1.0 --hash=sha256:{'0' * 64}\nstout-yeast==2.0 --hash=sha256:{'1' * 64}\n"

pytestmark = validators.pytestmark


class Database(BaseHTTPRequestHandler):
    """Answers as the database OSV does: `ale-malt` is vulnerable."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = asked["package"]
        affected = {"package": package, "ranges": [], "versions": [asked["version"]]}
        finding = {"id": "OSV-1", "summary": "", "details": "", "aliases": [], "affected": [affected]}
        answer = json.dumps({"vulns": [finding]} if package["name"] == "ale-malt" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Database)) as server:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"


def audit(lock: Path, database: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / ".ci" / "audit.py", lock]
    return subprocess.run(command, env=os.environ | {"OSV_URL": database}, capture_output=True, text=True)


def test_a_known_vulnerability_is_named_and_fails(database, tmp_path):
    (tmp_path / "requirements.lock").write_text(LOCK)
    done = audit(tmp_path / "requirements.lock", database)
    assert done.stdout.splitlines() == [
        "ale-malt 1.0: OSV-1",
        "2 packages were audited; 1 vulnerabilities are known and not accepted.",
    ]
    assert done.returncode == 1


def test_packages_without_one_pass(database, tmp_path):
    (tmp_path / "requirements.lock").write_text(LOCK.splitlines()[1])
    done = audit(tmp_path / "requirements.lock", database)
    assert (done.returncode, done.stdout) == (
        0, "1 packages were audited; 0 vulnerabilities are known and not accepted.\n",
    )  # fmt: skip


def test_a_database_that_does_not_answer_is_no_failure_and_no_success(tmp_path):
    (tmp_path / "requirements.lock").write_text(LOCK)
    done = audit(tmp_path / "requirements.lock", "http://127.0.0.1:9/v1/query")
    assert (done.returncode, done.stdout) == (
        0, "The OSV database cannot be reached: the packages were not audited for known vulnerabilities.\n",
    )  # fmt: skip


def test_a_lock_that_is_none_fails(tmp_path):
    done = audit(tmp_path / "requirements.lock", "http://127.0.0.1:9/v1/query")
    assert done.returncode == 1
    assert "requirements.lock" in done.stderr
