"""Run a command as soon as the stores answer, the bucket exists, and Dagster's records fit the warehouse.

    python -m pipelines.serving.prepare COMMAND [ARGUMENT ...]

For the code server of a deployment; the daemon and the web server wait for the code server. A bucket is made only on a
server that `AWS_ENDPOINT_URL` names: on Amazon's, its owner decides where it is and who may read it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg2
import pyarrow.fs as pafs

from taproom.errors import StorageError
from taproom.object_store import SCHEMES, bucket_and_path, endpoint, s3_files
from taproom.warehouse.storage import Storage, default_root

INTERVAL_SECONDS = 0.5
SECONDS_BETWEEN_LINES = 10


def main() -> None:
    """Wait, prepare, then replace this process by the command."""
    if "PGHOST" in os.environ:
        wait_for("PostgreSQL", lambda: psycopg2.connect("", connect_timeout=5).close())
    if default_root().startswith(SCHEMES):
        wait_for("the object store", lambda: open_bucket(default_root()))
    subprocess.run([sys.executable, "-m", "pipelines.reconcile"], check=False)
    os.execvp(sys.argv[1], sys.argv[1:])


def wait_for(store: str, ask: Callable[[], object]) -> None:
    """Ask until there is no error; say from time to time what the error is."""
    printed = -float(SECONDS_BETWEEN_LINES)
    while True:
        try:
            ask()
            return
        except (psycopg2.OperationalError, StorageError) as error:
            if time.monotonic() - printed > SECONDS_BETWEEN_LINES:
                print(f"Waiting for {store}: {error}", flush=True)
                printed = time.monotonic()
        time.sleep(INTERVAL_SECONDS)


def open_bucket(root: str) -> None:
    """Make the bucket of `root` unless it exists; raise `StorageError` while that is not possible."""
    bucket = bucket_and_path(root, "The warehouse's URL").partition("/")[0]
    storage = Storage(root)
    with storage.errors(f"the bucket {bucket!r} cannot be used"):
        if s3_files().get_file_info(bucket).type == pafs.FileType.NotFound and endpoint():
            maker = pafs.S3FileSystem(endpoint_override=endpoint(), allow_bucket_creation=True)
            maker.create_dir(bucket)
    storage.listing()


if __name__ == "__main__":
    main()
