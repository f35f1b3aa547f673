"""A Dask cluster on SLURM: the scheduler is this process, each worker a job of one core. docs/scaling.md has the use.

It needs the package dask-jobqueue beside those of requirements.lock, and runs until it is interrupted, on a machine
that the nodes can reach. Workers whose jobs end, at their time limit for example, are replaced. The nodes must have
this repo and its environment under the same path.
"""

import argparse
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(description="Start a Dask scheduler here, and workers as jobs of SLURM.")
    parser.add_argument("--workers", type=int, default=4, help="number of workers, one core each (default: 4)")
    parser.add_argument("--memory", default="8GiB", help="memory of a worker (default: 8GiB)")
    parser.add_argument("--walltime", default="12:00:00", help="time limit of a job (default: 12:00:00)")
    parser.add_argument("--partition", help="partition of the jobs (default: SLURM's)")
    parser.add_argument("--account", help="account of the jobs (default: SLURM's)")
    parser.add_argument("--interface", help="network interface of scheduler and workers, such as ib0")
    parser.add_argument("--port", type=int, default=8786, help="port of the scheduler (default: 8786)")
    return parser


def cluster_options(given: argparse.Namespace) -> dict[str, Any]:
    """What dask-jobqueue's SLURMCluster is made with."""
    return {
        "cores": 1,
        "processes": 1,
        "memory": given.memory,
        "walltime": given.walltime,
        "queue": given.partition,
        "account": given.account,
        "interface": given.interface,
        "job_name": "taproom-worker",
        "log_directory": str(REPO / "data" / "slurm"),
        "python": sys.executable,
        # A worker finds Taproom in the folder that it starts in.
        "job_script_prologue": [f"cd {shlex.quote(str(REPO))}", 'export DASK_CONFIG="$PWD/deploy/dask.yaml"'],
        "scheduler_options": {"port": given.port, "dashboard": False},
    }


def main() -> None:
    """Keep a cluster of the given size until this process is interrupted or terminated; then cancel its jobs."""
    given = arguments().parse_args()
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        sys.exit("The package dask-jobqueue is missing. Install it: .venv/bin/python -m pip install dask-jobqueue")
    sys.path.insert(0, str(REPO))  # The scheduler loads the functions of blocks, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), SLURMCluster(**cluster_options(given)) as cluster:
        cluster.adapt(minimum_jobs=given.workers, maximum_jobs=given.workers)
        print(f"TAPROOM_CLUSTER={cluster.scheduler_address}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
