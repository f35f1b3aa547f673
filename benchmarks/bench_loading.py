"""Claim: loading the code location takes at most 2 s longer than `import dagster`. Peer: that import."""

import subprocess
import sys

from measure import compare

PEER = "import dagster"
OURS = "import dagster, pipelines.definitions as d; d.defs.get_repository_def()"


def main() -> None:
    """Compare whole processes."""

    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    compare("a process that loads the code location", lambda: start(OURS), lambda: start(PEER), "import dagster")


if __name__ == "__main__":
    main()
