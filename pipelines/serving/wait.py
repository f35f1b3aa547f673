"""Run a command as soon as the code server answers.

    python -m pipelines.serving.wait COMMAND [ARGUMENT ...]

Without the code the daemon would give up on its first tasks, such as retrying the runs that were interrupted.
"""

import os
import socket
import sys
import time

from pipelines.serving.environment import SOCKET_VARIABLE

INTERVAL_SECONDS = 0.2


def main() -> None:
    """Wait, then replace this process by the command."""
    while not _is_answered(os.environ[SOCKET_VARIABLE]):
        time.sleep(INTERVAL_SECONDS)
    os.execvp(sys.argv[1], sys.argv[1:])


def _is_answered(path: str) -> bool:
    """Whether a server listens on a Unix socket. The code server does as soon as it has loaded the code."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
