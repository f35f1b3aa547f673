"""Run a command once the code server answers, or the command's first look would find no code.

    python -m pipelines.serving.wait COMMAND [ARGUMENT ...]

The daemon would otherwise give up what it has to do first, such as retrying the runs that were interrupted.
"""

import os
import socket
import sys
import time

from pipelines.serving.environment import SOCKET_VARIABLE

INTERVAL_SECONDS = 0.2


def main() -> None:
    """Wait, then become the command."""
    while not _is_answered(os.environ[SOCKET_VARIABLE]):
        time.sleep(INTERVAL_SECONDS)
    os.execvp(sys.argv[1], sys.argv[1:])


def _is_answered(path: str) -> bool:
    """Whether a server listens on a Unix socket: the code server does so once it has loaded the code."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
