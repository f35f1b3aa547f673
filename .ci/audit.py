"""List the known vulnerabilities of the locked packages; exit 1 if there is one that is not accepted.

    python .ci/audit.py requirements-dev.lock

pip-audit asks the OSV database (osv.dev, or the mirror `$OSV_URL`). Accepted findings, each with its reason, are in
pyproject.toml. Where the database cannot be reached, nothing is known, and it says so: that is not a failure, since
these checks also run without a network.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP_AUDIT = ROOT / ".venv" / "validators" / "bin" / "pip-audit"
UNREACHABLE = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ServiceError")


def main(lock: str) -> int:
    """Print the findings and return the exit status."""
    mirror = ["--osv-url", os.environ["OSV_URL"]] if "OSV_URL" in os.environ else []
    command = [PIP_AUDIT, "--requirement", lock, "--require-hashes", "--disable-pip", "--vulnerability-service", "osv"]
    done = subprocess.run([*command, *mirror, "--format", "json"], capture_output=True, text=True, check=False)
    if not done.stdout.startswith("{"):
        if any(reason in done.stderr for reason in UNREACHABLE):
            print("The OSV database cannot be reached: the packages were not audited for known vulnerabilities.")
            return 0
        print(done.stderr, file=sys.stderr)
        return 1
    packages = json.loads(done.stdout)["dependencies"]
    accepted = accepted_findings()
    found = {(each["name"], each["version"], finding["id"]) for each in packages for finding in each.get("vulns", ())}
    for name, version, finding in sorted(found):
        print(f"{name} {version}: {finding}" + (f" (accepted: {accepted[finding]})" if finding in accepted else ""))
    left = [finding for _, _, finding in found if finding not in accepted]
    print(f"{len(packages)} packages were audited; {len(left)} vulnerabilities are known and not accepted.")
    return 1 if left else 0


def accepted_findings() -> dict[str, str]:
    """The accepted findings: id -> reason."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["tool"]["taproom"]["accepted-vulnerabilities"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
