"""`make run`: make every table that is not fresh, then print a summary.

    python -m pipelines.run [--config FILE]

FILE is a Dagster run configuration in YAML, in the form of Dagster's launchpad, for instance with another source of
reviews. The exit status is 1 if a table could not be made.

If several chains have something to make, they are made side by side, in processes of their own. These take seconds to
start, and so does `pipelines.making`, which has all the rest. So they are started first, needed or not.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.forks import Forks
from taproom.errors import TaproomError

COMMAND = (sys.executable, "-m", "pipelines.chain_process")
PROCESSES = 5  # one for each of `pipelines.chains.CHAINS`, which are not loaded yet


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the tables, print the summary and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--config", type=Path, help="Dagster run configuration (YAML)")
    options = parser.parse_args(arguments)
    try:
        with Forks(COMMAND, PROCESSES) as forks:
            from pipelines.making import make_all

            failures = make_all(options.config, forks)
    except TaproomError as error:
        failures = {"make run": error}
    except KeyboardInterrupt:
        print("\nInterrupted. What was made is kept; `make run` makes the rest.", file=sys.stderr)
        return 130
    for chain, failure in failures.items():
        print(f"\nFailed: {chain}: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
