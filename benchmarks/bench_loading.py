"""Claim: the code location loads in at most 2 s on top of `import dagster`. Peer: that import itself."""

import subprocess
import sys

from measure import compare

PEER = "import dagster"
OURS = "import dagster, pipelines.definitions as d; d.defs.get_repository_def()"


def main() -> None:
    """Compare whole processes: what ours takes longer is the loading."""

    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    compare("a process that loads the code location", lambda: start(OURS), lambda: start(PEER), "import dagster")


if __name__ == "__main__":
    main()
